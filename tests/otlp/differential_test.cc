// otlp/ against libprotobuf on random requests: well-formed ones in every encoding, and damaged ones.
#include <gtest/gtest.h>

#include "tests/otlp/oracle.h"
#include "tests/otlp/random_request.h"
#include "tests/sanitized.h"

namespace tributary::otlp {
namespace {

constexpr uint64_t kRequests = tests::RandomCases(1000);
constexpr int kDamagedPerRequest = 10;

// `check` gets random requests, and damaged versions of each.
template <typename Check>
void ForRandomRequests(Signal signal, const Check& check) {
  for (uint64_t seed = 0; seed < kRequests && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomRequest random(seed);
    const auto message = NewRequest(signal);
    random.Fill(*message);
    const base::Bytes request = random.Encode(*message);
    check(random, request);
    for (int i = 0; i < kDamagedPerRequest; ++i) {
      base::Bytes damaged(request.view());
      random.Damage(damaged);
      check(random, damaged);
    }
  }
}

class Differential : public testing::TestWithParam<Signal> {};

TEST_P(Differential, EveryEncodingOfAMessageReadsAsThatMessage) {
  uint64_t items = 0;
  for (uint64_t seed = 0; seed < kRequests; ++seed) {
    RandomRequest random(seed);
    const auto message = NewRequest(GetParam());
    random.Fill(*message);
    const base::Bytes request = random.Encode(*message);
    const auto scanned = Scan(GetParam(), request);
    ASSERT_TRUE(scanned.has_value()) << "seed " << seed << ": " << scanned.error().Describe();
    ASSERT_EQ(*scanned, Count(*message)) << "seed " << seed;
    const auto parsed = Parse(GetParam(), request);
    ASSERT_NE(parsed, nullptr) << "seed " << seed;
    parsed->DiscardUnknownFields();
    ASSERT_EQ(parsed->SerializeAsString(), message->SerializeAsString()) << "seed " << seed;
    items += scanned->items;
  }
  EXPECT_GT(items, kRequests) << "the requests are too empty to test much";
}

TEST_P(Differential, ScanAgreesWithLibprotobuf) {
  ForRandomRequests(GetParam(), [](RandomRequest&, const base::Bytes& request) {
    ASSERT_EQ(ScanDisagreement(GetParam(), request), "");
  });
}

TEST_P(Differential, SpliceDoesWhatLibprotobufWouldDo) {
  using enum ResourceEdit::Conflict;
  ResourceEdit edit;
  edit.SetString("service.name", "checkout", kKeep);
  edit.SetString("k8s.pod.name", "checkout-7d4f", kReplace);
  edit.SetInt("process.pid", -1, kReplace);
  edit.SetBool("z", true, kKeep);
  edit.SetDouble("größer", 0.5, kReplace);
  ForRandomRequests(GetParam(), [&](RandomRequest&, const base::Bytes& request) {
    ASSERT_EQ(SpliceDisagreement(GetParam(), request, edit), "");
  });
}

TEST_P(Differential, SplitKeepsEveryItemWithWhatItStandsIn) {
  ForRandomRequests(GetParam(), [](RandomRequest& random, const base::Bytes& request) {
    const uint32_t items_max = 1 + random.Below(6);
    const size_t bytes_max = random.Chance(2) ? SIZE_MAX : random.Below(4000);
    ASSERT_EQ(SplitDisagreement(GetParam(), request, items_max, bytes_max), "");
  });
}

TEST_P(Differential, FilterKeepsWholeContainers) {
  ForRandomRequests(GetParam(), [](RandomRequest&, const base::Bytes& request) {
    ASSERT_EQ(FilterDisagreement(GetParam(), request), "");
  });
}

TEST(DifferentialPartition, SendsEverySpanToItsBucket) {
  ForRandomRequests(Signal::kTraces, [](RandomRequest& random, const base::Bytes& request) {
    ASSERT_EQ(PartitionDisagreement(request, 1 + random.Below(4)), "");
  });
}

INSTANTIATE_TEST_SUITE_P(Signals, Differential, testing::ValuesIn(kSignals),
                         [](const auto& signal) { return std::string(Name(signal.param)); });

}  // namespace
}  // namespace tributary::otlp
