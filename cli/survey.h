// Survey: what a Log's directory holds, found without changing it: every segment and every cursor, which frames are
// whole, which are not, and which somebody still waits for. By the rules of docs/formats/log.md, so that it counts as
// lost what the Log would. Reads one file at a time into memory. Blocks; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "otlp/signal.h"
#include "pipeline/ack_set.h"
#include "pipeline/log_format.h"

namespace tributary::cli {

enum class State : uint8_t {
  kWhole,
  kTornTail,    // what is broken was never answered OK, or is delivered: a crash's usual trace, and no loss
  kDamaged,     // some frames, or one of the header's two copies, are broken
  kVoid,        // every frame was given anew by a later segment
  kBlank,       // made, and not used yet
  kHeaderLost,  // no header, but frames from which what it said can be worked out
  kBeyondUse,   // no header, and no frame
  kReplaced,    // what a repair set aside
};
std::string_view Name(State state);

// A place in a segment file where frames should be that are not whole.
struct Break {
  uint64_t offset = 0;
  uint64_t bytes = 0;           // 0: up to the end of the file
  uint64_t first_sequence = 0;  // of the frames that are missing for it
  uint64_t end_sequence = 0;
  uint64_t lost = 0;  // of them (pipeline/missing_frames.h)

  uint64_t frames() const { return end_sequence - first_sequence; }
};

struct SegmentFound {
  std::string name;
  State state = State::kWhole;
  uint64_t file_bytes = 0;
  uint64_t used_bytes = 0;  // up to the end of the last whole frame
  uint64_t unreadable_bytes = 0;
  // When it is lost, what its frames tell: an id that is as good, the signal, the first sequence; nothing when they do
  // not.
  std::optional<pipeline::SegmentHeader> header;
  bool one_copy = false;  // the header's other copy is damaged
  // Of whole frames that count:
  uint64_t frames = 0;
  uint64_t items = 0;
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t oldest_unix_ns = 0;
  uint64_t youngest_unix_ns = 0;
  uint64_t wanted_frames = 0;  // not acknowledged by every cursor
  uint64_t wanted_items = 0;

  uint64_t void_from = UINT64_MAX;  // sequences that later segments gave anew
  uint64_t void_frames = 0;         // whole ones of these
  std::vector<Break> breaks;

  otlp::Signal signal() const { return static_cast<otlp::Signal>(header->signal); }
};

struct CursorFound {
  std::string name;  // of its file
  std::optional<otlp::Signal> signal;
  std::string destination;
  bool unfinished = false;  // a .new file, left by a crash in the middle of making it
  bool whole = false;       // otherwise nothing counts as acknowledged
  pipeline::CursorState state{.acknowledged = {}, .may_be_old = true};
  uint64_t wanted_frames = 0;
  uint64_t wanted_items = 0;

  bool Wants(uint64_t sequence) const { return !state.acknowledged.Contains(sequence); }
};

// Frames that are lost, and where they should be.
struct Missing {
  otlp::Signal signal;
  uint64_t first_sequence;
  uint64_t end_sequence;
  uint64_t wanted;    // by the cursor that lacks most of them
  std::string after;  // the segment they should follow; empty when there is none
};

struct Survey {
  std::string directory;
  bool in_use = false;                 // by a running process, which may change it under our eyes
  std::vector<SegmentFound> segments;  // by signal and serial, then those without a header
  std::vector<CursorFound> cursors;
  std::vector<Missing> missing;

  // Whether something is wrong that a healthy disk and a crash do not explain.
  bool damaged() const;
};

// A whole frame that counts. The payload is followed by base::Bytes::kPadding readable bytes.
struct FrameFound {
  const SegmentFound& segment;
  const pipeline::FrameHeader& header;
  base::ByteView payload;
  bool wanted;
};

struct Watch {
  std::function<void(const FrameFound&)> frame = [](const FrameFound&) {};
  // Before each file: its name, and how many of the directory's bytes were read.
  std::function<void(std::string_view name, uint64_t bytes, uint64_t of_bytes)> progress = [](std::string_view,
                                                                                              uint64_t, uint64_t) {};
};

base::Result<Survey> Look(base::FileSystem& file_system, const std::string& directory, const Watch& watch);

}  // namespace tributary::cli
