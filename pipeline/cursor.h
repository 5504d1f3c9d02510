// Cursor: one reader's position in a Log. Frames are read in order and acknowledged in any order.
//
// A reader that fell behind may Fork: what is unread becomes backlog, after what is backlog already, and Next(kLive)
// starts at what arrives from now on, so that fresh telemetry need not queue behind old. On disk its acknowledgements
// are saved at the end of every turn that had some, so that a process which dies repeats no more than was under way.
// Lives on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/end_of_turn.h"
#include "base/loop.h"
#include "pipeline/ack_set.h"
#include "pipeline/block.h"
#include "pipeline/cursor_file.h"
#include "pipeline/origin.h"
#include "pipeline/segment.h"

namespace tributary::pipeline {

class Lane;

class Cursor {
 public:
  enum class From : uint8_t { kBacklog, kLive };
  // Why frames went without having been read.
  enum class Loss : uint8_t { kDamaged, kFull, kExpired };
  static constexpr size_t kLosses = 3;
  static std::string_view Name(Loss loss);  // the `reason` label at /metrics

  // appended = acknowledged + lost + held, always.
  struct Totals {
    uint64_t appended_items = 0;      // ever appended for this Cursor, or found at the start
    uint64_t acknowledged_items = 0;  // of those, acknowledged
    std::array<uint64_t, kLosses> lost_items{};
    uint64_t held_items = 0;  // counted frame by frame, as they come and go
    uint64_t held_bytes = 0;  // of requests
  };
  // What Next() has still to return.
  struct Unread {
    uint64_t frames = 0;
    uint64_t items = 0;
    size_t bytes = 0;
  };

  ~Cursor();  // what it had not acknowledged is let go, in memory; on disk it waits for a Cursor of the same name
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // Whether the next `bytes` of requests, or all there are, can be read now. If not they are being fetched, and
  // readable is called when that is done.
  bool Prepare(From from, size_t bytes);
  // The next unread frame, or nothing when there is none, or none that is in memory. Without a Fork everything that
  // arrived in this life is live.
  std::optional<Frame> Next(From from);
  // What Next() would return, without reading it; nullptr when that is nothing.
  const Block::Record* Peek(From from);
  // Lets go of a frame that was read.
  void Acknowledge(const Frame& frame);

  // Frames that were read, ascending, and not acknowledged are unread again, as backlog. Not when some are no longer in
  // the Log, which dropped them to make room: they live as long as their reader keeps them.
  bool PutBack(const std::vector<Frame>& frames);

  // What frames that were read, ascending, are called as one request; none when it would be too long, or not certain.
  BatchId IdOf(const std::vector<Frame>& frames) const;

  bool has_backlog() const { return !backlog_.empty(); }
  void Fork();
  // This Cursor will not come back: nothing is kept for one of its name.
  void Forget();

  // Calls `readable` at the end of the turn in which frames were appended or fetched.
  void WhenReadable(base::Loop::Task readable) { readable_ = std::move(readable); }

  const Totals& totals() const { return totals_; }
  // Where its reader counts what it gives up.
  Sources& sources();
  // Of a backlog, up to the first frame that was read in its midst.
  Unread unread(From from) const;
  // When the next unread frame was appended, or a little before.
  std::optional<base::Time> oldest_unread(From from) const;
  // The same of the oldest unacknowledged frame.
  std::optional<base::Time> oldest_held() const;

 private:
  friend class Log;
  friend class Lane;
  // What is ahead of a reading position.
  struct Ahead {
    uint64_t next = 0;          // its sequence, or one below that is not to be read
    uint64_t end = UINT64_MAX;  // not to be read beyond
    Unread unread;
    // Of `next`, once one knows it. Held until all of it is read, so that what is left of its extent can be told.
    std::shared_ptr<const Block> block;
  };
  // An Extent on its way from disk, or here. It is this Cursor's alone, and takes nobody else's place in memory.
  struct Fetch {
    Cursor* cursor;  // null when that is gone
    std::shared_ptr<SegmentFile> file;
    uint64_t segment_id;
    uint64_t life_id;
    Extent extent;  // as it was
    base::Bytes bytes;
    std::shared_ptr<const Block> block;  // null while being read
    int failures = 0;
  };

  Cursor(Lane& lane, std::string_view name, std::unique_ptr<CursorFile> file, AckSet acknowledged);

  // The Lane's: frames became readable; a segment is going away.
  void Appended(const Unread& more);
  void Lose(const Segment& segment, Loss loss);

  // Whether nothing from [begin, end) will be asked for, even after a crash.
  bool IsDoneWith(uint64_t begin, uint64_t end) const;
  // Whether the next life will know of this Cursor.
  bool is_kept() const { return file_ == nullptr || file_->exists(); }
  Ahead* Position(From from);
  const Ahead* Position(From from) const { return const_cast<Cursor*>(this)->Position(from); }
  std::shared_ptr<const Block> Find(const Ahead& ahead, uint64_t sequence) const;
  // What of an extent is ahead.
  Unread Rest(const Ahead& ahead, const Extent& extent) const;
  void Lost(Ahead& ahead, const Unread& lost, Loss loss);
  void CountBySource(const Ahead& ahead, const Segment& segment, const Unread& lost, Loss loss);
  void SkipWhatIsGone(Ahead& ahead);
  void AddBacklog(Ahead ahead);
  std::deque<Ahead>::iterator JoinWithNext(std::deque<Ahead>::iterator first);
  void LeaveBlock(Ahead& ahead);
  void DropReadBacklog();
  std::optional<base::Time> AppendedAt(const Ahead& ahead, uint64_t sequence) const;
  void StartFetch(const Segment& segment, const Extent& extent);
  void Fetched(Fetch& fetch, const base::IoResult<size_t>& bytes);

  Lane& lane_;
  const uint64_t name_hash_;
  AckSet acknowledged_;
  std::deque<Ahead> backlog_;  // what each Fork left, and what was put back, ascending, none of it empty
  Ahead live_;
  Totals totals_;
  std::map<uint64_t, std::shared_ptr<Fetch>> fetches_;  // by first sequence
  std::map<uint64_t, Unread> partly_acknowledged_;      // by an earlier life: what is left of these extents
  base::Loop::Timer fetch_again_;
  std::unique_ptr<CursorFile> file_;  // null in memory
  base::Loop::Task readable_;
  base::EndOfTurn notice_;
};

}  // namespace tributary::pipeline
