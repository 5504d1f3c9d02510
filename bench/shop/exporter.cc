#include "bench/shop/exporter.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/check.h"

namespace tributary::bench::shop {
namespace {

namespace collector = opentelemetry::proto::collector;

constexpr int kWaitingRequestsMax = 30;  // at one a second
constexpr auto kTimeout = std::chrono::seconds(2);

std::string_view Name(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    default:
      return "error";
  }
}

bool MayRetry(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED;
}

// Calls Export on `stub`; whether it was answered OK.
template <typename Stub, typename Request, typename Response>
grpc::Status Export(Stub& stub, const Request& request, Response response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  return stub.Export(&context, request, &response);
}

void Count(const collector::trace::v1::ExportTraceServiceRequest& request, Exported& exported) {
  for (const auto& resource : request.resource_spans()) {
    for (const auto& scope : resource.scope_spans()) exported.spans += static_cast<uint64_t>(scope.spans_size());
  }
}
void Count(const collector::logs::v1::ExportLogsServiceRequest& request, Exported& exported) {
  for (const auto& resource : request.resource_logs()) {
    for (const auto& scope : resource.scope_logs()) {
      exported.log_records += static_cast<uint64_t>(scope.log_records_size());
    }
  }
}

// Of `waiting`, drops what is over the limit; keeps the rest when `status` allows it to be sent again.
template <typename Resources, typename Request>
void Settle(const grpc::Status& status, Resources& resources, Request& waiting, Exported& exported) {
  if (status.ok()) {
    Count(waiting, exported);
    waiting.Clear();
    return;
  }
  exported.last_error = fmt::format("{}: {}", Name(status.error_code()), status.error_message());
  const int keep = MayRetry(status.error_code()) ? kWaitingRequestsMax : 0;
  if (const int over = resources.size() - keep; over > 0) {
    resources.DeleteSubrange(0, over);
    exported.dropped_requests += static_cast<uint64_t>(over);
  }
}

}  // namespace

Exporter::Exporter(Service& service, const std::string& endpoint) : service_(service) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or gRPC would send all services through one connection
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetUserAgentPrefix(fmt::format("OTel-OTLP-Exporter-shop-{}/1.30.0", service.name()));
  channel_ = grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  traces_ = collector::trace::v1::TraceService::NewStub(channel_);
  logs_ = collector::logs::v1::LogsService::NewStub(channel_);
  metrics_ = collector::metrics::v1::MetricsService::NewStub(channel_);
}

void Exporter::ExportSpansAndLogs(Exported& exported) {
  waiting_spans_.MergeFrom(service_.TakeSpans());
  if (waiting_spans_.resource_spans_size() != 0) {
    const auto status = Export(*traces_, waiting_spans_, collector::trace::v1::ExportTraceServiceResponse());
    Settle(status, *waiting_spans_.mutable_resource_spans(), waiting_spans_, exported);
  }
  waiting_logs_.MergeFrom(service_.TakeLogs());
  if (waiting_logs_.resource_logs_size() != 0) {
    const auto status = Export(*logs_, waiting_logs_, collector::logs::v1::ExportLogsServiceResponse());
    Settle(status, *waiting_logs_.mutable_resource_logs(), waiting_logs_, exported);
  }
}

// Series are cumulative: what is lost now, the next export tells too.
void Exporter::ExportMetrics(uint64_t unix_ns, Exported& exported) {
  const auto request = service_.Collect(unix_ns);
  if (request.resource_metrics_size() == 0) return;
  const auto status = Export(*metrics_, request, collector::metrics::v1::ExportMetricsServiceResponse());
  if (!status.ok()) {
    exported.last_error = fmt::format("{}: {}", Name(status.error_code()), status.error_message());
    return;
  }
  for (const auto& metric : request.resource_metrics(0).scope_metrics(0).metrics()) {
    exported.data_points += static_cast<uint64_t>(metric.sum().data_points_size() + metric.gauge().data_points_size() +
                                                  metric.histogram().data_points_size() +
                                                  metric.exponential_histogram().data_points_size());
  }
}

}  // namespace tributary::bench::shop
