#include "pipeline/log_format.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"

namespace tributary::pipeline {
namespace {

using base::ByteView;

constexpr size_t kHeaderCopies = 2;
constexpr uint64_t kCursorMagic = 0x31525543'42495254;  // "TRIBCUR1"

struct CursorSlot {
  uint64_t magic = kCursorMagic;
  uint64_t generation = 0;
  uint64_t below = 0;
  uint32_t ranges = 0;
  uint32_t crc = 0;  // of all before and of the ranges
};
static_assert(sizeof(CursorSlot) == 32);
static_assert(sizeof(AckSet::Range) == 16);
constexpr size_t kRangesMax = (kCursorSlotBytes - sizeof(CursorSlot)) / sizeof(AckSet::Range);

uint32_t Crc(uint64_t segment_id, ByteView bytes) {
  const ByteView id(reinterpret_cast<const uint8_t*>(&segment_id), sizeof segment_id);
  return base::Crc32c(bytes, base::Crc32c(id));
}

template <typename T>
ByteView BytesBeforeCrc(const T& header, size_t crc_offset) {
  return {reinterpret_cast<const uint8_t*>(&header), crc_offset};
}

uint32_t HeaderCrc(const SegmentHeader& header) {
  return Crc(header.segment_id, BytesBeforeCrc(header, offsetof(SegmentHeader, crc)));
}

uint32_t HeaderCrc(const FrameHeader& header, uint64_t segment_id) {
  return Crc(segment_id, BytesBeforeCrc(header, offsetof(FrameHeader, header_crc)));
}

uint32_t SlotCrc(const CursorSlot& slot, ByteView ranges) {
  return base::Crc32c(ranges, base::Crc32c(BytesBeforeCrc(slot, offsetof(CursorSlot, crc))));
}

template <typename T>
std::optional<T> Load(ByteView bytes_untrusted) {
  if (bytes_untrusted.size() < sizeof(T)) return std::nullopt;
  T loaded;
  std::memcpy(&loaded, bytes_untrusted.data(), sizeof loaded);
  return loaded;
}

bool IsBlank(ByteView bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

std::optional<CursorState> DecodeSlot(ByteView slot_untrusted) {
  const auto slot = Load<CursorSlot>(slot_untrusted);
  if (!slot || slot->magic != kCursorMagic || slot->ranges > kRangesMax) return std::nullopt;
  const ByteView ranges = slot_untrusted.subspan(sizeof(CursorSlot), slot->ranges * sizeof(AckSet::Range));
  if (SlotCrc(*slot, ranges) != slot->crc || slot->below > kSequenceMax) return std::nullopt;
  CursorState state{.generation = slot->generation, .acknowledged = AckSet(slot->below)};
  for (size_t at = 0; at < ranges.size(); at += sizeof(AckSet::Range)) {
    const auto range = Load<AckSet::Range>(ranges.subspan(at));
    if (range->end > kSequenceMax) return std::nullopt;
    state.acknowledged.AddRange(range->begin, range->end);
  }
  return state;
}

}  // namespace

base::Bytes EncodeSegmentHeader(SegmentHeader header) {
  header.crc = HeaderCrc(header);
  base::Bytes block;
  block.ResizeUninitialized(kSegmentHeaderBytes);
  std::memset(block.data(), 0, block.size());
  for (size_t i = 0; i < kHeaderCopies; ++i) {
    std::memcpy(block.data() + i * (kSegmentHeaderBytes / kHeaderCopies), &header, sizeof header);
  }
  return block;
}

std::optional<SegmentHeader> DecodeSegmentHeader(ByteView block_untrusted) {
  for (size_t at = 0; at < block_untrusted.size(); at += kSegmentHeaderBytes / kHeaderCopies) {
    const auto header = Load<SegmentHeader>(block_untrusted.subspan(at));
    if (header && header->magic == SegmentHeader::kMagic && header->crc == HeaderCrc(*header) &&
        header->signal < otlp::kSignals.size() && header->serial <= kSequenceMax &&
        header->first_sequence <= kSequenceMax && header->life_first_sequence <= kSequenceMax) {
      return header;
    }
  }
  return std::nullopt;
}

void EncodeFrameHeader(FrameHeader header, uint64_t segment_id, ByteView origin, ByteView payload, uint8_t* to) {
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  header.origin_bytes = static_cast<uint32_t>(origin.size());
  header.body_crc = base::Crc32c(payload, Crc(segment_id, origin));
  header.header_crc = HeaderCrc(header, segment_id);
  std::memcpy(to, &header, sizeof header);
}

std::optional<FrameHeader> DecodeFrameHeader(ByteView bytes_untrusted, uint64_t segment_id) {
  const auto header = Load<FrameHeader>(bytes_untrusted);
  if (!header || header->magic != FrameHeader::kMagic || header->header_crc != HeaderCrc(*header, segment_id)) {
    return std::nullopt;
  }
  if (header->sequence > kSequenceMax || header->committed > kSequenceMax) return std::nullopt;
  return header;
}

bool BodyIsWhole(const FrameHeader& header, uint64_t segment_id, ByteView body_untrusted) {
  return body_untrusted.size() == header.body_bytes() && Crc(segment_id, body_untrusted) == header.body_crc;
}

std::optional<FoundFrame> FindFrame(ByteView frames_untrusted, size_t from, uint64_t segment_id) {
  for (size_t at = from; at + sizeof(FrameHeader) <= frames_untrusted.size(); at += 8) {
    uint32_t magic;
    std::memcpy(&magic, frames_untrusted.data() + at, sizeof magic);
    if (magic != FrameHeader::kMagic) continue;
    if (const auto header = DecodeFrameHeader(frames_untrusted.subspan(at), segment_id)) return FoundFrame{at, *header};
  }
  return std::nullopt;
}

base::Bytes EncodeCursor(const CursorState& state) {
  const auto& ranges = state.acknowledged.ranges();
  CursorSlot slot{.generation = state.generation,
                  .below = state.acknowledged.below(),
                  .ranges = static_cast<uint32_t>(std::min(ranges.size(), kRangesMax))};
  const ByteView range_bytes(reinterpret_cast<const uint8_t*>(ranges.data()), slot.ranges * sizeof(AckSet::Range));
  slot.crc = SlotCrc(slot, range_bytes);
  base::Bytes encoded;
  encoded.Append({reinterpret_cast<const uint8_t*>(&slot), sizeof slot});
  encoded.Append(range_bytes);
  return encoded;
}

std::optional<CursorState> DecodeCursor(ByteView file_untrusted) {
  std::optional<CursorState> newest;
  bool may_be_old = file_untrusted.size() < kCursorFileBytes;
  for (size_t at = 0; at + kCursorSlotBytes <= file_untrusted.size(); at += kCursorSlotBytes) {
    const ByteView slot = file_untrusted.subspan(at, kCursorSlotBytes);
    auto state = DecodeSlot(slot);
    may_be_old |= !state && !IsBlank(slot);
    if (state && (!newest || state->generation > newest->generation)) newest = std::move(state);
  }
  if (newest) newest->may_be_old = may_be_old;
  return newest;
}

}  // namespace tributary::pipeline
