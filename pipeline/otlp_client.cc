#include "pipeline/otlp_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/check.h"
#include "pipeline/batch_header.h"
#include "pipeline/grpc_status.h"

namespace tributary::pipeline {
namespace {

constexpr size_t kGrpcPrefixBytes = 5;  // compressed or not, then the message's length

// Header names that the protocol sets itself, or that would change what a request is.
constexpr std::array kOwnHeaders = {
    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection",
    "te",   "upgrade",        "grpc-timeout", "grpc-encoding",    "tributary-batch"};

base::Status CheckHeader(std::string& name, const std::string& value) {
  const auto is_token = [](unsigned char c) {
    return std::isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (name.empty() || !std::ranges::all_of(name, is_token)) return base::Fail("header \"{}\": not a header name", name);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::ranges::find(kOwnHeaders, name) != kOwnHeaders.end()) return base::Fail("header \"{}\" cannot be set", name);
  const auto is_field_byte = [](unsigned char c) { return c == '\t' || (c >= ' ' && c != 0x7f); };
  if (!std::ranges::all_of(value, is_field_byte))
    return base::Fail("header \"{}\": its value has control characters", name);
  return {};
}

bool IsPath(std::string_view path) {
  return path.starts_with('/') && std::ranges::all_of(path, [](char c) { return c > ' ' && c <= '~' && c != '#'; });
}

std::vector<std::pair<std::string, std::string>> RequestHeaders(const OtlpClient::Options& options) {
  const std::string encoding(Name(options.compression));
  const bool compressed = options.compression != Encoding::kIdentity;
  std::vector<std::pair<std::string, std::string>> headers;
  if (options.protocol == OtlpClient::Protocol::kGrpc) {
    headers = {
        {"content-type", "application/grpc"}, {"te", "trailers"}, {"grpc-timeout", FormatGrpcTimeout(options.timeout)}};
    if (compressed) headers.emplace_back("grpc-encoding", encoding);
  } else {
    headers = {{"content-type", "application/x-protobuf"}};
    if (compressed) headers.emplace_back("content-encoding", encoding);
  }
  const auto is_user_agent = [](const auto& header) { return header.first == "user-agent"; };
  if (std::ranges::none_of(options.headers, is_user_agent)) headers.emplace_back("user-agent", options.user_agent);
  headers.insert(headers.end(), options.headers.begin(), options.headers.end());
  return headers;
}

}  // namespace

struct OtlpClient::Call {
  HttpCall http;
  Done done;
  uint32_t items = 0;
  base::Time deadline{};
  std::array<uint8_t, kGrpcPrefixBytes> prefix{};
  base::Bytes compressed;
  std::vector<iovec> body;
  std::string batch;  // the field's value
  Outcome outcome;    // once finished
};

base::Result<std::unique_ptr<OtlpClient>> OtlpClient::Create(base::Loop& loop, Options options) {
  HttpPool::Options pool;
  const bool grpc = options.protocol == Protocol::kGrpc;
  pool.version = grpc ? HttpPool::Version::kHttp2 : HttpPool::Version::kHttp1;
  if (options.endpoints.empty()) return base::Fail("no endpoint");
  bool tls = false;
  for (const std::string& text : options.endpoints) {
    base::Result<Endpoint> endpoint = Endpoint::Parse(text, grpc ? 4317 : 4318);
    if (!endpoint) return std::unexpected(endpoint.error());
    if (grpc && !endpoint->path.empty()) return base::Fail("endpoint \"{}\": gRPC endpoints have no path", text);
    if (!pool.endpoints.empty() && pool.endpoints.front().path != endpoint->path) {
      return base::Fail("endpoint \"{}\": endpoints of one destination have the same path", text);
    }
    tls |= endpoint->tls;
    pool.endpoints.push_back(std::move(*endpoint));
  }
  for (auto& [name, value] : options.headers) {
    if (base::Status fine = CheckHeader(name, value); !fine) return std::unexpected(fine.error());
  }
  if (options.compression == Encoding::kDeflate) return base::Fail("compression is none, gzip or zstd");
  if (tls) {
    base::Result<base::TlsContext> context =
        base::TlsContext::Client(options.tls, {grpc ? "h2" : "http/1.1"}, options.tls_verify);
    if (!context) return std::unexpected(context.error());
    pool.tls = std::move(*context);
  }
  for (const otlp::Signal signal : otlp::kSignals) {
    std::string& path = options.paths[signal];
    if (grpc) {
      path = otlp::GrpcPath(signal);
    } else if (path.empty()) {
      path = pool.endpoints.front().path + std::string(otlp::HttpPath(signal));
    } else if (!IsPath(path)) {
      return base::Fail("path \"{}\" is not one that a URL can have", path);
    }
  }
  pool.tls_server_name = options.tls_server_name;
  pool.connect_timeout = std::min(options.connect_timeout, options.timeout);
  pool.dns_servers = options.dns_servers;
  pool.headers = RequestHeaders(options);
  return std::unique_ptr<OtlpClient>(new OtlpClient(loop, std::move(options), std::move(pool)));
}

OtlpClient::OtlpClient(base::Loop& loop, Options options, HttpPool::Options pool)
    : loop_(loop),
      options_(std::move(options)),
      name_(options_.endpoints.front()),
      pool_(loop, std::move(pool)),
      tell_(loop, [this] { TellOutcomes(); }) {}

OtlpClient::~OtlpClient() {
  while (!calls_.empty()) {
    pool_.Cancel(calls_.front().http);
    Finish(calls_.begin(), Outcome::Retry(Reason::kConnect, name_ + ": the client was shut down"));
  }
  TellOutcomes();
}

void OtlpClient::Send(const Outgoing& outgoing, Done done) {
  const auto call = calls_.emplace(calls_.end());
  call->done = std::move(done);
  call->items = outgoing.items;
  call->deadline = loop_.now() + options_.timeout;
  if (outgoing.request.size() > options_.request_bytes_max) {
    return Finish(
        call, Outcome::Refused(Reason::kTooLarge, fmt::format("a request of {} bytes is larger than allowed ({})",
                                                              outgoing.request.size(), options_.request_bytes_max)));
  }
  Frame(outgoing, *call);
  call->http.path = options_.paths[outgoing.signal];
  if (outgoing.batch) {
    call->batch = FormatBatchId(outgoing.batch);
    call->http.field_name = kBatchField;
    call->http.field_value = call->batch;
  }
  call->http.answered = [this, call](HttpAnswer answer) {
    const std::string peer = call->http.peer.empty() ? name_ : call->http.peer;
    Finish(call, options_.protocol == Protocol::kGrpc ? GrpcOutcome(answer, peer) : HttpOutcome(answer, peer));
  };
  ArmTimer();
  pool_.Start(call->http);
}

void OtlpClient::Frame(const Outgoing& outgoing, Call& call) {
  const bool compressed = options_.compression != Encoding::kIdentity;
  if (options_.protocol == Protocol::kGrpc) call.body.push_back({call.prefix.data(), call.prefix.size()});
  if (compressed) {
    compressor_.Compress(options_.compression, outgoing.request, options_.compression_level, call.compressed);
    call.body.push_back({call.compressed.data(), call.compressed.size()});
  } else {
    const auto pieces = outgoing.request.pieces();
    call.body.insert(call.body.end(), pieces.begin(), pieces.end());
  }
  const size_t message_bytes = compressed ? call.compressed.size() : outgoing.request.size();
  call.prefix = {compressed, static_cast<uint8_t>(message_bytes >> 24), static_cast<uint8_t>(message_bytes >> 16),
                 static_cast<uint8_t>(message_bytes >> 8), static_cast<uint8_t>(message_bytes)};
  call.http.body = call.body;
  call.http.body_bytes = message_bytes + (options_.protocol == Protocol::kGrpc ? kGrpcPrefixBytes : 0);
}

// The Outcome is told later: whoever answered is in the middle of something, and Done may do anything.
void OtlpClient::Finish(Calls::iterator call, Outcome outcome) {
  outcome.rejected_items = std::min<uint64_t>(outcome.rejected_items, call->items);
  ++outcomes_[static_cast<size_t>(outcome.kind)];
  call->outcome = std::move(outcome);
  finished_.splice(finished_.end(), calls_, call);
  tell_.Ask();
}

void OtlpClient::TellOutcomes() {
  // Done may destroy this.
  Calls finished = std::exchange(finished_, {});
  for (Call& call : finished) call.done(std::move(call.outcome));
}

// One timer, for the oldest call. It is not touched when calls are answered in time, as nearly all are.
void OtlpClient::ArmTimer() {
  if (deadline_.pending() || calls_.empty()) return;
  deadline_ = loop_.RunAt(calls_.front().deadline, [this] { Expire(); });
}

void OtlpClient::Expire() {
  while (!calls_.empty() && calls_.front().deadline <= loop_.now()) {
    const auto call = calls_.begin();
    pool_.Cancel(call->http);
    const bool sent = !call->http.peer.empty();
    const std::string trouble = sent ? "" : pool_.Trouble();
    Finish(call,
           Outcome::Retry(Reason::kTimeout, fmt::format("{}: no {} in {:.1f} s{}{}", sent ? call->http.peer : name_,
                                                        sent ? "answer" : "connection", base::Seconds(options_.timeout),
                                                        trouble.empty() ? "" : "; ", trouble)));
  }
  ArmTimer();
}

void OtlpClient::WriteMetrics(std::string_view name, base::MetricsText& metrics) const {
  const base::MetricsText::Labels labels = {{"destination", name}};
  const HttpPool::Totals totals = pool_.totals();
  metrics.Gauge("tributary_client_addresses", "Addresses that a destination's name leads to.", labels,
                static_cast<double>(totals.addresses));
  metrics.Gauge("tributary_client_connections", "Connections to a destination that are ready.", labels,
                static_cast<double>(totals.connections));
  metrics.Counter("tributary_client_connection_failures_total",
                  "Connections to a destination that could not be made or broke.", labels,
                  static_cast<double>(totals.connect_failures));
  metrics.Counter("tributary_client_sent_bytes_total", "Bytes sent to a destination, before TLS.", labels,
                  static_cast<double>(totals.sent_bytes));
  metrics.Counter("tributary_client_received_bytes_total", "Bytes received from a destination, after TLS.", labels,
                  static_cast<double>(totals.received_bytes));
  constexpr std::array<std::string_view, 3> kResults = {"delivered", "retry", "refused"};
  for (size_t i = 0; i < kResults.size(); ++i) {
    metrics.Counter("tributary_client_requests_total", "Requests to a destination, by what became of them.",
                    {{"destination", name}, {"result", kResults[i]}}, static_cast<double>(outcomes_[i]));
  }
}

}  // namespace tributary::pipeline
