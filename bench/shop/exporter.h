// Exporter: how each service of the demo shop sends its telemetry: OTLP/gRPC on a connection of its own, like a process
// of its own. What could not be sent waits, up to a limit, and is sent with what comes next. One thread; calls block.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "bench/shop/service.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.grpc.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace tributary::bench::shop {

struct Exported {
  uint64_t spans = 0;
  uint64_t data_points = 0;
  uint64_t log_records = 0;
  uint64_t dropped_requests = 0;
  std::string last_error;  // "UNAVAILABLE: connection refused"
};

class Exporter {
 public:
  Exporter(Service& service, const std::string& endpoint);

  void ExportSpansAndLogs(Exported& exported);
  void ExportMetrics(uint64_t unix_ns, Exported& exported);

 private:
  Service& service_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<opentelemetry::proto::collector::trace::v1::TraceService::Stub> traces_;
  std::unique_ptr<opentelemetry::proto::collector::logs::v1::LogsService::Stub> logs_;
  std::unique_ptr<opentelemetry::proto::collector::metrics::v1::MetricsService::Stub> metrics_;
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest waiting_spans_;
  opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest waiting_logs_;
};

}  // namespace tributary::bench::shop
