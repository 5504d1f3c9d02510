#include "base/worker.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "base/check.h"

namespace tributary::base {

Worker::Worker(Loop& loop, const std::string& name) : loop_(loop), thread_([this] { RunJobs(); }) {
  CHECK(pthread_setname_np(thread_.native_handle(), name.c_str()) == 0);
}

Worker::~Worker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  *alive_ = false;
}

void Worker::Run(Job job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Worker::RunJobs() {
  // Signals are for the loop's thread.
  sigset_t all;
  sigfillset(&all);
  CHECK(pthread_sigmask(SIG_BLOCK, &all, nullptr) == 0);

  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    loop_.Post([alive = alive_, then = job()]() mutable {
      if (*alive) then();
    });
    job = nullptr;  // what it captured goes before the lock is taken again
    lock.lock();
  }
}

}  // namespace tributary::base
