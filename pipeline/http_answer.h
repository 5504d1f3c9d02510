// HttpAnswer: what came back for one OTLP request, and what it means for the request: delivered, to be tried again, or
// refused for good. The classes of answers are those of the OTLP specification:
// https://opentelemetry.io/docs/specs/otlp/#failures and #failures-1
//
// Everything in an answer is the peer's word: it is read within bounds, and quoted in Outcomes short and printable.
// Any thread, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "pipeline/outcome.h"

namespace tributary::pipeline {

struct HttpAnswer {
  enum class End : uint8_t {
    kComplete,  // a whole response
    kBroken,    // the connection failed or closed before the response was whole
    kReset,     // HTTP/2: the stream was given up, for the reason `reset_code`
    kTooLarge,  // the response passed kBodyBytesMax or kHeadBytesMax
  };
  // A response longer than this is refused, as OTLP recommends. Of a shorter one the first kBodyBytesKept are kept,
  // plenty for a Status or a partial success: so a backend cannot make its clients grow.
  static constexpr size_t kBodyBytesMax = 4 << 20;
  static constexpr size_t kBodyBytesKept = 64 << 10;
  // All header and trailer fields together, counted as HTTP/2 does: name + value + 32.
  static constexpr size_t kHeadBytesMax = 16 << 10;

  // Keeps what matters of a header or trailer field; the name in lower case. False when the head passed kHeadBytesMax.
  [[nodiscard]] bool TakeField(std::string_view name_untrusted, std::string_view value_untrusted);
  // Adds to the body; false when it passed kBodyBytesMax.
  [[nodiscard]] bool TakeBody(base::ByteView chunk_untrusted);

  End end = End::kComplete;
  uint32_t reset_code = 0;  // RFC 9113, section 7
  int status = 0;
  std::string content_type_untrusted;
  std::string retry_after_untrusted;
  std::string location_untrusted;
  std::string have_untrusted;  // the field tributary-have (batch_header.h)
  std::optional<std::string> grpc_status_untrusted;
  std::string grpc_message_untrusted;
  std::string grpc_status_details_untrusted;
  base::Bytes body_untrusted;
  size_t body_bytes = 0;  // as many came
  size_t head_bytes = 0;
  std::string error;  // not kComplete: what happened, in one line
};

// `peer` names the destination in the Outcome's detail: "http://gateway:4317".
Outcome GrpcOutcome(const HttpAnswer& answer, std::string_view peer);
Outcome HttpOutcome(const HttpAnswer& answer, std::string_view peer);

// An HTTP Retry-After: seconds, or an HTTP-date (RFC 9110, section 10.2.3), as a wait from now on.
std::optional<base::Nanos> ParseRetryAfter(std::string_view text_untrusted, std::chrono::system_clock::time_point now);

}  // namespace tributary::pipeline
