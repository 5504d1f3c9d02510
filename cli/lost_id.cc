#include "cli/lost_id.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "base/crc32c.h"
#include "pipeline/log_format.h"

namespace tributary::cli {
namespace {

using base::ByteView;
using pipeline::FrameHeader;

// How often each byte may be tried as part of some payload, so that what looks like many headers costs little.
constexpr uint64_t kTriesMax = 64;

// CRC32C bit by bit, reflected: what each byte does to a register that was zero.
constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78 : 0);
    table[byte] = value;
  }
  return table;
}();

// By the top byte of an entry, which is another in each, where it stands.
constexpr std::array<uint8_t, 256> kPlaceOfTop = [] {
  std::array<uint8_t, 256> places{};
  for (uint32_t byte = 0; byte < 256; ++byte) places[kTable[byte] >> 24] = static_cast<uint8_t>(byte);
  return places;
}();

// What Crc32c(bytes, crc) was given as `crc` when this is what it returned.
uint32_t CrcBefore(ByteView bytes, uint32_t crc) {
  uint32_t value = ~crc;
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
    const uint8_t place = kPlaceOfTop[value >> 24];
    value = ((value ^ kTable[place]) << 8) | (place ^ *byte);
  }
  return ~value;
}

// Four zeros, then the four bytes that bring the CRC to `crc`.
uint64_t IdWithCrc(uint32_t crc) {
  constexpr std::array<uint8_t, 4> kZeros{};
  const uint32_t last = base::Crc32c(kZeros) ^ CrcBefore(kZeros, crc);
  return static_cast<uint64_t>(last) << 32;
}

}  // namespace

std::optional<uint64_t> FindLostId(ByteView frames_untrusted) {
  uint64_t tries = kTriesMax * frames_untrusted.size();
  for (size_t at = 0; at + sizeof(FrameHeader) <= frames_untrusted.size(); at += 8) {
    FrameHeader header_untrusted;
    std::memcpy(&header_untrusted, frames_untrusted.data() + at, sizeof header_untrusted);
    const ByteView rest = frames_untrusted.subspan(at + sizeof(FrameHeader));
    if (header_untrusted.magic != FrameHeader::kMagic || header_untrusted.body_bytes() > rest.size()) continue;
    if (header_untrusted.body_bytes() > tries) return std::nullopt;
    tries -= header_untrusted.body_bytes();
    const ByteView before_crc = frames_untrusted.subspan(at, offsetof(FrameHeader, header_crc));
    const uint64_t id = IdWithCrc(CrcBefore(before_crc, header_untrusted.header_crc));
    if (BodyIsWhole(header_untrusted, id, rest.first(header_untrusted.body_bytes()))) return id;
  }
  return std::nullopt;
}

}  // namespace tributary::cli
