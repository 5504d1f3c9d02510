// Service: one service of the demo shop as an OpenTelemetry SDK would see it: a Resource, spans and log records waiting
// to be exported, and instruments whose series are cumulative. Built from protobuf messages: this is an application,
// not part of what carries telemetry. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tributary::bench::shop {

using Value = std::variant<std::string, int64_t, double, bool>;
using Attributes = std::vector<std::pair<std::string, Value>>;

void SetAttributes(const Attributes& attributes,
                   google::protobuf::RepeatedPtrField<opentelemetry::proto::common::v1::KeyValue>& out);

// What a measurement can point back to.
struct SpanContext {
  std::string trace_id;
  std::string span_id;
};

class Service {
 public:
  Service(std::string_view name, std::string_view language, std::string_view version, std::string_view instance_id,
          uint64_t start_unix_ns);

  const std::string& name() const { return name_; }

  opentelemetry::proto::trace::v1::Span& AddSpan() { return *pending_spans_.add_spans(); }
  opentelemetry::proto::logs::v1::LogRecord& AddLog() { return *pending_logs_.add_log_records(); }

  // Histogram of seconds with the bounds that the semantic conventions recommend, and the last measurement as exemplar.
  void RecordSeconds(std::string_view metric, const Attributes& attributes, double seconds, const SpanContext& context,
                     uint64_t unix_ns);
  // The same as an exponential histogram.
  void RecordExponential(std::string_view metric, std::string_view unit, const Attributes& attributes, double value);
  void Add(std::string_view counter, std::string_view unit, const Attributes& attributes, double amount);
  void AddUpDown(std::string_view counter, std::string_view unit, const Attributes& attributes, int64_t amount);
  void Set(std::string_view gauge, std::string_view unit, const Attributes& attributes, double value);

  // What is waiting, handed over; empty requests have no items.
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest TakeSpans();
  opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest TakeLogs();
  // The state of every series at `unix_ns`.
  opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest Collect(uint64_t unix_ns) const;

 private:
  using Metric = opentelemetry::proto::metrics::v1::Metric;

  Metric& MetricNamed(std::string_view name, std::string_view unit);
  template <typename Points>
  auto& PointOf(Points& points, std::string_view metric, const Attributes& attributes);

  const std::string name_;
  const uint64_t start_unix_ns_;
  opentelemetry::proto::resource::v1::Resource resource_;
  opentelemetry::proto::common::v1::InstrumentationScope scope_;
  opentelemetry::proto::trace::v1::ScopeSpans pending_spans_;
  opentelemetry::proto::logs::v1::ScopeLogs pending_logs_;
  std::map<std::string, Metric, std::less<>> metrics_;
  std::map<std::string, int> series_;  // metric and attributes to the index of the point
};

}  // namespace tributary::bench::shop
