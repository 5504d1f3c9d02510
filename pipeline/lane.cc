#include "pipeline/lane.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

uint64_t RandomId() {
  uint64_t id = 0;
  CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
  return id;
}

size_t BodyBytes(const Batch& batch) { return EncodedBytes(batch.origin) + batch.bytes.size(); }

}  // namespace

Lane::Lane(Log& log, otlp::Signal signal)
    : log_(log), signal_(signal), life_id_(RandomId()), flush_(log.loop_, [this] { Flush(); }) {}

Lane::~Lane() { CHECK(cursors_.empty()); }

// --- Appending ------------------------------------------------------------------------------------------------------

void Lane::Append(Batch batch, Log::Answer answer) {
  if (!on_disk()) {
    log_.taken_batches_.Take(batch.origin.batch);
    PlaceFrame(std::move(batch));
    Commit(next_sequence_);
    return answer(Log::Taken::kYes);
  }
  log_.taken_batches_.Begin(batch.origin.batch);
  const size_t request_bytes = batch.bytes.size();
  log_.unwritten_bytes_ += request_bytes;
  WatchForStall();
  if (!unplaced_.empty() || !HasRoom(BodyBytes(batch))) {
    unplaced_.push_back({std::move(batch), log_.loop_.now(), std::move(answer)});
    return RefuseUnplaceable();
  }
  waiting_.push_back({next_sequence_, log_.loop_.now(), request_bytes, batch.origin.batch, std::move(answer)});
  PlaceFrame(std::move(batch));
}

void Lane::DiskChanged() {
  while (!unplaced_.empty() && HasRoom(BodyBytes(unplaced_.front().batch))) {
    Unplaced next = std::move(unplaced_.front());
    unplaced_.pop_front();
    waiting_.push_back(
        {next_sequence_, next.since, next.batch.bytes.size(), next.batch.origin.batch, std::move(next.answer)});
    PlaceFrame(std::move(next.batch));
  }
  RefuseUnplaceable();
}

// What no segment will be made for is better off with its sender.
void Lane::RefuseUnplaceable() {
  while (!unplaced_.empty()) {
    const size_t request_bytes = unplaced_.front().batch.bytes.size();
    const bool failed = !log_.pool_->error().empty();
    if (!failed && log_.pool_->CanGive(kSegmentHeaderBytes + FrameBytes(BodyBytes(unplaced_.front().batch)))) {
      return;
    }
    Unplaced refused = std::move(unplaced_.front());
    unplaced_.pop_front();
    log_.unwritten_bytes_ -= request_bytes;
    log_.taken_batches_.End(refused.batch.origin.batch, false);
    refused.answer(failed ? Log::Taken::kFailed : Log::Taken::kFull);
  }
}

bool Lane::HasRoom(size_t body_bytes) {
  const size_t frame_bytes = FrameBytes(body_bytes);
  if (active_ != nullptr && active_->file_used + frame_bytes <= active_->file->bytes) return true;
  return StartSegment(frame_bytes);
}

bool Lane::StartSegment(size_t frame_bytes) {
  const size_t file_bytes = kSegmentHeaderBytes + frame_bytes;
  if (!log_.MakeRoom(file_bytes)) return false;
  std::shared_ptr<SegmentFile> file = log_.pool_->Take(file_bytes);
  if (file == nullptr) return false;
  CloseSegment();
  auto segment = std::make_unique<Segment>();
  segment->id = RandomId();
  segment->life_id = life_id_;
  segment->first_sequence = next_sequence_;
  segment->file = std::move(file);
  segment->file_used = kSegmentHeaderBytes;
  segment->header = EncodeSegmentHeader({.segment_id = segment->id,
                                         .serial = ++log_.last_serial_,
                                         .first_sequence = next_sequence_,
                                         .life_first_sequence = life_first_sequence_,
                                         .life_id = life_id_,
                                         .created_unix_ns = base::UnixNanos(),
                                         .signal = static_cast<uint32_t>(signal_)});
  log_.bytes_ += segment->file_used;
  active_ = segment.get();
  groups_.push_back({.segment = active_, .file = active_->file, .pieces = {active_->header}, .blocks = {}});
  groups_.back().bytes = segment->header.size();
  segments_.push_back(std::move(segment));
  return true;
}

// There is room for it.
void Lane::PlaceFrame(Batch batch) {
  const size_t request_bytes = batch.bytes.size();
  const size_t body_bytes = BodyBytes(batch);
  Extent& extent = ExtentFor(body_bytes);
  const size_t memory_before = tail_->memory_bytes();
  const size_t header_bytes = on_disk() ? sizeof(FrameHeader) : 0;
  const Block::Placed placed =
      tail_->Add(std::move(batch.bytes), batch.origin, batch.counts, log_.loop_.now(), header_bytes);
  const uint64_t sequence = next_sequence_++;
  log_.sources_.Hold(DecodeSource(placed.origin), batch.counts.items, request_bytes, extent.shares);
  ++extent.frames;
  extent.items += batch.counts.items;
  extent.bytes += request_bytes;
  if (!on_disk()) {
    log_.bytes_ += tail_->memory_bytes() - memory_before;
    return;
  }
  EncodeFrameHeader({.sequence = sequence,
                     .committed = committed_,
                     .appended_unix_ns = base::UnixNanos(),
                     .items = batch.counts.items,
                     .resources = batch.counts.resources},
                    active_->id, placed.origin, placed.payload, placed.header);
  const size_t frame_bytes = FrameBytes(body_bytes);
  extent.file_bytes += frame_bytes;
  active_->file_used += frame_bytes;
  log_.bytes_ += frame_bytes;
  AddToGroup(placed);
  if (!tail_->TakesAnother(0)) CloseBlock();
}

// The Extent that takes the next frame; its Block is `tail_`.
Extent& Lane::ExtentFor(size_t body_bytes) {
  if (tail_ != nullptr && tail_->TakesAnother(body_bytes)) return active_->extents.back();
  CloseBlock();
  if (!on_disk()) {
    CloseSegment();
    auto segment = std::make_unique<Segment>();
    segment->life_id = life_id_;
    segment->first_sequence = next_sequence_;
    active_ = segment.get();
    segments_.push_back(std::move(segment));
  }
  tail_ =
      std::make_shared<Block>(next_sequence_, life_id_, on_disk() ? Block::kBytesMaxOnDisk : Block::kBytesMaxInMemory);
  return active_->extents.emplace_back(Extent{
      .first_sequence = next_sequence_, .oldest = log_.loop_.now(), .file_offset = active_->file_used, .block = tail_});
}

void Lane::AddToGroup(const Block::Placed& placed) {
  if (groups_.empty() || groups_.back().segment != active_ || (writing_ && groups_.size() == 1)) {
    const size_t frame_bytes = placed.first.size() + placed.second.size();
    groups_.push_back({.segment = active_, .file = active_->file, .offset = active_->file_used - frame_bytes});
  }
  Group& group = groups_.back();
  for (const base::ByteView piece : {placed.first, placed.second}) {
    if (piece.empty()) continue;
    base::ByteView* last = group.pieces.empty() ? nullptr : &group.pieces.back();
    if (last != nullptr && last->data() + last->size() == piece.data()) {
      *last = {last->data(), last->size() + piece.size()};
    } else {
      group.pieces.push_back(piece);
    }
    group.bytes += piece.size();
  }
  if (group.blocks.empty() || group.blocks.back() != tail_) group.blocks.push_back(tail_);
  group.end_sequence = next_sequence_;
  flush_.Ask();
}

// --- Writing --------------------------------------------------------------------------------------------------------

// At the end of a turn that appended: write now, or, to share a sync with more, soon.
void Lane::Flush() {
  if (writing_ || groups_.empty()) return;
  const bool gathers =
      log_.options_.mode == Log::Mode::kDurable && groups_.size() == 1 && groups_.front().bytes < kGroupBytes;
  if (!gathers) return WriteGroup();
  if (!window_.pending()) window_ = log_.loop_.RunAfter(kGroupWindow, [this] { WriteGroup(); });
}

void Lane::WriteGroup() {
  if (writing_ || groups_.empty()) return;
  writing_ = true;
  window_.Cancel();
  Group& group = groups_.front();
  const bool sync = log_.options_.mode == Log::Mode::kDurable;
  log_.io_->Write(group.file->fd.get(), group.pieces, group.offset, sync ? base::Io::Sync::kYes : base::Io::Sync::kNo,
                  [this](int error) { Written(error); });
}

void Lane::Written(int error) {
  writing_ = false;
  const Group group = std::move(groups_.front());
  groups_.pop_front();
  if (error != 0) {
    ++log_.account_.write_failures;
    log_.write_error_ = fmt::format("write {}: {}", group.file->path, std::strerror(error));
    group.segment->failed = true;
    FailUncommitted();
  } else {
    log_.write_error_.clear();
    Commit(group.end_sequence);
    AnswerCommitted();
  }
  WriteGroup();
}

// Frames up to `end` are there for Cursors.
void Lane::Commit(uint64_t end) {
  while (committed_ < end) {
    const auto [segment, extent] = Find(committed_);
    const uint64_t until = std::min(end, extent->end_sequence());
    Cursor::Unread more;
    for (; committed_ < until; ++committed_) {
      const Block::Record& record = extent->block->record(committed_);
      ++more.frames;
      more.items += record.counts.items;
      more.bytes += record.size();
    }
    if (cursors_.empty()) continue;
    if (extent->held == 0) ++segment->extents_held;
    extent->held += more.frames * cursors_.size();
    for (Cursor* cursor : cursors_) cursor->Appended(more);
  }
}

void Lane::AnswerCommitted() {
  while (!waiting_.empty() && waiting_.front().sequence < committed_) {
    Waiting answered = std::move(waiting_.front());
    waiting_.pop_front();
    log_.unwritten_bytes_ -= answered.bytes;
    log_.taken_batches_.End(answered.batch, true);
    if (answered.answer) answered.answer(Log::Taken::kYes);
  }
}

// The segment that was written to is not to be trusted with more. What was not committed is left to its senders, and
// its sequences are given anew, in a segment of a higher serial.
void Lane::FailUncommitted() {
  groups_.clear();
  CloseSegment();
  while (!segments_.empty() && segments_.back()->end_sequence() > committed_) {
    Segment& last = *segments_.back();
    while (last.end_sequence() > committed_ && !last.extents.empty()) CutUncommitted(last);
    if (last.extents.empty()) Free(segments_.end() - 1);
  }
  next_sequence_ = committed_;
  // A sender may try again at once, and then waits anew.
  for (Waiting& refused : std::exchange(waiting_, {})) {
    log_.unwritten_bytes_ -= refused.bytes;
    log_.taken_batches_.End(refused.batch, false);
    if (refused.answer) refused.answer(Log::Taken::kFailed);
  }
}

// Of the last Extent.
void Lane::CutUncommitted(Segment& segment) {
  Extent& extent = segment.extents.back();
  log_.sources_.LetGo(extent.shares);
  if (extent.first_sequence >= committed_) {
    Forget(extent);
    segment.extents.pop_back();
    return;
  }
  Extent kept{.first_sequence = extent.first_sequence,
              .oldest = extent.oldest,
              .file_offset = extent.file_offset,
              .held = extent.held,
              .block = extent.block};
  for (uint64_t sequence = kept.first_sequence; sequence < committed_; ++sequence) {
    const Block::Record& record = extent.block->record(sequence);
    log_.sources_.Hold(DecodeSource(record.origin), record.counts.items, record.size(), kept.shares);
    ++kept.frames;
    kept.items += record.counts.items;
    kept.bytes += record.size();
    kept.file_bytes += FrameBytes(record.body_bytes());
  }
  kept.block->Cut(committed_);
  extent = std::move(kept);
}

void Lane::WatchForStall() {
  if (!stall_.pending()) stall_ = log_.loop_.RunAfter(kStallCheck, [this] { RefuseStalled(); });
}

// Their frames may still come to be written; then they are there twice, but for those of a sender that says what it
// sends again.
void Lane::RefuseStalled() {
  const base::Time old = log_.loop_.now() - kStallMax;
  std::vector<Log::Answer> refused;
  for (Waiting& waiting : waiting_) {
    if (waiting.since <= old && waiting.answer) refused.push_back(std::exchange(waiting.answer, nullptr));
  }
  while (!unplaced_.empty() && unplaced_.front().since <= old) {
    log_.unwritten_bytes_ -= unplaced_.front().batch.bytes.size();
    log_.taken_batches_.End(unplaced_.front().batch.origin.batch, false);
    refused.push_back(std::move(unplaced_.front().answer));
    unplaced_.pop_front();
  }
  log_.account_.stalls += refused.empty() ? 0 : 1;
  if (!waiting_.empty() || !unplaced_.empty()) WatchForStall();
  for (Log::Answer& answer : refused) answer(Log::Taken::kFailed);
}

base::Nanos Lane::oldest_wait() const {
  base::Time oldest = log_.loop_.now();
  if (!waiting_.empty()) oldest = std::min(oldest, waiting_.front().since);
  if (!unplaced_.empty()) oldest = std::min(oldest, unplaced_.front().since);
  return log_.loop_.now() - oldest;
}

void Lane::CloseBlock() {
  if (tail_ == nullptr) return;
  Extent& extent = active_->extents.back();
  tail_ = nullptr;
  if (!on_disk()) return;
  log_.Cache(*this, extent.first_sequence, extent.block->memory_bytes());
  if (extent.held == 0 && extent.end_sequence() <= committed_) Forget(extent);
}

void Lane::CloseSegment() {
  CloseBlock();
  if (active_ == nullptr) return;
  if (on_disk()) log_.bytes_ += active_->file->bytes - active_->file_used;
  active_ = nullptr;
  may_free_ = true;
}

// --- Reading and letting go -----------------------------------------------------------------------------------------

Lane::Place Lane::Find(uint64_t sequence) {
  const auto segment = std::partition_point(segments_.begin(), segments_.end(),
                                            [sequence](const auto& s) { return s->end_sequence() <= sequence; });
  if (segment == segments_.end()) return {};
  auto& extents = (*segment)->extents;
  const auto extent = std::partition_point(extents.begin(), extents.end(),
                                           [sequence](const Extent& e) { return e.end_sequence() <= sequence; });
  return {segment->get(), &*extent};
}

void Lane::Add(Cursor& cursor) {
  CHECK(cursors_.size() < Log::kCursorsMax);
  for (const auto& segment : segments_) {
    for (Extent& extent : segment->extents) {
      const uint64_t end = std::min(extent.end_sequence(), committed_);
      if (end <= extent.first_sequence) continue;
      const uint64_t wanted = end - extent.first_sequence - cursor.acknowledged_.CountIn(extent.first_sequence, end);
      if (wanted > 0 && extent.held == 0) ++segment->extents_held;
      extent.held += wanted;
    }
  }
  cursors_.push_back(&cursor);
}

bool Lane::cursors_are_kept() const {
  return std::ranges::all_of(cursors_, [](const Cursor* cursor) { return cursor->is_kept(); });
}

void Lane::Remove(Cursor& cursor, bool for_good) {
  std::erase(cursors_, &cursor);
  if (!for_good) return;
  for (const auto& segment : segments_) {
    for (Extent& extent : segment->extents) {
      const uint64_t end = std::min(extent.end_sequence(), committed_);
      if (end <= extent.first_sequence) continue;
      const uint64_t wanted = end - extent.first_sequence - cursor.acknowledged_.CountIn(extent.first_sequence, end);
      LetGo(*segment, extent, wanted);
    }
  }
  FreeWhatIsDone();
}

void Lane::Release(uint64_t sequence, size_t bytes) {
  const auto [segment, extent] = Find(sequence);
  // What was dropped meanwhile, to make room, is not there any more.
  if (extent == nullptr || !extent->Has(sequence) || extent->held == 0) return;
  log_.MeasureDrain(bytes);
  LetGo(*segment, *extent, 1);
  if (segment->extents_held == 0 && may_free_) FreeWhatIsDone();
}

void Lane::LetGo(Segment& segment, Extent& extent, uint64_t holds) {
  if (holds == 0) return;
  extent.held -= holds;
  if (extent.held > 0) return;
  --segment.extents_held;
  const bool is_tail = tail_ != nullptr && extent.block == tail_;
  if (!is_tail && extent.end_sequence() <= committed_) Forget(extent);
  if (is_tail && !on_disk()) CloseSegment();
  may_free_ |= segment.extents_held == 0;
}

void Lane::Forget(Extent& extent) {
  if (extent.block == nullptr || !on_disk()) return;
  log_.cached_bytes_ -= extent.block->memory_bytes();
  extent.block = nullptr;
}

void Lane::Evict(uint64_t sequence) {
  const auto [segment, extent] = Find(sequence);
  if (extent != nullptr && extent->Has(sequence) && extent->end_sequence() <= committed_) Forget(*extent);
}

bool Lane::IsCached(uint64_t sequence) {
  const auto [segment, extent] = Find(sequence);
  // One that failed may have begun with the frame that its successor, which still takes some, begins with.
  return extent != nullptr && extent->first_sequence == sequence && extent->block != nullptr && extent->block != tail_;
}

void Lane::FreeWhatIsDone() {
  if (!may_free_) return;
  may_free_ = false;
  for (size_t i = 0; i < segments_.size();) {
    const Segment& segment = *segments_[i];
    const bool wanted = &segment == active_ || segment.extents_held > 0 || segment.end_sequence() > committed_;
    const bool saved = !wanted && std::ranges::all_of(cursors_, [&segment](const Cursor* cursor) {
      return std::ranges::all_of(segment.extents, [cursor](const Extent& extent) {
        return cursor->IsDoneWith(extent.first_sequence, extent.end_sequence());
      });
    });
    may_free_ |= !wanted && !saved;
    if (saved) {
      Free(segments_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

// Of a segment that takes no more frames.
void Lane::Free(std::deque<std::unique_ptr<Segment>>::iterator place) {
  const std::unique_ptr<Segment> segment = std::move(*place);
  segments_.erase(place);
  for (const Extent& extent : segment->extents) log_.sources_.LetGo(extent.shares);
  if (!on_disk()) {
    for (const Extent& extent : segment->extents) log_.bytes_ -= extent.block->memory_bytes();
    return;
  }
  for (Extent& extent : segment->extents) Forget(extent);
  log_.bytes_ -= segment->file->bytes;
  if (segment->failed) {
    log_.pool_->Discard(std::move(segment->file));
  } else {
    log_.pool_->Give(std::move(segment->file));
  }
}

std::optional<base::Time> Lane::OldestToDrop() const {
  for (const auto& segment : segments_) {
    if (segment.get() == active_ || segment->end_sequence() > committed_) return std::nullopt;
    if (segment->extents_held > 0) return segment->extents.back().oldest;
  }
  return std::nullopt;
}

void Lane::DropOldest(Cursor::Loss loss) {
  const auto wanted = std::ranges::find_if(segments_, [](const auto& segment) { return segment->extents_held > 0; });
  CHECK(wanted != segments_.end() && wanted->get() != active_);
  for (Cursor* cursor : cursors_) cursor->Lose(**wanted, loss);
  Free(wanted);  // what a Cursor had read lives on in its Blocks
}

// --- From life to life ----------------------------------------------------------------------------------------------

void Lane::Restore(std::vector<std::unique_ptr<Segment>> segments) {
  for (auto& segment : segments) {
    Reserve(segment->end_sequence());
    log_.bytes_ += segment->file->bytes;
    segments_.push_back(std::move(segment));
  }
  may_free_ = true;
}

void Lane::AcknowledgeWhatIsGone(AckSet& acknowledged) const {
  uint64_t gone_from = 0;
  for (const auto& segment : segments_) {
    for (const Extent& extent : segment->extents) {
      acknowledged.AddRange(gone_from, extent.first_sequence);
      gone_from = extent.end_sequence();
    }
  }
  acknowledged.AddRange(gone_from, committed_);
}

void Lane::Close() {
  if (active_ == nullptr || !on_disk() || writing_ || !groups_.empty()) return;
  if (active_->file_used + sizeof(FrameHeader) > active_->file->bytes) return;
  uint8_t frame[sizeof(FrameHeader)];
  EncodeFrameHeader({.sequence = next_sequence_, .committed = committed_, .flags = FrameHeader::kEnd}, active_->id, {},
                    {}, frame);
  (void)log_.file_system_->Write(active_->file->fd.get(), base::ByteView(frame), active_->file_used);
  if (log_.options_.mode == Log::Mode::kDurable) (void)log_.file_system_->Sync(active_->file->fd.get());
}

}  // namespace tributary::pipeline
