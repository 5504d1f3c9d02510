#include "bench/shop/shop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

namespace tributary::bench::shop {
namespace {

using opentelemetry::proto::trace::v1::Status;

using testing::SizeIs;

constexpr uint64_t kStartUnixNs = 1'800'000'000'000'000'000;

struct SeenSpan {
  std::string service;
  Span span;
};

// By trace id, then span id.
using SeenTraces = std::map<std::string, std::map<std::string, SeenSpan>>;

SeenTraces TakeTraces(Shop& shop) {
  SeenTraces traces;
  for (Service& service : shop.services()) {
    const auto request = service.TakeSpans();
    for (const auto& resource_spans : request.resource_spans()) {
      for (const Span& span : resource_spans.scope_spans(0).spans()) {
        EXPECT_TRUE(traces[span.trace_id()].try_emplace(span.span_id(), service.name(), span).second);
      }
    }
  }
  return traces;
}

TEST(Shop, MakesWholeTraces) {
  Shop shop(1, kStartUnixNs);
  for (int i = 0; i < 200; ++i) shop.Visit(kStartUnixNs);
  const SeenTraces traces = TakeTraces(shop);
  EXPECT_EQ(traces.size(), 200u);
  for (const auto& [trace_id, spans] : traces) {
    int roots = 0;
    for (const auto& [span_id, seen] : spans) {
      EXPECT_THAT(trace_id, SizeIs(16));
      EXPECT_THAT(span_id, SizeIs(8));
      if (seen.span.parent_span_id().empty()) {
        ++roots;
        EXPECT_EQ(seen.service, "gw");
        continue;
      }
      const auto parent = spans.find(seen.span.parent_span_id());
      ASSERT_NE(parent, spans.end());
      EXPECT_GE(seen.span.start_time_unix_nano(), parent->second.span.start_time_unix_nano());
      if (seen.span.kind() == Span::SPAN_KIND_CONSUMER) continue;  // nobody waits for it
      EXPECT_LE(seen.span.end_time_unix_nano(), parent->second.span.end_time_unix_nano());
    }
    EXPECT_EQ(roots, 1);
  }
}

TEST(Shop, CrossesFromServiceToServiceOnlyBetweenClientAndServer) {
  Shop shop(1, kStartUnixNs);
  for (int i = 0; i < 200; ++i) shop.Visit(kStartUnixNs);
  const SeenTraces traces = TakeTraces(shop);
  for (const auto& [trace_id, spans] : traces) {
    for (const auto& [span_id, seen] : spans) {
      const auto parent = spans.find(seen.span.parent_span_id());
      if (parent == spans.end() || parent->second.service == seen.service) continue;
      if (seen.span.kind() == Span::SPAN_KIND_CONSUMER) {
        EXPECT_EQ(parent->second.span.kind(), Span::SPAN_KIND_PRODUCER);
        EXPECT_EQ(seen.span.links_size(), 1);
      } else {
        EXPECT_EQ(seen.span.kind(), Span::SPAN_KIND_SERVER);
        EXPECT_EQ(parent->second.span.kind(), Span::SPAN_KIND_CLIENT);
      }
    }
  }
}

TEST(Shop, PutsEveryServiceToWork) {
  Shop shop(1, kStartUnixNs);
  for (int i = 0; i < 500; ++i) shop.Visit(kStartUnixNs);
  shop.Sample(5);
  for (Service& service : shop.services()) {
    const auto metrics = service.Collect(kStartUnixNs + 1);
    EXPECT_GT(metrics.resource_metrics(0).scope_metrics(0).metrics_size(), 2) << service.name();
    EXPECT_EQ(service.TakeSpans().resource_spans_size(), 1) << service.name();
    EXPECT_EQ(service.TakeSpans().resource_spans_size(), 0) << "spans are taken once";
  }
}

TEST(Shop, LogsInTheTraceThatIsActive) {
  Shop shop(1, kStartUnixNs);
  shop.Visit(kStartUnixNs);
  Service& gw = shop.services()[0];
  const auto logs = gw.TakeLogs();
  const SeenTraces traces = TakeTraces(shop);
  ASSERT_EQ(logs.resource_logs_size(), 1);
  for (const auto& record : logs.resource_logs(0).scope_logs(0).log_records()) {
    ASSERT_TRUE(traces.contains(record.trace_id()));
    EXPECT_TRUE(traces.at(record.trace_id()).contains(record.span_id()));
  }
}

// Whether a visit in a thousand ends with an error, and what part of them does.
double ErrorShare(Incident incident) {
  Shop shop(1, kStartUnixNs);
  shop.set_incident(incident);
  for (int i = 0; i < 1000; ++i) shop.Visit(kStartUnixNs);
  int errors = 0;
  const SeenTraces traces = TakeTraces(shop);
  for (const auto& [trace_id, spans] : traces) {
    errors += std::ranges::any_of(
        spans, [](const auto& seen) { return seen.second.span.status().code() == Status::STATUS_CODE_ERROR; });
  }
  return errors / 1000.0;
}

TEST(Shop, FailsNowAndThenAndMoreInAnIncident) {
  const double usual = ErrorShare(Incident::kNone);
  EXPECT_GT(usual, 0.005);
  EXPECT_LT(usual, 0.1);
  EXPECT_GT(ErrorShare(Incident::kPaymentProviderDown), usual + 0.02);
}

TEST(Service, KeepsHistogramsConsistent) {
  Service service("s", "cpp", "1", "s-0", kStartUnixNs);
  for (const double value : {0.001, 0.03, 0.03, 2.0, 99.0}) {
    service.RecordSeconds("duration", {}, value, {"trace", "span"}, kStartUnixNs);
    service.RecordExponential("size", "By", {}, value);
  }
  const auto metrics = service.Collect(kStartUnixNs + 1);
  const auto& scope_metrics = metrics.resource_metrics(0).scope_metrics(0);
  ASSERT_EQ(scope_metrics.metrics_size(), 2);
  const auto& explicit_point = scope_metrics.metrics(0).histogram().data_points(0);
  EXPECT_EQ(explicit_point.count(), 5u);
  EXPECT_EQ(explicit_point.bucket_counts_size(), explicit_point.explicit_bounds_size() + 1);
  EXPECT_EQ(explicit_point.bucket_counts(0), 1u);   // up to 5 ms
  EXPECT_EQ(explicit_point.bucket_counts(3), 2u);   // up to 50 ms
  EXPECT_EQ(explicit_point.bucket_counts(14), 1u);  // above 10 s
  EXPECT_EQ(explicit_point.max(), 99);

  const auto& point = scope_metrics.metrics(1).exponential_histogram().data_points(0);
  const auto& positive = point.positive();
  EXPECT_EQ(point.min(), 0.001);
  uint64_t counted = 0;
  for (const uint64_t bucket : positive.bucket_counts()) counted += bucket;
  EXPECT_EQ(counted, 5u);
  const double base = std::pow(2, std::pow(2, -point.scale()));
  EXPECT_LE(std::pow(base, positive.offset()), 0.001);
  EXPECT_GE(std::pow(base, positive.offset() + positive.bucket_counts_size()), 99);
}

}  // namespace
}  // namespace tributary::bench::shop
