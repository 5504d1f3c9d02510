#include "pipeline/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace tributary::pipeline {
namespace {

using From = Cursor::From;
using otlp::Signal;

constexpr Signal kSignal = Signal::kTraces;

Batch MakeBatch(uint32_t items, size_t bytes, Signal signal = kSignal) {
  Batch batch{.signal = signal, .counts = {.items = items, .resources = 1}, .bytes = {}};
  batch.bytes.ResizeUninitialized(bytes);
  return batch;
}

bool Append(Log& log, Batch batch) {
  std::optional<Log::Taken> taken;
  log.Append(std::move(batch), [&](Log::Taken answer) { taken = answer; });
  return taken.value() == Log::Taken::kYes;
}

class LogTest : public testing::Test {
 protected:
  base::Loop loop_;
  Log log_{loop_, {.bytes_max = 100'000}};
};

TEST_F(LogTest, KeepsNothingThatNobodyReads) {
  EXPECT_TRUE(Append(log_, MakeBatch(1, 1'000)));
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(LogTest, GivesEachCursorTheFramesOfItsSignalFromWhenItWasOpened) {
  const auto first = log_.OpenCursor(Signal::kTraces);
  EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  const auto second = log_.OpenCursor(Signal::kTraces);
  const auto logs = log_.OpenCursor(Signal::kLogs);
  EXPECT_TRUE(Append(log_, MakeBatch(2, 10)));
  EXPECT_TRUE(Append(log_, MakeBatch(3, 10, Signal::kLogs)));

  EXPECT_EQ(first->Next(From::kLive)->counts().items, 1u);
  EXPECT_EQ(first->Next(From::kLive)->counts().items, 2u);
  EXPECT_FALSE(first->Next(From::kLive));
  EXPECT_EQ(second->Next(From::kLive)->counts().items, 2u);
  EXPECT_FALSE(second->Next(From::kLive));
  EXPECT_EQ(logs->Next(From::kLive)->counts().items, 3u);
  EXPECT_FALSE(logs->Next(From::kLive));
}

// Of 20,000 bytes each, a Block holds one frame.
TEST_F(LogTest, FreesABlockWhenItsLastCursorAcknowledgesItEvenBehindOneThatStays) {
  const auto fast = log_.OpenCursor(kSignal);
  auto slow = log_.OpenCursor(kSignal);
  std::vector<Frame> frames;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Append(log_, MakeBatch(1, 20'000)));
    frames.push_back(*fast->Next(From::kLive));
    EXPECT_EQ(slow->Next(From::kLive)->sequence(), frames.back().sequence());
  }
  const size_t all = log_.bytes();
  for (const Frame& frame : frames) fast->Acknowledge(frame);
  EXPECT_EQ(log_.bytes(), all);
  slow->Acknowledge(frames[1]);
  EXPECT_EQ(log_.bytes(), all / 3 * 2);
  slow->Acknowledge(frames[2]);
  EXPECT_EQ(log_.bytes(), all / 3);
  slow.reset();
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(LogTest, RefusesAtItsCapAndTakesAgainWhenRoomWasMade) {
  const auto cursor = log_.OpenCursor(kSignal);
  int taken = 0;
  while (Append(log_, MakeBatch(1, 20'000))) ++taken;
  EXPECT_EQ(taken, 4);  // a frame costs a little more than its bytes
  EXPECT_FALSE(log_.Admits(20'000));
  EXPECT_LE(log_.bytes(), log_.bytes_max());
  EXPECT_FALSE(Append(log_, MakeBatch(1, 20'000, Signal::kMetrics))) << "one cap for all signals";
  cursor->Acknowledge(*cursor->Next(From::kLive));
  EXPECT_TRUE(Append(log_, MakeBatch(1, 20'000)));
}

TEST_F(LogTest, ChargesWhatIsAllocatedNotWhatIsUsed) {
  const auto cursor = log_.OpenCursor(kSignal);
  Batch batch = MakeBatch(1, 50'000);
  batch.bytes.ResizeUninitialized(20'000);
  EXPECT_TRUE(Append(log_, std::move(batch)));
  EXPECT_GE(log_.bytes(), 50'000u);
}

TEST_F(LogTest, GivenASmallerCapLosesNothing) {
  const auto cursor = log_.OpenCursor(kSignal);
  EXPECT_TRUE(Append(log_, MakeBatch(1, 20'000)));
  EXPECT_TRUE(Append(log_, MakeBatch(1, 20'000)));
  log_.set_bytes_max(30'000);
  EXPECT_FALSE(Append(log_, MakeBatch(1, 1)));
  EXPECT_EQ(cursor->unread(From::kLive).frames, 2u);
  cursor->Acknowledge(*cursor->Next(From::kLive));
  EXPECT_TRUE(Append(log_, MakeBatch(1, 1)));
}

TEST_F(LogTest, TellsACursorOnceATurnThatThereIsSomethingToRead) {
  const auto cursor = log_.OpenCursor(kSignal);
  int notices = 0;
  cursor->WhenReadable([&] { ++notices; });
  loop_.RunOnce(base::Nanos(0));
  EXPECT_EQ(notices, 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  EXPECT_EQ(notices, 0);
  loop_.RunOnce(base::Nanos(0));
  EXPECT_EQ(notices, 1);
  EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  loop_.RunOnce(base::Nanos(0));
  EXPECT_EQ(notices, 2);
}

TEST_F(LogTest, TellsNothingToACursorThatIsGone) {
  auto cursor = log_.OpenCursor(kSignal);
  cursor->WhenReadable([] { FAIL(); });
  EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  cursor.reset();
  loop_.RunOnce(base::Nanos(0));
}

TEST_F(LogTest, ForkedReadsTheBacklogAndTheLiveFramesApart) {
  const auto cursor = log_.OpenCursor(kSignal);
  for (uint32_t i = 1; i <= 4; ++i) EXPECT_TRUE(Append(log_, MakeBatch(i, 100)));
  EXPECT_EQ(cursor->Next(From::kLive)->counts().items, 1u);
  EXPECT_FALSE(cursor->has_backlog());
  cursor->Fork();
  EXPECT_TRUE(cursor->has_backlog());
  EXPECT_EQ(cursor->Peek(From::kLive), nullptr);
  EXPECT_FALSE(cursor->oldest_unread(From::kLive));
  EXPECT_EQ(cursor->unread(From::kBacklog).items, 2u + 3 + 4);

  EXPECT_TRUE(Append(log_, MakeBatch(5, 100)));
  EXPECT_EQ(cursor->Next(From::kLive)->counts().items, 5u);
  EXPECT_EQ(cursor->Next(From::kBacklog)->counts().items, 2u);
  EXPECT_TRUE(Append(log_, MakeBatch(6, 100)));
  EXPECT_EQ(cursor->Next(From::kBacklog)->counts().items, 3u);
  EXPECT_EQ(cursor->Next(From::kLive)->counts().items, 6u);
  EXPECT_EQ(cursor->Next(From::kBacklog)->counts().items, 4u);
  EXPECT_FALSE(cursor->Next(From::kBacklog));
  EXPECT_FALSE(cursor->has_backlog());
}

TEST_F(LogTest, ForkedAgainReadsWhatWasLiveAfterTheBacklog) {
  const auto cursor = log_.OpenCursor(kSignal);
  cursor->Fork();
  EXPECT_FALSE(cursor->has_backlog());
  for (uint32_t i = 1; i <= 2; ++i) EXPECT_TRUE(Append(log_, MakeBatch(i, 100)));
  cursor->Fork();
  for (uint32_t i = 3; i <= 5; ++i) EXPECT_TRUE(Append(log_, MakeBatch(i, 100)));
  const Frame passed = *cursor->Next(From::kLive);
  EXPECT_EQ(passed.counts().items, 3u);
  cursor->Fork();
  cursor->Fork();
  EXPECT_TRUE(Append(log_, MakeBatch(6, 100)));
  EXPECT_EQ(cursor->Next(From::kLive)->counts().items, 6u);
  EXPECT_EQ(cursor->unread(From::kBacklog).items, 1u + 2);
  cursor->Acknowledge(passed);
  for (const uint32_t number : {1, 2, 4, 5}) {
    EXPECT_TRUE(cursor->has_backlog());
    EXPECT_EQ(cursor->Next(From::kBacklog)->counts().items, number);
  }
  EXPECT_FALSE(cursor->has_backlog());
  EXPECT_FALSE(cursor->Next(From::kBacklog));
}

TEST_F(LogTest, HasRoomForSixtyFourCursorsPerSignalAndReusesThePlaceOfOneThatLeft) {
  std::vector<std::unique_ptr<Cursor>> cursors;
  for (int i = 0; i < Log::kCursorsMax; ++i) cursors.push_back(log_.OpenCursor(kSignal));
  EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  cursors[17].reset();
  cursors[17] = log_.OpenCursor(kSignal);
  EXPECT_FALSE(cursors[17]->Next(From::kLive));
  for (auto& cursor : cursors) {
    if (const auto frame = cursor->Next(From::kLive)) cursor->Acknowledge(*frame);
  }
  EXPECT_EQ(log_.bytes(), 0u);
  EXPECT_DEATH((void)log_.OpenCursor(kSignal), "kCursorsMax");
}

TEST_F(LogTest, DoesNotKnowWhenRoomWillBeWhileNothingLeaves) {
  const auto cursor = log_.OpenCursor(kSignal);
  while (Append(log_, MakeBatch(1, 10'000))) continue;
  EXPECT_EQ(log_.TimeUntilFree(1), base::Nanos(0));
  EXPECT_EQ(log_.TimeUntilFree(50'000), std::nullopt);
}

// Takes some seconds, since that is what the drain is measured over.
TEST_F(LogTest, TellsWhenRoomWillBeByHowFastFramesLeave) {
  const auto cursor = log_.OpenCursor(kSignal);
  const base::Time start = loop_.now();
  size_t drained = 0;
  while (loop_.now() - start < std::chrono::milliseconds(1'500)) {
    EXPECT_TRUE(Append(log_, MakeBatch(1, 1'000)));
    drained += log_.bytes();
    cursor->Acknowledge(*cursor->Next(From::kLive));
    loop_.RunOnce(std::chrono::milliseconds(10));
  }
  const double bytes_per_s = static_cast<double>(drained) / base::Seconds(loop_.now() - start);
  while (Append(log_, MakeBatch(1, 10'000))) continue;
  const size_t missing = log_.bytes() + 50'000 - log_.bytes_max();
  const auto wait = log_.TimeUntilFree(50'000);
  ASSERT_TRUE(wait);
  const double expected_s = static_cast<double>(missing) / bytes_per_s;
  EXPECT_GT(base::Seconds(*wait), expected_s / 3);
  EXPECT_LT(base::Seconds(*wait), expected_s * 3);

  // Nothing leaves any more: the longer that lasts, the longer the wait, until nobody knows.
  while (loop_.now() - start < std::chrono::milliseconds(2'200)) loop_.RunOnce(std::chrono::milliseconds(50));
  const auto stalled = log_.TimeUntilFree(50'000);
  EXPECT_TRUE(!stalled || *stalled > *wait);
  while (loop_.now() - start < std::chrono::milliseconds(3'600)) loop_.RunOnce(std::chrono::milliseconds(50));
  EXPECT_EQ(log_.TimeUntilFree(50'000), std::nullopt);
}

// One frame at the front is never acknowledged; whatever passes it must leave nothing behind.
TEST_F(LogTest, IsNotSlowedDownByAFrameThatStays) {
  const auto cursor = log_.OpenCursor(kSignal);
  EXPECT_TRUE(Append(log_, MakeBatch(1, 10)));
  const Frame stays = *cursor->Next(From::kLive);
  for (int i = 0; i < 300'000; ++i) {
    ASSERT_TRUE(Append(log_, MakeBatch(1, 10)));
    cursor->Acknowledge(*cursor->Next(From::kLive));
  }
  EXPECT_LE(log_.bytes(), 2 * 10 * Block::kBytesMaxInMemory) << "its Block, and no more";
  EXPECT_EQ(cursor->oldest_held(), stays.appended());
  EXPECT_EQ(cursor->totals().held_items, 1u);
}

// A hundred thousand frames acknowledged from the last to the first: what a peer's answers may come to.
TEST(Log, TakesAcknowledgementsInReverse) {
  base::Loop loop;
  Log log(loop, {});
  const auto cursor = log.OpenCursor(kSignal);
  const auto other = log.OpenCursor(kSignal);
  std::vector<Frame> frames;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(Append(log, MakeBatch(1, 10)));
    frames.push_back(*cursor->Next(From::kLive));
  }
  for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) cursor->Acknowledge(*frame);
  EXPECT_EQ(cursor->totals().held_items, 0u);
  EXPECT_EQ(other->totals().held_items, 100'000u);
}

// The same steps on the Log and on a model that keeps sets of numbers. A frame's number is its count of items.
class Model {
 public:
  explicit Model(uint32_t seed) : random_(seed), log_(loop_, {.bytes_max = 20'000 + random_() % 50'000}) {}
  void Step();
  void Verify() const;

 private:
  struct Reader {
    std::unique_ptr<Cursor> cursor;
    Signal signal;
    std::deque<std::deque<uint32_t>> backlogs;  // unread, none empty
    std::deque<uint32_t> live;                  // unread
    bool read_live = false;                     // since the last Fork
    std::set<uint32_t> held;
    std::vector<Frame> read;  // and not acknowledged
    uint64_t appended_items = 0;
    uint64_t acknowledged_items = 0;
  };
  Reader& Pick() { return readers_[random_() % readers_.size()]; }
  void Append();
  void Read(Reader& reader);
  void Acknowledge(Reader& reader);

  std::mt19937 random_;
  base::Loop loop_;
  Log log_;
  std::vector<Reader> readers_;
  uint32_t number_ = 0;
  std::map<uint32_t, size_t> bytes_;  // by number
  std::map<uint32_t, base::Time> appended_;
};

void Model::Append() {
  const Signal signal = otlp::kSignals[random_() % 2];
  const size_t bytes = random_() % 2'000;
  const bool admitted = log_.Admits(bytes);
  const bool taken = pipeline::Append(log_, MakeBatch(++number_, bytes, signal));
  ASSERT_TRUE(admitted || !taken);
  if (!taken) {
    ASSERT_FALSE(log_.Admits(bytes + 1'000));
    return;
  }
  bytes_[number_] = bytes;
  appended_[number_] = loop_.now();
  for (Reader& reader : readers_) {
    if (reader.signal != signal) continue;
    reader.live.push_back(number_);
    reader.held.insert(number_);
    reader.appended_items += number_;
  }
}

void Model::Read(Reader& reader) {
  const From from = random_() % 2 == 0 ? From::kBacklog : From::kLive;
  std::deque<uint32_t> nothing;
  std::deque<uint32_t>& backlog = reader.backlogs.empty() ? nothing : reader.backlogs.front();
  std::deque<uint32_t>& unread = from == From::kBacklog ? backlog : reader.live;
  const Block::Record* peeked = reader.cursor->Peek(from);
  const size_t peeked_items = peeked != nullptr ? peeked->counts.items : 0;
  const auto frame = reader.cursor->Next(from);
  ASSERT_EQ(frame.has_value(), peeked != nullptr);
  ASSERT_EQ(!frame, unread.empty());
  if (!frame) return;
  ASSERT_EQ(frame->counts().items, peeked_items);
  ASSERT_EQ(frame->counts().items, unread.front());
  ASSERT_EQ(frame->bytes().size(), bytes_[unread.front()]);
  unread.pop_front();
  if (from == From::kLive) reader.read_live = true;
  if (from == From::kBacklog && unread.empty()) reader.backlogs.pop_front();
  reader.read.push_back(*frame);
}

void Model::Acknowledge(Reader& reader) {
  if (reader.read.empty()) return;
  const size_t pick = random_() % reader.read.size();
  const Frame frame = reader.read[pick];
  reader.read.erase(reader.read.begin() + static_cast<std::ptrdiff_t>(pick));
  const uint32_t number = frame.counts().items;
  reader.held.erase(number);
  reader.acknowledged_items += number;
  reader.cursor->Acknowledge(frame);
}

void Model::Step() {
  const uint32_t choice = random_() % 100;
  if (readers_.empty() || (choice == 0 && readers_.size() < 6)) {
    const Signal signal = otlp::kSignals[random_() % 2];
    readers_.push_back({.cursor = log_.OpenCursor(signal), .signal = signal});
  } else if (choice == 1) {
    std::swap(Pick(), readers_.back());
    readers_.pop_back();
  } else if (choice < 5) {
    Reader& reader = Pick();
    reader.cursor->Fork();
    if (!reader.live.empty()) {
      // What was not parted by a frame read in between is one backlog.
      if (reader.backlogs.empty() || reader.read_live) reader.backlogs.emplace_back();
      for (const uint32_t number : std::exchange(reader.live, {})) reader.backlogs.back().push_back(number);
      reader.read_live = false;
    }
  } else if (choice < 40) {
    Append();
  } else if (choice < 70) {
    Read(Pick());
  } else if (choice < 99) {
    Acknowledge(Pick());
  } else {
    loop_.RunOnce(base::Nanos(0));
  }
}

void Model::Verify() const {
  std::set<uint32_t> held;
  for (const Reader& reader : readers_) {
    held.insert(reader.held.begin(), reader.held.end());
    uint64_t held_items = 0;
    for (const uint32_t number : reader.held) held_items += number;
    const Cursor::Totals& totals = reader.cursor->totals();
    ASSERT_EQ(totals.held_items, held_items);
    ASSERT_EQ(totals.appended_items, reader.appended_items);
    ASSERT_EQ(totals.acknowledged_items, reader.acknowledged_items);
    ASSERT_EQ(reader.cursor->has_backlog(), !reader.backlogs.empty());
    const std::deque<uint32_t> backlog = reader.backlogs.empty() ? std::deque<uint32_t>() : reader.backlogs.front();
    for (const auto& [from, numbers] : {std::pair(From::kBacklog, &backlog), {From::kLive, &reader.live}}) {
      Cursor::Unread unread;
      for (const uint32_t number : *numbers) {
        ++unread.frames;
        unread.items += number;
        unread.bytes += bytes_.at(number);
      }
      ASSERT_EQ(reader.cursor->unread(from).frames, unread.frames);
      ASSERT_EQ(reader.cursor->unread(from).items, unread.items);
      ASSERT_EQ(reader.cursor->unread(from).bytes, unread.bytes);
    }
    const std::optional<base::Time> oldest = reader.cursor->oldest_held();
    ASSERT_EQ(oldest.has_value(), !reader.held.empty());
    if (oldest) {
      ASSERT_EQ(*oldest, appended_.at(*reader.held.begin()));
    }
  }
  size_t bytes = 0;
  for (const uint32_t number : held) bytes += bytes_.at(number);
  ASSERT_GE(log_.bytes(), bytes);
  // Bookkeeping, and what shares a Block with a frame that is held, and no more.
  ASSERT_LE(log_.bytes(), bytes + held.size() * (2 * Block::kBytesMaxInMemory));
  ASSERT_LE(log_.bytes(), log_.bytes_max());
}

TEST(Log, DoesWhatAModelDoesOverThousandsOfRandomSteps) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    for (int step = 0; step < 3'000; ++step) {
      model.Step();
      if (step % 7 == 0) model.Verify();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace tributary::pipeline
