// The machine under Scan: walks messages, validates fields, and says where it stopped. The message types of each signal
// (scan_traces.cc, scan_metrics.cc, scan_logs.cc) are small structs that say what each tag of theirs is; Walk<Message>
// turns one into a loop around a switch. No message of OTLP but attribute values holds itself, so the walks nest no
// deeper than the schema does; values and unknown groups keep stacks of their own, of fixed size.
// Private to otlp/. One Scanner scans one request.
//
// Reads may run past the field that they are for, and even past the request by less than Bytes::kPadding: a varint, a
// fixed-width number or a tag is read first and Walk asks afterwards whether it passed the end. Only lengths, which
// reach farther than the padding, are compared with the end at once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "otlp/ascii.h"
#include "otlp/scan.h"
#include "otlp/wire.h"

namespace tributary::otlp {

constexpr uint32_t VarintTag(uint32_t field) { return field << 3 | static_cast<uint32_t>(WireType::kVarint); }
constexpr uint32_t Fixed64Tag(uint32_t field) { return field << 3 | static_cast<uint32_t>(WireType::kFixed64); }
constexpr uint32_t LengthTag(uint32_t field) { return field << 3 | static_cast<uint32_t>(WireType::kLength); }
constexpr uint32_t Fixed32Tag(uint32_t field) { return field << 3 | static_cast<uint32_t>(WireType::kFixed32); }

constexpr uint32_t Fields(std::initializer_list<int> numbers) {
  uint32_t bits = 0;
  for (const int number : numbers) bits |= 1u << number;
  return bits;
}

// What is known of a message type besides the meaning of its tags.
struct MessageType {
  const char* name;
  int depth;              // of such messages below the request, whose own is 0
  uint32_t known_fields;  // bit n: there is a field n
};

enum class ValueMessage : uint8_t { kKeyValue, kAnyValue, kArrayValue, kKeyValueList };

class Scanner {
 public:
  // What a field's function returns: the position behind the field, or nullptr after Refuse.
  using Position = const uint8_t*;

  Scanner(base::PaddedView request, std::vector<SpanRef>* index) : begin_(request.data()), index_(index) {}

  // Every field of `message` between `p` and `end` through Message::Field. False after an error.
  template <typename Message>
  bool Walk(Message&& message, Position p, Position end);

  // The fields. `p` is behind the tag, `end` is where the message that holds the field ends.
  Position Varint(Position p) { return *p < 0x80 ? p + 1 : LongVarint(p); }
  Position Varint(Position p, uint64_t& value);
  Position Fixed64(Position p) { return p + 8; }
  Position Fixed64(Position p, uint64_t& value) {
    std::memcpy(&value, p, sizeof value);
    return p + sizeof value;
  }
  Position Fixed32(Position p) { return p + 4; }
  Position Bytes(Position p, Position end);
  Position Bytes(Position p, Position end, base::ByteView& value);
  Position String(Position p, Position end);
  Position PackedFixed64(Position p, Position end);
  Position PackedVarint(Position p, Position end);
  // A message, walked, and told where it was: Message::End(scanner, body), if there is one.
  template <typename Message>
  Position Submessage(Message&& message, Position p, Position end);
  // A KeyValue, or an AnyValue, at `depth` below the request.
  Position Attribute(Position p, Position end, int depth);
  Position Value(Position p, Position end, int depth);
  // A field that the message's switch has no case for: unknown, or a known one with the wrong wire type.
  Position Other(Position p, Position end, uint32_t tag, const MessageType& type) {
    return Other(p, end, tag, type, type.depth);
  }

  Counts& counts() { return counts_; }
  std::vector<SpanRef>& index() { return *index_; }
  uint32_t OffsetOf(Position p) const { return static_cast<uint32_t>(p - begin_); }
  const ScanError& error() const { return error_; }

 private:
  Position Length(Position p, Position end, size_t& length);
  Position LongLength(Position p, Position end, size_t& length);
  Position LongVarint(Position p);
  Position LongTag(Position p, uint32_t& tag);
  Position ReadTag(Position p, uint32_t& tag) {
    tag = *p++;
    return tag < 0x80 ? p : LongTag(p, tag);
  }
  static bool IsUtf8(Position p, size_t length);
  Position Other(Position p, Position end, uint32_t tag, const MessageType& type, int depth);
  Position ValueScalar(ValueMessage message, Position p, Position end, uint32_t tag, int depth);
  bool ValueTree(ValueMessage message, Position p, Position end, int depth);

  // An error is put together on its way up: the field's function says what, the innermost walk says where.
  [[gnu::cold]] Position Refuse(ScanError::Kind kind) {
    error_.kind = kind;
    return nullptr;
  }
  [[gnu::cold]] bool Locate(const MessageType& type, Position field, Position stopped, uint32_t tag);
  // True when a field's function refused it (nullptr) or passed the end: either is farther than `end` once 1 is taken.
  static bool Failed(Position p, Position end) {
    return reinterpret_cast<uintptr_t>(p) - 1 >= reinterpret_cast<uintptr_t>(end);
  }

  const uint8_t* const begin_;
  std::vector<SpanRef>* const index_;
  Counts counts_;
  ScanError error_{};  // located once message_type is set
};

template <typename Message>
bool Scanner::Walk(Message&& message, Position p, Position end) {
  while (p < end) {
    const Position field = p;
    uint32_t tag;
    p = ReadTag(p, tag);
    p = message.Field(*this, p, end, tag);
    if (Failed(p, end)) [[unlikely]]
      return Locate(message.kType, field, p, tag);
  }
  return true;
}

inline Scanner::Position Scanner::Varint(Position p, uint64_t& value) {
  if (*p < 0x80) [[likely]] {
    value = *p;
    return p + 1;
  }
  p = ReadVarint(p, p + kVarintBytesMax, value);
  return p != nullptr ? p : Refuse(ScanError::Kind::kBadVarint);
}

inline Scanner::Position Scanner::Length(Position p, Position end, size_t& length) {
  length = *p++;
  if (length >= 0x80) [[unlikely]]
    return LongLength(p, end, length);
  if (static_cast<ptrdiff_t>(length) > end - p) [[unlikely]]
    return Refuse(ScanError::Kind::kBadLength);
  return p;
}

inline Scanner::Position Scanner::Bytes(Position p, Position end) {
  size_t length;
  p = Length(p, end, length);
  return p != nullptr ? p + length : nullptr;
}

inline Scanner::Position Scanner::Bytes(Position p, Position end, base::ByteView& value) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) [[unlikely]]
    return nullptr;
  value = {p, length};
  return p + length;
}

inline Scanner::Position Scanner::String(Position p, Position end) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) [[unlikely]]
    return nullptr;
  if (!IsAsciiPadded(p, length) && !IsUtf8(p, length)) [[unlikely]]
    return Refuse(ScanError::Kind::kBadUtf8);
  return p + length;
}

template <typename Message>
Scanner::Position Scanner::Submessage(Message&& message, Position p, Position end) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr || !Walk(message, p, p + length)) [[unlikely]]
    return nullptr;
  if constexpr (requires { message.End(*this, base::ByteView()); }) message.End(*this, base::ByteView(p, length));
  return p + length;
}

}  // namespace tributary::otlp
