// EndOfTurn: one task of an object, run once at the end of the loop's turn however often it was asked for in the turn:
// where gathered output becomes one write. Forgotten when this is destroyed; the task may do that itself.
// Lives on the loop's thread.
#pragma once

#include <memory>
#include <utility>

#include "base/loop.h"

namespace tributary::base {

class EndOfTurn {
 public:
  EndOfTurn(Loop& loop, Loop::Task task) : loop_(loop), state_(std::make_shared<State>(std::move(task))) {}
  ~EndOfTurn() { state_->wanted = false; }
  EndOfTurn(const EndOfTurn&) = delete;
  EndOfTurn& operator=(const EndOfTurn&) = delete;

  void Ask() {
    if (std::exchange(state_->wanted, true)) return;
    loop_.AtEndOfTurn([state = state_] {
      if (std::exchange(state->wanted, false)) state->task();
    });
  }

 private:
  struct State {
    explicit State(Loop::Task t) : task(std::move(t)) {}
    Loop::Task task;
    bool wanted = false;
  };

  Loop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace tributary::base
