// Origin: what is known of where a Batch came from. It travels with the Batch's frame in the Log, and so survives a
// restart, which a sender's resend may follow, and its name, which may be needed only when the frame goes out again.
// Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "pipeline/ack_set.h"

namespace tributary::pipeline {

// What a sender that has a Log itself, another Tributary, calls a request: the frames it is made of. It never gives a
// sequence of a stream to other content, so a request whose frames are all here already is a resend.
struct BatchId {
  static constexpr size_t kRangesMax = 8;

  uint64_t stream = 0;                // one reader of one life of the sender's Log
  uint64_t below = 0;                 // the sender will not send again what is below
  std::vector<AckSet::Range> ranges;  // ascending, apart from each other; none: the request has no id

  explicit operator bool() const { return !ranges.empty(); }
  bool operator==(const BatchId&) const = default;
};

// Whether they may be a BatchId's: ascending, none empty, none touching another.
bool AreApart(const std::vector<AckSet::Range>& ranges_untrusted);

struct Origin {
  static constexpr size_t kSourceBytesMax = 512;

  // Who sent it, in the words of whoever accepted the connection: opaque, shared by all that came over it. Null when
  // nothing is known.
  std::shared_ptr<const std::string> source;
  BatchId batch;
};

// As it lies in a frame (docs/formats/log.md): nothing at all when nothing is known.
constexpr size_t kOriginBytesMax = 24 + BatchId::kRangesMax * sizeof(AckSet::Range) + Origin::kSourceBytesMax;
size_t EncodedBytes(const Origin& origin);
void Encode(const Origin& origin, uint8_t* to);
// Nothing when they are not what Encode writes.
std::optional<BatchId> DecodeBatchId(base::ByteView origin_untrusted);
base::ByteView DecodeSource(base::ByteView origin_untrusted);

}  // namespace tributary::pipeline
