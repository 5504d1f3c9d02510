// Whether bytes are all ASCII, which nearly every string of telemetry is, so that UTF-8 need not be decoded.
// Reads up to 32 bytes behind the last; callers have padding (base/bytes.h). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tributary::otlp {

#if defined(__SSE2__)

// Bit i: byte i is not ASCII.
inline uint64_t HighBits32(const uint8_t* p) {
  const auto half = [](const uint8_t* q) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
    return static_cast<uint32_t>(_mm_movemask_epi8(bytes));
  };
  return half(p) | half(p + 16) << 16;
}

inline bool IsAsciiPadded(const uint8_t* p, size_t size) {
  for (; size > 32; p += 32, size -= 32) {
    if (HighBits32(p) != 0) return false;
  }
  return (HighBits32(p) & ((uint64_t{1} << size) - 1)) == 0;
}

#else

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the mask below keeps the low bytes of a word");

inline bool IsAsciiPadded(const uint8_t* p, size_t size) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  const auto word = [](const uint8_t* q) {
    uint64_t bytes;
    std::memcpy(&bytes, q, sizeof bytes);
    return bytes;
  };
  for (; size >= 8; p += 8, size -= 8) {
    if ((word(p) & kHighBits) != 0) return false;
  }
  return (word(p) & kHighBits & ((uint64_t{1} << 8 * size) - 1)) == 0;
}

#endif

}  // namespace tributary::otlp
