// Worker: one thread beside the loop for what blocks: writing files, running SQLite.
//
// Jobs run there one at a time, in the order they were given; what each returns runs on the loop afterwards. So
// whatever only jobs touch needs no lock. Owned by whoever needs it, on the loop's thread; the Loop outlives it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/loop.h"

namespace tributary::base {

class Worker {
 public:
  // Runs on the worker's thread and returns what the loop is to do with its result.
  using Job = std::move_only_function<Loop::Task()>;

  // `name` is what tools show of the thread: at most 15 characters.
  Worker(Loop& loop, const std::string& name);
  // Waits for the job under way. Jobs not begun are dropped, and so is every Task that the loop has not run yet:
  // nothing of this Worker happens after it is gone.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Run(Job job);

 private:
  void RunJobs();

  Loop& loop_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // its content is the loop thread's

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_

  std::thread thread_;  // last: it uses everything above
};

}  // namespace tributary::base
