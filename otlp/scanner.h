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
#include "otlp/plain_value.h"
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
  // The payload of a length-delimited field; nullptr and nullptr after Refuse.
  struct Payload {
    Position begin;
    Position end;
    size_t size() const { return static_cast<size_t>(end - begin); }
  };
  Payload Delimited(Position p, Position end);
  Payload LongDelimited(Position p, Position end);
  Position LongVarint(Position p);
  // In a register each, which is why there are no out parameters on the way of every field.
  struct Tag {
    uint32_t value;
    Position behind;
  };
  Tag ReadTag(Position p) { return *p < 0x80 ? Tag{*p, p + 1} : LongTag(p); }
  Tag LongTag(Position p);
  Position Utf8(Payload text);
  Position Other(Position p, Position end, uint32_t tag, const MessageType& type, int depth);
  Position ValueScalar(ValueMessage message, Position p, Position end, uint32_t tag, int depth);
  Position OtherAttribute(Payload key_value, int depth);
  Position ValueTree(ValueMessage outermost, Payload body, int depth);

  // An error is put together on its way up: the field's function says what, the innermost walk says where.
  [[gnu::cold]] Position Refuse(ScanError::Kind kind) {
    error_.kind = kind;
    return nullptr;
  }
  [[gnu::cold]] Position Located(const MessageType& type, Position field, Position stopped, uint32_t tag);
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
    const Tag tag = ReadTag(p);
    p = message.Field(*this, tag.behind, end, tag.value);
    if (Failed(p, end)) [[unlikely]]
      return Located(message.kType, field, p, tag.value) != nullptr;
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

inline Scanner::Payload Scanner::Delimited(Position p, Position end) {
  const ptrdiff_t length = *p;
  if (length >= 0x80) [[unlikely]]
    return LongDelimited(p, end);
  ++p;
  if (length > end - p) [[unlikely]]
    return {Refuse(ScanError::Kind::kBadLength), nullptr};
  return {p, p + length};
}

inline Scanner::Position Scanner::Bytes(Position p, Position end) { return Delimited(p, end).end; }

inline Scanner::Position Scanner::Bytes(Position p, Position end, base::ByteView& value) {
  const Payload payload = Delimited(p, end);
  value = {payload.begin, payload.end};
  return payload.end;
}

inline Scanner::Position Scanner::String(Position p, Position end) {
  const Payload text = Delimited(p, end);
  if (text.end == nullptr) [[unlikely]]
    return nullptr;
  if (!IsAsciiPadded(text.begin, text.size())) [[unlikely]]
    return Utf8(text);
  return text.end;
}

inline Scanner::Position Scanner::Attribute(Position p, Position end, int depth) {
  const Payload key_value = Delimited(p, end);
  if (key_value.end == nullptr) [[unlikely]]
    return nullptr;
  if (IsPlainStringAttribute(key_value.begin, key_value.size())) [[likely]]
    return key_value.end;
  return OtherAttribute(key_value, depth);
}

inline Scanner::Position Scanner::Value(Position p, Position end, int depth) {
  const Payload any_value = Delimited(p, end);
  if (any_value.end == nullptr) [[unlikely]]
    return nullptr;
  if (IsPlainStringValue(any_value.begin, any_value.size())) [[likely]]
    return any_value.end;
  return ValueTree(ValueMessage::kAnyValue, any_value, depth);
}

template <typename Message>
Scanner::Position Scanner::Submessage(Message&& message, Position p, Position end) {
  const Payload body = Delimited(p, end);
  if (body.end == nullptr || !Walk(message, body.begin, body.end)) [[unlikely]]
    return nullptr;
  if constexpr (requires { message.End(*this, base::ByteView()); }) message.End(*this, {body.begin, body.end});
  return body.end;
}

}  // namespace tributary::otlp
