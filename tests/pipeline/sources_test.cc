// Whose what is held is, and whose what was lost: counted, however many they are, within bounds.
#include "pipeline/sources.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/pipeline/delivery_rig.h"
#include "tests/pipeline/items.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;

template <typename T>
bool PageHas(const T& that, const std::string& line) {
  base::MetricsText metrics;
  that.WriteMetrics(metrics);
  return ("\n" + metrics.Render()).find("\n" + line + "\n") != std::string::npos;
}
template <typename T>
void ExpectHeld(const T& that, const std::string& source, uint64_t bytes) {
  EXPECT_TRUE(PageHas(that, fmt::format("tributary_source_held_bytes{{source=\"{}\"}} {}", source, bytes))) << source;
}
template <typename T>
void ExpectLost(const T& that, const std::string& source, const std::string& reason, uint64_t items) {
  EXPECT_TRUE(PageHas(
      that, fmt::format("tributary_source_lost_items_total{{source=\"{}\",reason=\"{}\"}} {}", source, reason, items)))
      << source << ", " << reason;
}

TEST(Sources, HoldsAndLetsGoForEach) {
  Sources sources;
  Sources::Shares first, second;
  sources.Hold(base::AsBytes("a"), 1, 100, first);
  sources.Hold(base::AsBytes("b"), 2, 200, first);
  sources.Hold(base::AsBytes("a"), 3, 300, first);
  sources.Hold(base::AsBytes("a"), 4, 400, second);
  sources.Hold({}, 5, 500, second);
  EXPECT_EQ(first.size(), 2u);
  ExpectHeld(sources, "a", 800);
  ExpectHeld(sources, "b", 200);
  ExpectHeld(sources, "unknown", 500);
  sources.LetGo(first);
  ExpectHeld(sources, "a", 400);
  ExpectHeld(sources, "b", 0);
}

TEST(Sources, MakesPlaceByThoseThatHoldNothing) {
  Sources sources;
  sources.Lose(base::AsBytes("gone"), "log_full", 7);
  Sources::Shares held;
  for (size_t i = 0; i < Sources::kSourcesMax; ++i) sources.Hold(base::AsBytes(std::to_string(i)), 1, 10, held);
  ExpectLost(sources, "others", "log_full", 7);
  EXPECT_EQ(held.size(), Sources::kSourcesMax);

  sources.Hold(base::AsBytes("late"), 1, 10, held);
  ExpectHeld(sources, "others", 10);
  sources.LetGo(held);
  Sources::Shares later;
  sources.Hold(base::AsBytes("late"), 1, 10, later);
  ExpectHeld(sources, "late", 10);
  ExpectHeld(sources, "others", 0);
}

TEST(Sources, ShowsOpaqueBytesAsText) {
  Sources sources;
  Sources::Shares shares;
  sources.Hold(base::AsBytes(std::string_view("p\0d\xff", 4)), 1, 10, shares);
  ExpectHeld(sources, "p\\\\x00d\\\\xff", 10);  // the page escapes the backslash once more
}

Batch BatchOf(const std::string& source, uint32_t items, size_t bytes) {
  Batch batch{.signal = Signal::kTraces, .counts = {.items = items, .resources = 1}, .bytes = {}};
  batch.bytes.ResizeUninitialized(bytes);
  std::fill_n(batch.bytes.data(), bytes, uint8_t{0});
  batch.origin.source = std::make_shared<const std::string>(source);
  return batch;
}

TEST(ALog, TellsWhoseFramesItDroppedToMakeRoom) {
  base::Loop loop;
  Log log(loop, {.bytes_max = 100'000, .when_full = Log::WhenFull::kDropOldest});
  const auto cursor = log.OpenCursor(Signal::kTraces);
  const auto append = [&](const std::string& source, uint32_t items) {
    log.Append(BatchOf(source, items, 20'000), [](Log::Taken taken) { EXPECT_EQ(taken, Log::Taken::kYes); });
  };
  append("a", 1);
  append("b", 10);
  append("a", 100);
  for (int i = 0; i < 4; ++i) append("c", 1'000);
  ASSERT_EQ(cursor->totals().lost_items[static_cast<size_t>(Cursor::Loss::kFull)], 111u);
  ExpectLost(log, "a", "log_full", 101);
  ExpectLost(log, "b", "log_full", 10);
  ExpectHeld(log, "a", 0);
  ExpectHeld(log, "c", 80'000);
}

TEST(ADelivery, TellsWhoseItemsAPeerRefused) {
  test::DeliveryRig rig({.batch_items_max = 100, .flush_after = base::Nanos(0)});
  rig.ReplaceSink([](const test::ScriptedSink::Request& request) {
    if (request.signal == Signal::kLogs) return Outcome::Refused(Reason::kRefused, "never");
    Outcome outcome = Outcome::Delivered();
    outcome.rejected_items = 2;
    return outcome;
  });
  const auto append = [&](Signal signal, const std::string& source, uint64_t first, uint64_t end) {
    std::vector<uint64_t> items;
    for (uint64_t item = first; item < end; ++item) items.push_back(item);
    Batch batch{.signal = signal,
                .counts = {.items = static_cast<uint32_t>(items.size()), .resources = 1},
                .bytes = test::MakeRequest(signal, {{"a", items}})};
    batch.origin.source = std::make_shared<const std::string>(source);
    rig.log().Append(std::move(batch), [](Log::Taken taken) { EXPECT_EQ(taken, Log::Taken::kYes); });
  };
  append(Signal::kLogs, "a", 1, 4);
  append(Signal::kLogs, "b", 4, 9);
  append(Signal::kTraces, "a", 1, 4);
  append(Signal::kMetrics, "a", 1, 4);
  append(Signal::kMetrics, "b", 4, 9);
  rig.RunUntil([&] {
    uint64_t held = 0;
    for (const Signal signal : otlp::kSignals) held += rig.account(signal).held;
    return held == 0;
  });
  ExpectLost(rig.log(), "a", "refused", 3);
  ExpectLost(rig.log(), "b", "refused", 5);
  ExpectLost(rig.log(), "a", "peer_rejected", 2);
  ExpectLost(rig.log(), "unknown", "peer_rejected", 2);  // of one request of both
}

}  // namespace
}  // namespace tributary::pipeline
