#include "bench/latency_histogram.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tributary::bench {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(LatencyHistogram, IsZeroWithoutLatencies) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.quantile_us(0.99), 0);
  EXPECT_EQ(histogram.mean_us(), 0);
}

TEST(LatencyHistogram, GivesOneLatencyBackExactly) {
  LatencyHistogram histogram;
  histogram.Record(milliseconds(3));
  EXPECT_EQ(histogram.quantile_us(0), 3000);
  EXPECT_EQ(histogram.quantile_us(0.5), 3000);
  EXPECT_EQ(histogram.quantile_us(1), 3000);
  EXPECT_EQ(histogram.max_us(), 3000);
}

TEST(LatencyHistogram, IsWithinTwoPercentOfSortedLatencies) {
  LatencyHistogram histogram;
  std::vector<double> sorted_us;
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> latency_ns(13, 3);
  for (int i = 0; i < 100'000; ++i) {
    const nanoseconds latency(static_cast<int64_t>(latency_ns(random)));
    histogram.Record(latency);
    sorted_us.push_back(static_cast<double>(latency.count()) / 1e3);
  }
  std::ranges::sort(sorted_us);
  for (const double quantile : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = sorted_us[static_cast<size_t>(quantile * 100'000) - 1];
    EXPECT_NEAR(histogram.quantile_us(quantile), exact, exact * 0.02) << quantile;
  }
  EXPECT_EQ(histogram.max_us(), sorted_us.back());
}

TEST(LatencyHistogram, TakesWhatIsOutOfItsRangeAtTheEnds) {
  LatencyHistogram histogram;
  histogram.Record(nanoseconds(-5));
  histogram.Record(hours(100));
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.quantile_us(0.5), 0);
  EXPECT_EQ(histogram.max_us(), 3.6e11);
}

}  // namespace
}  // namespace tributary::bench
