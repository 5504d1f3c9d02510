// The Log on a real disk, through io_uring and through a thread: what it takes it gives back, in this life or the next.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "tests/pipeline/log_life.h"

namespace tributary::pipeline {
namespace {

using From = Cursor::From;
using Mode = Log::Mode;

struct Parameters {
  base::IoKind io;
  Mode mode;
};

void PrintTo(const Parameters& parameters, std::ostream* out) {
  *out << (parameters.io == base::IoKind::kThread ? "thread" : "io_uring") << ", "
       << (parameters.mode == Mode::kDurable ? "durable" : "process");
}

class DiskLog : public testing::TestWithParam<Parameters> {
 protected:
  DiskLog() : directory_(testing::TempDir() + "/disk_log_test.XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    options_.mode = GetParam().mode;
    options_.directory = directory_ + "/log";
    options_.bytes_max = 16 << 20;
    options_.segment_bytes = 1 << 20;
    options_.memory_bytes_max = 4 << 20;
  }
  ~DiskLog() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<LogLife> Live(const std::string& reader = "reader") {
    auto io = base::OpenIo(loop_, file_system_, GetParam().io);
    if (!io) return nullptr;
    auto life = std::make_unique<LogLife>(loop_, file_system_, std::move(*io), options_, reader);
    EXPECT_EQ(life->error, "");
    return life;
  }
  void SetUp() override {
    if (!base::OpenIo(loop_, file_system_, GetParam().io)) GTEST_SKIP() << "no io_uring here";
  }
  size_t SegmentFiles() const {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
      files += entry.path().filename().string().starts_with("segment-");
    }
    return files;
  }

  std::string directory_;
  base::FileSystem file_system_;
  base::Loop loop_;
  Log::Options options_;
};

TEST_P(DiskLog, GivesBackWhatItTookInOrder) {
  const auto life = Live();
  std::vector<uint32_t> numbers(1'000);
  std::iota(numbers.begin(), numbers.end(), 1u);
  for (const uint32_t number : numbers) life->Append(number, number % 100 == 0 ? 50'000 : number % 7 * 100);
  life->Settle();
  EXPECT_EQ(life->taken.size(), numbers.size());
  life->ReadAll();
  EXPECT_EQ(life->read, numbers);
  EXPECT_EQ(life->cursor().totals().held_items, 0u);
}

TEST_P(DiskLog, GivesTheNextLifeWhatWasNotAcknowledged) {
  auto life = Live();
  for (uint32_t number = 1; number <= 100; ++number) life->Append(number, 1'000 * (number % 30));
  life->Settle();
  ASSERT_EQ(life->taken.size(), 100u);
  std::set<uint32_t> expected = life->taken;
  for (int i = 0; i < 60; ++i) {
    const auto frame = life->Read(From::kLive);
    ASSERT_TRUE(frame);
    if (i % 3 == 1) continue;  // read, and never acknowledged
    life->cursor().Acknowledge(*frame);
    expected.erase(frame->counts().items);
  }
  life.reset();

  life = Live();
  EXPECT_EQ(life->cursor().totals().held_items, std::accumulate(expected.begin(), expected.end(), uint64_t{0}));
  life->ReadAll();
  EXPECT_EQ(std::set(life->read.begin(), life->read.end()), expected);
  EXPECT_EQ(life->read.size(), expected.size());
  life.reset();

  life = Live();
  EXPECT_EQ(life->cursor().totals().held_items, 0u);
  EXPECT_FALSE(life->cursor().has_backlog());
  life->Append(101, 10);
  life->Settle();
  life->ReadAll();
  EXPECT_EQ(life->read, std::vector<uint32_t>{101});
}

TEST_P(DiskLog, ReadsBackFromDiskWhatFellOutOfMemory) {
  const auto life = Live();
  uint32_t number = 0;
  while (life->log().bytes() < 10 << 20) {
    ++number;
    life->Append(number, 700 + number % 50 * 1'000);
    if (number % 16 == 0) life->Settle();
    ASSERT_TRUE(life->refused.empty());
  }
  life->Settle();
  life->ReadAll();
  ASSERT_EQ(life->read.size(), number);
  for (uint32_t i = 0; i < number; ++i) ASSERT_EQ(life->read[i], i + 1);
}

TEST_P(DiskLog, UsesFilesAgainAndGivesBackThoseItDoesNotNeed) {
  const auto life = Live();
  uint32_t number = 0;
  for (int round = 0; round < 3; ++round) {
    for (size_t bytes = 0; bytes < 12 << 20; bytes += 30'000) {
      life->Append(++number, 30'000);
      if (number % 16 == 0) life->Settle();
    }
    life->Settle();
    EXPECT_GT(SegmentFiles(), 8u);
    life->ReadAll();
    // One that is written to, two that are ready, and one that was being made when they came back.
    for (int i = 0; i < 1'000 && SegmentFiles() > 4; ++i) life->Turns(1);
    EXPECT_LE(SegmentFiles(), 4u);
  }
  EXPECT_TRUE(life->refused.empty());
  EXPECT_EQ(life->read.size(), number);
}

TEST_P(DiskLog, AtItsCapRefusesAndTakesAgainWhenRoomWasMade) {
  const auto life = Live();
  uint32_t number = 0;
  while (life->refused.empty()) {
    life->Append(++number, 40'000);
    if (number % 16 == 0) life->Settle();
  }
  life->Settle();
  EXPECT_EQ(life->last_refusal, Log::Taken::kFull);
  EXPECT_LE(life->log().bytes(), options_.bytes_max);
  EXPECT_GT(life->log().bytes(), options_.bytes_max / 10 * 8);
  life->ReadAll();
  life->Turns(10);
  life->Append(++number, 40'000);
  life->Settle();
  EXPECT_TRUE(life->taken.contains(number));
}

TEST_P(DiskLog, DropsTheOldestAtItsCapIfToldToAndCountsThem) {
  options_.when_full = Log::WhenFull::kDropOldest;
  const auto life = Live();
  for (uint32_t number = 1; number <= 1'000; ++number) {
    life->Append(number, 40'000);
    if (number % 16 == 0) life->Settle();
  }
  life->Settle();
  EXPECT_EQ(life->taken.size(), 1'000u);
  const Cursor::Totals& totals = life->cursor().totals();
  const uint64_t lost = totals.lost_items[static_cast<size_t>(Cursor::Loss::kFull)];
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(totals.appended_items, lost + totals.held_items);
  life->ReadAll();
  EXPECT_EQ(std::accumulate(life->read.begin(), life->read.end(), uint64_t{0}) + lost, 1'000u * 1'001 / 2);
  EXPECT_EQ(life->read.back(), 1'000u);
}

TEST_P(DiskLog, DropsWhatIsTooOldIfToldTo) {
  options_.age_max = std::chrono::seconds(0);
  auto life = Live();
  for (uint32_t number = 1; number <= 100; ++number) life->Append(number, 40'000);
  life->Settle();
  life.reset();
  life = Live();
  const Cursor::Totals& totals = life->cursor().totals();
  EXPECT_EQ(totals.lost_items[static_cast<size_t>(Cursor::Loss::kExpired)], 100u * 101 / 2);
  EXPECT_EQ(totals.held_items, 0u);
}

TEST_P(DiskLog, TakesAFrameThatIsLongerThanASegment) {
  auto life = Live();
  life->Append(1, 100);
  life->Append(2, 5 << 20);
  life->Settle();
  life->Append(3, 100);
  life->Settle();
  EXPECT_EQ(life->taken.size(), 3u);
  life.reset();
  life = Live();
  life->ReadAll();
  EXPECT_EQ(life->read, (std::vector<uint32_t>{1, 2, 3}));
}

TEST_P(DiskLog, LetsALaggingReaderHoldBackNobody) {
  const auto life = Live();
  const auto fast = life->log().OpenCursor(otlp::Signal::kTraces, "fast");
  uint32_t number = 0;
  while (life->log().bytes() < 8 << 20) {
    life->Append(++number, 20'000);
    life->Settle();
    const auto frame = fast->Next(From::kLive);
    ASSERT_TRUE(frame) << "what is young is in memory";
    ASSERT_EQ(frame->counts().items, number);
    fast->Acknowledge(*frame);
  }
  life->ReadAll();
  EXPECT_EQ(life->read.size(), number);
}

TEST_P(DiskLog, ForgetsWhatOnlyAReaderWantedThatDoesNotComeBack) {
  auto life = Live("one");
  for (uint32_t number = 1; number <= 100; ++number) life->Append(number, 40'000);
  life->Settle();
  life.reset();
  life = Live("another");
  EXPECT_EQ(life->cursor().totals().held_items, 0u);
  EXPECT_LT(life->log().bytes(), 2u << 20);
}

std::vector<Parameters> AllParameters() {
  std::vector<Parameters> all;
  for (const base::IoKind io : {base::IoKind::kIoUring, base::IoKind::kThread}) {
    for (const Mode mode : {Mode::kProcess, Mode::kDurable}) all.push_back({io, mode});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, DiskLog, testing::ValuesIn(AllParameters()));

}  // namespace
}  // namespace tributary::pipeline
