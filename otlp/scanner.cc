#include "otlp/scanner.h"

#include <simdjson.h>

#include <optional>

namespace tributary::otlp {
namespace {

using Kind = ScanError::Kind;

// By ValueMessage. Their depths vary and are counted by Scanner::ValueTree.
constexpr MessageType kValueTypes[] = {
    {"KeyValue", 0, Fields({1, 2})},
    {"AnyValue", 0, Fields({1, 2, 3, 4, 5, 6, 7})},
    {"ArrayValue", 0, Fields({1})},
    {"KeyValueList", 0, Fields({1})},
};

// The message that a tag of a value's message opens, if it opens one.
std::optional<ValueMessage> Opened(ValueMessage within, uint32_t tag) {
  switch (within) {
    case ValueMessage::kKeyValue:
      if (tag == LengthTag(2)) return ValueMessage::kAnyValue;
      break;
    case ValueMessage::kAnyValue:
      if (tag == LengthTag(5)) return ValueMessage::kArrayValue;
      if (tag == LengthTag(6)) return ValueMessage::kKeyValueList;
      break;
    case ValueMessage::kArrayValue:
      if (tag == LengthTag(1)) return ValueMessage::kAnyValue;
      break;
    case ValueMessage::kKeyValueList:
      if (tag == LengthTag(1)) return ValueMessage::kKeyValue;
      break;
  }
  return std::nullopt;
}

}  // namespace

Scanner::Position Scanner::OtherAttribute(Payload key_value, int depth) {
  if (IsPlainNumberAttribute(key_value.begin, key_value.size())) return key_value.end;
  return ValueTree(ValueMessage::kKeyValue, key_value, depth);
}

// Everything in one message of an attribute's kind and below: the only messages that hold their own kind.
Scanner::Position Scanner::ValueTree(ValueMessage outermost, Payload body, int depth) {
  struct Level {
    ValueMessage message;
    Position end;
  };
  Level around[kDepthMax];  // the messages around `level`, outermost first
  Level level{outermost, body.end};
  const int depth_min = depth;
  Position p = body.begin;
  for (;;) {
    while (p == level.end) {
      if (depth == depth_min) return p;
      level = around[--depth];
    }
    const MessageType& type = kValueTypes[static_cast<size_t>(level.message)];
    const Position field = p;
    const auto [tag, behind] = ReadTag(p);
    if (const auto opened = Opened(level.message, tag)) {
      const Payload inner = Delimited(behind, level.end);
      p = depth < kDepthMax ? inner.begin : Refuse(Kind::kTooDeep);
      if (p == nullptr) return Located(type, field, p, tag);
      around[depth++] = level;
      level = {*opened, inner.end};
    } else {
      p = ValueScalar(level.message, behind, level.end, tag, depth);
      if (Failed(p, level.end)) return Located(type, field, p, tag);
    }
  }
}

// A field of a value's message that is not a message itself.
Scanner::Position Scanner::ValueScalar(ValueMessage message, Position p, Position end, uint32_t tag, int depth) {
  if (message == ValueMessage::kKeyValue && tag == LengthTag(1)) return String(p, end);
  if (message == ValueMessage::kAnyValue) {
    switch (tag) {
      case LengthTag(1):
        return String(p, end);
      case VarintTag(2):
      case VarintTag(3):
        return Varint(p);
      case Fixed64Tag(4):
        return Fixed64(p);
      case LengthTag(7):
        return Bytes(p, end);
    }
  }
  return Other(p, end, tag, kValueTypes[static_cast<size_t>(message)], depth);
}

// A field of no known number, passed over whole: groups may hold groups.
Scanner::Position Scanner::Other(Position p, Position end, uint32_t tag, const MessageType& type, int depth) {
  const uint32_t number = tag >> 3;
  const bool known = number < 32 && (type.known_fields >> number & 1) != 0;
  uint32_t open[kDepthMax];  // numbers of the groups around the current field
  int groups = 0;
  for (;;) {
    if (tag >> 3 == 0) return Refuse(Kind::kBadTag);
    switch (static_cast<WireType>(tag & 7)) {
      case WireType::kVarint:
        p = Varint(p);
        break;
      case WireType::kFixed64:
        p = Fixed64(p);
        break;
      case WireType::kFixed32:
        p = Fixed32(p);
        break;
      case WireType::kLength:
        p = Bytes(p, end);
        break;
      case WireType::kStartGroup:
        if (depth + groups == kDepthMax) return Refuse(Kind::kTooDeep);
        open[groups++] = tag >> 3;
        break;
      case WireType::kEndGroup:
        if (groups == 0 || open[--groups] != tag >> 3) return Refuse(Kind::kBadTag);
        break;
      default:
        return Refuse(Kind::kBadTag);
    }
    if (p == nullptr) return nullptr;
    if (known) return Refuse(Kind::kWrongWireType);
    if (groups == 0) return p;
    if (p >= end) return Refuse(Kind::kTruncated);
    const Tag next = ReadTag(p);
    tag = next.value;
    p = next.behind;
  }
}

Scanner::Position Scanner::PackedFixed64(Position p, Position end) {
  const Payload numbers = Delimited(p, end);
  return numbers.size() % sizeof(uint64_t) == 0 ? numbers.end : Refuse(Kind::kBadLength);
}

Scanner::Position Scanner::PackedVarint(Position p, Position end) {
  const Payload numbers = Delimited(p, end);
  for (p = numbers.begin; p != numbers.end;) {
    p = Varint(p);
    if (Failed(p, numbers.end)) return p == nullptr ? nullptr : Refuse(Kind::kTruncated);
  }
  return p;
}

// Lengths have at most kLengthBytesMax bytes, as in libprotobuf.
Scanner::Payload Scanner::LongDelimited(Position p, Position end) {
  uint64_t length;
  p = ReadVarint(p, p + kLengthBytesMax, length);
  if (p == nullptr || static_cast<ptrdiff_t>(length) > end - p) {
    return {Refuse(Kind::kBadLength), nullptr};
  }
  return {p, p + length};
}

Scanner::Position Scanner::LongVarint(Position p) {
  uint64_t value;
  p = ReadVarint(p, p + kVarintBytesMax, value);
  return p != nullptr ? p : Refuse(Kind::kBadVarint);
}

// At most kLengthBytesMax and without the bits above 32, as libprotobuf. A tag that does not end becomes 0, which no
// message accepts.
Scanner::Tag Scanner::LongTag(Position p) {
  uint64_t value;
  const Position behind = ReadVarint(p, p + kLengthBytesMax, value);
  return behind != nullptr ? Tag{static_cast<uint32_t>(value), behind} : Tag{0, p + 1};
}

Scanner::Position Scanner::Utf8(Payload text) {
  const bool valid = simdjson::validate_utf8(reinterpret_cast<const char*>(text.begin), text.size());
  return valid ? text.end : Refuse(Kind::kBadUtf8);
}

Scanner::Position Scanner::Located(const MessageType& type, Position field, Position stopped, uint32_t tag) {
  if (error_.message_type == nullptr) {
    if (stopped != nullptr) error_.kind = Kind::kTruncated;
    error_.offset = static_cast<size_t>(field - begin_);
    error_.message_type = type.name;
    error_.field = tag >> 3;
  }
  return nullptr;
}

}  // namespace tributary::otlp
