#include "bench/item_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "bench/otlp_sample.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tributary::bench {
namespace {

using opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using otlp::Signal;
using testing::UnorderedElementsAre;

constexpr uint64_t kRun = 1'800'000'000'123'456'789;

class ItemIds : public testing::TestWithParam<Signal> {};

TEST_P(ItemIds, ReadBackWhatWasWrittenToEveryItem) {
  base::Bytes request = SampleRequest(GetParam(), 75, 1);
  std::vector<ItemIdPlace> places;
  FindItemIds(GetParam(), request, places);
  ASSERT_EQ(places.size(), 75u);
  for (uint64_t i = 0; i < places.size(); ++i) {
    WriteItemId(GetParam(), request.data(), places[i], {.run = kRun, .number = i + 1});
  }
  std::vector<ItemIdPlace> found;
  FindItemIds(GetParam(), request, found);
  ASSERT_EQ(found.size(), 75u);
  for (uint64_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(found[i].exists());
    const ItemId id = ReadItemId(GetParam(), request.data(), found[i]);
    EXPECT_EQ(id.run, kRun);
    EXPECT_EQ(id.number, i + 1);
  }
}
INSTANTIATE_TEST_SUITE_P(Signals, ItemIds, testing::ValuesIn(otlp::kSignals),
                         [](const auto& test) { return std::string(otlp::Name(test.param)); });

// Gives the first item id number 7 and parses the result.
template <typename Request>
Request WithId(Signal signal) {
  base::Bytes request = SampleRequest(signal, 1, 1);
  std::vector<ItemIdPlace> places;
  FindItemIds(signal, request, places);
  WriteItemId(signal, request.data(), places.at(0), {.run = kRun, .number = 7});
  Request parsed;
  EXPECT_TRUE(parsed.ParseFromArray(request.data(), static_cast<int>(request.size())));
  return parsed;
}

TEST(ItemIds, AreTheSpanAndTraceIdsOfSpans) {
  const auto request = WithId<ExportTraceServiceRequest>(Signal::kTraces);
  const auto& span = request.resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(span.span_id(), std::string("\0\0\0\0\0\0\0\7", 8));
  EXPECT_EQ(span.trace_id().substr(0, 8), std::string("\x18\xfa\xe2\x76\x9b\x0f\xcd\x15", 8));
}

TEST(ItemIds, AreTheSpanAndTraceIdsOfLogRecords) {
  const auto request = WithId<ExportLogsServiceRequest>(Signal::kLogs);
  const auto& record = request.resource_logs(0).scope_logs(0).log_records(0);
  EXPECT_EQ(record.span_id(), std::string("\0\0\0\0\0\0\0\7", 8));
  EXPECT_EQ(record.trace_id().substr(0, 8), std::string("\x18\xfa\xe2\x76\x9b\x0f\xcd\x15", 8));
}

TEST(ItemIds, AreTheTimesOfDataPoints) {
  const auto request = WithId<ExportMetricsServiceRequest>(Signal::kMetrics);
  const auto& point = request.resource_metrics(0).scope_metrics(0).metrics(0).sum().data_points(0);
  EXPECT_EQ(point.start_time_unix_nano(), kRun);
  EXPECT_EQ(point.time_unix_nano(), kRun + 7);
}

// Field by field what FindItemIds must not take for an identity.
TEST(ItemIds, AreMissingWhereAnItemHasNoRoomForThem) {
  ExportTraceServiceRequest request;
  auto& spans = *request.add_resource_spans()->add_scope_spans();
  spans.add_spans()->set_span_id("12345678");           // no trace id
  spans.add_spans()->set_trace_id("1234567812345678");  // no span id
  spans.mutable_spans(0)->set_name("GET /");
  auto& short_trace_id = *spans.add_spans();
  short_trace_id.set_trace_id("12345678");
  short_trace_id.set_span_id("12345678");
  auto& whole = *spans.add_spans();
  whole.set_trace_id("1234567812345678");
  whole.set_span_id("12345678");
  const std::string bytes = request.SerializeAsString();

  std::vector<ItemIdPlace> places;
  FindItemIds(Signal::kTraces, base::AsBytes(bytes), places);
  ASSERT_EQ(places.size(), 4u);
  EXPECT_FALSE(places[0].exists());
  EXPECT_FALSE(places[1].exists());
  EXPECT_FALSE(places[2].exists());
  EXPECT_TRUE(places[3].exists());
}

TEST(ItemIds, AreFoundInEveryKindOfMetric) {
  ExportMetricsServiceRequest request;
  auto& metrics = *request.add_resource_metrics()->add_scope_metrics();
  const auto add_point = [](auto* data, uint64_t number) {
    auto* point = data->add_data_points();
    point->set_start_time_unix_nano(kRun);
    point->set_time_unix_nano(kRun + number);
  };
  add_point(metrics.add_metrics()->mutable_gauge(), 1);
  add_point(metrics.add_metrics()->mutable_sum(), 2);
  add_point(metrics.add_metrics()->mutable_histogram(), 3);
  add_point(metrics.add_metrics()->mutable_exponential_histogram(), 4);
  add_point(metrics.add_metrics()->mutable_summary(), 5);
  const std::string bytes = request.SerializeAsString();

  std::vector<ItemIdPlace> places;
  FindItemIds(Signal::kMetrics, base::AsBytes(bytes), places);
  std::set<uint64_t> numbers;
  for (const ItemIdPlace& place : places) {
    ASSERT_TRUE(place.exists());
    numbers.insert(ReadItemId(Signal::kMetrics, base::AsBytes(bytes).data(), place).number);
  }
  EXPECT_THAT(numbers, UnorderedElementsAre(1, 2, 3, 4, 5));
}

TEST(ItemIds, OfATruncatedRequestAreThoseBeforeTheFault) {
  base::Bytes request = SampleRequest(Signal::kLogs, 3, 1);
  const size_t first_size = request.size();
  request.Append(SampleRequest(Signal::kLogs, 2, 2).view());  // the same as two ResourceLogs in one request
  for (size_t size = 0; size < request.size(); ++size) {
    const base::Bytes prefix(request.view().first(size));  // of its own, so that a sanitizer sees its end
    std::vector<ItemIdPlace> places;
    FindItemIds(Signal::kLogs, prefix, places);
    ASSERT_EQ(places.size(), size < first_size ? 0u : 3u) << size;
  }
}

}  // namespace
}  // namespace tributary::bench
