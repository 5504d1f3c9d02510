// Loop: the one thread on which a whole pipeline lives: its sockets, timers, and what other threads hand it.
//
// A turn of the loop is: wait for readiness, run the callbacks of ready descriptors, of due timers and of posted tasks,
// then the end-of-turn callbacks, which is where everything received in the turn is made one append and where replies
// gathered in the turn become one write per connection.
//
// Everything here is called on the loop's thread, except Post() and Stop(). Callbacks may add and remove anything,
// themselves included; a callback is never called after its watch or timer was removed. Level-triggered. The Loop
// outlives every Watch and Timer, save those that its own tasks and callbacks hold.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace tributary::base {

struct WatchEntry;

class Loop {
 public:
  using Task = std::move_only_function<void()>;
  using Ready = std::move_only_function<void(uint32_t events)>;  // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR

  // A descriptor being watched. Destroying it stops the watch; the descriptor itself stays its owner's, who closes it
  // only after that. EPOLLHUP and EPOLLERR are told whatever is wanted.
  class Watch {
   public:
    Watch() = default;
    ~Watch() { Reset(); }
    Watch(Watch&& other) noexcept : loop_(std::exchange(other.loop_, nullptr)), entry_(other.entry_) {}
    Watch& operator=(Watch&& other) noexcept {
      std::swap(loop_, other.loop_);
      std::swap(entry_, other.entry_);
      return *this;
    }
    // Changes what is waited for: EPOLLIN, EPOLLOUT, both or neither. No system call when nothing changes.
    void Want(uint32_t events);
    void Reset();
    bool active() const { return loop_ != nullptr; }

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    WatchEntry* entry_ = nullptr;
  };

  // A single shot in the future. Destroying it, or setting it again, cancels it.
  class Timer {
   public:
    Timer() = default;
    ~Timer() { Cancel(); }
    Timer(Timer&& other) noexcept : loop_(std::exchange(other.loop_, nullptr)), id_(other.id_) {}
    Timer& operator=(Timer&& other) noexcept {
      std::swap(loop_, other.loop_);
      std::swap(id_, other.id_);
      return *this;
    }
    void Cancel();
    bool pending() const { return loop_ != nullptr && loop_->timers_.contains(id_); }

   private:
    friend class Loop;
    Loop* loop_ = nullptr;
    uint64_t id_ = 0;
  };

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs turns until Stop().
  void Run();
  // Runs one turn, waiting at most `wait_max` for something to do. For tests.
  void RunOnce(Nanos wait_max);
  // From the next turn on it is `by` later than the clock says, and all that waits for a time is that much nearer. For
  // tests of what happens after long waits.
  void Advance(Nanos by) { advanced_ += by; }
  // From now on time passes by Advance() alone. For tests that must go the same way each time.
  void StopClock() { stopped_at_ = Clock::now(); }
  // Makes Run() return after the current turn. Any thread.
  void Stop();
  // Runs `task` on the loop's thread in a coming turn. Any thread. Tasks not run when the loop is destroyed are
  // dropped.
  void Post(Task task);

  // Time at the start of this turn: good enough for deadlines and free of system calls.
  Time now() const { return now_; }

  [[nodiscard]] Watch WatchFd(int fd, uint32_t events, Ready ready);
  [[nodiscard]] Timer RunAt(Time when, Task task);
  [[nodiscard]] Timer RunAfter(Nanos delay, Task task) { return RunAt(now_ + delay, std::move(task)); }
  // Runs `task` once at the end of this turn (or of the next, outside a turn).
  void AtEndOfTurn(Task task) { end_of_turn_.push_back(std::move(task)); }

 private:
  struct Due {
    Time when;
    uint64_t id;
    bool operator>(const Due& other) const { return when > other.when || (when == other.when && id > other.id); }
  };

  void FreeRetired();
  void ForgetCancelledTimers();
  void RunDueTimers();
  void RunPosted();
  void RunEndOfTurn();
  int WaitMillis(Nanos wait_max) const;
  Time Now() const { return stopped_at_.value_or(Clock::now()) + advanced_; }

  Fd epoll_;
  Fd wake_;  // eventfd: Post and Stop write to it
  Watch wake_watch_;
  Nanos advanced_{};
  std::optional<Time> stopped_at_;
  Time now_;
  std::vector<std::unique_ptr<WatchEntry>> retired_;  // freed after the turn, since events of this turn may point there
  std::vector<Due> due_;  // a heap, earliest first; holds cancelled ids too, until they are due or outnumber the live
  std::unordered_map<uint64_t, Task> timers_;  // live ones
  uint64_t last_timer_id_ = 0;
  std::vector<Task> end_of_turn_;
  bool stopping_ = false;

  std::mutex posted_mutex_;
  std::vector<Task> posted_;     // guarded by posted_mutex_
  bool stop_requested_ = false;  // guarded by posted_mutex_
};

}  // namespace tributary::base
