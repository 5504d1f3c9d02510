#include "tests/pipeline/items.h"

#include <gtest/gtest.h>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tributary::test {
namespace {

using opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using otlp::Signal;

void Name(opentelemetry::proto::resource::v1::Resource& resource, const std::string& service) {
  auto* attribute = resource.add_attributes();
  attribute->set_key("service.name");
  attribute->mutable_value()->set_string_value(service);
}

base::Bytes Serialized(const google::protobuf::MessageLite& message) {
  return base::Bytes(message.SerializeAsString());
}

template <typename Request>
Request Parsed(base::ByteView bytes) {
  Request request;
  EXPECT_TRUE(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return request;
}

base::Bytes MakeTraces(const std::vector<Resource>& resources) {
  ExportTraceServiceRequest request;
  for (const Resource& resource : resources) {
    auto* container = request.add_resource_spans();
    Name(*container->mutable_resource(), resource.service);
    auto* scope = container->add_scope_spans();
    for (const uint64_t item : resource.items) {
      auto* span = scope->add_spans();
      span->set_start_time_unix_nano(item);
      span->set_name(std::string(resource.padding_bytes, 'p'));
    }
  }
  return Serialized(request);
}

// Two data points to a metric.
base::Bytes MakeMetrics(const std::vector<Resource>& resources) {
  ExportMetricsServiceRequest request;
  for (const Resource& resource : resources) {
    auto* container = request.add_resource_metrics();
    Name(*container->mutable_resource(), resource.service);
    auto* scope = container->add_scope_metrics();
    for (size_t i = 0; i < resource.items.size(); ++i) {
      if (i % 2 == 0) scope->add_metrics()->set_description(std::string(resource.padding_bytes, 'p'));
      auto* metric = scope->mutable_metrics(scope->metrics_size() - 1);
      metric->mutable_gauge()->add_data_points()->set_time_unix_nano(resource.items[i]);
    }
  }
  return Serialized(request);
}

base::Bytes MakeLogs(const std::vector<Resource>& resources) {
  ExportLogsServiceRequest request;
  for (const Resource& resource : resources) {
    auto* container = request.add_resource_logs();
    Name(*container->mutable_resource(), resource.service);
    auto* scope = container->add_scope_logs();
    for (const uint64_t item : resource.items) {
      auto* record = scope->add_log_records();
      record->set_time_unix_nano(item);
      record->mutable_body()->set_string_value(std::string(resource.padding_bytes, 'p'));
    }
  }
  return Serialized(request);
}

std::vector<uint64_t> ItemsOf(const ExportTraceServiceRequest& request) {
  std::vector<uint64_t> items;
  for (const auto& container : request.resource_spans()) {
    for (const auto& scope : container.scope_spans()) {
      for (const auto& span : scope.spans()) items.push_back(span.start_time_unix_nano());
    }
  }
  return items;
}

std::vector<uint64_t> ItemsOf(const ExportMetricsServiceRequest& request) {
  std::vector<uint64_t> items;
  for (const auto& container : request.resource_metrics()) {
    for (const auto& scope : container.scope_metrics()) {
      for (const auto& metric : scope.metrics()) {
        for (const auto& point : metric.gauge().data_points()) items.push_back(point.time_unix_nano());
      }
    }
  }
  return items;
}

std::vector<uint64_t> ItemsOf(const ExportLogsServiceRequest& request) {
  std::vector<uint64_t> items;
  for (const auto& container : request.resource_logs()) {
    for (const auto& scope : container.scope_logs()) {
      for (const auto& record : scope.log_records()) items.push_back(record.time_unix_nano());
    }
  }
  return items;
}

}  // namespace

base::Bytes MakeRequest(Signal signal, const std::vector<Resource>& resources) {
  switch (signal) {
    case Signal::kTraces:
      return MakeTraces(resources);
    case Signal::kMetrics:
      return MakeMetrics(resources);
    case Signal::kLogs:
      return MakeLogs(resources);
  }
  return {};
}

std::vector<uint64_t> ItemsOf(Signal signal, base::ByteView bytes) {
  switch (signal) {
    case Signal::kTraces:
      return ItemsOf(Parsed<ExportTraceServiceRequest>(bytes));
    case Signal::kMetrics:
      return ItemsOf(Parsed<ExportMetricsServiceRequest>(bytes));
    case Signal::kLogs:
      return ItemsOf(Parsed<ExportLogsServiceRequest>(bytes));
  }
  return {};
}

}  // namespace tributary::test
