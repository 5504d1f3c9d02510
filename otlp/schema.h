// The OTLP messages as data: what a JSON key or a field number of each means. One table serves both directions of
// otlp/json.h.
// From https://github.com/open-telemetry/opentelemetry-proto at v1.11; JSON names are protobuf's lowerCamelCase.
// Constants; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "otlp/signal.h"
#include "otlp/wire.h"

namespace tributary::otlp {

enum class Kind : uint8_t {
  kString,
  kBytes,
  kTraceId,  // 16 bytes, hex in JSON
  kSpanId,   // 8 bytes, hex in JSON
  kMessage,
  kBool,
  kEnum,
  kInt64,
  kUint32,
  kUint64,
  kSint32,
  kFixed32,
  kFixed64,
  kSfixed64,
  kDouble,
};

// How often a field may occur, and whether its default value is written.
enum class Label : uint8_t { kSingular, kOptional, kOneof, kRepeated };

struct MessageSchema;

struct FieldSchema {
  std::string_view name;  // as in JSON
  uint8_t number;
  Kind kind;
  Label label = Label::kSingular;
  const MessageSchema* message = nullptr;  // of kMessage

  constexpr bool is_scalar() const { return kind > Kind::kMessage; }
  constexpr bool is_packed() const { return label == Label::kRepeated && is_scalar(); }
};

struct MessageSchema {
  static constexpr size_t kNumberMax = 16;

  std::span<const FieldSchema> fields;  // in field-number order
  std::array<const FieldSchema*, kNumberMax + 1> by_number{};
  uint32_t oneof_mask = 0;  // bit n: field n is in the message's oneof; no OTLP message has more than one

  template <size_t kCount>
  constexpr explicit MessageSchema(const FieldSchema (&table)[kCount]) : fields(table) {
    for (const FieldSchema& field : table) {
      by_number[field.number] = &field;
      if (field.label == Label::kOneof) oneof_mask |= 1u << field.number;
    }
  }

  const FieldSchema* Find(uint32_t number) const { return number <= kNumberMax ? by_number[number] : nullptr; }
  // Looks first at what comes after `previous` (nullptr: at all fields), for most producers write in order.
  const FieldSchema* Find(std::string_view name, const FieldSchema* previous) const {
    const FieldSchema* const first = previous == nullptr ? fields.data() : previous + 1;
    const FieldSchema* const end = fields.data() + fields.size();
    const auto is_name = [&](const FieldSchema& field) { return field.name == name; };
    if (const auto* found = std::find_if(first, end, is_name); found != end) return found;
    const auto* found = std::find_if(fields.data(), first, is_name);
    return found == first ? nullptr : found;
  }
};

// Of one value, packed or not.
constexpr WireType WireTypeOf(Kind kind) {
  switch (kind) {
    case Kind::kString:
    case Kind::kBytes:
    case Kind::kTraceId:
    case Kind::kSpanId:
    case Kind::kMessage:
      return WireType::kLength;
    case Kind::kFixed32:
      return WireType::kFixed32;
    case Kind::kFixed64:
    case Kind::kSfixed64:
    case Kind::kDouble:
      return WireType::kFixed64;
    default:
      return WireType::kVarint;
  }
}

// Export{Trace,Metrics,Logs}ServiceRequest.
const MessageSchema& RequestSchema(Signal signal);

}  // namespace tributary::otlp
