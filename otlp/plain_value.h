// Attributes as every encoder writes them, recognised in a few steps: key, then value, one scalar, in ASCII, and short
// enough that all lengths are single bytes. "No" only means that the bytes have to be walked (Scanner::ValueTree).
// Arguments are message bodies. Reads up to 32 bytes behind them; callers have padding (base/bytes.h). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "otlp/ascii.h"
#include "otlp/wire.h"

namespace tributary::otlp {

// An AnyValue that is a string. Length and text are tested together: a length of two bytes has a high bit.
inline bool IsPlainStringValue(const uint8_t* any_value, size_t size) {
  return any_value[0] == TagByte(1, WireType::kLength) && any_value[1] + size_t{2} == size &&
         IsAsciiPadded(any_value + 1, size - 1);
}

// A KeyValue whose value is a string. All of its bytes are below 0x80, tags and lengths included.
inline bool IsPlainStringAttribute(const uint8_t* key_value, size_t size) {
  const size_t key_size = key_value[1];
  if (key_value[0] != TagByte(1, WireType::kLength) || key_size + 6 > size) return false;
  const uint8_t* const value = key_value + 2 + key_size;
  return value[0] == TagByte(2, WireType::kLength) && value[1] + key_size + 4 == size &&
         value[2] == TagByte(1, WireType::kLength) && value[3] + key_size + 6 == size && IsAsciiPadded(key_value, size);
}

// A KeyValue whose value is an integer, a boolean or a double.
inline bool IsPlainNumberAttribute(const uint8_t* key_value, size_t size) {
  const size_t key_size = key_value[1];
  if (key_value[0] != TagByte(1, WireType::kLength) || key_size + 6 > size) return false;
  const uint8_t* const value = key_value + 2 + key_size;
  const bool framed = value[0] == TagByte(2, WireType::kLength) && value[1] + key_size + 4 == size;
  if (!framed || !IsAsciiPadded(key_value, key_size + 4)) return false;
  switch (value[2]) {
    case TagByte(2, WireType::kVarint):
    case TagByte(3, WireType::kVarint): {
      uint64_t number;
      return ReadVarint(value + 3, key_value + size, number) == key_value + size;
    }
    case TagByte(4, WireType::kFixed64):
      return value[1] == 1 + sizeof(uint64_t);
    default:
      return false;
  }
}

}  // namespace tributary::otlp
