// Segment: a run of frames of one signal that is kept, and freed, as a whole: on disk a file, in memory one Block.
// Extent: a stretch of it, small enough to be read back at once, and what is known of it without reading.
//
// Of a frame that is only on disk nothing stays in memory but its share of an Extent, so that a backlog of any length
// costs next to none. Loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/bytes.h"
#include "base/clock.h"
#include "pipeline/block.h"
#include "pipeline/segment_pool.h"
#include "pipeline/sources.h"

namespace tributary::pipeline {

struct Extent {
  uint64_t first_sequence = 0;
  uint32_t frames = 0;
  uint64_t items = 0;
  uint64_t bytes = 0;  // of requests
  base::Time oldest{};
  uint64_t file_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t held = 0;             // frames times the Cursors that have not acknowledged them
  Sources::Shares shares = {};   // of its items and bytes
  std::shared_ptr<Block> block;  // null when it is only on disk

  uint64_t end_sequence() const { return first_sequence + frames; }
  bool Has(uint64_t sequence) const { return sequence >= first_sequence && sequence < end_sequence(); }
};

struct Segment {
  uint64_t id = 0;
  uint64_t life_id = 0;
  uint64_t first_sequence = 0;
  std::shared_ptr<SegmentFile> file;  // null in memory
  uint64_t file_used = 0;
  std::deque<Extent> extents;  // ascending; there may be gaps, where frames were damaged
  uint64_t extents_held = 0;   // of them, those that some Cursor wants
  base::Bytes header;          // while it is being written
  bool failed = false;         // a write or a sync of it failed: nothing more is written to it

  uint64_t end_sequence() const { return extents.empty() ? first_sequence : extents.back().end_sequence(); }
};

}  // namespace tributary::pipeline
