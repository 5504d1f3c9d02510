#include "bench/received_items.h"

#include <gtest/gtest.h>

#include "bench/otlp_sample.h"

namespace tributary::bench {
namespace {

using otlp::Signal;

constexpr uint64_t kRun = 1'800'000'000'123'456'789;

// A request of `items` whose numbers begin at `first`.
base::Bytes Numbered(Signal signal, uint64_t run, uint64_t first, uint32_t items) {
  base::Bytes request = SampleRequest(signal, items, 1);
  std::vector<ItemIdPlace> places;
  FindItemIds(signal, request, places);
  for (const ItemIdPlace& place : places) WriteItemId(signal, request.data(), place, {.run = run, .number = first++});
  return request;
}

TEST(ReceivedItems, MissNothingThatArrivedInAnyOrder) {
  ReceivedItems received;
  EXPECT_EQ(received.Add(Signal::kTraces, Numbered(Signal::kTraces, kRun, 101, 50)), 50u);
  const auto& run = received.runs().at({Signal::kTraces, kRun});
  EXPECT_EQ(run.missing(), 100u);
  received.Add(Signal::kTraces, Numbered(Signal::kTraces, kRun, 1, 100));
  EXPECT_EQ(run.unique, 150u);
  EXPECT_EQ(run.highest, 150u);
  EXPECT_EQ(run.missing(), 0u);
  EXPECT_EQ(run.duplicates, 0u);
}

TEST(ReceivedItems, CountWhatArrivesTwice) {
  ReceivedItems received;
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 1, 100));
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 91, 20));
  const auto& run = received.runs().at({Signal::kLogs, kRun});
  EXPECT_EQ(run.unique, 110u);
  EXPECT_EQ(run.duplicates, 10u);
}

TEST(ReceivedItems, HaveAFingerprintThatIsTheSetsOwn) {
  ReceivedItems received;
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 101, 20));
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 1, 100));
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 51, 10));
  uint64_t fingerprint = 0;
  for (uint64_t number = 1; number <= 120; ++number) fingerprint += Hash(number);
  const auto& run = received.runs().at({Signal::kLogs, kRun});
  EXPECT_EQ(run.fingerprint, fingerprint);
  // As many, of which one is another.
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun + 1, 1, 119));
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun + 1, 121, 1));
  EXPECT_NE(received.runs().at({Signal::kLogs, kRun + 1}).fingerprint, fingerprint);
}

TEST(ReceivedItems, KeepRunsAndSignalsApart) {
  ReceivedItems received;
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun, 1, 10));
  received.Add(Signal::kLogs, Numbered(Signal::kLogs, kRun + 1, 1, 10));
  received.Add(Signal::kMetrics, Numbered(Signal::kMetrics, kRun, 1, 25));
  EXPECT_EQ(received.runs().size(), 3u);
  for (const auto& [key, run] : received.runs()) EXPECT_EQ(run.duplicates, 0u);
  EXPECT_EQ(received.runs().at({Signal::kMetrics, kRun}).unique, 25u);
}

TEST(ReceivedItems, CallForeignWhatNoLoadSent) {
  ReceivedItems received;
  received.Add(Signal::kTraces, SampleRequest(Signal::kTraces, 10, 1));
  EXPECT_EQ(received.foreign(Signal::kTraces), 10u);
  EXPECT_TRUE(received.runs().empty());
}

}  // namespace
}  // namespace tributary::bench
