// Repair: what can be mended in a Log's directory while no process has it, and the mending.
//
// Sequences are what cursors know frames by, so a repair never changes one: whole frames keep theirs, byte by byte, in
// a file of their own that takes the damaged one's place in the order of segments, by its serial. The cursors need no
// mending: the Log passes over what is missing, and counts it. Nothing is written into a file that is there: the new
// one is written under a name that the Log does not look at, synced and renamed; only then the old one is set aside,
// with .replaced after its name. Between the two both are there with the same serial, of which the Log takes one.
// Blocks; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "cli/survey.h"
#include "pipeline/log_format.h"

namespace tributary::cli {

struct Repair {
  enum class Kind : uint8_t {
    kRewrite,   // the whole frames of a segment
    kSetAside,  // a file that holds nothing which anybody waits for
    kRemove,    // a cursor file that was never finished
    kNothing,   // it cannot be done; `why`
  };
  Kind kind;
  std::string name;  // of the file, in the directory
  std::string why;   // for people
  // kRewrite: the new segment's name and header, and which frames go there.
  std::string new_name;
  pipeline::SegmentHeader header;
  uint64_t old_id = 0;  // by which the old file's frames are known
  uint64_t first_sequence = 0;
  uint64_t end_sequence = 0;
};

std::vector<Repair> Plan(const Survey& survey);

// The directory's lock must be held. "segment-00000003: 17 frames written to segment-00000009, ...".
base::Result<std::string> Do(base::FileSystem& file_system, const std::string& directory, const Repair& repair);

}  // namespace tributary::cli
