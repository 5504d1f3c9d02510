#include "base/loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace tributary::base {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Two connected sockets.
struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    near = Fd(fds[0]);
    far = Fd(fds[1]);
  }
  void Poke() { EXPECT_EQ(::write(far.get(), "x", 1), 1); }
  Fd near, far;
};

// Turns of the loop until `done` holds.
template <typename Done>
void RunUntil(Loop& loop, Done done) {
  while (!done()) loop.RunOnce(milliseconds(100));
}

TEST(LoopWatch, IsToldOfWhatItWantsAndOfNothingElse) {
  Loop loop;
  Pair pair;
  std::vector<uint32_t> seen;
  Loop::Watch watch = loop.WatchFd(pair.near.get(), EPOLLIN, [&](uint32_t events) { seen.push_back(events); });
  loop.RunOnce(Nanos(0));
  EXPECT_TRUE(seen.empty());
  pair.Poke();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(seen, (std::vector<uint32_t>{EPOLLIN}));
  watch.Want(0);
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(seen.size(), 1u);
  watch.Want(EPOLLOUT);
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(seen.back(), static_cast<uint32_t>(EPOLLOUT));
  watch.Want(EPOLLIN | EPOLLOUT);
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(seen.back(), static_cast<uint32_t>(EPOLLIN | EPOLLOUT));
}

TEST(LoopWatch, MayRemoveItselfInItsCallback) {
  Loop loop;
  Pair pair;
  int calls = 0;
  std::optional<Loop::Watch> watch;
  watch = loop.WatchFd(pair.near.get(), EPOLLIN, [&, token = std::make_shared<int>(7)](uint32_t) {
    watch.reset();
    calls += *token;  // what the callback captured is still there
  });
  pair.Poke();
  loop.RunOnce(Nanos(0));
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(calls, 7);
}

TEST(LoopWatch, RemovedByAnotherOfTheSameTurnIsNotCalled) {
  Loop loop;
  std::array<Pair, 2> pairs;
  std::array<Loop::Watch, 2> watches;
  int calls = 0;
  for (size_t i = 0; i < 2; ++i) {
    watches[i] = loop.WatchFd(pairs[i].near.get(), EPOLLIN, [&, i](uint32_t) {
      ++calls;
      watches[1 - i].Reset();
      pairs[1 - i].near.Close();
    });
    pairs[i].Poke();
  }
  loop.RunOnce(Nanos(0));
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(calls, 2);  // the survivor, once a turn: nobody reads what makes it ready
}

TEST(LoopWatch, OfAReusedDescriptorHearsNothingOfTheOldOne) {
  Loop loop;
  std::array<Pair, 2> pairs;
  std::array<Loop::Watch, 2> watches;
  Loop::Watch replacement;
  Pair fresh;
  int replaced = 0;
  int calls_of_replacement = 0;
  for (size_t i = 0; i < 2; ++i) {
    watches[i] = loop.WatchFd(pairs[i].near.get(), EPOLLIN, [&, i](uint32_t) {
      if (replaced++ > 0) return;
      // The other one is ready too; its number now means an idle socket.
      const int number = pairs[1 - i].near.get();
      watches[1 - i].Reset();
      ASSERT_EQ(dup2(fresh.near.get(), number), number);
      replacement = loop.WatchFd(number, EPOLLIN, [&](uint32_t) { ++calls_of_replacement; });
    });
    pairs[i].Poke();
  }
  loop.RunOnce(Nanos(0));
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(calls_of_replacement, 0);
  fresh.Poke();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(calls_of_replacement, 1);
}

TEST(LoopWatch, OwnedByTheCallbackOfAnotherGoesWithIt) {
  Loop loop;
  std::array<Pair, 3> pairs;
  // A chain: the callback of the first owns the second, whose callback owns the third.
  auto third = std::make_unique<Loop::Watch>(loop.WatchFd(pairs[2].near.get(), EPOLLIN, [](uint32_t) {}));
  auto second = std::make_unique<Loop::Watch>(
      loop.WatchFd(pairs[1].near.get(), EPOLLIN, [third = std::move(third)](uint32_t) {}));
  Loop::Watch first = loop.WatchFd(pairs[0].near.get(), EPOLLIN, [second = std::move(second)](uint32_t) {});
  first.Reset();
  loop.RunOnce(Nanos(0));
  // Their places are free again.
  for (Pair& pair : pairs) {
    int calls = 0;
    Loop::Watch again = loop.WatchFd(pair.near.get(), EPOLLIN, [&](uint32_t) { ++calls; });
    pair.Poke();
    loop.RunOnce(Nanos(0));
    EXPECT_EQ(calls, 1);
  }
}

TEST(LoopWatchDeathTest, MustGoBeforeItsDescriptor) {
  Loop loop;
  Pair pair;
  Loop::Watch watch = loop.WatchFd(pair.near.get(), EPOLLIN, [](uint32_t) {});
  const int number = pair.near.get();
  EXPECT_DEATH(
      {
        ::close(number);
        watch.Reset();
      },
      "EPOLL_CTL_DEL");
}

TEST(LoopTimer, RunsInOrderOfTimeAndThenOfSetting) {
  Loop loop;
  std::vector<int> order;
  const Time now = loop.now();
  std::vector<Loop::Timer> timers;
  timers.push_back(loop.RunAt(now + Nanos(3), [&] { order.push_back(3); }));
  timers.push_back(loop.RunAt(now + Nanos(1), [&] { order.push_back(1); }));
  timers.push_back(loop.RunAt(now + Nanos(2), [&] { order.push_back(2); }));
  timers.push_back(loop.RunAt(now + Nanos(1), [&] { order.push_back(11); }));
  timers.push_back(loop.RunAfter(hours(1), [&] { order.push_back(99); }));
  RunUntil(loop, [&] { return order.size() == 4; });
  EXPECT_EQ(order, (std::vector<int>{1, 11, 2, 3}));
  EXPECT_FALSE(timers[0].pending());
  EXPECT_TRUE(timers[4].pending());
}

TEST(LoopTimer, CancelledByAnotherDueInTheSameTurnDoesNotRun) {
  Loop loop;
  bool ran = false;
  Loop::Timer second = loop.RunAt(loop.now() + Nanos(1), [&] { ran = true; });
  Loop::Timer first = loop.RunAt(loop.now(), [&] { second.Cancel(); });
  RunUntil(loop, [&] { return !first.pending(); });
  loop.RunOnce(Nanos(0));
  EXPECT_FALSE(ran);
}

TEST(LoopTimer, MaySetItselfAgainAndDestroyItselfInItsTask) {
  Loop loop;
  int runs = 0;
  std::optional<Loop::Timer> timer;
  Loop::Task task = [&] {
    ++runs;
    timer = loop.RunAfter(Nanos(0), [&, token = std::make_shared<int>(1)] {
      timer.reset();
      runs += *token;
    });
  };
  timer = loop.RunAfter(Nanos(0), std::move(task));
  RunUntil(loop, [&] { return runs == 2; });
  EXPECT_FALSE(timer.has_value());
}

TEST(LoopTimer, ThatAlwaysSetsItselfForNowLeavesTimeForSockets) {
  Loop loop;
  Pair pair;
  Loop::Timer timer;
  int runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    timer = loop.RunAfter(Nanos(0), [&] { again(); });
  };
  again();
  bool heard = false;
  Loop::Watch watch = loop.WatchFd(pair.near.get(), EPOLLIN, [&](uint32_t) { heard = true; });
  pair.Poke();
  loop.RunOnce(Nanos(0));
  EXPECT_TRUE(heard);
  EXPECT_EQ(runs, 2);
}

TEST(LoopTimer, ReplacedByAssignmentDoesNotRun) {
  Loop loop;
  int first = 0, second = 0;
  Loop::Timer timer = loop.RunAfter(Nanos(0), [&] { ++first; });
  timer = loop.RunAfter(Nanos(0), [&] { ++second; });
  RunUntil(loop, [&] { return second == 1; });
  EXPECT_EQ(first, 0);
  Loop::Timer moved = loop.RunAfter(Nanos(0), [&] { ++first; });
  Loop::Timer target = std::move(moved);
  EXPECT_FALSE(moved.pending());
  EXPECT_TRUE(target.pending());
  target.Cancel();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(first, 0);
}

TEST(LoopTimer, MayCancelOthersFromWhatItsTaskOwned) {
  Loop loop;
  bool ran = false;
  auto inner = std::make_shared<Loop::Timer>(loop.RunAfter(Nanos(0), [&] { ran = true; }));
  Loop::Timer outer = loop.RunAfter(hours(1), [inner = std::move(inner)] {});
  outer.Cancel();
  loop.RunOnce(Nanos(0));
  EXPECT_FALSE(ran);
}

// Against a naive model: what is set and not cancelled runs, once, never early, in order of time.
TEST(LoopTimer, RandomlySetAndCancelledRunsWhatAModelSays) {
  std::mt19937 random(20);
  Loop loop;
  std::map<int, Time> expected;
  std::vector<std::pair<int, Loop::Timer>> timers;
  Time last{};
  size_t ran = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 3 != 0 || timers.empty()) {
      const Time when = loop.now() + Nanos(random() % 2'000'000);
      expected[i] = when;
      timers.emplace_back(i, loop.RunAt(when, [&, i] {
        const auto model = expected.find(i);
        ASSERT_NE(model, expected.end());
        EXPECT_LE(model->second, loop.now());
        last = model->second;
        expected.erase(model);
        ++ran;
      }));
    } else {
      const size_t pick = random() % timers.size();
      EXPECT_EQ(timers[pick].second.pending(), expected.contains(timers[pick].first));
      expected.erase(timers[pick].first);
      std::swap(timers[pick], timers.back());
      timers.pop_back();
    }
    if (random() % 50 == 0) {
      last = {};
      loop.RunOnce(Nanos(0));
      for (const auto& [id, when] : expected) EXPECT_GT(when, last);
    }
  }
  RunUntil(loop, [&] { return expected.empty(); });
  EXPECT_GT(ran, 5'000u);
}

TEST(LoopTask, PostedOnesRunInOrderOnTheLoopsThread) {
  Loop loop;
  constexpr int kThreads = 4, kTasks = 2'000;
  std::array<std::vector<int>, kThreads> ran;
  const std::thread::id here = std::this_thread::get_id();
  int left = kThreads * kTasks;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop.Post([&, t, i] {
          EXPECT_EQ(std::this_thread::get_id(), here);
          ran[static_cast<size_t>(t)].push_back(i);
          if (--left == 0) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& order : ran) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST(LoopTask, StopFromAnotherThreadEndsARunThatWaits) {
  Loop loop;
  std::thread stopper([&] { loop.Stop(); });
  loop.Run();
  stopper.join();
}

TEST(LoopTask, StopBeforeRunEndsItAfterOneTurnAndTheNextRunGoesOn) {
  Loop loop;
  loop.Stop();
  int turns = 0;
  loop.AtEndOfTurn([&] { ++turns; });
  loop.Run();
  EXPECT_EQ(turns, 1);
  loop.Post([&] { loop.Stop(); });
  loop.Run();
}

TEST(LoopTask, PostedByAPostedTaskRunsInTheNextTurn) {
  Loop loop;
  int ran = 0;
  loop.Post([&] {
    ran = 1;
    loop.Post([&] { ran = 2; });
  });
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(ran, 1);
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(ran, 2);
}

TEST(LoopTask, AtTheEndOfTurnRunsAfterSocketsTimersAndPosts) {
  Loop loop;
  Pair pair;
  std::vector<int> order;
  loop.AtEndOfTurn([&] { order.push_back(4); });
  Loop::Timer timer = loop.RunAfter(Nanos(0), [&] { order.push_back(2); });
  loop.Post([&] { order.push_back(3); });
  Loop::Watch watch = loop.WatchFd(pair.near.get(), EPOLLIN, [&](uint32_t) { order.push_back(1); });
  pair.Poke();
  loop.RunOnce(Nanos(0));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(LoopTask, AtTheEndOfTurnMayQueueAnotherOfTheSameTurn) {
  Loop loop;
  std::vector<int> order;
  loop.AtEndOfTurn([&] {
    order.push_back(1);
    loop.AtEndOfTurn([&] { order.push_back(3); });
  });
  loop.AtEndOfTurn([&] { order.push_back(2); });
  loop.RunOnce(hours(1));  // does not wait: there is something to do
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

// A connection that only tasks hold: its watch and its timer go with it, whichever task is destroyed first.
TEST(LoopTask, NotRunWhenTheLoopGoesIsDroppedWithAllItHolds) {
  std::array<Pair, 4> pairs;
  const auto token = std::make_shared<int>();
  {
    Loop loop;
    struct Connection {
      std::shared_ptr<int> token;
      Loop::Watch watch;
      Loop::Timer timer;
    };
    const auto connect = [&](size_t i) {
      return std::make_shared<Connection>(token, loop.WatchFd(pairs[i].near.get(), EPOLLIN, [](uint32_t) {}),
                                          loop.RunAfter(hours(1), [] {}));
    };
    loop.Post([connection = connect(0)] {});
    loop.AtEndOfTurn([connection = connect(1)] {});
    auto of_timer = connect(2);
    of_timer->timer = loop.RunAfter(hours(1), [of_timer] {});
    auto of_watch = connect(3);
    of_watch->watch = loop.WatchFd(pairs[0].far.get(), EPOLLIN, [connection = of_watch.get()](uint32_t) {});
    loop.Post([of_watch] {});
  }
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace tributary::base
