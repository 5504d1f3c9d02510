#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <climits>

namespace tributary::base {

uint32_t Crc32c(ByteView bytes, uint32_t crc) {
  // ISA-L leaves the inversions to its caller, takes an int, and does not write to what it takes as mutable.
  crc = ~crc;
  while (!bytes.empty()) {
    const ByteView piece = bytes.first(std::min<size_t>(bytes.size(), INT_MAX));
    crc = crc32_iscsi(const_cast<uint8_t*>(piece.data()), static_cast<int>(piece.size()), crc);
    bytes = bytes.subspan(piece.size());
  }
  return ~crc;
}

}  // namespace tributary::base
