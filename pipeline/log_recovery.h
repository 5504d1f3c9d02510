// Recovery: what a Log's files say after a life that may have ended anyhow: in order, by a kill, by a power loss, on a
// damaged disk. It reads, and believes nothing that its CRC does not say; it changes nothing.
//
// Frames that are missing before others of the same signal are damage if they had been answered OK, which later frames
// tell (FrameHeader::committed); what is missing at the end was never answered, and is not missed. Blocks; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "pipeline/block.h"
#include "pipeline/log_format.h"
#include "pipeline/segment.h"
#include "pipeline/sources.h"
#include "pipeline/taken_batches.h"

namespace tributary::pipeline {

// Whether a directory's entry is a segment file, in use or ready to be: "segment-" and digits. What has anything after
// them was set aside.
bool IsSegmentName(std::string_view name);

// The header of a segment file, which is enough to put files in order. `blank`: the file was never used; otherwise,
// without a header, it is damaged beyond use.
struct FoundFile {
  std::shared_ptr<SegmentFile> file;
  std::optional<SegmentHeader> header;
  bool blank = false;
  uint64_t failed_reads = 0;  // before one went well
};
// An error when the disk will not give the header.
base::IoResult<FoundFile> FindSegment(base::FileSystem& file_system, const std::string& path);

// The frames of a file that has a header, but for those from `end` on, which segments of a higher serial gave anew.
struct RecoveredSegment {
  std::unique_ptr<Segment> segment;  // its extents are of whole frames only
  uint64_t committed = 0;            // the highest that a frame tells, of sequences from life_first_sequence on
  uint64_t unreadable_bytes = 0;     // frames in them are as good as damaged
  uint64_t failed_reads = 0;
};
// `now` is when this is; frames tell their times by the real-time clock.
// What other Tributaries called the frames is noted in `batches`, who sent them in `sources`.
RecoveredSegment RecoverSegment(base::FileSystem& file_system, const FoundFile& found, uint64_t end, base::Time now,
                                TakenBatches& batches, Sources& sources);

// The frames of an extent, from its `bytes` on disk. Those that are damaged are there as lost ones, among which the
// items and bytes are shared out that the extent had and the others have not.
std::shared_ptr<const Block> ReadBlock(base::Bytes bytes, uint64_t segment_id, uint64_t life_id, const Extent& extent,
                                       base::Time now);

// ReadBlock from the file.
std::shared_ptr<const Block> ReadBlock(base::FileSystem& file_system, const Segment& segment, const Extent& extent,
                                       base::Time now);

}  // namespace tributary::pipeline
