// OtlpService: what an OTLP server answers, to the letter of https://opentelemetry.io/docs/specs/otlp/, for both
// transports: OTLP/gRPC on the three Export methods, OTLP/HTTP on /v1/{traces,metrics,logs} in protobuf and JSON, each
// plain or compressed. A sender is told OK when the Intake's Log has its request, and otherwise which of the two it is:
// try again, and when (UNAVAILABLE with RetryInfo, 503 with Retry-After), or never (INVALID_ARGUMENT, 400, ...).
// Lives on the loop's thread.
#pragma once

#include <optional>
#include <string_view>

#include "otlp/signal.h"
#include "pipeline/compression.h"
#include "pipeline/http.h"
#include "pipeline/intake.h"

namespace tributary::pipeline {

class OtlpService final : public HttpService {
 public:
  struct Options {
    size_t request_bytes_max = 64 << 20;  // of one request, before and after decompression
  };

  enum class Form : uint8_t { kGrpc, kProtobuf, kJson, kUnknown };

  OtlpService(Intake& intake, Options options) : intake_(intake), options_(options) {}

  Admission Admit(const HttpHead& head, std::optional<size_t> body_bytes) override;
  HttpResponse OnBodyFault(const HttpHead& head, BodyFault fault) override;
  void OnRequest(const HttpHead& head, base::Bytes body, Reply reply) override;

  // For a new configuration.
  void set_request_bytes_max(size_t bytes_max) { options_.request_bytes_max = bytes_max; }

 private:
  // The largest request of a form, before and after decompression. What is larger would never find the memory for it.
  size_t RequestBytesMax(Form form) const;
  std::optional<HttpResponse> RefuseHead(const HttpHead& head, std::optional<size_t> body_bytes);
  HttpResponse TooLarge(Form form, otlp::Signal signal);
  // The request in protobuf, or the answer that refuses it.
  std::optional<HttpResponse> Decode(const HttpHead& head, otlp::Signal signal, base::Bytes& body);
  std::optional<HttpResponse> Decompress(const HttpHead& head, otlp::Signal signal, base::Bytes& body);
  std::optional<HttpResponse> FromJson(otlp::Signal signal, base::Bytes& body);

  Intake& intake_;
  Options options_;
  Decompressor decompressor_;
};

}  // namespace tributary::pipeline
