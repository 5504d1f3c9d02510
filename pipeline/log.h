// Log: takes responsibility for Batches and keeps them until every Cursor is done with them.
//
// Append answers when responsibility is taken, which is what a sender's OK waits for. When that is, is the Log's mode:
//   memory   at once. What is held ends with the process.
//   process  when the kernel has the bytes: they survive the death of the process, by SIGKILL or for lack of memory.
//   durable  when the disk has them: they survive a power loss.
// Any number of Cursors read independently, each the frames of one signal: per signal, so that a backend which fails
// for logs does not hold back its traces. A segment goes when its last frame was acknowledged by its last Cursor. What
// is held counts against one cap in bytes; at the cap Append refuses, so that senders keep what we cannot, or, where
// the configuration says so, the oldest goes, and is counted.
//
// On disk, frames stay in memory as long as they are young, within bounds; a Cursor that falls behind reads them back.
// The disk is asked and never waited for: one that fails or stalls makes appends fail, and nothing else. docs/formats/
// log.md has the files. Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "base/result.h"
#include "otlp/signal.h"
#include "pipeline/batch.h"
#include "pipeline/cursor.h"
#include "pipeline/log_recovery.h"
#include "pipeline/segment_pool.h"
#include "pipeline/sources.h"
#include "pipeline/taken_batches.h"

namespace tributary::pipeline {

class Lane;

class Log {
 public:
  enum class Mode : uint8_t { kMemory, kProcess, kDurable };
  enum class WhenFull : uint8_t { kRefuse, kDropOldest };
  struct Options {
    Mode mode = Mode::kMemory;
    size_t bytes_max = 64 << 20;  // of memory, or of the files in `directory`
    WhenFull when_full = WhenFull::kRefuse;
    // On disk:
    std::string directory;
    std::optional<base::Nanos> age_max;  // older segments are dropped
    size_t memory_bytes_max = 16 << 20;  // for young frames, and as much for those not written yet, plus one
    uint64_t segment_bytes = 16 << 20;   // a longer frame has a segment of its own
  };
  static std::string_view Name(Mode mode);  // "memory", ...: configuration, metrics
  static constexpr int kCursorsMax = 64;
  enum class Taken : uint8_t {
    kYes,
    kFull,    // the cap is reached
    kFailed,  // the disk failed or stalls
  };
  using Answer = std::move_only_function<void(Taken)>;

  // In memory.
  Log(base::Loop& loop, Options options);
  // On disk, with what an earlier life left there. What is damaged is counted and passed over; only a directory that
  // cannot be used at all is an error. `file_system` outlives the Log.
  static base::Result<std::unique_ptr<Log>> Open(base::Loop& loop, base::FileSystem& file_system,
                                                 std::unique_ptr<base::Io> io, Options options);
  ~Log();  // every Cursor must be gone
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // A Cursor that sees the frames of `signal` appended from now on; one whose `name` was known to an earlier life goes
  // on where that was. The Log must outlive it. At most kCursorsMax per signal at a time.
  std::unique_ptr<Cursor> OpenCursor(otlp::Signal signal, std::string_view name = {});
  // Call once, when the Cursors are open that an earlier life may have had, and before the first Append. What no Cursor
  // wants goes.
  void Start();

  // Takes `batch`, or leaves it to the sender. `answer` is called once, on the loop's thread, in this call or later.
  void Append(Batch batch, Answer answer);

  Sources& sources() { return sources_; }
  // What of other Tributaries' Logs is here.
  TakenBatches& taken_batches() { return taken_batches_; }
  const TakenBatches& taken_batches() const { return taken_batches_; }

  // Whether a request of `bytes` would be taken now, as far as one can tell.
  bool Admits(size_t bytes) const;
  size_t bytes() const { return bytes_; }
  size_t bytes_max() const { return options_.bytes_max; }
  // For a new configuration. Below what is held, nothing is lost: appends are refused until enough is delivered.
  void set_bytes_max(size_t bytes_max);

  // How long until `bytes` more fit, judged by how fast frames have been leaving lately; nullopt when none are leaving.
  std::optional<base::Nanos> TimeUntilFree(size_t bytes) const;

  Mode mode() const { return options_.mode; }
  const std::string& directory() const { return options_.directory; }
  // What is wrong with the disk, for people; empty when nothing is.
  std::string disk_error() const;

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  friend class Lane;
  friend class Cursor;
  struct Cached {
    Lane* lane;
    uint64_t first_sequence;
  };
  // What recovery found, and the disk did since.
  struct Account {
    uint64_t recovered_items = 0;
    uint64_t damaged_frames = 0;
    uint64_t damaged_segments = 0;
    uint64_t write_failures = 0;
    uint64_t read_failures = 0;
    uint64_t stalls = 0;
  };

  Log(base::Loop& loop, base::FileSystem* file_system, std::unique_ptr<base::Io> io, Options options);

  bool on_disk() const { return options_.mode != Mode::kMemory; }
  base::Status OpenDirectory();
  base::Status Recover();
  std::vector<FoundFile> FindSegments(const std::vector<std::string>& names);
  base::Status FindCursors(otlp::PerSignal<std::vector<CursorState>>& cursors);
  void RecoverLane(Lane& lane, std::vector<FoundFile> files, const std::vector<CursorState>& cursors);
  std::string CursorPath(otlp::Signal signal, std::string_view name) const;
  void ForgetUnopenedCursors();
  void DiskChanged();
  void Cache(Lane& lane, uint64_t first_sequence, size_t memory_bytes);
  bool MakeRoom(size_t bytes);
  void DropExpired();
  Cursor::Unread CountRest(const Segment& segment, const Extent& extent, const AckSet& acknowledged);
  void NoteReadFailure(const std::string& path, int error);
  void MeasureDrain(size_t bytes);

  base::Loop& loop_;
  base::FileSystem* file_system_;  // null in memory
  Options options_;
  size_t bytes_ = 0;
  Account account_;
  TakenBatches taken_batches_;
  Sources sources_;
  uint64_t last_serial_ = 0;
  bool some_unread_ = false;  // of the files: what they hold is not known
  std::string write_error_;   // of the last write, empty after a good one

  // On disk: Blocks in memory that may go, oldest first, and what those of the whole Log take.
  std::deque<Cached> cached_;
  size_t cached_bytes_ = 0;
  size_t unwritten_bytes_ = 0;

  // Drain rate: bytes released in the current window and an average over windows.
  base::Time drain_window_start_{};
  size_t drain_window_bytes_ = 0;
  double drain_bytes_per_s_ = 0;

  base::Loop::Timer expiry_;
  base::Fd lock_;                       // on the directory, against a second process
  std::set<std::string> cursor_paths_;  // of Cursors that were opened
  otlp::PerSignal<std::unique_ptr<Lane>> lanes_;
  // Null in memory. The Io goes first: then nothing is being written or read any more.
  std::unique_ptr<SegmentPool> pool_;
  std::unique_ptr<base::Io> io_;
};

}  // namespace tributary::pipeline
