// Random peers against Destinations: whatever they answer and whenever, after every turn of the loop
// received = delivered + dropped + held, what the peer accepted is what counts as delivered, and nothing that it
// accepted is sent to it again. Every run is a seed.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "otlp/splice.h"
#include "tests/pipeline/delivery_rig.h"
#include "tests/sanitized.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;
using test::Account;
using test::DeliveryRig;
using test::Resource;
using Request = test::ScriptedSink::Request;

Delivery::Options RandomOptions(std::mt19937& random) {
  return {
      .batch_items_max = static_cast<uint32_t>(1 + random() % 40),
      .batch_bytes_max = 500 + random() % 5'000,
      .flush_after = base::Nanos(random() % 2 * (random() % 1'000'000)),
      .behind_after = base::Nanos(random() % 1'000'000),
      .concurrency_max = static_cast<uint32_t>(1 + random() % 8),
      .retry = {.initial = base::Nanos(1 + random() % 20'000), .max = base::Nanos(50'000)},
  };
}

bool Wanted(base::ByteView container) { return otlp::ResourceStringAttribute(container, "service.name") != "unwanted"; }

class RandomPeer {
 public:
  explicit RandomPeer(uint32_t seed) : random_(seed), select_(random_() % 3 == 0) {
    if (random_() % 2 == 0) edit_.SetString("k8s.pod.name", "pod-7", otlp::ResourceEdit::Conflict::kReplace);
    rig_.emplace(RandomOptions(random_),
                 Delivery::View{.edit = [this](base::ByteView) -> const auto& { return edit_; },
                                .complete = [this](base::ByteView) { return !Chance(10); },
                                .select = select_ ? Wanted : nullptr},
                 otlp::SignalSet::All(), 20'000 + random_() % 200'000);
    rig_->sink().script = Script();
  }

  void Step();
  // The peer is well from now on: everything gets through.
  void Heal();

 private:
  struct Ledger {
    uint64_t appended = 0;  // as the Log answered
    uint64_t unwanted = 0;  // of those
    std::set<uint64_t> accepted, refused;
    uint64_t rejected = 0;
  };

  bool Chance(uint32_t percent) { return random_() % 100 < percent; }
  test::ScriptedSink::Script Script() {
    return [this](const Request& request) { return Chance(30) ? std::optional(Decide(request)) : std::nullopt; };
  }
  Outcome Decide(const Request& request);
  void Append();
  void VerifyLedgers();

  std::mt19937 random_;
  const bool select_;
  otlp::ResourceEdit edit_;
  otlp::PerSignal<Ledger> ledgers_;
  uint64_t item_ = 0;
  bool well_ = false;
  std::optional<DeliveryRig> rig_;  // last: its Sink asks for outcomes to its end
};

// Answers, and notes what the peer now has.
Outcome RandomPeer::Decide(const Request& request) {
  Ledger& ledger = ledgers_[request.signal];
  const auto accept = [&] {
    for (const uint64_t item : request.items) {
      EXPECT_TRUE(ledger.accepted.insert(item).second) << item << " came twice";
      EXPECT_FALSE(ledger.refused.contains(item)) << item << " came after it was refused";
    }
    return Outcome::Delivered();
  };
  if (well_) return accept();
  // Some items are such that no request with one of them is ever answered in time, some are too large.
  for (const uint64_t item : request.items) {
    if (item % 50 == 7) return Outcome::Retry(Reason::kTimeout, "poison");
    if (item % 50 == 8) {
      if (request.items.size() == 1) ledger.refused.insert(item);
      return Outcome::Refused(Reason::kTooLarge, "giant");
    }
  }
  switch (random_() % 8) {
    case 0:
      return Outcome::Retry(Reason::kUnavailable, "busy");
    case 1:
      return Outcome::Retry(Reason::kThrottled, "slow down", base::Nanos(random_() % 100'000));
    case 2:
      if (!Chance(20)) return accept();
      for (const uint64_t item : request.items) EXPECT_TRUE(ledger.refused.insert(item).second);
      return Outcome::Refused(Reason::kRefused, "no");
    case 3: {
      Outcome outcome = accept();
      outcome.rejected_items = random_() % (request.items.size() + 1);
      ledger.rejected += outcome.rejected_items;
      return outcome;
    }
    default:
      return accept();
  }
}

void RandomPeer::Append() {
  const Signal signal = otlp::kSignals[random_() % 3];
  std::vector<Resource> resources(1 + random_() % 3);
  uint64_t items = 0, unwanted = 0;
  for (Resource& resource : resources) {
    resource.service = Chance(40) ? "unwanted" : "wanted";
    resource.padding_bytes = Chance(10) ? random_() % 2'000 : random_() % 50;
    const uint64_t count = 1 + random_() % (Chance(5) ? 100 : 5);
    for (uint64_t i = 0; i < count; ++i) resource.items.push_back(++item_);
    items += count;
    if (resource.service == "unwanted") unwanted += count;
  }
  if (!rig_->Append(signal, resources)) return;
  ledgers_[signal].appended += items;
  if (select_) ledgers_[signal].unwanted += unwanted;
}

void RandomPeer::Step() {
  const uint32_t choice = random_() % 1'000;
  auto& pending = rig_->sink().pending;
  if (choice < 400) {
    Append();
  } else if (choice < 600 && !pending.empty()) {
    const size_t index = random_() % pending.size();
    rig_->sink().Answer(Decide(pending[index].request), index);
  } else if (choice < 601) {
    rig_->ReplaceSink(Script());
  } else if (choice < 603) {
    rig_->destination().SetOptions(RandomOptions(random_));
  }
  if (Chance(60)) {
    rig_->Turn();
    VerifyLedgers();
  }
}

void RandomPeer::VerifyLedgers() {
  for (const Signal signal : otlp::kSignals) {
    const Ledger& ledger = ledgers_[signal];
    Account account = rig_->account(signal);
    ASSERT_EQ(account.received, ledger.appended);
    // A frame that was cut is held as a whole until its last piece is through.
    ASSERT_LE(account.delivered + account.dropped["peer_rejected"], ledger.accepted.size());
    ASSERT_LE(account.dropped["refused"] + account.dropped["too_large"], ledger.refused.size());
    ASSERT_LE(account.dropped["not_matched"], ledger.unwanted);
  }
}

void RandomPeer::Heal() {
  well_ = true;
  rig_->destination().Drain();
  rig_->RunUntil([&] {
    while (!rig_->sink().pending.empty()) rig_->sink().Answer(Decide(rig_->sink().pending[0].request));
    return rig_->destination().held_items() == 0;
  });
  for (const Signal signal : otlp::kSignals) {
    const Ledger& ledger = ledgers_[signal];
    Account account = rig_->account(signal);
    EXPECT_EQ(account.received, ledger.appended);
    EXPECT_EQ(account.delivered, ledger.accepted.size() - ledger.rejected);
    EXPECT_EQ(account.dropped["peer_rejected"], ledger.rejected);
    EXPECT_EQ(account.dropped["refused"] + account.dropped["too_large"], ledger.refused.size());
    EXPECT_EQ(account.dropped["not_matched"], ledger.unwanted);
    EXPECT_EQ(account.received, account.delivered + account.dropped_items());
  }
  EXPECT_EQ(rig_->log().bytes(), 0u);
}

TEST(DeliveryLedger, ClosesWhateverAPeerDoes) {
  for (uint32_t seed = 0; seed < tests::RandomCases(20); ++seed) {
    SCOPED_TRACE(seed);
    RandomPeer peer(seed);
    for (int step = 0; step < 700; ++step) {
      peer.Step();
      ASSERT_FALSE(testing::Test::HasFailure()) << "step " << step;
    }
    if (seed % 4 != 0) peer.Heal();  // the others go with everything under way
  }
}

}  // namespace
}  // namespace tributary::pipeline
