#include "otlp/partition.h"

#include <gtest/gtest.h>

#include "bench/otlp_sample.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/splice.h"
#include "otlp/wire.h"
#include "tests/otlp/oracle.h"

namespace tributary::otlp {
namespace {

using base::Bytes;
using base::ByteView;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

template <typename Request>
Request Parsed(const Part& part) {
  Request request;
  EXPECT_TRUE(request.ParseFromArray(part.request.data(), static_cast<int>(part.request.size())));
  return request;
}

TEST(Split, MakesOnePartOfARequestThatFits) {
  for (const Signal signal : kSignals) {
    const Bytes request = bench::SampleRequest(signal, 25, 1);
    const std::vector<Part> parts = Split(signal, request, 25, request.size());
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts[0].items, 25u);
    EXPECT_EQ(parts[0].request.size(), request.size());
    EXPECT_EQ(SplitDisagreement(signal, request, 25, request.size()), "");
  }
}

TEST(Split, FillsEachPartWithItems) {
  for (const Signal signal : kSignals) {
    const Bytes request = bench::SampleRequest(signal, 25, 1);
    const std::vector<Part> parts = Split(signal, request, 7, SIZE_MAX);
    ASSERT_EQ(parts.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(parts[i].items, i < 3 ? 7u : 4u);
    EXPECT_EQ(SplitDisagreement(signal, request, 7, SIZE_MAX), "");
  }
}

TEST(Split, FillsEachPartWithBytes) {
  for (const Signal signal : kSignals) {
    const Bytes request = bench::SampleRequest(signal, 200, 1);
    for (const size_t bytes_max : {size_t{2000}, size_t{16500}, request.size() - 1}) {
      const std::vector<Part> parts = Split(signal, request, UINT32_MAX, bytes_max);
      for (size_t i = 0; i < parts.size(); ++i) {
        EXPECT_LE(parts[i].request.size(), bytes_max);
        const bool last = i + 1 == parts.size();
        EXPECT_TRUE(last || parts[i].request.size() > bytes_max - 500) << "another item had fitted";
      }
      EXPECT_EQ(SplitDisagreement(signal, request, UINT32_MAX, bytes_max), "");
    }
  }
}

TEST(Split, PutsAnItemThatIsTooLargeInAPartOfItsOwn) {
  ExportTraceServiceRequest request;
  auto& scope = *request.add_resource_spans()->add_scope_spans();
  for (const size_t bytes : {10, 1000, 10}) scope.add_spans()->set_name(std::string(bytes, 'n'));
  const std::vector<Part> parts = Split(Signal::kTraces, Bytes(request.SerializeAsString()), 10, 100);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(Parsed<ExportTraceServiceRequest>(parts[1]).resource_spans(0).scope_spans(0).spans(0).name().size(), 1000u);
}

TEST(Split, RepeatsAMetricWhosePointsAreDivided) {
  ExportMetricsServiceRequest request;
  auto& metric = *request.add_resource_metrics()->add_scope_metrics()->add_metrics();
  metric.set_name("requests");
  metric.set_unit("1");
  metric.mutable_sum()->set_is_monotonic(true);
  metric.mutable_sum()->set_aggregation_temporality(opentelemetry::proto::metrics::v1::AGGREGATION_TEMPORALITY_DELTA);
  for (int i = 0; i < 5; ++i) metric.mutable_sum()->add_data_points()->set_as_int(i);
  const std::vector<Part> parts = Split(Signal::kMetrics, Bytes(request.SerializeAsString()), 2, SIZE_MAX);
  ASSERT_EQ(parts.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const auto part = Parsed<ExportMetricsServiceRequest>(parts[static_cast<size_t>(i)]);
    const auto& part_metric = part.resource_metrics(0).scope_metrics(0).metrics(0);
    EXPECT_EQ(part_metric.name(), "requests");
    EXPECT_EQ(part_metric.unit(), "1");
    EXPECT_TRUE(part_metric.sum().is_monotonic());
    EXPECT_EQ(part_metric.sum().aggregation_temporality(), metric.sum().aggregation_temporality());
    EXPECT_EQ(part_metric.sum().data_points(0).as_int(), 2 * i);
  }
}

TEST(Split, GivesNoPointItsTemporalityTwice) {
  // One Sum in two pieces, the second of which says the temporality of both.
  ExportMetricsServiceRequest first, second;
  first.add_resource_metrics()->add_scope_metrics()->add_metrics()->mutable_sum()->add_data_points()->set_as_int(1);
  auto& sum = *second.add_resource_metrics()->add_scope_metrics()->add_metrics()->mutable_sum();
  sum.add_data_points()->set_as_int(2);
  sum.set_aggregation_temporality(opentelemetry::proto::metrics::v1::AGGREGATION_TEMPORALITY_DELTA);
  const auto metric_of = [](const ExportMetricsServiceRequest& request) {
    return request.resource_metrics(0).scope_metrics(0).metrics(0).SerializeAsString();
  };
  Bytes scope, container, request;
  AppendLengthDelimited(scope, 2, metric_of(first) + metric_of(second));
  AppendLengthDelimited(container, 2, scope);
  AppendLengthDelimited(request, 1, container);
  const std::vector<Part> parts = Split(Signal::kMetrics, request, 1, SIZE_MAX);
  ASSERT_EQ(parts.size(), 2u);
  for (const Part& part : parts) {
    const auto parsed = Parsed<ExportMetricsServiceRequest>(part);
    EXPECT_EQ(parsed.resource_metrics(0).scope_metrics(0).metrics(0).sum().aggregation_temporality(),
              sum.aggregation_temporality());
  }
}

TEST(Split, LeavesOutPointsThatAnotherKindOfDataOverrules) {
  ExportMetricsServiceRequest gauge, sum;
  gauge.add_resource_metrics()->add_scope_metrics()->add_metrics()->mutable_gauge()->add_data_points()->set_as_int(1);
  sum.add_resource_metrics()->add_scope_metrics()->add_metrics()->mutable_sum()->add_data_points()->set_as_int(2);
  const auto metric_of = [](const ExportMetricsServiceRequest& request) {
    return request.resource_metrics(0).scope_metrics(0).metrics(0).SerializeAsString();
  };
  Bytes scope, container, request;
  AppendLengthDelimited(scope, 2, metric_of(gauge) + metric_of(sum));
  AppendLengthDelimited(container, 2, scope);
  AppendLengthDelimited(request, 1, container);
  const std::vector<Part> parts = Split(Signal::kMetrics, request, 10, SIZE_MAX);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].items, 1u);
  EXPECT_EQ(SplitDisagreement(Signal::kMetrics, request, 10, SIZE_MAX), "");
}

TEST(Split, LeavesOutWhatHoldsNoItem) {
  ExportTraceServiceRequest request;
  request.add_resource_spans()->add_scope_spans()->mutable_scope()->set_name("idle");
  EXPECT_TRUE(Split(Signal::kTraces, Bytes(request.SerializeAsString()), 10, SIZE_MAX).empty());
  EXPECT_TRUE(Split(Signal::kTraces, ByteView(), 10, SIZE_MAX).empty());
}

TEST(PartitionByTrace, SendsEverySpanToItsBucket) {
  const Bytes request = bench::SampleRequest(Signal::kTraces, 100, 1);
  EXPECT_EQ(PartitionDisagreement(request, 3), "");
  uint32_t items = 0;
  for (const Part& part : PartitionByTrace(request, 3, [](const TraceId& id) { return id[0] % 3u; })) {
    items += part.items;
  }
  EXPECT_EQ(items, 100u);
}

TEST(PartitionByTrace, LeavesABucketWithoutSpansEmpty) {
  const Bytes request = bench::SampleRequest(Signal::kTraces, 10, 1);
  const std::vector<Part> parts = PartitionByTrace(request, 2, [](const TraceId&) { return 1u; });
  EXPECT_TRUE(parts[0].request.empty());
  EXPECT_EQ(parts[0].items, 0u);
  EXPECT_EQ(base::AsText(parts[1].request), base::AsText(request));
}

TEST(FilterResources, KeepsTheContainersAskedFor) {
  for (const Signal signal : kSignals) {
    Bytes request = bench::SampleRequest(signal, 12, 1);
    const Bytes other = bench::SampleRequest(signal, 3, 1, 1);
    const size_t first_bytes = request.size();
    request.Append(other);
    const Part part = FilterResources(signal, request, [&](ByteView container) {
      EXPECT_EQ(ResourceStringAttribute(container, "service.name"), "checkout-svc");
      return container.size() < first_bytes / 2;
    });
    EXPECT_EQ(part.items, 3u);
    EXPECT_EQ(base::AsText(part.request), base::AsText(other));
  }
}

}  // namespace
}  // namespace tributary::otlp
