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

// Whether a varint that starts at `p` ends right before `end`.
bool IsVarint(const uint8_t* p, const uint8_t* end) {
  uint64_t value;
  return ReadVarint(p, end, value) == end;
}

// Whether the `size` < 128 bytes are an AnyValue as encoders write it: one scalar field, lengths of one byte, strings
// of ASCII. False says nothing: Scanner::ValueTree decides then.
bool IsPlainValue(const uint8_t* p, size_t size) {
  switch (p[0]) {
    case LengthTag(1):
      return p[1] + size_t{2} == size && IsAsciiPadded(p + 2, size - 2);
    case VarintTag(2):
    case VarintTag(3):
      return size >= 2 && IsVarint(p + 1, p + size);
    case Fixed64Tag(4):
      return size == 9;
    default:
      return false;
  }
}

// The same for a KeyValue: its key, then its value.
bool IsPlainKeyValue(const uint8_t* p, size_t size) {
  const size_t key_size = p[1];
  if (p[0] != LengthTag(1) || key_size + 4 > size) return false;
  const uint8_t* const value = p + 2 + key_size;
  return value[0] == LengthTag(2) && value[1] + key_size + 4 == size && IsAsciiPadded(p + 2, key_size) &&
         IsPlainValue(value + 2, value[1]);
}

}  // namespace

Scanner::Position Scanner::Attribute(Position p, Position end, int depth) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) [[unlikely]]
    return nullptr;
  if (length < 0x80 && IsPlainKeyValue(p, length)) [[likely]]
    return p + length;
  return ValueTree(ValueMessage::kKeyValue, p, p + length, depth) ? p + length : nullptr;
}

Scanner::Position Scanner::Value(Position p, Position end, int depth) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) [[unlikely]]
    return nullptr;
  if (length < 0x80 && IsPlainValue(p, length)) [[likely]]
    return p + length;
  return ValueTree(ValueMessage::kAnyValue, p, p + length, depth) ? p + length : nullptr;
}

// Everything in one message of an attribute's kind and below: the only messages that hold their own kind.
bool Scanner::ValueTree(ValueMessage outermost, Position p, Position end, int depth) {
  struct Level {
    ValueMessage message;
    Position end;
  };
  Level around[kDepthMax];  // the messages around `level`, outermost first
  Level level{outermost, end};
  const int depth_min = depth;
  for (;;) {
    while (p == level.end) {
      if (depth == depth_min) return true;
      level = around[--depth];
    }
    const MessageType& type = kValueTypes[static_cast<size_t>(level.message)];
    const Position field = p;
    uint32_t tag;
    p = ReadTag(p, tag);
    if (const auto opened = Opened(level.message, tag)) {
      size_t length;
      p = Length(p, level.end, length);
      if (p != nullptr && depth == kDepthMax) p = Refuse(Kind::kTooDeep);
      if (p == nullptr) return Locate(type, field, p, tag);
      around[depth++] = level;
      level = {*opened, p + length};
    } else {
      p = ValueScalar(level.message, p, level.end, tag, depth);
      if (Failed(p, level.end)) return Locate(type, field, p, tag);
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
    p = ReadTag(p, tag);
  }
}

Scanner::Position Scanner::PackedFixed64(Position p, Position end) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) return nullptr;
  return length % sizeof(uint64_t) == 0 ? p + length : Refuse(Kind::kBadLength);
}

Scanner::Position Scanner::PackedVarint(Position p, Position end) {
  size_t length;
  p = Length(p, end, length);
  if (p == nullptr) return nullptr;
  const Position packed_end = p + length;
  while (p < packed_end) {
    p = Varint(p);
    if (Failed(p, packed_end)) return p == nullptr ? nullptr : Refuse(Kind::kTruncated);
  }
  return p;
}

// `p` is behind the length's first byte, which `length` holds. At most kLengthBytesMax, as libprotobuf.
Scanner::Position Scanner::LongLength(Position p, Position end, size_t& length) {
  uint64_t value;
  p = ReadVarint(p - 1, p - 1 + kLengthBytesMax, value);
  if (p == nullptr || value >= kLengthEnd || static_cast<ptrdiff_t>(value) > end - p) return Refuse(Kind::kBadLength);
  length = value;
  return p;
}

Scanner::Position Scanner::LongVarint(Position p) {
  uint64_t value;
  p = ReadVarint(p, p + kVarintBytesMax, value);
  return p != nullptr ? p : Refuse(Kind::kBadVarint);
}

// `p` is behind the tag's first byte, which `tag` holds. At most kLengthBytesMax and without the bits above
// 32, as libprotobuf. A tag that does not end becomes 0, which no message accepts.
Scanner::Position Scanner::LongTag(Position p, uint32_t& tag) {
  uint64_t value;
  const Position behind = ReadVarint(p - 1, p - 1 + kLengthBytesMax, value);
  tag = behind != nullptr ? static_cast<uint32_t>(value) : 0;
  return behind != nullptr ? behind : p;
}

bool Scanner::IsUtf8(Position p, size_t length) {
  return simdjson::validate_utf8(reinterpret_cast<const char*>(p), length);
}

bool Scanner::Locate(const MessageType& type, Position field, Position stopped, uint32_t tag) {
  if (error_.message_type == nullptr) {
    if (stopped != nullptr) error_.kind = Kind::kTruncated;
    error_.offset = static_cast<size_t>(field - begin_);
    error_.message_type = type.name;
    error_.field = tag >> 3;
  }
  return false;
}

}  // namespace tributary::otlp
