// The protobuf wire format, as much of it as OTLP needs: varints, tags, lengths.
// https://protobuf.dev/programming-guides/encoding/
//
// Readers accept what libprotobuf accepts (non-minimal varints up to ten bytes, tags and lengths up to five) and refuse
// what it refuses. They never read outside [p, end).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace tributary::otlp {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

// Lengths at or above this are refused, as libprotobuf does (its INT_MAX less its read-ahead).
inline constexpr uint64_t kLengthEnd = 0x7fffffff - 16;
inline constexpr size_t kVarintBytesMax = 10;
inline constexpr size_t kLengthBytesMax = 5;  // of a length, and of a tag

constexpr uint8_t TagByte(uint32_t field, WireType type) {
  return static_cast<uint8_t>(field << 3 | static_cast<uint8_t>(type));
}

constexpr size_t VarintSize(uint64_t value) {
  const unsigned bits = 64 - static_cast<unsigned>(__builtin_clzll(value | 1));
  return (bits + 6) / 7;
}

// Of a length-delimited field with its tag and length.
constexpr size_t LengthDelimitedSize(uint32_t field, size_t content_bytes) {
  return VarintSize(uint64_t{field} << 3) + VarintSize(content_bytes) + content_bytes;
}

inline uint8_t* WriteVarint(uint8_t* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<uint8_t>(value);
  return out;
}

inline void AppendVarint(base::Bytes& out, uint64_t value) {
  const size_t size = out.size();
  out.ResizeUninitialized(size + VarintSize(value));
  WriteVarint(out.data() + size, value);
}
inline void AppendTag(base::Bytes& out, uint32_t field, WireType type) {
  AppendVarint(out, uint64_t{field} << 3 | static_cast<uint8_t>(type));
}
inline void AppendLengthDelimited(base::Bytes& out, uint32_t field, base::ByteView content) {
  AppendTag(out, field, WireType::kLength);
  AppendVarint(out, content.size());
  out.Append(content);
}
inline void AppendLengthDelimited(base::Bytes& out, uint32_t field, std::string_view content) {
  AppendLengthDelimited(out, field, base::AsBytes(content));
}
inline void AppendFixed64(base::Bytes& out, uint32_t field, uint64_t value) {
  AppendTag(out, field, WireType::kFixed64);
  uint8_t encoded[8];
  std::memcpy(encoded, &value, 8);
  out.Append({encoded, 8});
}

// Value of a varint of up to ten bytes, or nullptr (truncated, or no end in ten bytes).
inline const uint8_t* ReadVarint(const uint8_t* p, const uint8_t* end, uint64_t& value) {
  if (p < end && *p < 0x80) [[likely]] {
    value = *p;
    return p + 1;
  }
  uint64_t sum = 0;
  for (unsigned shift = 0; p < end && shift < 70; shift += 7) {
    const uint8_t byte = *p++;
    sum |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = sum;
      return p;
    }
  }
  return nullptr;
}

// One field of a message that Scan has accepted, for code that walks few fields and may be simple.
struct Field {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      // kVarint, kFixed64, kFixed32
  base::ByteView content;  // kLength: the field's payload
  base::ByteView whole;    // tag and payload
};

// Walks the fields of one message: `FieldReader reader(message); while (reader.Next(field)) ...`. A malformed message
// ends the walk with failed() true. Unknown groups are passed over as one field of type kStartGroup.
class FieldReader {
 public:
  explicit FieldReader(base::ByteView message) : p_(message.data()), end_(p_ + message.size()) {}
  bool Next(Field& field);
  bool failed() const { return failed_; }

 private:
  const uint8_t* ReadField(const uint8_t* p, Field& field) const;
  bool SkipGroup();
  template <typename Number>
  const uint8_t* ReadFixed(const uint8_t* p, uint64_t& value) const;
  bool Fail();

  const uint8_t* p_;
  const uint8_t* end_;
  bool failed_ = false;
};

}  // namespace tributary::otlp
