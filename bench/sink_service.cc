#include "bench/sink_service.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <optional>
#include <utility>

namespace tributary::bench {
namespace {

using otlp::Signal;
using pipeline::GrpcCode;
using pipeline::GrpcStatus;
using pipeline::HttpHead;
using pipeline::HttpResponse;

constexpr size_t kBodyBytesMax = 64 << 20;

std::optional<Signal> Route(const HttpHead& head) {
  for (const Signal signal : otlp::kSignals) {
    if (head.path_untrusted == (head.is_grpc ? otlp::GrpcPath(signal) : otlp::HttpPath(signal))) return signal;
  }
  return std::nullopt;
}

HttpResponse Taken(bool is_grpc) {
  HttpResponse response;
  if (is_grpc) {
    response.grpc.emplace();
  } else {
    response.content_type = "application/x-protobuf";
  }
  return response;
}

HttpResponse Refuse(bool is_grpc, int http_status, GrpcCode code, std::string_view message,
                    std::optional<base::Nanos> retry_after = std::nullopt) {
  const GrpcStatus status{.code = code, .message = std::string(message), .retry_delay = retry_after};
  HttpResponse response;
  if (is_grpc) {
    response.grpc = status;
    return response;
  }
  response.status = http_status;
  response.content_type = "application/x-protobuf";
  response.body = EncodeRpcStatus(status);
  if (retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*retry_after);
    response.headers.emplace_back("retry-after", std::to_string(seconds.count()));
  }
  return response;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

void SinkService::SetMode(Mode mode, base::Nanos retry_after) {
  mode_ = mode;
  retry_after_ = retry_after;
  if (mode == Mode::kStall) return;
  for (Stalled& stalled : std::exchange(stalled_, {})) {
    stalled.reply(Answer(stalled.is_grpc, stalled.signal, stalled.body));
  }
}

pipeline::HttpService::Admission SinkService::Admit(const HttpHead& head, std::optional<size_t>) {
  if (!Route(head)) {
    return {.rejection = Refuse(head.is_grpc, 404, GrpcCode::kUnimplemented, "only OTLP is served here")};
  }
  return {.body_bytes_max = kBodyBytesMax};
}

HttpResponse SinkService::OnBodyFault(const HttpHead& head, BodyFault fault) {
  ++refused_[fault == BodyFault::kTooLarge ? "body_too_large" : "body_fault"];
  if (fault == BodyFault::kTooLarge) return Refuse(head.is_grpc, 413, GrpcCode::kResourceExhausted, "too large");
  return Refuse(head.is_grpc, 503, GrpcCode::kUnavailable, "the body did not arrive");
}

void SinkService::OnRequest(const HttpHead& head, base::Bytes body, Reply reply) {
  const Signal signal = *Route(head);
  const auto encoding = pipeline::ParseEncoding(head.content_encoding_untrusted);
  if (!encoding) {
    ++refused_["bad_encoding"];
    return reply(Refuse(head.is_grpc, 415, GrpcCode::kUnimplemented, "unknown encoding"));
  }
  if (*encoding != pipeline::Encoding::kIdentity) {
    base::Bytes plain;
    if (!decompressor_.Decompress(*encoding, body, {}, plain)) {
      ++refused_["bad_compression"];
      return reply(Refuse(head.is_grpc, 400, GrpcCode::kInvalidArgument, "cannot be decompressed"));
    }
    body = std::move(plain);
  }
  if (mode_ == Mode::kStall) {
    stalled_.push_back({head.is_grpc, signal, std::move(body), std::move(reply)});
  } else {
    reply(Answer(head.is_grpc, signal, body));
  }
}

HttpResponse SinkService::Answer(bool is_grpc, Signal signal, base::ByteView body) {
  switch (mode_) {
    case Mode::kUnavailable:
      ++refused_["unavailable"];
      return Refuse(is_grpc, 503, GrpcCode::kUnavailable, "told to be unavailable");
    case Mode::kThrottle:
      ++refused_["throttle"];
      return Refuse(is_grpc, 503, GrpcCode::kUnavailable, "told to throttle", retry_after_);
    case Mode::kTooLarge:
      ++refused_["too_large"];
      return Refuse(is_grpc, 413, GrpcCode::kResourceExhausted, "told that this is too large");
    case Mode::kOk:
    case Mode::kStall:
      break;
  }
  ++requests_[signal];
  item_counts_[signal] += items_.Add(signal, body);
  bytes_ += body.size();
  return Taken(is_grpc);
}

std::string SinkService::StatsJson() const {
  std::string signals, runs, refused;
  for (const Signal signal : otlp::kSignals) {
    signals += fmt::format(R"({}"{}":{{"requests":{},"items":{},"foreign":{}}})", signals.empty() ? "" : ",",
                           otlp::Name(signal), requests_[signal], item_counts_[signal], items_.foreign(signal));
  }
  for (const auto& [key, run] : items_.runs()) {
    runs += fmt::format(
        R"({}{{"run":"{}","signal":"{}","unique":{},"duplicates":{},"highest":{},"missing":{},"fingerprint":"{:016x}"}})",
        runs.empty() ? "" : ",", key.second, otlp::Name(key.first), run.unique, run.duplicates, run.highest,
        run.missing(), run.fingerprint);
  }
  for (const auto& [reason, count] : refused_) {
    refused += fmt::format(R"({}"{}":{})", refused.empty() ? "" : ",", reason, count);
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return fmt::format(
      R"({{"signals":{{{}}},"runs":[{}],"bytes":{},"refused":{{{}}},"stalled":{},"cpu_user_s":{:.3f},"cpu_system_s":{:.3f}}})",
      signals, runs, bytes_, refused, stalled_.size(), Seconds(usage.ru_utime), Seconds(usage.ru_stime));
}

}  // namespace tributary::bench
