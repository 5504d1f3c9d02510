// LatencyHistogram: counts of durations in buckets that are 1.6 % wide (64 to each power of two, as in HdrHistogram),
// so that recording costs a few instructions and every percentile of a long run is known to two digits.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace tributary::bench {

class LatencyHistogram {
 public:
  void Record(base::Nanos latency) {
    const uint64_t ns = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 0));
    ++counts_[std::min(BucketOf(ns), counts_.size() - 1)];
    ++count_;
    max_ns_ = std::max(max_ns_, ns);
    sum_ns_ += static_cast<double>(ns);
  }

  uint64_t count() const { return count_; }
  double mean_us() const { return count_ == 0 ? 0 : sum_ns_ / static_cast<double>(count_) / 1e3; }
  double max_us() const { return static_cast<double>(max_ns_) / 1e3; }
  // The latency that `quantile` (0.99) of all recorded ones do not exceed, in microseconds.
  double quantile_us(double quantile) const {
    const auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(count_)));
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += counts_[bucket];
      if (seen >= rank && seen > 0) return static_cast<double>(std::min(UpperBoundNs(bucket), max_ns_)) / 1e3;
    }
    return 0;
  }

 private:
  static constexpr unsigned kSubBits = 6;   // 64 buckets to a power of two
  static constexpr unsigned kOctaves = 36;  // up to 2^42 ns, more than an hour

  // Below 64 ns every nanosecond has a bucket; above, the leading bit and the six after it choose.
  static size_t BucketOf(uint64_t ns) {
    if (ns < (1u << kSubBits)) return ns;
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kSubBits;
    return (static_cast<size_t>(shift) << kSubBits) + (ns >> shift);
  }
  static uint64_t UpperBoundNs(size_t bucket) {
    if (bucket < (2u << kSubBits)) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket >> kSubBits) - 1;
    const uint64_t lead = bucket - (static_cast<uint64_t>(shift) << kSubBits);
    return ((lead + 1) << shift) - 1;
  }

  std::array<uint64_t, (kOctaves + 1) << kSubBits> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ns_ = 0;
  double sum_ns_ = 0;
};

}  // namespace tributary::bench
