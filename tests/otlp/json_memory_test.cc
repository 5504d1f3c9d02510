// How much memory reading JSON takes at its worst, against the bound that otlp/json.h gives to those who pay for it.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "otlp/json.h"

namespace tributary::otlp {
namespace {

constexpr size_t kJsonBytes = 16 << 20;
constexpr size_t kSlackBytes = 2 << 20;  // of the allocator, and of measuring in pages

// Of this process: "VmRSS", or "VmHWM" for the most it was since StartPeak().
size_t MemoryBytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoul(line.substr(field.size() + 1)) << 10;
  }
  ADD_FAILURE() << "no " << field;
  return 0;
}
void StartPeak() { std::ofstream("/proc/self/clear_refs") << 5; }

std::string Repeat(const std::string& begin, const std::string& unit, const std::string& end) {
  std::string json = begin;
  json.reserve(kJsonBytes + unit.size() + end.size());
  while (json.size() < kJsonBytes) json += unit;
  return json + end;
}

struct Case {
  const char* name;
  Signal signal;
  std::string json;
};

const Case kCases[] = {
    {"OnlyBrackets", Signal::kTraces, Repeat("", "[", "")},
    {"OnlyCommas", Signal::kTraces, Repeat("{", ",", "")},
    {"EmptyMessages", Signal::kTraces, Repeat(R"({"resourceSpans":[{})", ",{}", "]}")},
    {"UnknownLists", Signal::kTraces, Repeat(R"({"x":[[])", ",[]", "]}")},
    {"Escapes", Signal::kTraces, Repeat(R"({"resourceSpans":[{"schemaUrl":")", R"(\n)", R"("}]})")},
    {"Numbers", Signal::kMetrics,
     Repeat(R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"explicitBounds":[0)",
            ",0", "]}]}}]}]}]}")},
    {"TheSameFieldAgainAndAgain", Signal::kMetrics,
     Repeat(R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"min":0)", R"(,"min":0)",
            "}]}}]}]}]}")},
    {"OutOfOrder", Signal::kTraces,
     Repeat(R"({"resourceSpans":[{"schemaUrl":"x","scopeSpans":[{"schemaUrl":"x","spans":[{"name":"x"})",
            R"(,{"name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"})", R"(],"scope":{}}],"resource":{}}]})")},
};

class JsonMemory : public testing::TestWithParam<Case> {};

TEST_P(JsonMemory, StaysWithinItsBound) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps memory of its own";
#endif
  const base::Bytes json(GetParam().json);
  const size_t result_bytes_max = 2 * json.size();
  malloc_trim(0);
  StartPeak();
  const size_t before = MemoryBytes("VmRSS");
  const auto request = JsonToProto(GetParam().signal, json, result_bytes_max);
  const size_t peak = MemoryBytes("VmHWM");
  ASSERT_GE(peak, before);
  EXPECT_LE(peak - before, json.size() * kJsonWorkBytesPerByte + result_bytes_max + kSlackBytes);
}

INSTANTIATE_TEST_SUITE_P(, JsonMemory, testing::ValuesIn(kCases),
                         [](const auto& the_case) { return std::string(the_case.param.name); });

TEST(JsonToProto, RefusesAResultThatIsTooLarge) {
  const base::Bytes json(std::string_view(R"({"resourceLogs":[{"schemaUrl":"0123456789"}]})"));
  const auto whole = JsonToProto(Signal::kLogs, json);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(JsonToProto(Signal::kLogs, json, whole->size()));
  const auto refused = JsonToProto(Signal::kLogs, json, whole->size() - 3);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().too_large);
  EXPECT_NE(refused.error().message.find("too large"), std::string::npos);
  EXPECT_FALSE(JsonToProto(Signal::kLogs, base::Bytes(std::string_view("{"))).error().too_large);
}

}  // namespace
}  // namespace tributary::otlp
