// OTLP requests written as protobuf text, and OTLP/JSON read back as the same, for tests. libprotobuf is the oracle.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/bytes.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/json.h"
#include "otlp/scan.h"
#include "otlp/signal.h"

namespace tributary::gateway {

using opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

inline otlp::Signal SignalOf(const ExportTraceServiceRequest&) { return otlp::Signal::kTraces; }
inline otlp::Signal SignalOf(const ExportMetricsServiceRequest&) { return otlp::Signal::kMetrics; }
inline otlp::Signal SignalOf(const ExportLogsServiceRequest&) { return otlp::Signal::kLogs; }

template <typename Request>
Request FromText(const std::string& text) {
  Request request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

template <typename Request>
base::Bytes ToBytes(const Request& request) {
  return base::Bytes(std::string_view(request.SerializeAsString()));
}

template <typename Request>
Request FromJson(std::string_view json) {
  Request request;
  const auto bytes = otlp::JsonToProto(SignalOf(request), base::Bytes(json));
  EXPECT_TRUE(bytes && request.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) << json;
  return request;
}

}  // namespace tributary::gateway
