// OTLP/JSON to OTLP protobuf bytes and back, straight from one encoding to the other.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and the proto3 JSON mapping: trace and span ids are
// hex, other bytes base64; keys are lowerCamelCase; enums are integers; 64-bit integers are strings (a number is
// accepted); doubles accept "NaN", "Infinity" and "-Infinity"; null is absent; unknown keys are ignored. Where
// those pages leave a choice: ids are of their length or empty; of a scalar given twice the last counts, and a message
// or list given twice is an error. Messages nest no deeper than kDepthMax, JSON in unknown keys no deeper than twice
// that. Any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/bytes.h"
#include "otlp/signal.h"

namespace tributary::otlp {

struct JsonError {
  std::string message;     // "resourceSpans[0].scopeSpans[0].spans[2].traceId: not hexadecimal: \"zz\""
  bool too_large = false;  // the result
};

// Memory that reading takes at most for each byte of JSON, beside the JSON and the result: an index of four bytes for
// each bracket, comma, key and value, strings without their escapes, and what puts fields in order. Telemetry takes a
// fifth of that.
inline constexpr size_t kJsonWorkBytesPerByte = 8;

// The result has passed Scan by construction, and is in field-number order. It is seldom as large as the JSON, but a
// list of numbers of one digit grows to four times its size.
std::expected<base::Bytes, JsonError> JsonToProto(Signal signal, base::PaddedView json,
                                                  size_t result_bytes_max = SIZE_MAX);

// `request` must have passed Scan. Appends one JSON object without line breaks. Fields with default values are left
// out, as in proto3; repeated singular fields: the last one wins (messages merge).
void ProtoToJson(Signal signal, base::ByteView request, std::string& json);

}  // namespace tributary::otlp
