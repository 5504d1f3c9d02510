#include "otlp/signal.h"

namespace tributary::otlp {
namespace {

struct Names {
  std::string_view name, item, http_path, grpc_path;
};

constexpr PerSignal<Names> kNames = {{{
    {"traces", "spans", "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
    {"metrics", "data points", "/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
    {"logs", "log records", "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"},
}}};

}  // namespace

std::string_view Name(Signal signal) { return kNames[signal].name; }
std::string_view ItemName(Signal signal) { return kNames[signal].item; }
std::string_view HttpPath(Signal signal) { return kNames[signal].http_path; }
std::string_view GrpcPath(Signal signal) { return kNames[signal].grpc_path; }

}  // namespace tributary::otlp
