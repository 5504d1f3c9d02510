#include "base/end_of_turn.h"

#include <gtest/gtest.h>

#include <memory>

namespace tributary::base {
namespace {

TEST(EndOfTurn, RunsOnceHoweverOftenItWasAskedFor) {
  Loop loop;
  int runs = 0;
  EndOfTurn task(loop, [&] { ++runs; });
  task.Ask();
  task.Ask();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(runs, 1);
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(runs, 1);
  task.Ask();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(runs, 2);
}

TEST(EndOfTurn, RunsAgainInTheSameTurnWhenItAsksItself) {
  Loop loop;
  int runs = 0;
  EndOfTurn* self = nullptr;
  EndOfTurn task(loop, [&] {
    if (++runs < 3) self->Ask();
  });
  self = &task;
  task.Ask();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(runs, 3);
}

TEST(EndOfTurn, IsForgottenWhenItIsDestroyed) {
  Loop loop;
  int runs = 0;
  auto task = std::make_unique<EndOfTurn>(loop, [&] { ++runs; });
  task->Ask();
  task.reset();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(runs, 0);
}

TEST(EndOfTurn, MayDestroyItself) {
  Loop loop;
  std::unique_ptr<EndOfTurn> task;
  task = std::make_unique<EndOfTurn>(loop, [&] { task.reset(); });
  task->Ask();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(task, nullptr);
}

}  // namespace
}  // namespace tributary::base
