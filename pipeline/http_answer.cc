#include "pipeline/http_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "otlp/wire.h"
#include "pipeline/batch_header.h"
#include "pipeline/grpc_status.h"

namespace tributary::pipeline {
namespace {

using End = HttpAnswer::End;

// A peer may ask for patience, but not for so much that its request amounts to loss.
constexpr base::Nanos kRetryAfterMax = std::chrono::hours(1);

// The peer's words as a part of a line: short, and nothing but printable ASCII.
std::string Quote(std::string_view text_untrusted) {
  constexpr size_t kQuoteMax = 300;
  std::string quote(text_untrusted.substr(0, kQuoteMax));
  std::ranges::replace_if(quote, [](char c) { return c < 0x20 || c > 0x7e; }, ' ');
  if (text_untrusted.size() > kQuoteMax) quote += "...";
  return quote;
}

bool ContainsIgnoringCase(std::string_view text, std::string_view lower) {
  const auto equal = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; };
  return !std::ranges::search(text, lower, equal).empty();
}

// Servers have no code of their own for "this request is larger than I take", only words: gRPC in Go and C++ say
// "received message larger than max", Java "gRPC message exceeds maximum size", .NET "exceeds the maximum configured
// message size", Rust "message length too large".
bool IsAboutSize(std::string_view message) {
  constexpr std::array kWords = {"larger than max", "exceeds maximum", "exceeds the maximum", "too large"};
  return std::ranges::any_of(kWords, [&](const char* words) { return ContainsIgnoringCase(message, words); });
}

struct PartialSuccess {
  uint64_t rejected_items = 0;
  std::string_view error_message_untrusted;
};

// Calls `take(number, varint, content)` for the varint and length-delimited fields of a message, as far as its bytes
// go: of a field that was cut off, `content` is the part that is there.
template <typename Take>
void ForEachField(base::ByteView message_untrusted, Take take) {
  const uint8_t* p = message_untrusted.data();
  const uint8_t* end = p + message_untrusted.size();
  while (p < end) {
    uint64_t tag = 0, value = 0;
    p = otlp::ReadVarint(p, end, tag);
    if (p == nullptr) return;
    const auto type = static_cast<otlp::WireType>(tag & 7);
    if (type != otlp::WireType::kVarint && type != otlp::WireType::kLength) return;
    p = otlp::ReadVarint(p, end, value);
    if (p == nullptr) return;
    base::ByteView content;
    if (type == otlp::WireType::kLength) {
      content = {p, std::min<uint64_t>(value, static_cast<size_t>(end - p))};
      p += content.size();
    }
    take(tag >> 3, value, content);
  }
}

// Reads partial_success of Export{Trace,Metrics,Logs}ServiceResponse, which have the same field numbers. What cannot be
// read counts as not said: the request was taken all the same.
PartialSuccess ReadPartialSuccess(base::ByteView response_untrusted) {
  PartialSuccess partial;
  ForEachField(response_untrusted, [&](uint64_t field, uint64_t, base::ByteView message) {
    if (field != 1) return;
    ForEachField(message, [&](uint64_t number, uint64_t value, base::ByteView content) {
      if (number == 1) partial.rejected_items = static_cast<int64_t>(value) > 0 ? value : 0;
      if (number == 2) partial.error_message_untrusted = base::AsText(content);
    });
  });
  return partial;
}

Outcome DeliveredOutcome(base::ByteView response_untrusted, std::string_view peer) {
  const PartialSuccess partial = ReadPartialSuccess(response_untrusted);
  Outcome outcome = Outcome::Delivered();
  if (partial.rejected_items == 0 && partial.error_message_untrusted.empty()) return outcome;
  outcome.rejected_items = partial.rejected_items;
  if (partial.rejected_items > 0) outcome.reason = Reason::kPeerRejected;
  outcome.detail =
      fmt::format("{} items rejected by {}: {}", partial.rejected_items, peer, Quote(partial.error_message_untrusted));
  return outcome;
}

// The endings that are no response, for either protocol.
Outcome UnfinishedOutcome(const HttpAnswer& answer, std::string_view peer) {
  std::string detail = fmt::format("{}: {}", peer, answer.error);
  switch (answer.end) {
    case End::kTooLarge:
      return Outcome::Refused(Reason::kRefused, std::move(detail));
    case End::kReset:
      switch (answer.reset_code) {
        // The peer, or nghttp2 in its name, finds this request or its answer against the protocol: so it would be
        // again.
        case 0x1:  // PROTOCOL_ERROR
        case 0x6:  // FRAME_SIZE_ERROR
        case 0xc:  // INADEQUATE_SECURITY
        case 0xd:  // HTTP_1_1_REQUIRED
          return Outcome::Refused(Reason::kRefused, std::move(detail));
        case 0xb:  // ENHANCE_YOUR_CALM
          return Outcome::Retry(Reason::kThrottled, std::move(detail));
        // Anything else is no verdict on the request: it may never have been looked at.
        default:
          return Outcome::Retry(Reason::kUnavailable, std::move(detail));
      }
    default:
      return Outcome::Retry(Reason::kConnect, std::move(detail));
  }
}

// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
GrpcCode GrpcCodeOfHttp(int status) {
  switch (status) {
    case 400:
      return GrpcCode::kInternal;
    case 401:
      return GrpcCode::kUnauthenticated;
    case 403:
      return GrpcCode::kPermissionDenied;
    case 404:
      return GrpcCode::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcCode::kUnavailable;
    default:
      return GrpcCode::kUnknown;
  }
}

GrpcCode ParseGrpcCode(std::string_view text_untrusted) {
  unsigned code = 0;
  const auto [end, error] = std::from_chars(text_untrusted.begin(), text_untrusted.end(), code);
  if (error != std::errc() || end != text_untrusted.end() || code > static_cast<unsigned>(GrpcCode::kUnauthenticated)) {
    return GrpcCode::kUnknown;
  }
  return static_cast<GrpcCode>(code);
}

GrpcStatus ReadGrpcStatus(const HttpAnswer& answer) {
  GrpcStatus status;
  if (!answer.grpc_status_untrusted) {
    status.code = GrpcCodeOfHttp(answer.status);
    status.message = answer.status == 200
                         ? fmt::format("no grpc-status in an answer of type \"{}\"", answer.content_type_untrusted)
                         : fmt::format("HTTP status {} without grpc-status", answer.status);
    status.retry_delay = ParseRetryAfter(answer.retry_after_untrusted, std::chrono::system_clock::now());
    return status;
  }
  status.code = ParseGrpcCode(*answer.grpc_status_untrusted);
  status.message = PercentDecode(answer.grpc_message_untrusted);
  if (const auto details = Base64Decode(answer.grpc_status_details_untrusted); details && !details->empty()) {
    if (const auto decoded = DecodeRpcStatus(*details)) status.retry_delay = decoded->retry_delay;
  }
  return status;
}

std::optional<base::Nanos> Bounded(std::optional<base::Nanos> retry_after) {
  if (!retry_after) return std::nullopt;
  return std::clamp(*retry_after, base::Nanos(0), kRetryAfterMax);
}

// What an HTTP error's body says in words: the message of a google.rpc.Status, or the text itself.
GrpcStatus ReadErrorBody(const HttpAnswer& answer) {
  if (answer.content_type_untrusted.starts_with("application/x-protobuf")) {
    return DecodeRpcStatus(answer.body_untrusted).value_or(GrpcStatus{});
  }
  return {.message = std::string(base::AsText(answer.body_untrusted))};
}

}  // namespace

bool HttpAnswer::TakeField(std::string_view name_untrusted, std::string_view value_untrusted) {
  head_bytes += name_untrusted.size() + value_untrusted.size() + 32;
  if (head_bytes > kHeadBytesMax) return false;
  if (name_untrusted == "content-type") content_type_untrusted = value_untrusted;
  if (name_untrusted == "grpc-status") grpc_status_untrusted = value_untrusted;
  if (name_untrusted == "grpc-message") grpc_message_untrusted = value_untrusted;
  if (name_untrusted == "grpc-status-details-bin") grpc_status_details_untrusted = value_untrusted;
  if (name_untrusted == "retry-after") retry_after_untrusted = value_untrusted;
  if (name_untrusted == "location") location_untrusted = value_untrusted;
  if (name_untrusted == kHaveField) have_untrusted = value_untrusted;
  return true;
}

bool HttpAnswer::TakeBody(base::ByteView chunk_untrusted) {
  body_bytes += chunk_untrusted.size();
  body_untrusted.Append(
      chunk_untrusted.first(std::min(chunk_untrusted.size(), kBodyBytesKept - body_untrusted.size())));
  return body_bytes <= kBodyBytesMax;
}

Outcome GrpcOutcome(const HttpAnswer& answer, std::string_view peer) {
  if (answer.end != End::kComplete) return UnfinishedOutcome(answer, peer);
  const GrpcStatus status = ReadGrpcStatus(answer);
  if (status.code == GrpcCode::kOk) {
    // One message: a flag, four bytes of length, then the response itself.
    constexpr size_t kPrefix = 5;
    const base::ByteView body = answer.body_untrusted;
    const bool readable = body.size() > kPrefix && body[0] == 0;  // nothing was said about accepting compressed ones
    return DeliveredOutcome(readable ? body.subspan(kPrefix) : base::ByteView(), peer);
  }
  std::string detail = fmt::format("{} from {}: {}", Name(status.code), peer, Quote(status.message));
  const std::optional<base::Nanos> retry_after = Bounded(status.retry_delay);
  if (auto have = ParseRanges(answer.have_untrusted); have && status.code == GrpcCode::kAborted) {
    return Outcome::PartlyTaken(std::move(*have), std::move(detail));
  }
  switch (status.code) {
    case GrpcCode::kOutOfRange:
      // gRPC in Rust says so of requests larger than it takes; those are the same size the next time.
      if (IsAboutSize(status.message)) return Outcome::Refused(Reason::kTooLarge, std::move(detail));
      [[fallthrough]];
    case GrpcCode::kCancelled:
    case GrpcCode::kDeadlineExceeded:
    case GrpcCode::kAborted:
    case GrpcCode::kUnavailable:
    case GrpcCode::kDataLoss:
      return Outcome::Retry(retry_after ? Reason::kThrottled : Reason::kUnavailable, std::move(detail), retry_after);
    case GrpcCode::kResourceExhausted:
      if (retry_after) return Outcome::Retry(Reason::kThrottled, std::move(detail), retry_after);
      return Outcome::Refused(IsAboutSize(status.message) ? Reason::kTooLarge : Reason::kRefused, std::move(detail));
    default:
      return Outcome::Refused(Reason::kRefused, std::move(detail));
  }
}

Outcome HttpOutcome(const HttpAnswer& answer, std::string_view peer) {
  if (answer.end != End::kComplete) return UnfinishedOutcome(answer, peer);
  if (answer.status >= 200 && answer.status < 300) {
    // Anything behind a wrong address or a login page says 200 too.
    if (answer.content_type_untrusted.starts_with("text/html")) {
      return Outcome::Refused(Reason::kRefused,
                              fmt::format("{} from {} with a web page: is the endpoint right?", answer.status, peer));
    }
    const bool protobuf = answer.content_type_untrusted.starts_with("application/x-protobuf");
    return DeliveredOutcome(protobuf ? answer.body_untrusted.view() : base::ByteView(), peer);
  }
  if (answer.status >= 300 && answer.status < 400) {
    return Outcome::Refused(Reason::kRefused,
                            fmt::format("{} from {}: redirects are not followed; configure the endpoint it names: {}",
                                        answer.status, peer, Quote(answer.location_untrusted)));
  }
  const GrpcStatus body = ReadErrorBody(answer);
  std::string detail = fmt::format("{} from {}: {}", answer.status, peer, Quote(body.message));
  if (auto have = ParseRanges(answer.have_untrusted); have && answer.status == 409) {
    return Outcome::PartlyTaken(std::move(*have), std::move(detail));
  }
  switch (answer.status) {
    case 429:
    case 502:
    case 503:
    case 504: {
      auto retry_after = ParseRetryAfter(answer.retry_after_untrusted, std::chrono::system_clock::now());
      if (!retry_after) retry_after = body.retry_delay;
      const Reason reason = answer.status == 429 || retry_after ? Reason::kThrottled : Reason::kUnavailable;
      return Outcome::Retry(reason, std::move(detail), Bounded(retry_after));
    }
    case 413:
      return Outcome::Refused(Reason::kTooLarge, std::move(detail));
    default:
      return Outcome::Refused(Reason::kRefused, std::move(detail));
  }
}

std::optional<base::Nanos> ParseRetryAfter(std::string_view text_untrusted, std::chrono::system_clock::time_point now) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text_untrusted.begin(), text_untrusted.end(), seconds);
  if (end == text_untrusted.end() && !text_untrusted.empty() && text_untrusted[0] != '-') {
    if (error != std::errc()) return kRetryAfterMax;  // more than an int64_t of seconds
    return std::chrono::seconds(std::min<int64_t>(seconds, kRetryAfterMax / std::chrono::seconds(1)));
  }
  // The three forms of an HTTP-date: RFC 9110, section 5.6.7. No program of this project sets another locale than "C".
  const std::string date(text_untrusted);
  for (const char* format : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm fields{};
    const char* parsed = strptime(date.c_str(), format, &fields);
    if (parsed == nullptr || parsed != date.c_str() + date.size()) continue;
    const int64_t wait = timegm(&fields) - std::chrono::system_clock::to_time_t(now);
    return std::chrono::seconds(std::clamp<int64_t>(wait, 0, kRetryAfterMax / std::chrono::seconds(1)));
  }
  return std::nullopt;
}

}  // namespace tributary::pipeline
