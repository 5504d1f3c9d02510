#include "bench/shop/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tributary::bench::shop {
namespace {

namespace otel = opentelemetry::proto;

// https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
constexpr std::array kSecondsBounds = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0};
constexpr int kExponentialScale = 3;  // buckets 9 % wide

void SetValue(const Value& value, otel::common::v1::AnyValue& out) {
  struct Setter {
    otel::common::v1::AnyValue& out;
    void operator()(const std::string& text) const { out.set_string_value(text); }
    void operator()(int64_t number) const { out.set_int_value(number); }
    void operator()(double number) const { out.set_double_value(number); }
    void operator()(bool flag) const { out.set_bool_value(flag); }
  };
  std::visit(Setter{out}, value);
}

std::string SeriesKey(std::string_view metric, const Attributes& attributes) {
  std::string key(metric);
  for (const auto& [name, value] : attributes) {
    otel::common::v1::AnyValue any;
    SetValue(value, any);
    key += fmt::format("\n{}={}", name, any.SerializeAsString());
  }
  return key;
}

}  // namespace

void SetAttributes(const Attributes& attributes, google::protobuf::RepeatedPtrField<otel::common::v1::KeyValue>& out) {
  for (const auto& [key, value] : attributes) {
    otel::common::v1::KeyValue& attribute = *out.Add();
    attribute.set_key(key);
    SetValue(value, *attribute.mutable_value());
  }
}

Service::Service(std::string_view name, std::string_view language, std::string_view version,
                 std::string_view instance_id, uint64_t start_unix_ns)
    : name_(name), start_unix_ns_(start_unix_ns) {
  SetAttributes({{"service.name", std::string(name)},
                 {"service.namespace", "shop"},
                 {"service.version", std::string(version)},
                 {"service.instance.id", std::string(instance_id)},
                 {"deployment.environment.name", "demo"},
                 {"telemetry.sdk.name", "opentelemetry"},
                 {"telemetry.sdk.language", std::string(language)},
                 {"telemetry.sdk.version", "1.30.0"}},
                *resource_.mutable_attributes());
  scope_.set_name(fmt::format("shop.{}", name));
  scope_.set_version(std::string(version));
}

Service::Metric& Service::MetricNamed(std::string_view name, std::string_view unit) {
  const auto [at, is_new] = metrics_.try_emplace(std::string(name));
  if (is_new) {
    at->second.set_name(std::string(name));
    at->second.set_unit(std::string(unit));
  }
  return at->second;
}

// The point of one series, made at its first measurement.
template <typename Points>
auto& Service::PointOf(Points& points, std::string_view metric, const Attributes& attributes) {
  const auto [at, is_new] = series_.try_emplace(SeriesKey(metric, attributes), points.size());
  if (is_new) {
    auto& point = *points.Add();
    point.set_start_time_unix_nano(start_unix_ns_);
    SetAttributes(attributes, *point.mutable_attributes());
  }
  return *points.Mutable(at->second);
}

void Service::RecordSeconds(std::string_view metric, const Attributes& attributes, double seconds,
                            const SpanContext& context, uint64_t unix_ns) {
  auto& histogram = *MetricNamed(metric, "s").mutable_histogram();
  histogram.set_aggregation_temporality(otel::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
  auto& point = PointOf(*histogram.mutable_data_points(), metric, attributes);
  if (point.bucket_counts_size() == 0) {
    point.mutable_explicit_bounds()->Add(kSecondsBounds.begin(), kSecondsBounds.end());
    point.mutable_bucket_counts()->Resize(static_cast<int>(kSecondsBounds.size()) + 1, 0);
    point.set_min(seconds);
  }
  const auto bucket = std::ranges::lower_bound(kSecondsBounds, seconds) - kSecondsBounds.begin();
  point.set_bucket_counts(static_cast<int>(bucket), point.bucket_counts(static_cast<int>(bucket)) + 1);
  point.set_count(point.count() + 1);
  point.set_sum(point.sum() + seconds);
  point.set_min(std::min(point.min(), seconds));
  point.set_max(std::max(point.max(), seconds));
  auto& exemplar = point.exemplars_size() == 0 ? *point.add_exemplars() : *point.mutable_exemplars(0);
  exemplar.set_time_unix_nano(unix_ns);
  exemplar.set_as_double(seconds);
  exemplar.set_trace_id(context.trace_id);
  exemplar.set_span_id(context.span_id);
}

void Service::RecordExponential(std::string_view metric, std::string_view unit, const Attributes& attributes,
                                double value) {
  auto& histogram = *MetricNamed(metric, unit).mutable_exponential_histogram();
  histogram.set_aggregation_temporality(otel::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
  auto& point = PointOf(*histogram.mutable_data_points(), metric, attributes);
  const bool first = point.count() == 0;
  point.set_scale(kExponentialScale);
  point.set_count(point.count() + 1);
  point.set_sum(point.sum() + value);
  point.set_min(first ? value : std::min(point.min(), value));
  point.set_max(first ? value : std::max(point.max(), value));

  // Bucket i holds (base^i, base^(i+1)], base = 2^(2^-scale); the buckets kept reach from the lowest to the highest
  // seen.
  const int bucket = static_cast<int>(std::ceil(std::log2(value) * (1 << kExponentialScale))) - 1;
  auto& buckets = *point.mutable_positive();
  auto& counts = *buckets.mutable_bucket_counts();
  if (counts.empty()) buckets.set_offset(bucket);
  if (bucket < buckets.offset()) {
    google::protobuf::RepeatedField<uint64_t> grown;
    grown.Resize(buckets.offset() - bucket, 0);
    grown.MergeFrom(counts);
    counts = std::move(grown);
    buckets.set_offset(bucket);
  }
  const int index = bucket - buckets.offset();
  if (index >= counts.size()) counts.Resize(index + 1, 0);
  counts.Set(index, counts.Get(index) + 1);
}

void Service::Add(std::string_view counter, std::string_view unit, const Attributes& attributes, double amount) {
  auto& sum = *MetricNamed(counter, unit).mutable_sum();
  sum.set_aggregation_temporality(otel::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
  sum.set_is_monotonic(true);
  auto& point = PointOf(*sum.mutable_data_points(), counter, attributes);
  point.set_as_double(point.as_double() + amount);
}

void Service::AddUpDown(std::string_view counter, std::string_view unit, const Attributes& attributes, int64_t amount) {
  auto& sum = *MetricNamed(counter, unit).mutable_sum();
  sum.set_aggregation_temporality(otel::metrics::v1::AGGREGATION_TEMPORALITY_CUMULATIVE);
  auto& point = PointOf(*sum.mutable_data_points(), counter, attributes);
  point.set_as_int(point.as_int() + amount);
}

void Service::Set(std::string_view gauge, std::string_view unit, const Attributes& attributes, double value) {
  PointOf(*MetricNamed(gauge, unit).mutable_gauge()->mutable_data_points(), gauge, attributes).set_as_double(value);
}

otel::collector::trace::v1::ExportTraceServiceRequest Service::TakeSpans() {
  otel::collector::trace::v1::ExportTraceServiceRequest request;
  if (pending_spans_.spans_size() == 0) return request;
  auto& resource_spans = *request.add_resource_spans();
  *resource_spans.mutable_resource() = resource_;
  *pending_spans_.mutable_scope() = scope_;
  resource_spans.add_scope_spans()->Swap(&pending_spans_);
  return request;
}

otel::collector::logs::v1::ExportLogsServiceRequest Service::TakeLogs() {
  otel::collector::logs::v1::ExportLogsServiceRequest request;
  if (pending_logs_.log_records_size() == 0) return request;
  auto& resource_logs = *request.add_resource_logs();
  *resource_logs.mutable_resource() = resource_;
  *pending_logs_.mutable_scope() = scope_;
  resource_logs.add_scope_logs()->Swap(&pending_logs_);
  return request;
}

otel::collector::metrics::v1::ExportMetricsServiceRequest Service::Collect(uint64_t unix_ns) const {
  otel::collector::metrics::v1::ExportMetricsServiceRequest request;
  if (metrics_.empty()) return request;
  auto& resource_metrics = *request.add_resource_metrics();
  *resource_metrics.mutable_resource() = resource_;
  auto& scope_metrics = *resource_metrics.add_scope_metrics();
  *scope_metrics.mutable_scope() = scope_;
  const auto stamp = [unix_ns](auto& data) {
    for (auto& point : *data.mutable_data_points()) point.set_time_unix_nano(unix_ns);
  };
  for (const auto& [name, state] : metrics_) {
    Metric& metric = *scope_metrics.add_metrics();
    metric = state;
    if (metric.has_histogram()) stamp(*metric.mutable_histogram());
    if (metric.has_exponential_histogram()) stamp(*metric.mutable_exponential_histogram());
    if (metric.has_sum()) stamp(*metric.mutable_sum());
    if (metric.has_gauge()) stamp(*metric.mutable_gauge());
  }
  return request;
}

}  // namespace tributary::bench::shop
