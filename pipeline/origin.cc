#include "pipeline/origin.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

using base::ByteView;

// Then, when there are ranges: {u64 stream, u64 below, {u64 begin, u64 end} each}; then the source.
struct OriginHeader {
  uint32_t source_bytes = 0;
  uint32_t ranges = 0;
};
struct StreamHeader {
  uint64_t stream = 0;
  uint64_t below = 0;
};
static_assert(sizeof(OriginHeader) + sizeof(StreamHeader) == 24);
static_assert(sizeof(AckSet::Range) == 16);

size_t BatchIdBytes(size_t ranges) { return ranges == 0 ? 0 : sizeof(StreamHeader) + ranges * sizeof(AckSet::Range); }

std::optional<OriginHeader> DecodeHeader(ByteView origin_untrusted) {
  OriginHeader header;
  if (origin_untrusted.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, origin_untrusted.data(), sizeof header);
  if (header.ranges > BatchId::kRangesMax || header.source_bytes > Origin::kSourceBytesMax ||
      origin_untrusted.size() != sizeof header + BatchIdBytes(header.ranges) + header.source_bytes) {
    return std::nullopt;
  }
  return header;
}

}  // namespace

bool AreApart(const std::vector<AckSet::Range>& ranges_untrusted) {
  uint64_t from = 0;
  for (const AckSet::Range& range : ranges_untrusted) {
    if (range.begin < from || range.begin >= range.end || range.end == UINT64_MAX) return false;
    from = range.end + 1;
  }
  return true;
}

size_t EncodedBytes(const Origin& origin) {
  const size_t source_bytes = origin.source ? origin.source->size() : 0;
  if (source_bytes == 0 && !origin.batch) return 0;
  return sizeof(OriginHeader) + BatchIdBytes(origin.batch.ranges.size()) + source_bytes;
}

void Encode(const Origin& origin, uint8_t* to) {
  const auto put = [&to](const void* from, size_t size) {
    if (size > 0) to = std::copy_n(static_cast<const uint8_t*>(from), size, to);
  };
  if (EncodedBytes(origin) == 0) return;
  const BatchId& batch = origin.batch;
  const OriginHeader header{.source_bytes = origin.source ? static_cast<uint32_t>(origin.source->size()) : 0,
                            .ranges = static_cast<uint32_t>(batch.ranges.size())};
  CHECK(header.ranges <= BatchId::kRangesMax && header.source_bytes <= Origin::kSourceBytesMax);
  put(&header, sizeof header);
  if (batch) {
    const StreamHeader stream{.stream = batch.stream, .below = batch.below};
    put(&stream, sizeof stream);
    put(batch.ranges.data(), batch.ranges.size() * sizeof(AckSet::Range));
  }
  if (origin.source) put(origin.source->data(), origin.source->size());
}

std::optional<BatchId> DecodeBatchId(ByteView origin_untrusted) {
  const auto header = DecodeHeader(origin_untrusted);
  if (!header || header->ranges == 0) return std::nullopt;
  StreamHeader stream;
  std::memcpy(&stream, origin_untrusted.data() + sizeof *header, sizeof stream);
  BatchId batch{.stream = stream.stream, .below = stream.below, .ranges = {}};
  batch.ranges.resize(header->ranges);
  std::memcpy(batch.ranges.data(), origin_untrusted.data() + sizeof *header + sizeof stream,
              header->ranges * sizeof(AckSet::Range));
  if (!AreApart(batch.ranges)) return std::nullopt;
  return batch;
}

ByteView DecodeSource(ByteView origin_untrusted) {
  const auto header = DecodeHeader(origin_untrusted);
  return header ? origin_untrusted.last(header->source_bytes) : ByteView();
}

}  // namespace tributary::pipeline
