// The Log's format on disk (docs/formats/log.md): what a segment file and a cursor file hold, byte by byte.
//
// A segment file begins with its header, twice, and goes on with frames, one after another. Integers are little-endian.
// Every CRC32C is computed over the segment's random id first, so that what an earlier use left in a recycled file is
// never taken for its present content. Pure functions; any thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "otlp/scan.h"
#include "otlp/signal.h"
#include "pipeline/ack_set.h"

namespace tributary::pipeline {

static_assert(std::endian::native == std::endian::little, "the format's integers are written as they lie in memory");

// Of sequences and serials. No Log lives so long; what says more was not written by one.
inline constexpr uint64_t kSequenceMax = (uint64_t{1} << 62) - 1;

// --- Segment files --------------------------------------------------------------------------------------------------

struct SegmentHeader {
  static constexpr uint64_t kMagic = 0x31474553'42495254;  // "TRIBSEG1"

  uint64_t magic = kMagic;
  uint64_t segment_id = 0;      // random, of this use of the file
  uint64_t serial = 0;          // counts the segments of a Log
  uint64_t first_sequence = 0;  // of the first frame. What a segment of a lower serial has from here on, is void
  // Of the life that wrote this. Of what is missing before it, `committed` says nothing.
  uint64_t life_first_sequence = 0;
  uint64_t life_id = 0;  // random, of that life: it gives a sequence to one content only
  uint64_t created_unix_ns = 0;
  uint32_t signal = 0;  // otlp::Signal
  uint32_t crc = 0;     // CRC32C of all before
};
static_assert(sizeof(SegmentHeader) == 64);

// The header stands in each half of the first 4 KiB, so that one damaged sector does not take the segment with it.
inline constexpr size_t kSegmentHeaderBytes = 4096;

// Fills in the CRC.
base::Bytes EncodeSegmentHeader(SegmentHeader header);
// Of the first kSegmentHeaderBytes of a file. Nothing when neither copy is whole, as in a file never used.
std::optional<SegmentHeader> DecodeSegmentHeader(base::ByteView block_untrusted);

struct FrameHeader {
  static constexpr uint32_t kMagic = 0x314d5246;  // "FRM1"
  static constexpr uint32_t kEnd = 1;             // flags: the Log was closed after this frame, which carries nothing

  uint32_t magic = kMagic;
  uint32_t payload_bytes = 0;  // the request, which follows the origin; zeros bring the next frame to a multiple of 8
  uint64_t sequence = 0;       // counts the frames of a signal
  uint64_t committed = 0;      // every frame before this sequence was answered OK when this one was written
  uint64_t appended_unix_ns = 0;
  uint32_t items = 0;
  uint32_t resources = 0;
  uint32_t flags = 0;
  uint32_t body_crc = 0;      // CRC32C of the segment id and the body
  uint32_t origin_bytes = 0;  // of the Origin, which follows this header
  uint32_t header_crc = 0;    // CRC32C of the segment id and all before

  uint64_t body_bytes() const { return uint64_t{origin_bytes} + payload_bytes; }
};
static_assert(sizeof(FrameHeader) == 56);

// What a frame takes in its segment.
constexpr size_t FrameBytes(size_t body_bytes) { return (sizeof(FrameHeader) + body_bytes + 7) & ~size_t{7}; }

// Fills in lengths and CRCs, and writes the header's bytes to `to`.
void EncodeFrameHeader(FrameHeader header, uint64_t segment_id, base::ByteView origin, base::ByteView payload,
                       uint8_t* to);

// The header at the start of `bytes_untrusted`, once its magic and CRC say that it is one of this segment.
std::optional<FrameHeader> DecodeFrameHeader(base::ByteView bytes_untrusted, uint64_t segment_id);
bool BodyIsWhole(const FrameHeader& header, uint64_t segment_id, base::ByteView body_untrusted);

// Calls take(header, offset, body) for every whole frame of `frames_untrusted`, a part of a segment that begins
// where a frame does, in the order of their sequences, which are `first_sequence` or more. What is damaged is passed
// over. Returns where the last whole frame ends.
template <typename Take>
size_t WalkFrames(base::ByteView frames_untrusted, uint64_t segment_id, uint64_t first_sequence, Take take);
// The two parts of a whole frame's body.
inline base::ByteView OriginOf(const FrameHeader& header, base::ByteView body) {
  return body.first(header.origin_bytes);
}
inline base::ByteView PayloadOf(const FrameHeader& header, base::ByteView body) {
  return body.subspan(header.origin_bytes);
}

// Where the next whole frame header lies at or after `from`, a multiple of 8, as frames are.
struct FoundFrame {
  size_t offset;
  FrameHeader header;
};
std::optional<FoundFrame> FindFrame(base::ByteView frames_untrusted, size_t from, uint64_t segment_id);

// --- Cursor files ---------------------------------------------------------------------------------------------------

// A cursor file is two slots. A save writes the one that is older, so that the other is whole whatever happens to it.
// A slot is {u64 magic, u64 generation, u64 below, u32 ranges, u32 CRC32C of all the rest, {u64 begin, u64 end}...}.
inline constexpr size_t kCursorSlotBytes = 4096;
inline constexpr size_t kCursorFileBytes = 2 * kCursorSlotBytes;

struct CursorState {
  uint64_t generation = 0;  // of saves; the higher one is in force
  AckSet acknowledged;
  bool may_be_old = false;  // a slot was damaged, and who knows what it said
};

// Ranges that do not fit are left out, the youngest first: their frames would be sent again.
base::Bytes EncodeCursor(const CursorState& state);
// Of a whole file. Nothing when neither slot is whole.
std::optional<CursorState> DecodeCursor(base::ByteView file_untrusted);

// --------------------------------------------------------------------------------------------------------------------

template <typename Take>
size_t WalkFrames(base::ByteView frames_untrusted, uint64_t segment_id, uint64_t first_sequence, Take take) {
  size_t end = 0;
  std::optional<FoundFrame> found = FindFrame(frames_untrusted, 0, segment_id);
  while (found) {
    const auto& [offset, header] = *found;
    const base::ByteView rest = frames_untrusted.subspan(offset);
    // The header is whole, so its lengths are what was written, if not what was kept.
    const base::ByteView body =
        rest.subspan(sizeof header).first(std::min<size_t>(header.body_bytes(), rest.size() - sizeof header));
    const size_t next = offset + std::min(FrameBytes(header.body_bytes()), rest.size());
    if (header.sequence >= first_sequence && BodyIsWhole(header, segment_id, body)) {
      take(header, offset, body);
      first_sequence = header.sequence + 1;
      end = next;
    }
    found = FindFrame(frames_untrusted, next, segment_id);
  }
  return end;
}

}  // namespace tributary::pipeline
