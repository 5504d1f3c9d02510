#include "base/worker.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/loop.h"

namespace tributary::base {
namespace {

TEST(Worker, RunsJobsInOrderOnItsOwnThreadAndTasksOnTheLoop) {
  Loop loop;
  Worker worker(loop, "test");
  std::vector<int> jobs;   // the worker's thread
  std::vector<int> tasks;  // this thread
  for (int i = 0; i < 100; ++i) {
    worker.Run([&, i, loop_thread = std::this_thread::get_id()]() -> Loop::Task {
      EXPECT_NE(std::this_thread::get_id(), loop_thread);
      jobs.push_back(i);
      return [&, i, loop_thread] {
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
        tasks.push_back(i);
        if (i == 99) loop.Stop();
      };
    });
  }
  loop.Run();
  std::vector<int> expected(100);
  for (int i = 0; i < 100; ++i) expected[i] = i;
  EXPECT_EQ(jobs, expected);
  EXPECT_EQ(tasks, expected);
}

TEST(Worker, ATaskMayRunAnotherJob) {
  Loop loop;
  Worker worker(loop, "test");
  bool second_ran = false;
  worker.Run([&]() -> Loop::Task {
    return [&] {
      worker.Run([&]() -> Loop::Task {
        second_ran = true;
        return [&] { loop.Stop(); };
      });
    };
  });
  loop.Run();
  EXPECT_TRUE(second_ran);
}

TEST(Worker, DestructionFinishesTheJobUnderWayAndLeavesNothingBehind) {
  Loop loop;
  std::promise<void> begun;
  std::promise<void> may_finish;
  bool finished = false;
  bool task_ran = false;
  auto captured = std::make_shared<int>();
  auto worker = std::make_unique<Worker>(loop, "test");
  worker->Run([&, captured]() -> Loop::Task {
    begun.set_value();
    may_finish.get_future().wait();
    finished = true;
    return [&, captured] { task_ran = true; };
  });
  for (int i = 0; i < 10; ++i) {
    worker->Run([&, captured]() -> Loop::Task { return [&, captured] { task_ran = true; }; });
  }
  begun.get_future().wait();
  std::thread release([&] { may_finish.set_value(); });
  worker.reset();
  release.join();
  EXPECT_TRUE(finished);

  // Tasks of finished jobs are in the loop's hands: a turn drops them, with what they hold.
  loop.RunOnce(Nanos(0));
  EXPECT_FALSE(task_ran);
  EXPECT_EQ(captured.use_count(), 1);
}

TEST(Worker, LeavesSignalsToTheLoopsThread) {
  Loop loop;
  Worker worker(loop, "test");
  worker.Run([&]() -> Loop::Task {
    sigset_t blocked;
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &blocked), 0);
    EXPECT_TRUE(sigismember(&blocked, SIGTERM));
    EXPECT_TRUE(sigismember(&blocked, SIGHUP));
    return [&] { loop.Stop(); };
  });
  loop.Run();
}

}  // namespace
}  // namespace tributary::base
