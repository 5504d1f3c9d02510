#include "pipeline/intake.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/pipeline/items.h"

namespace tributary::pipeline {
namespace {

using Kind = Intake::Verdict::Kind;
using otlp::Signal;
using std::chrono::seconds;
using From = Cursor::From;

class IntakeTest : public testing::Test {
 protected:
  Intake::Verdict Submit(Signal signal, base::Bytes request) {
    std::optional<Intake::Verdict> verdict;
    intake_.Submit(signal, std::move(request), {}, [&](Intake::Verdict answer) { verdict = std::move(answer); });
    return verdict.value();
  }
  // Takes requests until there is no room for another.
  void Fill() {
    while (Submit(Signal::kTraces, test::MakeRequest(Signal::kTraces, {{"a", {1}, 5'000}})).kind == Kind::kTaken) {
    }
  }
  bool PageHas(std::string_view line) const {
    base::MetricsText metrics;
    intake_.WriteMetrics(metrics);
    return metrics.Render().find(std::string(line) + "\n") != std::string::npos;
  }

  base::Loop loop_;
  Log log_{loop_, {.bytes_max = 100'000}};
  Intake intake_{log_};
};

TEST_F(IntakeTest, TakesWhatIsWellFormedByteForByte) {
  for (const Signal signal : otlp::kSignals) {
    const auto cursor = log_.OpenCursor(signal);
    const base::Bytes request = test::MakeRequest(signal, {{"a", {1, 2}}, {"b", {3}}});
    EXPECT_EQ(Submit(signal, base::Bytes(request.view())).kind, Kind::kTaken);
    const auto frame = cursor->Next(From::kLive);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->counts(), (otlp::Counts{.items = 3, .resources = 2}));
    EXPECT_EQ(base::AsText(frame->bytes()), base::AsText(request));
    const std::string labels = "{signal=\"" + std::string(otlp::Name(signal)) + "\"} ";
    EXPECT_TRUE(PageHas("tributary_intake_requests_total" + labels + "1"));
    EXPECT_TRUE(PageHas("tributary_intake_items_total" + labels + "3"));
    EXPECT_TRUE(PageHas("tributary_intake_bytes_total" + labels + std::to_string(request.size())));
  }
}

TEST_F(IntakeTest, SaysWhatIsMalformedAndKeepsNothingOfIt) {
  const auto cursor = log_.OpenCursor(Signal::kTraces);
  base::Bytes request = test::MakeRequest(Signal::kTraces, {{"a", {1, 2}}});
  request.ResizeUninitialized(request.size() - 1);
  const Intake::Verdict verdict = Submit(Signal::kTraces, std::move(request));
  EXPECT_EQ(verdict.kind, Kind::kMalformed);
  EXPECT_NE(verdict.detail, "");
  EXPECT_FALSE(cursor->Next(From::kLive));
  EXPECT_TRUE(PageHas("tributary_refused_requests_total{signal=\"traces\",reason=\"malformed\"} 1"));
  EXPECT_TRUE(PageHas("tributary_intake_requests_total{signal=\"traces\"} 0"));
}

TEST_F(IntakeTest, TakesEmptyRequestsAndKeepsNothing) {
  const auto cursor = log_.OpenCursor(Signal::kTraces);
  EXPECT_EQ(Submit(Signal::kTraces, base::Bytes()).kind, Kind::kTaken);
  EXPECT_EQ(Submit(Signal::kTraces, test::MakeRequest(Signal::kTraces, {{"a", {}}})).kind, Kind::kTaken);
  EXPECT_FALSE(cursor->Next(From::kLive));
  EXPECT_TRUE(PageHas("tributary_intake_requests_total{signal=\"traces\"} 2"));
  EXPECT_TRUE(PageHas("tributary_intake_items_total{signal=\"traces\"} 0"));
}

TEST_F(IntakeTest, UnderPressureTellsSendersWhenToComeBackAndTakesAgainWhenThereIsRoom) {
  const auto cursor = log_.OpenCursor(Signal::kTraces);
  Fill();
  const base::Bytes request = test::MakeRequest(Signal::kLogs, {{"a", {1}, 5'000}});
  const auto logs = log_.OpenCursor(Signal::kLogs);
  const Intake::Verdict verdict = Submit(Signal::kLogs, base::Bytes(request.view()));
  EXPECT_EQ(verdict.kind, Kind::kPressure);
  EXPECT_GE(verdict.retry_after, seconds(1));
  EXPECT_LE(verdict.retry_after, seconds(30));
  const auto pressure = intake_.Pressure(request.size());
  ASSERT_TRUE(pressure);
  EXPECT_GE(*pressure, seconds(1));
  EXPECT_FALSE(intake_.Pressure(0));
  EXPECT_TRUE(PageHas("tributary_refused_requests_total{signal=\"logs\",reason=\"pressure\"} 1"));

  while (const auto frame = cursor->Next(From::kLive)) cursor->Acknowledge(*frame);
  EXPECT_FALSE(intake_.Pressure(request.size()));
  EXPECT_EQ(Submit(Signal::kLogs, base::Bytes(request.view())).kind, Kind::kTaken);
}

TEST_F(IntakeTest, UnderPressureStillSaysThatMalformedIsMalformed) {
  const auto cursor = log_.OpenCursor(Signal::kTraces);
  Fill();
  EXPECT_EQ(Submit(Signal::kTraces, base::Bytes(std::string_view("\x0a\x7f", 2))).kind, Kind::kMalformed);
}

TEST_F(IntakeTest, CountsWhatServersRefused) {
  intake_.CountRefused(Signal::kMetrics, Intake::Refusal::kTooLarge);
  intake_.CountRefused(Signal::kMetrics, Intake::Refusal::kTimeout);
  intake_.CountRefused(Signal::kMetrics, Intake::Refusal::kTimeout);
  EXPECT_TRUE(PageHas("tributary_refused_requests_total{signal=\"metrics\",reason=\"too_large\"} 1"));
  EXPECT_TRUE(PageHas("tributary_refused_requests_total{signal=\"metrics\",reason=\"timeout\"} 2"));
}

}  // namespace
}  // namespace tributary::pipeline
