#include "pipeline/backoff.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

namespace tributary::pipeline {
namespace {

using base::Nanos;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Backoff::Options kOptions = {.initial = seconds(1), .max = seconds(30), .multiplier = 2};

void ExpectBetween(Nanos wait, Nanos low, Nanos high) {
  EXPECT_GE(wait, low);
  EXPECT_LE(wait, high);
}

TEST(Backoff, DoublesToItsMaximumSpreadOverHalfOfEachStep) {
  Backoff backoff(kOptions);
  for (const int step : {1, 2, 4, 8, 16, 30, 30, 30}) {
    ExpectBetween(backoff.Next(std::nullopt), milliseconds(500 * step), seconds(step));
  }
}

TEST(Backoff, StartsAnewWhenReset) {
  Backoff backoff(kOptions);
  for (int i = 0; i < 10; ++i) backoff.Next(std::nullopt);
  backoff.Reset();
  ExpectBetween(backoff.Next(std::nullopt), milliseconds(500), seconds(1));
}

TEST(Backoff, NeverWaitsLessThanDemandedAndGrowsFromThere) {
  for (int i = 0; i < 100; ++i) {
    Backoff backoff(kOptions);
    ExpectBetween(backoff.Next(seconds(7)), seconds(7), milliseconds(7'700));
    ExpectBetween(backoff.Next(std::nullopt), seconds(7), seconds(14));
  }
}

TEST(Backoff, ObeysADemandBeyondItsMaximum) {
  Backoff backoff(kOptions);
  ExpectBetween(backoff.Next(seconds(100)), seconds(100), seconds(110));
}

TEST(Backoff, IsNotShortenedByADemandForLess) {
  Backoff backoff(kOptions);
  for (int i = 0; i < 3; ++i) backoff.Next(std::nullopt);
  EXPECT_GE(backoff.Next(milliseconds(1)), seconds(8));
}

TEST(Backoff, DiffersFromOneToTheNext) {
  std::set<Nanos> waits;
  for (int i = 0; i < 20; ++i) waits.insert(Backoff(kOptions).Next(std::nullopt));
  EXPECT_GT(waits.size(), 10u);
}

}  // namespace
}  // namespace tributary::pipeline
