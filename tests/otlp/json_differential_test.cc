// otlp/json.h against libprotobuf's JSON on random requests, in every encoding.
#include <gtest/gtest.h>

#include "otlp/json.h"
#include "tests/otlp/json_oracle.h"
#include "tests/otlp/random_request.h"
#include "tests/sanitized.h"

namespace tributary::otlp {
namespace {

constexpr uint64_t kRequests = tests::RandomCases(400);

class JsonDifferential : public testing::TestWithParam<Signal> {};

TEST_P(JsonDifferential, EveryRequestBecomesTheSameJsonAndComesBack) {
  for (uint64_t seed = 0; seed < kRequests; ++seed) {
    RandomRequest random(seed);
    const auto message = NewRequest(GetParam());
    random.Fill(*message);
    GiveIdsTheirLength(*message);
    ASSERT_EQ(JsonDisagreement(GetParam(), base::Bytes(message->SerializeAsString())), "") << "seed " << seed;
    ASSERT_EQ(JsonDisagreement(GetParam(), random.Encode(*message)), "") << "seed " << seed;
  }
}

TEST_P(JsonDifferential, ARequestWithIdsOfWrongLengthsIsWrittenButNotRead) {
  uint64_t refused = 0;
  for (uint64_t seed = 0; seed < kRequests; ++seed) {
    RandomRequest random(seed);
    const auto message = NewRequest(GetParam());
    random.Fill(*message);
    const base::Bytes request = random.Encode(*message);
    ASSERT_EQ(JsonDisagreement(GetParam(), request), "") << "seed " << seed;
    std::string json;
    ProtoToJson(GetParam(), request, json);
    if (!JsonToProto(GetParam(), base::Bytes(json))) ++refused;
  }
  EXPECT_GT(refused, kRequests / 20);
}

TEST_P(JsonDifferential, DamagedJsonIsRefusedOrMakesARequest) {
  uint64_t accepted = 0;
  for (uint64_t seed = 0; seed < kRequests; ++seed) {
    RandomRequest random(seed);
    const auto message = NewRequest(GetParam());
    random.Fill(*message);
    GiveIdsTheirLength(*message);
    std::string json;
    ProtoToJson(GetParam(), base::Bytes(message->SerializeAsString()), json);
    for (int i = 0; i < 5; ++i) {
      base::Bytes damaged(json);
      random.Damage(damaged);
      const auto request = JsonToProto(GetParam(), damaged);
      if (!request) {
        ASSERT_FALSE(request.error().message.empty());
        continue;
      }
      ++accepted;
      ASSERT_TRUE(Scan(GetParam(), *request).has_value()) << "seed " << seed;
      ASSERT_EQ(JsonDisagreement(GetParam(), *request), "") << "seed " << seed;
    }
  }
  EXPECT_GT(accepted, kRequests / 20) << "too few to test much";
}

INSTANTIATE_TEST_SUITE_P(Signals, JsonDifferential, testing::ValuesIn(kSignals),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace tributary::otlp
