// A disk that fails for a while: each operation of a scenario in turn, alone or with those after it, is refused or, if
// it is a write, done by half. What was answered OK is there in the next life, nothing hangs, and when the fault is
// over all is well again unaided. And a disk that does not answer at all.
//
// On the simulated disk a failed sync loses what it was to save, and the next one of that file says OK: whoever
// believed it would be found out by the power loss that ends each life of a durable Log here.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/pipeline/log_lives.h"
#include "tests/sanitized.h"

namespace tributary::pipeline {
namespace {

using Mode = Log::Mode;

class FaultSweep : public testing::TestWithParam<Mode> {
 protected:
  // Those that make the directories. Where the sync of one's name fails, and its removal too, the name stays lost here,
  // however often it is synced again, and nobody could tell.
  static constexpr uint64_t kMade = 4;

  // Runs the scenario once for each operation it has, from `first` on, after `fail` was told which to fail.
  template <typename Fail>
  void Sweep(Fail fail, uint64_t first = 0) {
    // TRIBUTARY_EVERY_OPERATION=1 leaves none out, which takes minutes.
    const uint64_t step = std::getenv("TRIBUTARY_EVERY_OPERATION") != nullptr ? 1 : tests::kSanitized ? 47 : 11;
    uint64_t operations = first + 1;
    for (uint64_t at = first; at < operations && !HasFailure(); at += step) {
      LogLives lives(at, GetParam());
      fail(lives.disk(), at);
      SCOPED_TRACE("operation " + std::to_string(at));
      lives.RunWithFaults();
      if (HasFailure()) ADD_FAILURE() << lives.disk().Describe(at);
      operations = lives.disk().operations();
    }
    EXPECT_GT(operations, 100u);
  }
};

TEST_P(FaultSweep, OneOperationFails) {
  for (const int error : {EIO, ENOSPC, EROFS}) {
    SCOPED_TRACE(error);
    Sweep([error](base::SimulatedDisk& disk, uint64_t at) { disk.FailOperation(at, error); });
  }
}

TEST_P(FaultSweep, OneWriteIsShort) {
  Sweep([](base::SimulatedDisk& disk, uint64_t at) { disk.ShortenWrite(at); });
}

TEST_P(FaultSweep, AllOperationsFailForAWhile) {
  for (const int error : {EIO, ENOSPC}) {
    SCOPED_TRACE(error);
    Sweep([error](base::SimulatedDisk& disk, uint64_t at) { disk.FailOperations(at, 12, error); }, kMade);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, FaultSweep, testing::Values(Mode::kProcess, Mode::kDurable), [](const auto& mode) {
  return std::string(mode.param == Mode::kProcess ? "process" : "durable");
});

// A disk whose writes may be held up.
class StallingIo : public base::SimulatedIo {
 public:
  StallingIo(base::Loop& loop, base::SimulatedDisk& disk, const bool& stalls)
      : SimulatedIo(loop, disk, 1), stalls_(stalls) {}

  void Write(int fd, std::vector<base::ByteView> pieces, uint64_t offset, Sync sync, Done done) override {
    held_.push_back([this, fd, pieces = std::move(pieces), offset, sync, done = std::move(done)]() mutable {
      SimulatedIo::Write(fd, std::move(pieces), offset, sync, std::move(done));
    });
    GoOn();
  }
  void GoOn() {
    if (stalls_) return;
    for (auto& write : std::exchange(held_, {})) write();
  }

 private:
  const bool& stalls_;
  std::vector<base::Loop::Task> held_;
};

TEST(StalledDisk, RefusesSendersInTimeHoldsABoundAndGoesOnWhenItDoes) {
  for (const Mode mode : {Mode::kProcess, Mode::kDurable}) {
    base::Loop loop;
    base::SimulatedDisk disk(1);
    bool stalls = false;
    auto io = std::make_unique<StallingIo>(loop, disk, stalls);
    StallingIo& held = *io;
    const Log::Options options{.mode = mode,
                               .bytes_max = 1 << 20,
                               .directory = "/log",
                               .memory_bytes_max = 64 << 10,
                               .segment_bytes = 64 << 10};
    LogLife life(loop, disk, std::move(io), options);
    life.Append(1, 100);
    life.Settle();
    ASSERT_EQ(life.taken.size(), 1u);

    stalls = true;
    for (uint32_t number = 2; number <= 10; ++number) life.Append(number, 1'000);
    for (int seconds = 0; seconds < 9; ++seconds) {
      loop.Advance(std::chrono::seconds(1));
      life.Turns(2);
    }
    EXPECT_EQ(life.under_way, 9) << "not for a disk that is only slow";
    EXPECT_NE(life.log().disk_error(), "");
    for (int seconds = 0; seconds < 3; ++seconds) {
      loop.Advance(std::chrono::seconds(1));
      life.Turns(2);
    }
    EXPECT_EQ(life.under_way, 0);
    EXPECT_EQ(life.refused.size(), 9u);
    EXPECT_EQ(life.last_refusal, Log::Taken::kFailed);

    // What was refused for the time it took is in memory until the disk has it; that is bounded too.
    for (uint32_t number = 11; number <= 1'000; ++number) life.Append(number, 1'000);
    EXPECT_EQ(life.last_refusal, Log::Taken::kFull);
    EXPECT_LE(life.under_way, 60);

    stalls = false;
    held.GoOn();
    life.Settle();
    life.Turns(20);
    EXPECT_EQ(life.log().disk_error(), "");
    life.Append(1'001, 100);
    life.Settle();
    EXPECT_TRUE(life.taken.contains(1'001));
    life.ReadAll();
    const std::set<uint32_t> read(life.read.begin(), life.read.end());
    for (const uint32_t number : life.taken) EXPECT_TRUE(read.contains(number)) << number;
  }
}

}  // namespace
}  // namespace tributary::pipeline
