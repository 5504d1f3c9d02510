#include "pipeline/otlp_service.h"

#include <strings.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "otlp/json.h"
#include "pipeline/batch_header.h"

namespace tributary::pipeline {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kEncodings = "identity, gzip, deflate, zstd";

// How much larger than its JSON a request may become. Telemetry becomes smaller; long lists of small numbers do not.
constexpr size_t kJsonGrowthMax = 2;
constexpr size_t kJsonResultBytesMin = 64 << 10;  // allowed in any case
// Memory for each byte of a JSON request, while it is read: itself, the work, and the result.
constexpr size_t kJsonBytesPerByte = 1 + otlp::kJsonWorkBytesPerByte + kJsonGrowthMax;

// The field that a BadRequest blames: the request itself; the description says where in it.
constexpr std::string_view kWholeRequest = "request";

std::optional<otlp::Signal> Route(const HttpHead& head) {
  for (const otlp::Signal signal : otlp::kSignals) {
    if (head.path_untrusted == (head.is_grpc ? otlp::GrpcPath(signal) : otlp::HttpPath(signal))) return signal;
  }
  return std::nullopt;
}

// Media types are compared without their parameters ("; charset=utf-8") and without case, RFC 9110 section 8.3.1.
bool IsMediaType(std::string_view content_type_untrusted, std::string_view media_type) {
  std::string_view bare = content_type_untrusted.substr(0, content_type_untrusted.find(';'));
  while (bare.ends_with(' ') || bare.ends_with('\t')) bare.remove_suffix(1);
  return bare.size() == media_type.size() && strncasecmp(bare.data(), media_type.data(), bare.size()) == 0;
}

// How a request was sent, which is how it is answered.
OtlpService::Form FormOf(const HttpHead& head) {
  if (head.is_grpc) return OtlpService::Form::kGrpc;
  if (IsMediaType(head.content_type_untrusted, kProtobuf)) return OtlpService::Form::kProtobuf;
  if (IsMediaType(head.content_type_untrusted, kJson)) return OtlpService::Form::kJson;
  return OtlpService::Form::kUnknown;
}

// An answer that is not OK: trailers in gRPC, else a google.rpc.Status in the request's own encoding. To a request
// that is in no known encoding it is JSON, for whoever debugs it.
HttpResponse Refuse(OtlpService::Form form, int http_status, GrpcStatus status) {
  if (form == OtlpService::Form::kGrpc) {
    HttpResponse response;
    response.grpc = std::move(status);
    return response;
  }
  HttpResponse response{.status = http_status};
  if (status.retry_delay) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*status.retry_delay);
    response.headers.emplace_back("retry-after", std::to_string(seconds.count()));
  }
  if (form == OtlpService::Form::kProtobuf) {
    response.content_type = kProtobuf;
    response.body = EncodeRpcStatus(status);
  } else {
    response.content_type = kJson;
    response.body = base::Bytes(RpcStatusToJson(status));
  }
  return response;
}

HttpResponse Refuse(OtlpService::Form form, int http_status, GrpcCode code, std::string message) {
  GrpcStatus status;
  status.code = code;
  status.message = std::move(message);
  return Refuse(form, http_status, std::move(status));
}

HttpResponse Malformed(OtlpService::Form form, std::string detail) {
  GrpcStatus status;
  status.code = GrpcCode::kInvalidArgument;
  status.message = std::move(detail);
  status.bad_request_field = kWholeRequest;
  return Refuse(form, 400, std::move(status));
}

HttpResponse TryAgain(OtlpService::Form form, base::Nanos retry_after, std::string why) {
  GrpcStatus status;
  status.code = GrpcCode::kUnavailable;
  status.message = std::move(why);
  status.retry_delay = retry_after;
  return Refuse(form, 503, std::move(status));
}

HttpResponse Pressure(OtlpService::Form form, base::Nanos retry_after) {
  return TryAgain(form, retry_after, "memory for telemetry is full: try again later");
}

// What only a Tributary is told, which has said what it calls the request.
HttpResponse PartlyTaken(OtlpService::Form form, const std::vector<AckSet::Range>& taken) {
  HttpResponse response =
      Refuse(form, 409, GrpcCode::kAborted, "a part of this request is here already: send the rest alone");
  response.headers.emplace_back(kHaveField, FormatRanges(taken));
  return response;
}

// Export{Trace,Metrics,Logs}ServiceResponse with partial_success unset, which is no bytes in protobuf.
HttpResponse Success(OtlpService::Form form) {
  HttpResponse response;
  if (form == OtlpService::Form::kGrpc) {
    response.grpc.emplace();
  } else if (form == OtlpService::Form::kJson) {
    response.content_type = kJson;
    response.body = base::Bytes(std::string_view("{}"));
  } else {
    response.content_type = kProtobuf;
  }
  return response;
}

}  // namespace

HttpService::Admission OtlpService::Admit(const HttpHead& head, std::optional<size_t> body_bytes) {
  return {.body_bytes_max = RequestBytesMax(FormOf(head)), .rejection = RefuseHead(head, body_bytes)};
}

size_t OtlpService::RequestBytesMax(Form form) const {
  const size_t taken = intake_.request_bytes_max();
  return std::min(options_.request_bytes_max, form == Form::kJson ? taken / kJsonBytesPerByte : taken);
}

std::optional<HttpResponse> OtlpService::RefuseHead(const HttpHead& head, std::optional<size_t> body_bytes) {
  const Form form = FormOf(head);
  const std::optional<otlp::Signal> signal = Route(head);
  if (!signal) {
    return Refuse(form, 404, head.is_grpc ? GrpcCode::kUnimplemented : GrpcCode::kNotFound,
                  "no such method: OTLP is served at /v1/traces, /v1/metrics and /v1/logs, and as gRPC");
  }
  if (head.method_untrusted != "POST") {
    HttpResponse response = Refuse(form, 405, GrpcCode::kUnimplemented, "only POST is served here");
    if (!head.is_grpc) response.headers.emplace_back("allow", "POST");
    return response;
  }
  if (form == Form::kUnknown) {
    intake_.CountRefused(*signal, Intake::Refusal::kBadContentType);
    return Refuse(form, 415, GrpcCode::kInvalidArgument,
                  "content-type must be application/x-protobuf or application/json");
  }
  if (!ParseEncoding(head.content_encoding_untrusted)) {
    intake_.CountRefused(*signal, Intake::Refusal::kBadEncoding);
    HttpResponse response =
        Refuse(form, 415, GrpcCode::kUnimplemented, "encodings taken are identity, gzip, deflate and zstd");
    response.headers.emplace_back(head.is_grpc ? "grpc-accept-encoding" : "accept-encoding", kEncodings);
    return response;
  }
  if (body_bytes.value_or(0) > RequestBytesMax(form)) return TooLarge(form, *signal);
  if (const auto retry_after = intake_.Pressure(body_bytes.value_or(0))) {
    intake_.CountRefused(*signal, Intake::Refusal::kPressure);
    return Pressure(form, *retry_after);
  }
  return std::nullopt;
}

// The message is what gRPC's own servers say, which clients recognise and answer by sending less at once.
HttpResponse OtlpService::TooLarge(Form form, otlp::Signal signal) {
  intake_.CountRefused(signal, Intake::Refusal::kTooLarge);
  return Refuse(form, 413, GrpcCode::kResourceExhausted,
                "Received message larger than max (" + std::to_string(RequestBytesMax(form)) + " bytes)");
}

HttpResponse OtlpService::OnBodyFault(const HttpHead& head, BodyFault fault) {
  const Form form = FormOf(head);
  const otlp::Signal signal = Route(head).value_or(otlp::Signal::kTraces);
  switch (fault) {
    case BodyFault::kTooLarge:
      return TooLarge(form, signal);
    case BodyFault::kTimeout:
      intake_.CountRefused(signal, Intake::Refusal::kTimeout);
      return Refuse(form, 408, GrpcCode::kDeadlineExceeded, "the request did not arrive, or was not answered, in time");
    case BodyFault::kNoMemory:
      intake_.CountRefused(signal, Intake::Refusal::kPressure);
      return Pressure(form, intake_.RetryAfter(0));
    case BodyFault::kMalformed:
      break;
  }
  intake_.CountRefused(signal, Intake::Refusal::kMalformed);
  return Malformed(form, "the body is not framed as its transport asks");
}

void OtlpService::OnRequest(const HttpHead& head, base::Bytes body, Reply reply) {
  const std::optional<otlp::Signal> signal = Route(head);
  CHECK(signal);  // Admit let it through
  if (auto refusal = Decode(head, *signal, body)) return reply(std::move(*refusal));

  Origin origin{.source = head.source, .batch = {}};
  if (!head.batch_untrusted.empty()) {
    auto batch = ParseBatchId(head.batch_untrusted);
    if (!batch) intake_.CountBadBatchId();
    origin.batch = std::move(batch).value_or(BatchId());
  }
  intake_.Submit(*signal, std::move(body), std::move(origin),
                 [form = FormOf(head), reply = std::move(reply)](Intake::Verdict verdict) mutable {
                   switch (verdict.kind) {
                     case Intake::Verdict::Kind::kTaken:
                       return reply(Success(form));
                     case Intake::Verdict::Kind::kMalformed:
                       return reply(Malformed(form, std::move(verdict.detail)));
                     case Intake::Verdict::Kind::kPressure:
                       return reply(Pressure(form, verdict.retry_after));
                     case Intake::Verdict::Kind::kUnderWay:
                       return reply(TryAgain(form, verdict.retry_after, "an earlier attempt at this is under way"));
                     case Intake::Verdict::Kind::kPartlyTaken:
                       return reply(PartlyTaken(form, verdict.taken));
                   }
                 });
}

std::optional<HttpResponse> OtlpService::Decode(const HttpHead& head, otlp::Signal signal, base::Bytes& body) {
  if (!head.content_encoding_untrusted.empty()) {
    if (auto refusal = Decompress(head, signal, body)) return refusal;
  }
  return FormOf(head) == Form::kJson ? FromJson(signal, body) : std::nullopt;
}

// What a compressed request grows to is bounded by what the Log has room for, so that memory asked for here is memory
// that may be held.
std::optional<HttpResponse> OtlpService::Decompress(const HttpHead& head, otlp::Signal signal, base::Bytes& body) {
  const Form form = FormOf(head);
  const Encoding encoding = *ParseEncoding(head.content_encoding_untrusted);
  if (encoding == Encoding::kIdentity) return std::nullopt;
  const DecompressLimits allowed{.bytes_max = RequestBytesMax(form)};
  const DecompressLimits affordable{.bytes_max = std::min(allowed.bytes_max, intake_.room_bytes())};
  base::Bytes plain;
  const auto done = decompressor_.Decompress(encoding, body, affordable, plain);
  if (done) {
    body = std::move(plain);
    return std::nullopt;
  }
  if (done.error() == DecompressError::kTooLarge) {
    if (affordable.OutputMax(body.size()) == allowed.OutputMax(body.size())) return TooLarge(form, signal);
    intake_.CountRefused(signal, Intake::Refusal::kPressure);
    return Pressure(form, intake_.RetryAfter(body.size()));
  }
  intake_.CountRefused(signal, Intake::Refusal::kMalformed);
  return Malformed(form, std::string("the body is not valid ") + std::string(Name(encoding)) +
                             (done.error() == DecompressError::kTruncated ? ": it ends too early" : ""));
}

// JSON is read as a whole, which takes several times its memory: that must fit where the result goes, too.
std::optional<HttpResponse> OtlpService::FromJson(otlp::Signal signal, base::Bytes& body) {
  const size_t needed = body.size() * kJsonBytesPerByte;
  if (needed > intake_.room_bytes()) {
    intake_.CountRefused(signal, Intake::Refusal::kPressure);
    return Pressure(Form::kJson, intake_.RetryAfter(needed));
  }
  auto request = otlp::JsonToProto(signal, body, std::max(body.size() * kJsonGrowthMax, kJsonResultBytesMin));
  if (request) {
    body = std::move(*request);
    return std::nullopt;
  }
  if (request.error().too_large) return TooLarge(Form::kJson, signal);
  intake_.CountRefused(signal, Intake::Refusal::kMalformed);
  return Malformed(Form::kJson, std::move(request.error().message));
}

}  // namespace tributary::pipeline
