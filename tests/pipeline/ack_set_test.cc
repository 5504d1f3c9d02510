#include "pipeline/ack_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <set>

namespace tributary::pipeline {
namespace {

constexpr uint64_t kEnd = 96;  // of what the model tells apart

// The same set, one by one.
class Model {
 public:
  explicit Model(uint64_t below) { AddRange(0, below); }

  void AddRange(uint64_t begin, uint64_t end) {
    for (uint64_t sequence = begin; sequence < end; ++sequence) set_.insert(sequence);
  }
  bool Contains(uint64_t sequence) const { return set_.contains(sequence); }
  uint64_t CountIn(uint64_t begin, uint64_t end) const {
    return static_cast<uint64_t>(std::distance(set_.lower_bound(begin), set_.lower_bound(end)));
  }
  uint64_t FirstMissing(uint64_t from) const {
    while (Contains(from)) ++from;
    return from;
  }
  uint64_t end() const { return set_.empty() ? 0 : *set_.rbegin() + 1; }

 private:
  std::set<uint64_t> set_;
};

void ExpectCanonical(const AckSet& acknowledged) {
  uint64_t before = acknowledged.below();
  for (const AckSet::Range& range : acknowledged.ranges()) {
    ASSERT_LT(before, range.begin);
    ASSERT_LT(range.begin, range.end);
    before = range.end;
  }
}

void ExpectSame(const AckSet& acknowledged, const Model& model) {
  ASSERT_NO_FATAL_FAILURE(ExpectCanonical(acknowledged));
  ASSERT_EQ(acknowledged.end(), model.end());
  for (uint64_t begin = 0; begin <= kEnd; ++begin) {
    ASSERT_EQ(acknowledged.Contains(begin), model.Contains(begin)) << begin;
    ASSERT_EQ(acknowledged.FirstMissing(begin), model.FirstMissing(begin)) << begin;
    for (uint64_t end = begin; end <= kEnd; end += 1 + end % 7) {
      const uint64_t count = model.CountIn(begin, end);
      ASSERT_EQ(acknowledged.CountIn(begin, end), count) << begin << " to " << end;
      ASSERT_EQ(acknowledged.ContainsAll(begin, end), count == end - begin) << begin << " to " << end;
    }
  }
}

TEST(AckSet, IsTheSetOfWhatWasAddedWhateverTheOrder) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint64_t below = random() % 20;
    AckSet acknowledged(below);
    Model model(below);
    for (int step = 0; step < 40; ++step) {
      const uint64_t begin = random() % kEnd;
      if (random() % 3 != 0) {
        acknowledged.Add(begin);
        model.AddRange(begin, begin + 1);
      } else {
        const uint64_t end = std::min(kEnd, begin + random() % 12);
        acknowledged.AddRange(begin, end);
        model.AddRange(begin, end);
      }
      if (step % 8 != 7) continue;
      ASSERT_NO_FATAL_FAILURE(ExpectSame(acknowledged, model));
    }
  }
}

TEST(AckSet, IsOneNumberWhenEverythingBelowWasAdded) {
  AckSet acknowledged(1);
  for (const uint64_t sequence : {5, 3, 1, 4, 2}) acknowledged.Add(sequence);
  EXPECT_EQ(acknowledged.below(), 6u);
  EXPECT_TRUE(acknowledged.ranges().empty());
  EXPECT_EQ(acknowledged, AckSet(6));
}

TEST(AckSet, HoldsTheHighestNumbers) {
  AckSet acknowledged;
  acknowledged.AddRange(UINT64_MAX - 2, UINT64_MAX);
  EXPECT_TRUE(acknowledged.Contains(UINT64_MAX - 1));
  EXPECT_FALSE(acknowledged.Contains(UINT64_MAX - 3));
  EXPECT_EQ(acknowledged.CountIn(0, UINT64_MAX), 2u);
}

}  // namespace
}  // namespace tributary::pipeline
