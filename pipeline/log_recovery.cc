#include "pipeline/log_recovery.h"

#include <algorithm>
#include <utility>

#include "base/whole_file.h"
#include "pipeline/log_format.h"

namespace tributary::pipeline {
namespace {

using base::ByteView;

constexpr uint64_t kExtentBytes = Block::kBytesMaxOnDisk;

// Frames tell when they were appended by the real-time clock, which may have been set since.
base::Time AppendedAt(const FrameHeader& header, base::Time now) {
  const uint64_t unix_now = base::UnixNanos();
  const uint64_t age = unix_now > header.appended_unix_ns ? unix_now - header.appended_unix_ns : 0;
  return now - base::Nanos(static_cast<int64_t>(std::min<uint64_t>(age, INT64_MAX / 4)));
}

}  // namespace

bool IsSegmentName(std::string_view name) {
  constexpr std::string_view kPrefix = "segment-";
  return name.size() > kPrefix.size() && name.starts_with(kPrefix) &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos;
}

base::IoResult<FoundFile> FindSegment(base::FileSystem& file_system, const std::string& path) {
  auto fd = file_system.Open(path, O_RDWR);
  if (!fd) return std::unexpected(fd.error());
  const auto size = file_system.Size(fd->get());
  if (!size) return std::unexpected(size.error());
  const base::WholeFile block = base::ReadWhole(file_system, fd->get(), 0, kSegmentHeaderBytes);
  if (block.unreadable_bytes > 0) return std::unexpected(block.error);
  return FoundFile{.file = std::make_shared<SegmentFile>(std::move(*fd), path, *size),
                   .header = DecodeSegmentHeader(block.bytes),
                   .blank = std::ranges::all_of(block.bytes.view(), [](uint8_t byte) { return byte == 0; }),
                   .failed_reads = block.failed_reads};
}

RecoveredSegment RecoverSegment(base::FileSystem& file_system, const FoundFile& found, uint64_t end, base::Time now,
                                TakenBatches& batches, Sources& sources) {
  RecoveredSegment recovered{.segment = std::make_unique<Segment>()};
  Segment& segment = *recovered.segment;
  segment.id = found.header->segment_id;
  segment.life_id = found.header->life_id;
  segment.first_sequence = found.header->first_sequence;
  segment.file = found.file;
  const uint64_t frames_bytes = found.file->bytes - std::min<uint64_t>(found.file->bytes, kSegmentHeaderBytes);
  const base::WholeFile content = base::ReadWhole(file_system, found.file->fd.get(), kSegmentHeaderBytes, frames_bytes);
  recovered.unreadable_bytes = content.unreadable_bytes;
  recovered.failed_reads = content.failed_reads;
  const auto take = [&](const FrameHeader& frame, size_t offset, ByteView body) {
    recovered.committed = std::max(recovered.committed, frame.committed);
    if (frame.sequence >= end || (frame.flags & FrameHeader::kEnd) != 0) return;
    if (const auto batch = DecodeBatchId(OriginOf(frame, body))) batches.Take(*batch);
    const uint64_t file_offset = kSegmentHeaderBytes + offset;
    auto& extents = segment.extents;
    const bool goes_on = !extents.empty() && extents.back().end_sequence() == frame.sequence &&
                         extents.back().file_offset + extents.back().file_bytes == file_offset &&
                         extents.back().bytes + frame.payload_bytes <= kExtentBytes;
    if (!goes_on) {
      extents.push_back({.first_sequence = frame.sequence,
                         .oldest = AppendedAt(frame, now),
                         .file_offset = file_offset,
                         .block = nullptr});
    }
    Extent& extent = extents.back();
    sources.Hold(DecodeSource(OriginOf(frame, body)), frame.items, frame.payload_bytes, extent.shares);
    ++extent.frames;
    extent.items += frame.items;
    extent.bytes += frame.payload_bytes;
    extent.file_bytes += FrameBytes(body.size());
  };
  segment.file_used = kSegmentHeaderBytes + WalkFrames(content.bytes, segment.id, segment.first_sequence, take);
  return recovered;
}

std::shared_ptr<const Block> ReadBlock(base::Bytes bytes, uint64_t segment_id, uint64_t life_id, const Extent& extent,
                                       base::Time now) {
  auto block = std::make_shared<Block>(extent.first_sequence, life_id);
  const ByteView frames_untrusted = bytes.view();
  block->Adopt(std::move(bytes));
  const auto lose_up_to = [&block](uint64_t sequence) {
    while (block->end_sequence() < sequence) block->AddRecord({.lost = true});
  };
  uint64_t items = 0;
  uint64_t payload_bytes = 0;
  WalkFrames(frames_untrusted, segment_id, extent.first_sequence, [&](const FrameHeader& frame, size_t, ByteView body) {
    if (!extent.Has(frame.sequence) || (frame.flags & FrameHeader::kEnd) != 0) return;
    lose_up_to(frame.sequence);
    block->AddRecord({.bytes = PayloadOf(frame, body),
                      .origin = OriginOf(frame, body),
                      .counts = {.items = frame.items, .resources = frame.resources},
                      .appended = AppendedAt(frame, now)});
    items += frame.items;
    payload_bytes += frame.payload_bytes;
  });
  lose_up_to(extent.end_sequence());
  for (Block::Record& record : block->records()) {
    if (!record.lost) continue;
    record.counts.items = static_cast<uint32_t>(extent.items - std::exchange(items, extent.items));
    record.lost_bytes = extent.bytes - std::exchange(payload_bytes, extent.bytes);
    record.appended = extent.oldest;
  }
  return block;
}

std::shared_ptr<const Block> ReadBlock(base::FileSystem& file_system, const Segment& segment, const Extent& extent,
                                       base::Time now) {
  auto file = base::ReadWhole(file_system, segment.file->fd.get(), extent.file_offset, extent.file_bytes);
  return ReadBlock(std::move(file.bytes), segment.id, segment.life_id, extent, now);
}

}  // namespace tributary::pipeline
