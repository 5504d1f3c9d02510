// The id of a segment whose header is lost, worked out from its frames.
//
// Every CRC32C in a segment goes over the segment's id first. The id itself cannot be known again, but what matters of
// it is the 32 bits that the CRC holds after it, and each frame header gives those away: a CRC can be run backwards
// over bytes that are known. Any id that leaves the CRC with the same 32 bits then passes for the lost one in
// everything that log_format.h does. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace tributary::cli {

// Such an id for the first frame of `frames_untrusted` that is whole by it, header and payload: frames of the file's
// last use come before what earlier uses left. Nothing when no frame is whole.
std::optional<uint64_t> FindLostId(base::ByteView frames_untrusted);

}  // namespace tributary::cli
