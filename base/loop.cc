#include "base/loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace tributary::base {

struct WatchEntry {
  int fd;
  uint32_t events;
  Loop::Ready ready;
  bool removed = false;
};

namespace {
constexpr int kEventsPerTurnMax = 128;
}  // namespace

void Loop::Watch::Want(uint32_t events) {
  CHECK(active());
  if (entry_->events == events) return;
  entry_->events = events;
  epoll_event event{.events = events, .data = {.ptr = entry_}};
  CHECK(epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, entry_->fd, &event) == 0);
}

void Loop::Watch::Reset() {
  if (!active()) return;
  Loop* loop = std::exchange(loop_, nullptr);
  CHECK(epoll_ctl(loop->epoll_.get(), EPOLL_CTL_DEL, entry_->fd, nullptr) == 0);
  entry_->removed = true;
  loop->retired_.emplace_back(std::exchange(entry_, nullptr));
}

void Loop::Timer::Cancel() {
  // Extracted first and destroyed after: what the task owns may cancel timers too.
  if (Loop* loop = std::exchange(loop_, nullptr)) const auto cancelled = loop->timers_.extract(id_);
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), now_(Clock::now()) {
  CHECK(epoll_.valid() && wake_.valid());
  wake_watch_ = WatchFd(wake_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t wakes;
    [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &wakes, sizeof wakes);
  });
}

Loop::~Loop() {
  wake_watch_.Reset();
  // What tasks and callbacks own may hold watches and timers of this loop, so it goes while the loop is whole.
  {
    const auto posted = std::move(posted_);
  }
  {
    const auto end_of_turn = std::move(end_of_turn_);
  }
  {
    const auto timers = std::move(timers_);
  }
  FreeRetired();
}

Loop::Watch Loop::WatchFd(int fd, uint32_t events, Ready ready) {
  auto entry = std::make_unique<WatchEntry>(fd, events, std::move(ready));
  epoll_event event{.events = events, .data = {.ptr = entry.get()}};
  CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
  Watch watch;
  watch.loop_ = this;
  watch.entry_ = entry.release();
  return watch;
}

Loop::Timer Loop::RunAt(Time when, Task task) {
  Timer timer;
  timer.loop_ = this;
  timer.id_ = ++last_timer_id_;
  timers_.emplace(timer.id_, std::move(task));
  if (due_.size() > 2 * timers_.size() + 64) ForgetCancelledTimers();
  due_.push_back({when, timer.id_});
  std::push_heap(due_.begin(), due_.end(), std::greater<>());
  return timer;
}

void Loop::Post(Task task) {
  {
    std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void Loop::Stop() {
  {
    std::lock_guard lock(posted_mutex_);
    stop_requested_ = true;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void Loop::Run() {
  stopping_ = false;
  while (!stopping_) RunOnce(Nanos::max());
}

void Loop::RunOnce(Nanos wait_max) {
  epoll_event events[kEventsPerTurnMax];
  const int n = epoll_wait(epoll_.get(), events, kEventsPerTurnMax, WaitMillis(wait_max));
  CHECK(n >= 0 || errno == EINTR);
  now_ = Now();
  for (int i = 0; i < n; ++i) {
    auto* entry = static_cast<WatchEntry*>(events[i].data.ptr);
    if (!entry->removed) entry->ready(events[i].events);
  }
  RunDueTimers();
  RunPosted();
  RunEndOfTurn();
  FreeRetired();
}

// What a callback owns goes with it, and that may hold other watches, which then retire too.
void Loop::FreeRetired() {
  while (!retired_.empty()) const auto freed = std::exchange(retired_, {});
}

void Loop::ForgetCancelledTimers() {
  std::erase_if(due_, [this](const Due& due) { return !timers_.contains(due.id); });
  std::make_heap(due_.begin(), due_.end(), std::greater<>());
}

// Those that were due when the turn began: a timer set by one of them for this very moment runs in the next turn, so
// that one which always sets itself again cannot keep the sockets waiting.
void Loop::RunDueTimers() {
  std::vector<uint64_t> ids;
  while (!due_.empty() && due_.front().when <= now_) {
    ids.push_back(due_.front().id);
    std::pop_heap(due_.begin(), due_.end(), std::greater<>());
    due_.pop_back();
  }
  for (const uint64_t id : ids) {
    if (auto live = timers_.extract(id)) live.mapped()();
  }
}

void Loop::RunPosted() {
  std::vector<Task> tasks;
  {
    std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
    if (stop_requested_) stopping_ = true;
    stop_requested_ = false;
  }
  for (Task& task : tasks) task();
}

// A task may queue another: it runs in the same turn, so that nothing waits for a wake-up that may not come.
void Loop::RunEndOfTurn() {
  while (!end_of_turn_.empty()) {
    std::vector<Task> tasks;
    tasks.swap(end_of_turn_);
    for (Task& task : tasks) task();
  }
}

int Loop::WaitMillis(Nanos wait_max) const {
  if (!end_of_turn_.empty()) return 0;
  Nanos wait = wait_max;
  if (!due_.empty()) wait = std::min(wait, std::max(Nanos(0), Nanos(due_.front().when - Now())));
  if (wait == Nanos::max()) return -1;
  // Rounded up: waking a fraction of a millisecond early would spin until the timer is due.
  const int64_t millis = (wait.count() + 999'999) / 1'000'000;
  return static_cast<int>(std::min<int64_t>(millis, 3'600'000));
}

}  // namespace tributary::base
