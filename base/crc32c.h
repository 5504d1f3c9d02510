// CRC32C: the checksum of frames on disk. Polynomial 0x1EDC6F41, reflected, as in RFC 3720 (iSCSI) appendix B.4: the
// one that processors help to compute. Any thread.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace tributary::base {

// Of `bytes`, or of what `crc` is the checksum of followed by `bytes`: Crc32c(b, Crc32c(a)) is that of a and b
// together.
uint32_t Crc32c(ByteView bytes, uint32_t crc = 0);

}  // namespace tributary::base
