#include "pipeline/delivery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "otlp/partition.h"
#include "otlp/splice.h"
#include "pipeline/destination.h"
#include "tests/pipeline/delivery_rig.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;
using std::chrono::hours;
using std::chrono::milliseconds;
using test::Account;
using test::DeliveryRig;
using test::Resource;
using testing::ElementsAre;
using Request = test::ScriptedSink::Request;

constexpr Signal kTraces = Signal::kTraces;

// Nothing is sent for its age, and nothing is repeated by itself, unless a test says so.
Delivery::Options Patient() {
  return {.flush_after = hours(1), .behind_after = hours(1), .retry = {.initial = hours(1), .max = hours(1)}};
}
// Failures are over at once.
Delivery::Options Eager() {
  return {.flush_after = base::Nanos(0),
          .behind_after = hours(1),
          .retry = {.initial = base::Nanos(1'000), .max = base::Nanos(2'000)}};
}

Outcome Unavailable() { return Outcome::Retry(Reason::kUnavailable, "try later"); }

std::vector<uint64_t> Numbers(uint64_t first, uint64_t count) {
  std::vector<uint64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

void AppendFrom(DeliveryRig& rig, const std::string& source_text, const std::vector<Resource>& resources) {
  const auto source = source_text.empty() ? nullptr : std::make_shared<const std::string>(source_text);
  const otlp::Counts counts = {static_cast<uint32_t>(resources[0].items.size()), 1};
  rig.log().Append({kTraces, counts, test::MakeRequest(kTraces, resources), {.source = source, .batch = {}}},
                   [](Log::Taken taken) { EXPECT_EQ(taken, Log::Taken::kYes); });
}

TEST(Delivery, SendsAFullRequestAtOnceAndKeepsTheRest) {
  Delivery::Options options = Patient();
  options.batch_items_max = 10;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 4; ++i) rig.Append(kTraces, {{"a", Numbers(3 * i, 3)}});
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 1u);
  EXPECT_EQ(rig.sink().pending[0].request.items, Numbers(0, 9));
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 12, .held = 12}));
  rig.sink().Answer(Outcome::Delivered());
  rig.Turn();
  EXPECT_TRUE(rig.sink().pending.empty());
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 12, .delivered = 9, .held = 3}));
}

TEST(Delivery, CutsRequestsByBytes) {
  Delivery::Options options = Patient();
  options.batch_bytes_max = 10'000;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 12; ++i) rig.Append(kTraces, {{"a", {i}, 2'000}});
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 2u);
  for (const auto& pending : rig.sink().pending) {
    EXPECT_EQ(pending.request.items.size(), 4u);
    EXPECT_LE(pending.request.bytes, 10'000u);
  }
}

TEST(Delivery, SendsWhatIsOldEnough) {
  Delivery::Options options = Patient();
  options.flush_after = milliseconds(3);
  DeliveryRig rig(options);
  const base::Time start = rig.loop().now();
  rig.Append(kTraces, {{"a", {1}}});
  rig.Turn();
  rig.Append(kTraces, {{"a", {2}}});
  rig.RunUntil([&] { return !rig.sink().pending.empty(); });
  EXPECT_EQ(rig.sink().pending[0].request.items, (std::vector<uint64_t>{1, 2}));
  EXPECT_GE(rig.loop().now() - start, milliseconds(3));
}

TEST(Delivery, DrainedSendsWithoutWaiting) {
  DeliveryRig rig(Patient());
  rig.Append(kTraces, {{"a", {1}}});
  rig.Append(Signal::kLogs, {{"a", {2}}});
  rig.Turn();
  EXPECT_TRUE(rig.sink().pending.empty());
  rig.destination().Drain();
  EXPECT_EQ(rig.sink().pending.size(), 2u);
  rig.Append(Signal::kLogs, {{"a", {3}}});
  rig.Turn();
  EXPECT_EQ(rig.sink().pending.size(), 3u);
}

TEST(Delivery, MayAnswerWithinSend) {
  DeliveryRig rig(Eager());
  rig.sink().script = [](const Request&) { return Outcome::Delivered(); };
  for (uint64_t i = 0; i < 1'000; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.Turn();
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 1'000, .delivered = 1'000}));
}

TEST(Delivery, CutsAFrameOfTooManyItemsAndHoldsItUntilItsLastPieceIsThrough) {
  for (const Signal signal : otlp::kSignals) {
    Delivery::Options options = Eager();
    options.batch_items_max = 4;
    DeliveryRig rig(options);
    rig.Append(signal, {{"a", Numbers(0, 5)}, {"b", Numbers(5, 5)}});
    rig.Turn();
    ASSERT_EQ(rig.sink().pending.size(), 2u);
    EXPECT_EQ(rig.sink().pending[0].request.items, Numbers(0, 4));
    EXPECT_EQ(rig.sink().pending[1].request.items, Numbers(4, 4));
    rig.sink().Answer(Outcome::Delivered(), 1);
    rig.sink().Answer(Outcome::Refused(Reason::kRefused, "no"));
    rig.Turn();
    EXPECT_EQ(rig.account(signal), (Account{.received = 10, .held = 10})) << "the frame is held as a whole";
    ASSERT_EQ(rig.sink().pending.size(), 1u);
    EXPECT_EQ(rig.sink().pending[0].request.items, Numbers(8, 2));
    rig.sink().Answer(Outcome::Delivered());
    EXPECT_EQ(rig.account(signal), (Account{.received = 10, .delivered = 6, .dropped = {{"refused", 4}}}));
    EXPECT_EQ(rig.log().bytes(), 0u);
  }
}

TEST(Delivery, CutsAFrameOfTooManyBytes) {
  Delivery::Options options = Eager();
  options.batch_bytes_max = 5'000;
  DeliveryRig rig(options);
  rig.sink().script = [](const Request& request) {
    EXPECT_LE(request.bytes, 5'000u);
    return Outcome::Delivered();
  };
  rig.Append(kTraces, {{"a", Numbers(0, 50), 1'000}});
  rig.Turn();
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 50, .delivered = 50}));
}

TEST(Delivery, CountsTheAttributesItGivesAgainstTheSizeOfARequest) {
  otlp::ResourceEdit edit;
  edit.SetString("k8s.pod.name", std::string(300, 'x'), otlp::ResourceEdit::Conflict::kReplace);
  Delivery::Options options = Eager();
  options.batch_bytes_max = 5'000;
  DeliveryRig rig(options,
                  {.edit = [&edit](base::ByteView) -> const auto& { return edit; }, .complete = {}, .select = {}});
  size_t largest = 0;
  rig.sink().script = [&](const Request& request) {
    largest = std::max(largest, request.bytes);
    return Outcome::Delivered();
  };
  for (uint64_t i = 0; i < 100; ++i) rig.Append(kTraces, {{"a", {2 * i}}, {"b", {2 * i + 1}}});
  rig.Turn();
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 200, .delivered = 200}));
  EXPECT_LE(largest, 5'000u);
  EXPECT_GT(largest, 3'500u);
}

TEST(Delivery, GivesEachFrameTheAttributesOfItsSource) {
  otlp::ResourceEdit edit;
  const auto edit_of = [&edit](base::ByteView source) -> const otlp::ResourceEdit& {
    edit.SetString("k8s.pod.name", base::AsText(source), otlp::ResourceEdit::Conflict::kReplace);
    return edit;
  };
  DeliveryRig rig(Eager(), {.edit = edit_of, .complete = {}, .select = {}});
  const std::vector<std::string> pods = {"pod-2", "", "pod-1", "pod-2"};
  for (uint64_t i = 0; i < pods.size(); ++i) AppendFrom(rig, pods[i], {{"a", {i}}});
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 1u);
  EXPECT_EQ(rig.sink().pending[0].request.items, Numbers(0, 4));
  std::vector<std::string> given;
  const base::Bytes sent(std::string_view(rig.sink().pending[0].content));
  otlp::FilterResources(kTraces, sent, [&given](base::ByteView container) {
    given.emplace_back(otlp::ResourceStringAttribute(container, "k8s.pod.name").value_or("none"));
    return true;
  });
  EXPECT_EQ(given, pods);
}

// A Delivery that knows all of every source but "new", until it does.
class DeliverySource : public testing::Test {
 protected:
  std::vector<uint64_t> sent() const {
    std::vector<uint64_t> items;
    for (const Request& request : rig_.sink().sent)
      items.insert(items.end(), request.items.begin(), request.items.end());
    return items;
  }
  void Pass(base::Nanos time) {
    rig_.loop().Advance(time);
    rig_.Turn();
    rig_.Turn();
  }

  bool knows_new_ = false;
  otlp::ResourceEdit edit_;
  mutable DeliveryRig rig_{
      Eager(),
      {.edit = [this](base::ByteView) -> const auto& { return edit_; },
       .complete = [this](base::ByteView source) { return knows_new_ || base::AsText(source) != "new"; },
       .select = {}}};
};

TEST_F(DeliverySource, IsWaitedForWhileOthersPass) {
  rig_.sink().script = [](const Request&) { return Outcome::Delivered(); };
  AppendFrom(rig_, "new", {{"a", {1, 2}}});
  AppendFrom(rig_, "old", {{"a", {3}}});
  Pass(milliseconds(0));
  EXPECT_THAT(sent(), ElementsAre(3));
  AppendFrom(rig_, "new", {{"a", {4}}});
  Pass(milliseconds(100));
  EXPECT_THAT(sent(), ElementsAre(3));
  knows_new_ = true;
  Pass(milliseconds(100));
  EXPECT_THAT(sent(), ElementsAre(3, 1, 2, 4));
  EXPECT_EQ(rig_.account(kTraces), (Account{.received = 4, .delivered = 4}));
}

TEST_F(DeliverySource, IsNotWaitedForForEver) {
  rig_.sink().script = [](const Request&) { return Outcome::Delivered(); };
  AppendFrom(rig_, "new", {{"a", {1, 2}}});
  Pass(Delivery::kSourceWait - milliseconds(100));
  EXPECT_THAT(sent(), ElementsAre());
  Pass(milliseconds(200));
  EXPECT_THAT(sent(), ElementsAre(1, 2));
  base::MetricsText metrics;
  rig_.destination().WriteMetrics(metrics);
  EXPECT_THAT(metrics.Render(),
              testing::HasSubstr("tributary_incomplete_items_total{signal=\"traces\",destination=\"peer\"} 2"));
}

TEST_F(DeliverySource, IsNotWaitedForAtTheEnd) {
  rig_.sink().script = [](const Request&) { return Outcome::Delivered(); };
  AppendFrom(rig_, "new", {{"a", {1}}});
  Pass(milliseconds(0));
  rig_.destination().Drain();
  Pass(milliseconds(0));
  EXPECT_THAT(sent(), ElementsAre(1));
}

TEST_F(DeliverySource, IsWaitedForWithinBounds) {
  rig_.sink().script = [](const Request&) { return Outcome::Delivered(); };
  for (uint64_t i = 0; i < 12; ++i) AppendFrom(rig_, "new", {{.service = "a", .items = {i}, .padding_bytes = 1 << 20}});
  Pass(milliseconds(0));
  EXPECT_EQ(sent().size(), 5u);
  knows_new_ = true;
  Pass(milliseconds(100));
  EXPECT_EQ(rig_.account(kTraces), (Account{.received = 12, .delivered = 12}));
}

TEST(Delivery, HasMoreUnderWayWithEachRoundOfSuccessesUpToItsMaximum) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  options.concurrency_max = 8;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 200; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.Turn();
  std::vector<size_t> under_way;
  for (int round = 0; round < 12; ++round) {
    under_way.push_back(rig.sink().pending.size());
    for (size_t i = under_way.back(); i > 0; --i) rig.sink().Answer(Outcome::Delivered());
    rig.Turn();
  }
  EXPECT_EQ(under_way.front(), 2u);
  EXPECT_TRUE(std::is_sorted(under_way.begin(), under_way.end()));
  EXPECT_EQ(under_way[2], 3u);
  EXPECT_EQ(under_way.back(), 8u);
}

TEST(Delivery, NeverHasMoreUnderWayThanAllowed) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  options.concurrency_max = 1;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 20; ++i) rig.Append(kTraces, {{"a", {i}}});
  for (int i = 0; i < 20; ++i) {
    rig.Turn();
    ASSERT_EQ(rig.sink().pending.size(), 1u);
    rig.sink().Answer(Outcome::Delivered());
  }
}

TEST(Delivery, AFailureStopsEverythingOfItsSignalAndNothingOfOthers) {
  Delivery::Options options = Patient();
  options.flush_after = base::Nanos(0);
  options.batch_items_max = 1;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 10; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 2u);
  rig.sink().Answer(Unavailable());
  EXPECT_TRUE(rig.destination().health().paused);
  EXPECT_EQ(rig.destination().health().last_error, "try later");
  rig.sink().Answer(Unavailable());
  rig.Append(kTraces, {{"a", {10}}});
  rig.Append(Signal::kLogs, {{"a", {11}}});
  rig.Turn();
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 1u);
  EXPECT_EQ(rig.sink().pending[0].request.signal, Signal::kLogs);
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 11, .held = 11}));
}

TEST(Delivery, SendsOneProbeAfterAPauseAndTheRestWhenItIsAnswered) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 200; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.Turn();
  while (rig.sink().pending.size() < 8) {
    rig.sink().Answer(Outcome::Delivered());
    rig.Turn();
  }
  while (!rig.sink().pending.empty()) rig.sink().Answer(Unavailable());
  for (int failure = 0; failure < 5; ++failure) {
    rig.RunUntil([&] { return !rig.sink().pending.empty(); });
    rig.Turn();
    ASSERT_EQ(rig.sink().pending.size(), 1u);
    if (failure < 4) rig.sink().Answer(Unavailable());
  }
  rig.sink().Answer(Outcome::Delivered());
  rig.Turn();
  EXPECT_GT(rig.sink().pending.size(), 0u);
  EXPECT_EQ(rig.destination().health().last_error, "");
  rig.sink().script = [](const Request&) { return Outcome::Delivered(); };
  rig.sink().AnswerAll(Outcome::Delivered());
  rig.RunUntil([&] { return rig.destination().held_items() == 0; });
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 200, .delivered = 200}));
}

TEST(Delivery, WaitsAsLongAsThePeerDemands) {
  DeliveryRig rig(Eager());
  rig.Append(kTraces, {{"a", {1}}});
  rig.Turn();
  const base::Time before = rig.loop().now();
  rig.sink().Answer(Outcome::Retry(Reason::kThrottled, "slow down", milliseconds(20)));
  rig.RunUntil([&] { return !rig.sink().pending.empty(); });
  EXPECT_GE(rig.loop().now() - before, milliseconds(20));
}

TEST(Delivery, IsPausedLongerWhenALaterAnswerDemandsMore) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  DeliveryRig rig(options);
  rig.Append(kTraces, {{"a", {1}}});
  rig.Append(kTraces, {{"a", {2}}});
  rig.Turn();
  const base::Time before = rig.loop().now();
  rig.sink().Answer(Unavailable());
  rig.sink().Answer(Outcome::Retry(Reason::kThrottled, "slow down", milliseconds(20)));
  rig.RunUntil([&] { return !rig.sink().pending.empty(); });
  EXPECT_GE(rig.loop().now() - before, milliseconds(20));
}

TEST(Delivery, SurvivesAbsurdDemands) {
  for (const base::Nanos demand : {base::Nanos::max(), base::Nanos(-5)}) {
    DeliveryRig rig(Eager());
    rig.Append(kTraces, {{"a", {1}}});
    rig.Turn();
    rig.sink().Answer(Outcome::Retry(Reason::kThrottled, "", demand));
    rig.Turn();
    EXPECT_EQ(rig.account(kTraces), (Account{.received = 1, .held = 1}));
  }
}

TEST(Delivery, DropsWhatIsRefusedAndCountsIt) {
  DeliveryRig rig(Eager());
  rig.Append(kTraces, {{"a", {1, 2, 3}}});
  rig.Turn();
  rig.sink().Answer(Outcome::Refused(Reason::kRefused, "400 Bad Request"));
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 3, .dropped = {{"refused", 3}}}));
  EXPECT_EQ(rig.destination().health().last_error, "400 Bad Request");
}

TEST(Delivery, CountsWhatAPartialSuccessRejectedAndNeverMoreThanWasSent) {
  DeliveryRig rig(Eager());
  for (const uint64_t rejected : {2, 99}) {
    rig.Append(kTraces, {{"a", {1, 2, 3}}});
    rig.Turn();
    Outcome outcome = Outcome::Delivered();
    outcome.rejected_items = rejected;
    rig.sink().Answer(outcome);
  }
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 6, .delivered = 1, .dropped = {{"peer_rejected", 5}}}));
}

TEST(Delivery, HalvesWhatIsTooLargeDownToOneItem) {
  for (const Signal signal : otlp::kSignals) {
    DeliveryRig rig(Eager());
    rig.sink().script = [](const Request& request) {
      const bool has_giant = std::ranges::count(request.items, 77) > 0;
      return has_giant || request.items.size() > 5 ? Outcome::Refused(Reason::kTooLarge, "413") : Outcome::Delivered();
    };
    rig.Append(signal, {{"a", Numbers(0, 60)}, {"b", Numbers(60, 40)}});
    for (uint64_t i = 0; i < 50; ++i) rig.Append(signal, {{"c", {100 + i}}});
    rig.RunUntil([&] { return rig.destination().held_items() == 0; });
    EXPECT_EQ(rig.account(signal), (Account{.received = 150, .delivered = 149, .dropped = {{"too_large", 1}}}));
  }
}

TEST(Delivery, SendsWhatItsConditionSelectsAndCountsTheRest) {
  const auto select = [](base::ByteView container) {
    return otlp::ResourceStringAttribute(container, "service.name") == "wanted";
  };
  for (const Signal signal : otlp::kSignals) {
    Delivery::Options options = Eager();
    options.batch_items_max = 20;
    DeliveryRig rig(options, {.select = select});
    rig.Append(signal, {{"wanted", {1, 2}}, {"other", {3}}});
    rig.Append(signal, {{"other", {4, 5}}});
    rig.Append(signal, {{"wanted", {6}}});
    rig.Append(signal, {{"other", Numbers(100, 30)}, {"wanted", Numbers(200, 30)}});
    rig.Append(signal, {{"other", {7}}});
    std::vector<uint64_t> delivered;
    rig.sink().script = [&](const Request& request) {
      delivered.insert(delivered.end(), request.items.begin(), request.items.end());
      return Outcome::Delivered();
    };
    rig.Turn();
    EXPECT_EQ(rig.account(signal), (Account{.received = 67, .delivered = 33, .dropped = {{"not_matched", 34}}}));
    EXPECT_EQ(delivered.size(), 33u);
    EXPECT_TRUE(std::ranges::all_of(delivered, [](uint64_t item) { return item <= 6 || item >= 200; }));
  }
}

// A request that always times out while others are answered: it waits alone, and is cut until one item is left.
TEST(Delivery, IsNotHeldUpByARequestThatAlwaysFails) {
  Delivery::Options options = Eager();
  options.batch_items_max = 16;
  DeliveryRig rig(options);
  static constexpr uint64_t kPoison = 5;
  rig.sink().script = [](const Request& request) -> std::optional<Outcome> {
    if (std::ranges::count(request.items, kPoison) > 0) return std::nullopt;
    return Outcome::Delivered();
  };
  rig.Append(kTraces, {{"a", Numbers(0, 16)}});
  uint64_t next = 16;
  const auto timing_out = [&] { return rig.sink().pending.empty() ? 0 : rig.sink().pending[0].request.items.size(); };
  while (timing_out() != 1) {
    rig.Append(kTraces, {{"a", Numbers(next, 4)}});
    next += 4;
    rig.Turn();
    ASSERT_LE(rig.sink().pending.size(), 1u);
    if (timing_out() > 1) rig.sink().Answer(Outcome::Retry(Reason::kTimeout, "no answer"));
    ASSERT_LT(next, 100'000u);
  }
  rig.sink().Answer(Outcome::Retry(Reason::kTimeout, "no answer"));
  rig.sink().script = [](const Request& request) {
    const bool poisoned = std::ranges::count(request.items, kPoison) > 0;
    return poisoned ? Outcome::Retry(Reason::kTimeout, "no answer") : Outcome::Delivered();
  };
  rig.RunUntil([&] { return rig.destination().held_items() == 16; });  // the frame that it came in
  EXPECT_EQ(rig.account(kTraces), (Account{.received = next, .delivered = next - 16, .held = 16}));
  rig.sink().script = [](const Request&) { return Outcome::Delivered(); };
  rig.RunUntil([&] { return rig.destination().held_items() == 0; });
  EXPECT_EQ(rig.log().bytes(), 0u);
}

// The same when only one request may be under way, so that the failing one is always the newest.
TEST(Delivery, TakesTurnsWithAFailingRequestWhenOnlyOneMayBeUnderWay) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  options.concurrency_max = 1;
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 50; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.sink().script = [](const Request& request) {
    return request.items[0] == 0 ? Outcome::Retry(Reason::kTimeout, "no answer") : Outcome::Delivered();
  };
  rig.RunUntil([&] { return rig.destination().held_items() == 1; });
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 50, .delivered = 49, .held = 1}));
}

TEST(Delivery, OldAndNewTakeTurnsAfterAnOutage) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  options.concurrency_max = 1;
  options.behind_after = milliseconds(5);
  DeliveryRig rig(options);
  for (uint64_t i = 0; i < 20; ++i) rig.Append(kTraces, {{"a", {i}}});
  rig.sink().script = [&](const Request&) { return std::optional(Unavailable()); };
  const base::Time start = rig.loop().now();
  rig.RunUntil([&] { return rig.loop().now() - start > milliseconds(6); });

  std::vector<bool> is_new;
  rig.sink().script = [&](const Request& request) {
    is_new.push_back(request.items[0] >= 100);
    if (is_new.size() <= 8) rig.Append(kTraces, {{"a", {100 + is_new.size()}}});
    return Outcome::Delivered();
  };
  rig.RunUntil([&] { return rig.destination().held_items() == 0; });
  ASSERT_GT(is_new.size(), 16u);
  // What failed once, the rest of the backlog and what is new: the new has a quarter of the turns at least.
  EXPECT_GE(std::count(is_new.begin(), is_new.begin() + 16, true), 4);
  EXPECT_GE(std::count(is_new.begin(), is_new.begin() + 16, false), 4);
}

TEST(Delivery, WhatIsNewDoesNotQueueBehindAnOutageUponAnOutage) {
  Delivery::Options options = Eager();
  options.batch_items_max = 1;
  options.concurrency_max = 1;
  options.behind_after = milliseconds(5);
  DeliveryRig rig(options);
  rig.sink().script = [&](const Request&) { return std::optional(Unavailable()); };
  for (uint64_t outage = 0; outage < 2; ++outage) {
    for (uint64_t i = 0; i < 50; ++i) rig.Append(kTraces, {{"a", {100 * outage + i}}});
    const base::Time start = rig.loop().now();
    rig.RunUntil([&] { return rig.loop().now() - start > milliseconds(6); });
  }
  std::vector<uint64_t> order;
  rig.sink().script = [&](const Request& request) {
    order.push_back(request.items[0]);
    if (order.size() == 3) rig.Append(kTraces, {{"a", {1000}}});
    return Outcome::Delivered();
  };
  rig.RunUntil([&] { return rig.destination().held_items() == 0; });
  ASSERT_EQ(order.size(), 101u);
  EXPECT_LT(std::find(order.begin(), order.end(), 1000u) - order.begin(), 10);
}

TEST(Delivery, DoesNotTakeALongWaitForAFullRequestForABacklog) {
  Delivery::Options options = Eager();
  options.flush_after = std::chrono::hours(1);
  options.behind_after = base::Nanos(0);
  DeliveryRig rig(options);
  rig.Append(kTraces, {{"a", {1}}});
  const base::Time start = rig.loop().now();
  rig.RunUntil([&] { return rig.loop().now() - start > milliseconds(1); });
  rig.Append(kTraces, {{"a", {2}}});
  rig.Turn();
  EXPECT_TRUE(rig.sink().sent.empty());
}

TEST(Delivery, AnOutageOfAHundredThousandTinyFramesEndsInFullRequests) {
  Delivery::Options options = Patient();
  options.flush_after = base::Nanos(0);
  options.behind_after = base::Nanos(0);
  DeliveryRig rig(options);
  rig.sink().script = [](const Request&) { return Unavailable(); };
  const base::Bytes request = test::MakeRequest(kTraces, {{"a", {1}}});
  for (int i = 0; i < 100'000; ++i) {
    rig.AppendBytes(kTraces, request, 1);
    if (i % 1'000 == 0) rig.Turn();
  }
  EXPECT_EQ(rig.destination().held_items(), 100'000u);
  rig.ReplaceSink([](const Request&) { return Outcome::Delivered(); });
  rig.RunUntil([&] { return rig.destination().held_items() == 0; });
  EXPECT_LE(rig.sink().sent.size(), 100'000u / 8'192 + 3);
}

TEST(Destination, GivesWhatIsHeldToAReplacingSinkAtOnce) {
  DeliveryRig rig(Patient());
  rig.destination().Drain();
  for (uint64_t i = 0; i < 5; ++i) {
    rig.Append(kTraces, {{"a", {i}}});
    rig.Turn();
  }
  ASSERT_EQ(rig.sink().pending.size(), 2u);
  rig.sink().Answer(Unavailable());
  EXPECT_TRUE(rig.destination().health().paused);
  rig.ReplaceSink([](const Request&) { return Outcome::Delivered(); });
  rig.Turn();
  EXPECT_EQ(rig.account(kTraces), (Account{.received = 5, .delivered = 5}));
  EXPECT_FALSE(rig.destination().health().paused);
}

TEST(Destination, GoesWithRequestsUnderWayAndLetsTheLogBeFree) {
  DeliveryRig rig(Eager());
  for (const Signal signal : otlp::kSignals) {
    rig.Append(signal, {{"a", Numbers(0, 10)}});
    rig.Append(signal, {{"a", Numbers(10, 10)}});
  }
  rig.Turn();
  rig.Append(kTraces, {{"a", {20}}});
  EXPECT_EQ(rig.sink().pending.size(), 3u);
  rig.DestroyDestination();
  EXPECT_EQ(rig.log().bytes(), 0u);
  rig.Turn();  // what was queued for the end of the turn finds nobody
}

TEST(Destination, TakesOnlyTheSignalsItWants) {
  DeliveryRig rig(Eager(), {}, otlp::SignalSet().With(Signal::kLogs));
  rig.Append(kTraces, {{"a", {1}}});
  rig.Append(Signal::kLogs, {{"a", {2}}});
  rig.Turn();
  ASSERT_EQ(rig.sink().pending.size(), 1u);
  EXPECT_EQ(rig.destination().held_items(), 1u);
  EXPECT_TRUE(rig.destination().health().oldest_held);
}

TEST(Destination, UsesNewOptionsForWhatIsUnread) {
  DeliveryRig rig(Patient());
  rig.Append(kTraces, {{"a", {1, 2}}});
  rig.Append(kTraces, {{"a", {3, 4}}});
  rig.Turn();
  Delivery::Options options = Patient();
  options.batch_items_max = 2;
  rig.destination().SetOptions(options);
  EXPECT_EQ(rig.sink().pending.size(), 2u);
}

}  // namespace
}  // namespace tributary::pipeline
