#include "pipeline/missing_frames.h"

#include <algorithm>

namespace tributary::pipeline {

void MissingFrames::AddAnswered(uint64_t life_first_sequence, uint64_t committed) {
  answered_.AddRange(life_first_sequence, committed);
}

AckSet MissingFrames::LostTo(const std::vector<CursorState>& cursors) const {
  AckSet lost;
  const auto lose = [&lost](uint64_t begin, uint64_t end) { lost.AddRange(begin, end); };
  for (const AckSet::Range& answered : answered_.ranges()) {
    whole_.ForEachMissing(answered.begin, answered.end, [&](uint64_t begin, uint64_t end) {
      for (const CursorState& cursor : cursors) {
        if (!cursor.may_be_old) {
          cursor.acknowledged.ForEachMissing(begin, end, lose);
          continue;
        }
        for (const AckSet::Range& extent : extents_.ranges()) {
          cursor.acknowledged.ForEachMissing(std::max(begin, extent.begin), std::min(end, extent.end), lose);
        }
      }
    });
  }
  return lost;
}

}  // namespace tributary::pipeline
