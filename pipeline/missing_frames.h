// MissingFrames: which frames of one signal a disk lost: they had been answered OK, are in no segment of the Log, and
// nothing says that they were delivered. One rule, for the Log's start and for `tributary fsck`.
//
// Three things are known. Whole frames tell up to which sequence their process had answered OK; what is missing beyond
// is a torn tail, which nobody misses. A Cursor's file tells what was delivered. And a segment is freed as a whole:
// what is missing in the midst of one was never freed. A Cursor's file that may be older than what was freed, because
// it is damaged, proves a loss only there: it does not count as lost what it cannot know about. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/ack_set.h"
#include "pipeline/log_format.h"

namespace tributary::pipeline {

class MissingFrames {
 public:
  // Segments, in any order. Of one whose process gave out sequences from `life_first_sequence` on, some whole frame
  // tells that all before `committed` had been answered OK.
  void AddAnswered(uint64_t life_first_sequence, uint64_t committed);
  // Its frames from `begin` to `end` are whole, and count.
  void AddWhole(uint64_t begin, uint64_t end) { whole_.AddRange(begin, end); }
  // Its own are the sequences from `begin`, its first, to `end`, after the last that is whole.
  void AddExtent(uint64_t begin, uint64_t end) { extents_.AddRange(begin, end); }

  // One beyond the last that had been answered OK, as far as anything tells.
  uint64_t answered_end() const { return answered_.end(); }
  // What is lost to some of these, ascending; nothing without any, since then nobody waits.
  AckSet LostTo(const std::vector<CursorState>& cursors) const;

 private:
  AckSet answered_;
  AckSet whole_;
  AckSet extents_;
};

}  // namespace tributary::pipeline
