#include "pipeline/listeners.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/socket.h"
#include "base/tls.h"

namespace tributary::pipeline {
namespace {

// 64 MiB, unless that would leave too little of the memory for receiving to all the others.
size_t RequestBytesMax(size_t receive_bytes_max) { return std::min<size_t>(64 << 20, receive_bytes_max * 3 / 4); }

base::Status ListenAt(HttpServer& server, std::string_view what, const std::string& address_text,
                      const std::shared_ptr<const base::TlsContext>& tls) {
  if (address_text.empty()) return {};
  const auto address = base::Address::Parse(address_text);
  if (!address) return std::unexpected(address.error());
  const auto bound = server.Listen(*address, tls);
  if (!bound) return base::Fail("{} ({})", bound.error().message, what);
  spdlog::info("{} at {}{}", what, bound->ToString(), tls ? " with TLS" : "");
  return {};
}

}  // namespace

Listeners::Listeners(base::Loop& loop, Intake& intake, size_t receive_bytes_max)
    : receive_budget_(receive_bytes_max),
      page_budget_(kPageBytesMax),
      otlp_(intake, {.request_bytes_max = RequestBytesMax(receive_bytes_max)}),
      otlp_server_(loop, receive_budget_, otlp_),
      page_server_(loop, page_budget_, pages_) {}

base::Status Listeners::Open(const ListenSettings& settings) {
  std::shared_ptr<const base::TlsContext> tls;
  if (!settings.tls.cert_file.empty()) {
    auto context = base::TlsContext::Server(settings.tls, HttpServer::Alpn());
    if (!context) return std::unexpected(context.error());
    tls = std::make_shared<const base::TlsContext>(std::move(*context));
  }
  if (auto status = ListenAt(page_server_, "health", settings.health, nullptr); !status) return status;
  if (settings.metrics != settings.health) {
    if (auto status = ListenAt(page_server_, "metrics", settings.metrics, nullptr); !status) return status;
  }
  if (auto status = ListenAt(otlp_server_, "OTLP/gRPC", settings.grpc, tls); !status) return status;
  return ListenAt(otlp_server_, "OTLP/HTTP", settings.http, tls);
}

void Listeners::set_receive_bytes_max(size_t bytes) {
  receive_budget_.set_bytes_max(bytes);
  otlp_.set_request_bytes_max(RequestBytesMax(bytes));
}

void Listeners::Drain() { otlp_server_.Drain(); }

void Listeners::WriteMetrics(base::MetricsText& metrics) const {
  metrics.Gauge("tributary_receive_bytes", "Memory of connections and of requests being received.", {},
                static_cast<double>(receive_budget_.bytes()));
  metrics.Gauge("tributary_receive_bytes_max", "What that memory is bounded by.", {},
                static_cast<double>(receive_budget_.bytes_max()));
  otlp_server_.WriteMetrics("otlp", metrics);
}

}  // namespace tributary::pipeline
