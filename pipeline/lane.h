// Lane: the frames of one signal in a Log, in the order they were appended, and the Cursors that read them.
//
// On disk, what is appended in a turn is gathered and written as one; one write is under way at a time, and frames are
// there for Cursors, and their senders answered, in order. A segment whose write failed is written to no more: what
// was under way is left to its senders, and the next append begins another. Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/end_of_turn.h"
#include "base/loop.h"
#include "pipeline/log.h"
#include "pipeline/segment.h"

namespace tributary::pipeline {

class Lane {
 public:
  Lane(Log& log, otlp::Signal signal);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  otlp::Signal signal() const { return signal_; }
  Log& log() { return log_; }

  void Append(Batch batch, Log::Answer answer);
  // A segment file may have become available, or none can be made.
  void DiskChanged();

  void Add(Cursor& cursor);
  // What it wanted stays for the next life, or, for good, goes.
  void Remove(Cursor& cursor, bool for_good);
  bool has_cursors() const { return !cursors_.empty(); }
  // Whether the next life will know of all of them, and so keep what this one takes for them.
  bool cursors_are_kept() const;

  // For recovery: the segments that were found, ascending, and sequences that were given out before.
  void Restore(std::vector<std::unique_ptr<Segment>> segments);
  void Reserve(uint64_t sequences_end) {
    life_first_sequence_ = next_sequence_ = committed_ = std::max(next_sequence_, sequences_end);
  }

  // Adds those of earlier lives' frames that are in no segment any more.
  void AcknowledgeWhatIsGone(AckSet& acknowledged) const;

  // What takes the next frame; null when that is not there yet, and in memory, where nothing is gained by knowing it.
  std::shared_ptr<const Block> tail() const { return on_disk() ? tail_ : nullptr; }
  // One beyond the last frame that may be read.
  uint64_t committed() const { return committed_; }
  // The first Extent that ends after `sequence`, and its Segment; nulls when there is none.
  struct Place {
    Segment* segment = nullptr;
    Extent* extent = nullptr;
  };
  Place Find(uint64_t sequence);
  const std::deque<std::unique_ptr<Segment>>& segments() const { return segments_; }

  // One Cursor less that wants this frame of `bytes`.
  void Release(uint64_t sequence, size_t bytes);
  // Frees the segments that nobody wants, now that Cursors may have been saved.
  void FreeWhatIsDone();
  // The oldest segment that may go whatever is in it, with the time of its youngest frame; nullopt when there is none.
  std::optional<base::Time> OldestToDrop() const;
  void DropOldest(Cursor::Loss loss);
  // Of the Extent that begins with this frame: whether its Block is in memory; and that it shall not be, if it may.
  bool IsCached(uint64_t sequence);
  void Evict(uint64_t sequence);
  // How long the longest-waiting sender has been waiting for the disk.
  base::Nanos oldest_wait() const;

  // Marks the end of what was written, so that the next life knows nothing is missing. Blocks.
  void Close();

 private:
  static constexpr size_t kGroupBytes = 256 << 10;                           // written at once, however young
  static constexpr base::Nanos kGroupWindow = std::chrono::milliseconds(1);  // durable: how long a group gathers
  static constexpr base::Nanos kStallMax = std::chrono::seconds(10);         // how long a sender may wait for the disk,
  static constexpr base::Nanos kStallCheck = std::chrono::seconds(1);        // and this long at most beyond it

  struct Waiting {
    uint64_t sequence;  // of its frame, once it has one
    base::Time since;
    size_t bytes;
    BatchId batch;
    Log::Answer answer;  // null when it was refused for the time it took
  };
  struct Unplaced {
    Batch batch;
    base::Time since;
    Log::Answer answer;
  };
  // Frames of one segment on their way to the disk.
  struct Group {
    Segment* segment;
    std::shared_ptr<SegmentFile> file;
    uint64_t offset = 0;
    std::vector<base::ByteView> pieces;
    std::vector<std::shared_ptr<Block>> blocks;  // whose memory the pieces are in
    size_t bytes = 0;
    uint64_t end_sequence = 0;
  };

  bool on_disk() const { return log_.on_disk(); }
  void RefuseUnplaceable();
  bool HasRoom(size_t body_bytes);
  bool StartSegment(size_t frame_bytes);
  void PlaceFrame(Batch batch);
  Extent& ExtentFor(size_t body_bytes);
  void AddToGroup(const Block::Placed& placed);

  void Flush();
  void WriteGroup();
  void Written(int error);
  void Commit(uint64_t end);
  void AnswerCommitted();
  void FailUncommitted();
  void RefuseStalled();
  void WatchForStall();
  void CloseBlock();
  void CloseSegment();

  void CutUncommitted(Segment& segment);
  void LetGo(Segment& segment, Extent& extent, uint64_t holds);
  void Forget(Extent& extent);
  void Free(std::deque<std::unique_ptr<Segment>>::iterator place);

  Log& log_;
  const otlp::Signal signal_;
  const uint64_t life_id_;
  std::deque<std::unique_ptr<Segment>> segments_;
  Segment* active_ = nullptr;    // the last one, while it takes frames
  std::shared_ptr<Block> tail_;  // of the active segment's last Extent, while it takes frames
  uint64_t next_sequence_ = 1;
  uint64_t committed_ = 1;
  // The first of this life's own: what is missing before it is an earlier life's.
  uint64_t life_first_sequence_ = 1;
  std::vector<Cursor*> cursors_;
  bool may_free_ = false;  // some segment is wanted by nobody, but perhaps not saved to be

  std::deque<Group> groups_;  // the first may be under way, the last gathers
  bool writing_ = false;
  std::deque<Waiting> waiting_;    // for their frames to be committed
  std::deque<Unplaced> unplaced_;  // for a segment to be ready
  base::EndOfTurn flush_;
  base::Loop::Timer window_;
  base::Loop::Timer stall_;
};

}  // namespace tributary::pipeline
