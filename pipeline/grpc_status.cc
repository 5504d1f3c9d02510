#include "pipeline/grpc_status.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "otlp/wire.h"

namespace tributary::pipeline {
namespace {

using base::Nanos;
using otlp::WireType;

constexpr std::string_view kRetryInfoType = "type.googleapis.com/google.rpc.RetryInfo";
constexpr std::string_view kBadRequestType = "type.googleapis.com/google.rpc.BadRequest";
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr int64_t kRetrySecondsMax = 365 * 24 * 3600;  // more means never, and must not overflow

// google.rpc.Status
constexpr uint32_t kStatusCode = 1;
constexpr uint32_t kStatusMessage = 2;
constexpr uint32_t kStatusDetails = 3;
// google.protobuf.Any
constexpr uint32_t kAnyTypeUrl = 1;
constexpr uint32_t kAnyValue = 2;
// google.rpc.RetryInfo, google.protobuf.Duration
constexpr uint32_t kRetryInfoDelay = 1;
constexpr uint32_t kDurationSeconds = 1;
constexpr uint32_t kDurationNanos = 2;
// google.rpc.BadRequest, google.rpc.BadRequest.FieldViolation
constexpr uint32_t kBadRequestViolations = 1;
constexpr uint32_t kViolationField = 1;
constexpr uint32_t kViolationDescription = 2;

// Messages quote what peers sent. A protobuf string that is not UTF-8 would make clients drop the whole status.
std::string AsUtf8(std::string_view text) {
  std::string utf8(text);
  if (!simdjson::validate_utf8(utf8.data(), utf8.size())) {
    std::replace_if(utf8.begin(), utf8.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  }
  return utf8;
}

void AppendVarintField(base::Bytes& out, uint32_t field, uint64_t value) {
  if (value == 0) return;
  otlp::AppendTag(out, field, WireType::kVarint);
  otlp::AppendVarint(out, value);
}

void AppendDetail(base::Bytes& status, std::string_view type, base::ByteView value) {
  base::Bytes any;
  any.Reserve(type.size() + value.size() + 16);
  otlp::AppendLengthDelimited(any, kAnyTypeUrl, type);
  otlp::AppendLengthDelimited(any, kAnyValue, value);
  otlp::AppendLengthDelimited(status, kStatusDetails, any);
}

base::Bytes EncodeRetryInfo(Nanos delay) {
  base::Bytes duration;
  AppendVarintField(duration, kDurationSeconds, static_cast<uint64_t>(delay.count() / kNanosPerSecond));
  AppendVarintField(duration, kDurationNanos, static_cast<uint64_t>(delay.count() % kNanosPerSecond));
  base::Bytes retry_info;
  otlp::AppendLengthDelimited(retry_info, kRetryInfoDelay, duration);
  return retry_info;
}

base::Bytes EncodeBadRequest(std::string_view field, std::string_view description) {
  base::Bytes violation;
  otlp::AppendLengthDelimited(violation, kViolationField, field);
  otlp::AppendLengthDelimited(violation, kViolationDescription, description);
  base::Bytes bad_request;
  otlp::AppendLengthDelimited(bad_request, kBadRequestViolations, violation);
  return bad_request;
}

Nanos NotNegative(Nanos delay) { return std::max(delay, Nanos::zero()); }

// Field 1, field 2 and so on of a message whose fields are few: the last occurrence counts.
std::optional<otlp::Field> FindField(base::ByteView message, uint32_t number, WireType type) {
  std::optional<otlp::Field> found;
  otlp::FieldReader reader(message);
  otlp::Field field;
  while (reader.Next(field)) {
    if (field.number == number && field.type == type) found = field;
  }
  return found;
}

std::optional<Nanos> DecodeRetryInfo(base::ByteView retry_info) {
  const auto duration = FindField(retry_info, kRetryInfoDelay, WireType::kLength);
  if (!duration) return std::nullopt;
  const auto seconds = FindField(duration->content, kDurationSeconds, WireType::kVarint);
  const auto nanos = FindField(duration->content, kDurationNanos, WireType::kVarint);
  const int64_t whole = seconds ? static_cast<int64_t>(seconds->value) : 0;
  const int64_t part = nanos ? static_cast<int32_t>(nanos->value) : 0;
  if (whole < 0 || part < 0) return Nanos::zero();
  return Nanos(std::min(whole, kRetrySecondsMax) * kNanosPerSecond + std::min(part, kNanosPerSecond - 1));
}

void AppendJsonString(std::string& json, std::string_view text) {
  json.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json.push_back('\\');
      json.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(json), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      json.push_back(c);
    }
  }
  json.push_back('"');
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNotBase64 = 0xff;

constexpr std::array<uint8_t, 256> kBase64Values = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNotBase64);
  for (size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<uint8_t>(i);
  }
  return values;
}();

// grpc-timeout's units, smallest first.
struct TimeoutUnit {
  char letter;
  Nanos length;
};
constexpr std::array<TimeoutUnit, 6> kTimeoutUnits = {{{'n', Nanos(1)},
                                                       {'u', std::chrono::microseconds(1)},
                                                       {'m', std::chrono::milliseconds(1)},
                                                       {'S', std::chrono::seconds(1)},
                                                       {'M', std::chrono::minutes(1)},
                                                       {'H', std::chrono::hours(1)}}};
constexpr size_t kTimeoutDigitsMax = 8;
constexpr int64_t kTimeoutValueMax = 99'999'999;

}  // namespace

std::string_view Name(GrpcCode code) {
  static constexpr std::array<std::string_view, 17> kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  return kNames[static_cast<size_t>(code)];
}

base::Bytes EncodeRpcStatus(const GrpcStatus& status) {
  const std::string message = AsUtf8(status.message);
  base::Bytes encoded;
  AppendVarintField(encoded, kStatusCode, static_cast<uint64_t>(status.code));
  if (!message.empty()) otlp::AppendLengthDelimited(encoded, kStatusMessage, message);
  if (status.retry_delay) AppendDetail(encoded, kRetryInfoType, EncodeRetryInfo(NotNegative(*status.retry_delay)));
  if (status.bad_request_field) {
    AppendDetail(encoded, kBadRequestType, EncodeBadRequest(AsUtf8(*status.bad_request_field), message));
  }
  return encoded;
}

std::string RpcStatusToJson(const GrpcStatus& status) {
  const std::string message = AsUtf8(status.message);
  std::string json = fmt::format("{{\"code\":{},\"message\":", static_cast<int>(status.code));
  AppendJsonString(json, message);
  std::string details;
  if (status.retry_delay) {
    const Nanos delay = NotNegative(*status.retry_delay);
    details += fmt::format("{{\"@type\":\"{}\",\"retryDelay\":\"{}.{:09}s\"}}", kRetryInfoType,
                           delay.count() / kNanosPerSecond, delay.count() % kNanosPerSecond);
  }
  if (status.bad_request_field) {
    if (!details.empty()) details.push_back(',');
    details += fmt::format("{{\"@type\":\"{}\",\"fieldViolations\":[{{\"field\":", kBadRequestType);
    AppendJsonString(details, AsUtf8(*status.bad_request_field));
    details += ",\"description\":";
    AppendJsonString(details, message);
    details += "}]}";
  }
  if (!details.empty()) json += ",\"details\":[" + details + "]";
  json.push_back('}');
  return json;
}

std::optional<GrpcStatus> DecodeRpcStatus(base::ByteView status_untrusted) {
  GrpcStatus status;
  otlp::FieldReader reader(status_untrusted);
  otlp::Field field;
  while (reader.Next(field)) {
    if (field.number == kStatusCode && field.type == WireType::kVarint) {
      status.code = field.value <= static_cast<uint64_t>(GrpcCode::kUnauthenticated)
                        ? static_cast<GrpcCode>(field.value)
                        : GrpcCode::kUnknown;
    } else if (field.number == kStatusMessage && field.type == WireType::kLength) {
      status.message = base::AsText(field.content);
    } else if (field.number == kStatusDetails && field.type == WireType::kLength) {
      const auto type = FindField(field.content, kAnyTypeUrl, WireType::kLength);
      const auto value = FindField(field.content, kAnyValue, WireType::kLength);
      if (type && base::AsText(type->content) == kRetryInfoType) {
        status.retry_delay = DecodeRetryInfo(value ? value->content : base::ByteView());
      }
    }
  }
  if (reader.failed()) return std::nullopt;
  return status;
}

std::string PercentEncode(std::string_view message) {
  std::string encoded;
  encoded.reserve(message.size());
  for (const char c : message) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      encoded.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string PercentDecode(std::string_view encoded_untrusted) {
  std::string decoded;
  decoded.reserve(encoded_untrusted.size());
  for (size_t i = 0; i < encoded_untrusted.size(); ++i) {
    const char c = encoded_untrusted[i];
    if (c == '%' && i + 2 < encoded_untrusted.size()) {
      const int high = HexDigit(encoded_untrusted[i + 1]);
      const int low = HexDigit(encoded_untrusted[i + 2]);
      if (high >= 0 && low >= 0) {
        decoded.push_back(static_cast<char>(high << 4 | low));
        i += 2;
        continue;
      }
    }
    decoded.push_back(c);
  }
  return decoded;
}

std::string Base64Encode(base::ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? bytes[i + k] : 0);
    for (size_t k = 0; k <= n; ++k) text.push_back(kBase64Digits[group >> (18 - 6 * k) & 0x3f]);
  }
  return text;
}

std::optional<base::Bytes> Base64Decode(std::string_view text_untrusted) {
  if (text_untrusted.size() % 4 == 0) {
    for (int i = 0; i < 2 && text_untrusted.ends_with('='); ++i) text_untrusted.remove_suffix(1);
  }
  if (text_untrusted.size() % 4 == 1) return std::nullopt;
  base::Bytes bytes;
  bytes.Reserve(text_untrusted.size() * 3 / 4);
  uint32_t group = 0;
  unsigned bits = 0;
  for (const char c : text_untrusted) {
    const uint8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value == kNotBase64) return std::nullopt;
    group = group << 6 | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.Push(static_cast<uint8_t>(group >> bits));
    }
  }
  return bytes;
}

std::optional<Nanos> ParseGrpcTimeout(std::string_view text_untrusted) {
  if (text_untrusted.size() < 2 || text_untrusted.size() > kTimeoutDigitsMax + 1) return std::nullopt;
  const std::string_view digits = text_untrusted.substr(0, text_untrusted.size() - 1);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    if (unit.letter != text_untrusted.back()) continue;
    // 99,999,999 hours do not fit: 292 years will do.
    return value > Nanos::max() / unit.length ? Nanos::max() : unit.length * value;
  }
  return std::nullopt;
}

std::string FormatGrpcTimeout(Nanos timeout) {
  timeout = NotNegative(timeout);
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    const int64_t value = timeout / unit.length;
    if (value <= kTimeoutValueMax) return fmt::format("{}{}", value, unit.letter);
  }
  return fmt::format("{}H", kTimeoutValueMax);
}

}  // namespace tributary::pipeline
