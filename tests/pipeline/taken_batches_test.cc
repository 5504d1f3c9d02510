// What a receiver remembers of its senders' batches: enough to recognise a resend, never more than it took, and
// bounded.
#include "pipeline/taken_batches.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace tributary::pipeline {
namespace {

using State = TakenBatches::State;
using Ranges = std::vector<AckSet::Range>;

BatchId Batch(uint64_t begin, uint64_t end, uint64_t below = 0, uint64_t stream = 7) {
  return {.stream = stream, .below = below, .ranges = {{begin, end}}};
}

TEST(TakenBatches, KnowsABatchOnceItsAppendEndedWell) {
  TakenBatches batches;
  const BatchId batch = Batch(10, 20);
  EXPECT_EQ(batches.Look(batch), State::kNew);
  batches.Begin(batch);
  EXPECT_EQ(batches.Look(batch), State::kUnderWay);
  batches.End(batch, true);
  EXPECT_EQ(batches.Look(batch), State::kTaken);
  EXPECT_EQ(batches.Look(Batch(12, 15)), State::kTaken) << "put together in another way";
  EXPECT_EQ(batches.Look(Batch(10, 20, 0, 8)), State::kNew) << "another's";
}

TEST(TakenBatches, ForgetsABatchWhoseAppendFailed) {
  TakenBatches batches;
  batches.Begin(Batch(10, 20));
  batches.Begin(Batch(20, 30));
  batches.End(Batch(10, 20), false);
  EXPECT_EQ(batches.Look(Batch(10, 20)), State::kNew);
  EXPECT_EQ(batches.Look(Batch(19, 21)), State::kUnderWay);
  batches.End(Batch(20, 30), true);
  EXPECT_EQ(batches.Look(Batch(10, 20)), State::kNew);
  EXPECT_EQ(batches.Look(Batch(20, 30)), State::kTaken);
}

TEST(TakenBatches, NamesThePartsThatAreHere) {
  TakenBatches batches;
  batches.Take({.stream = 7, .below = 5, .ranges = {{10, 20}, {30, 40}}});
  const BatchId mixed{.stream = 7, .below = 0, .ranges = {{3, 7}, {15, 35}, {50, 60}}};
  EXPECT_EQ(batches.Look(mixed), State::kPartly);
  EXPECT_EQ(batches.PartsTaken(mixed), (Ranges{{3, 5}, {15, 20}, {30, 35}}));
  EXPECT_EQ(batches.Look(Batch(20, 30)), State::kNew);
}

TEST(TakenBatches, NamesNoMorePartsThanABatchCanHave) {
  TakenBatches batches;
  for (uint64_t sequence = 0; sequence < 100; sequence += 2) batches.Take(Batch(sequence, sequence + 1));
  EXPECT_EQ(batches.PartsTaken(Batch(0, 100)).size(), BatchId::kRangesMax);
}

TEST(TakenBatches, KeepsNothingOfWhatWillNotComeAgain) {
  TakenBatches batches;
  for (uint64_t sequence = 0; sequence < 100'000; sequence += 2) {
    batches.Take(Batch(sequence, sequence + 1, sequence > 10 ? sequence - 10 : 0));
    ASSERT_LE(batches.ranges(), 7u);
  }
  EXPECT_EQ(batches.Look(Batch(1, 2)), State::kTaken) << "its sender has its OK from somewhere";
}

TEST(TakenBatches, ForgetsTheStreamsLeastRecentlyHeardOf) {
  TakenBatches batches;
  for (uint64_t stream = 0; stream < 2 * TakenBatches::kStreamsMax; ++stream) {
    batches.Take(Batch(1, 2, 0, 0));
    batches.Take(Batch(1, 2, 0, stream));
    batches.Begin(Batch(5, 6, 0, stream));  // and fails
    batches.End(Batch(5, 6, 0, stream), false);
    ASSERT_LE(batches.streams(), TakenBatches::kStreamsMax);
  }
  EXPECT_EQ(batches.streams(), TakenBatches::kStreamsMax);
  EXPECT_EQ(batches.Look(Batch(1, 2, 0, 0)), State::kTaken) << "heard of all the time";
  EXPECT_EQ(batches.Look(Batch(1, 2, 0, 1)), State::kNew);
  EXPECT_EQ(batches.Look(Batch(1, 2, 0, 2 * TakenBatches::kStreamsMax - 1)), State::kTaken);
}

TEST(TakenBatches, IsBoundedWhateverASenderSays) {
  TakenBatches batches;
  batches.Take(Batch(1, 2, 0, 1));
  for (uint64_t i = 0; i < 3 * TakenBatches::kRangesMax; ++i) {
    batches.Take(Batch(2 * i, 2 * i + 1, 0, 2));
    ASSERT_LE(batches.ranges(), TakenBatches::kRangesMax);
  }
}

// Against a set of (stream, sequence): what is said to be taken was, always; and with few streams, all of it.
TEST(TakenBatches, AgreesWithASetOfSequences) {
  std::mt19937 random(1);
  TakenBatches batches;
  std::set<std::pair<uint64_t, uint64_t>> taken;
  uint64_t low[3] = {};
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t stream = random() % 3;
    low[stream] += random() % 3;
    const uint64_t begin = low[stream] + random() % 40;
    const BatchId batch = Batch(begin, begin + 1 + random() % 10, low[stream], stream);
    size_t here = 0, frames = 0;
    for (uint64_t s = batch.ranges[0].begin; s < batch.ranges[0].end; ++s, ++frames)
      here += taken.contains({stream, s});
    const State state = batches.Look(batch);
    ASSERT_EQ(state, here == 0 ? State::kNew : here == frames ? State::kTaken : State::kPartly);
    if (state != State::kNew) continue;
    batches.Begin(batch);
    const bool well = random() % 4 != 0;
    batches.End(batch, well);
    for (uint64_t s = batch.ranges[0].begin; well && s < batch.ranges[0].end; ++s) taken.insert({stream, s});
  }
}

}  // namespace
}  // namespace tributary::pipeline
