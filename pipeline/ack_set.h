// AckSet: which sequences of a Log a Cursor has acknowledged: all below one, and some ranges above it. Frames are read
// in order and acknowledged nearly so, which keeps the ranges few. Any thread, one at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace tributary::pipeline {

class AckSet {
 public:
  // [begin, end)
  struct Range {
    uint64_t begin = 0;
    uint64_t end = 0;
    bool operator==(const Range&) const = default;
  };

  AckSet() = default;
  explicit AckSet(uint64_t below) : below_(below) {}

  uint64_t below() const { return below_; }
  // Ascending, neither empty nor touching each other nor below().
  const std::vector<Range>& ranges() const { return ranges_; }

  bool Contains(uint64_t sequence) const {
    if (sequence < below_) return true;
    const auto after = FirstEndingAfter(sequence);
    return after != ranges_.end() && after->begin <= sequence;
  }

  // How many of [begin, end) are in the set.
  uint64_t CountIn(uint64_t begin, uint64_t end) const {
    uint64_t count = begin < below_ ? std::min(end, below_) - begin : 0;
    for (auto range = FirstEndingAfter(begin); range != ranges_.end() && range->begin < end; ++range) {
      count += std::min(end, range->end) - std::max(begin, range->begin);
    }
    return count;
  }
  bool ContainsAll(uint64_t begin, uint64_t end) const { return CountIn(begin, end) == end - begin; }

  // The first sequence at or after `from` that is not in the set.
  uint64_t FirstMissing(uint64_t from) const {
    if (from < below_) from = below_;
    const auto after = FirstEndingAfter(from);
    return after != ranges_.end() && after->begin <= from ? after->end : from;
  }
  // Calls take(from, to) for every stretch of [begin, end) that is not in the set, ascending.
  template <typename Take>
  void ForEachMissing(uint64_t begin, uint64_t end, Take take) const {
    for (uint64_t at = FirstMissing(begin); at < end;) {
      const auto after = FirstEndingAfter(at);
      const uint64_t to = after == ranges_.end() ? end : std::min(end, after->begin);
      take(at, to);
      at = FirstMissing(to);
    }
  }
  // One beyond the last.
  uint64_t end() const { return ranges_.empty() ? below_ : ranges_.back().end; }

  void Add(uint64_t sequence) { AddRange(sequence, sequence + 1); }

  void AddRange(uint64_t begin, uint64_t end) {
    if (begin >= end || end <= below_) return;
    if (begin <= below_) {
      below_ = end;
    } else {
      // The ranges that this one meets become one with it.
      const auto first =
          std::lower_bound(ranges_.begin(), ranges_.end(), begin, [](const Range& r, uint64_t b) { return r.end < b; });
      auto last = first;
      for (; last != ranges_.end() && last->begin <= end; ++last) {
        begin = std::min(begin, last->begin);
        end = std::max(end, last->end);
      }
      if (first != last) {
        *first = {begin, end};
        ranges_.erase(first + 1, last);
      } else {
        ranges_.insert(first, {begin, end});
      }
      return;
    }
    auto swallowed = ranges_.begin();
    for (; swallowed != ranges_.end() && swallowed->begin <= below_; ++swallowed) {
      below_ = std::max(below_, swallowed->end);
    }
    ranges_.erase(ranges_.begin(), swallowed);
  }

  bool operator==(const AckSet&) const = default;

 private:
  std::vector<Range>::const_iterator FirstEndingAfter(uint64_t sequence) const {
    return std::upper_bound(ranges_.begin(), ranges_.end(), sequence,
                            [](uint64_t s, const Range& r) { return s < r.end; });
  }

  uint64_t below_ = 0;
  std::vector<Range> ranges_;
};

}  // namespace tributary::pipeline
