#include "pipeline/cursor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "pipeline/lane.h"
#include "pipeline/log_recovery.h"

namespace tributary::pipeline {
namespace {

// A read that failed is tried again, in case the disk comes to its senses; then its frames count as lost.
constexpr int kFetchFailuresMax = 5;
constexpr base::Nanos kFetchAgainAfter = std::chrono::seconds(1);

// FNV-1a, which will be the same in the next life.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string_view Cursor::Name(Loss loss) {
  constexpr std::array<std::string_view, kLosses> kNames = {"log_damaged", "log_full", "log_expired"};
  return kNames[static_cast<size_t>(loss)];
}

Cursor::Cursor(Lane& lane, std::string_view name, std::unique_ptr<CursorFile> file, AckSet acknowledged)
    : lane_(lane),
      name_hash_(Hash(name)),
      acknowledged_(std::move(acknowledged)),
      live_{.next = lane.committed(), .unread = {}, .block = lane.tail()},
      file_(std::move(file)),
      notice_(lane.log().loop_, [this] {
        if (readable_) readable_();
      }) {
  if (file_) {
    file_->Watch(acknowledged_);
    file_->WhenSaved([this] { lane_.FreeWhatIsDone(); });
  }
  // What an earlier life left is backlog.
  Ahead found{.next = acknowledged_.below(), .end = lane.committed(), .unread = {}, .block = nullptr};
  for (const auto& segment : lane.segments()) {
    for (const Extent& extent : segment->extents) {
      const uint64_t gone = acknowledged_.CountIn(extent.first_sequence, extent.end_sequence());
      if (gone == extent.frames) continue;
      if (gone > 0) partly_acknowledged_[extent.first_sequence] = lane.log().CountRest(*segment, extent, acknowledged_);
      const Unread rest = Rest(found, extent);
      found.unread.frames += rest.frames;
      found.unread.items += rest.items;
      found.unread.bytes += rest.bytes;
    }
  }
  totals_.appended_items = totals_.held_items = found.unread.items;
  totals_.held_bytes = found.unread.bytes;
  if (found.unread.frames > 0) {
    backlog_.push_back(std::move(found));
    notice_.Ask();
  }
  lane_.Add(*this);
}

Cursor::~Cursor() {
  for (const auto& [sequence, fetch] : fetches_) fetch->cursor = nullptr;
  const bool for_good = file_ == nullptr;
  lane_.Remove(*this, for_good);
}

void Cursor::Forget() {
  if (file_) file_->Remove();
  file_.reset();
}

void Cursor::Appended(const Unread& more) {
  totals_.appended_items += more.items;
  totals_.held_items += more.items;
  totals_.held_bytes += more.bytes;
  live_.unread.frames += more.frames;
  live_.unread.items += more.items;
  live_.unread.bytes += more.bytes;
  if (readable_) notice_.Ask();
}

Sources& Cursor::sources() { return lane_.log().sources_; }

bool Cursor::IsDoneWith(uint64_t begin, uint64_t end) const {
  return file_ == nullptr || file_->saved().ContainsAll(begin, end);
}

// --- Reading --------------------------------------------------------------------------------------------------------

Cursor::Ahead* Cursor::Position(From from) {
  if (from == From::kLive) return &live_;
  return backlog_.empty() ? nullptr : &backlog_.front();
}

Cursor::Unread Cursor::unread(From from) const {
  const Ahead* ahead = Position(from);
  return ahead != nullptr ? ahead->unread : Unread();
}

// The Block of a frame, if it is in memory.
std::shared_ptr<const Block> Cursor::Find(const Ahead& ahead, uint64_t sequence) const {
  if (ahead.block != nullptr && ahead.block->Has(sequence)) return ahead.block;
  const Extent* extent = lane_.Find(sequence).extent;
  if (extent == nullptr || !extent->Has(sequence)) return nullptr;
  if (extent->block != nullptr) return extent->block;
  const auto fetch = fetches_.find(extent->first_sequence);
  return fetch != fetches_.end() ? fetch->second->block : nullptr;
}

// Moves over what was acknowledged before, what is not there any more, and what could not be read back.
void Cursor::SkipWhatIsGone(Ahead& ahead) {
  while (ahead.unread.frames > 0) {
    ahead.next = acknowledged_.FirstMissing(ahead.next);
    if (ahead.block == nullptr || !ahead.block->Has(ahead.next)) {
      const Extent* extent = lane_.Find(ahead.next).extent;
      if (extent != nullptr && extent->first_sequence > ahead.next) {
        acknowledged_.AddRange(ahead.next, extent->first_sequence);
        continue;
      }
      ahead.block = Find(ahead, ahead.next);
      if (ahead.block == nullptr) return;
    }
    const Block::Record& record = ahead.block->record(ahead.next);
    if (!record.lost) return;
    const Unread lost{.frames = 1, .items = record.counts.items, .bytes = record.size()};
    lane_.Release(ahead.next, record.size());
    acknowledged_.Add(ahead.next);
    sources().Lose(Sources::kUnknown, Name(Loss::kDamaged), lost.items);
    Lost(ahead, lost, Loss::kDamaged);
  }
}

const Block::Record* Cursor::Peek(From from) {
  for (Ahead* ahead = Position(from); ahead != nullptr && ahead->unread.frames > 0; ahead = Position(from)) {
    SkipWhatIsGone(*ahead);
    if (ahead->unread.frames > 0) return ahead->block != nullptr ? &ahead->block->record(ahead->next) : nullptr;
    if (from == From::kLive) return nullptr;
    DropReadBacklog();
  }
  return nullptr;
}

std::optional<Frame> Cursor::Next(From from) {
  const Block::Record* record = Peek(from);
  if (record == nullptr) return std::nullopt;
  Ahead& ahead = *Position(from);
  Frame frame(ahead.block, ahead.next);
  --ahead.unread.frames;
  ahead.unread.items -= record->counts.items;
  ahead.unread.bytes -= record->size();
  ++ahead.next;
  if (!ahead.block->Has(ahead.next) && ahead.block != lane_.tail()) LeaveBlock(ahead);
  if (from == From::kBacklog) DropReadBacklog();
  return frame;
}

void Cursor::LeaveBlock(Ahead& ahead) {
  const uint64_t first_sequence = ahead.block->first_sequence();
  ahead.block = nullptr;
  if (const auto fetch = fetches_.find(first_sequence); fetch != fetches_.end() && fetch->second->block != nullptr) {
    fetches_.erase(fetch);
  }
}

void Cursor::DropReadBacklog() {
  while (!backlog_.empty() && backlog_.front().unread.frames == 0) backlog_.pop_front();
}

bool Cursor::PutBack(const std::vector<Frame>& frames) {
  const auto is_here = [this](const Frame& frame) {
    const Extent* extent = lane_.Find(frame.sequence()).extent;
    return extent != nullptr && extent->Has(frame.sequence());
  };
  if (!std::ranges::all_of(frames, is_here)) return false;
  // Consecutive frames become one run. One that begins midway in an Extent ends with it: what of a run is in a Segment
  // can then always be told, which Lose() needs.
  Ahead run;
  uint64_t cut_at = 0;
  for (const Frame& frame : frames) {
    const uint64_t sequence = frame.sequence();
    if (run.unread.frames > 0 && (sequence != run.end || sequence == cut_at)) AddBacklog(std::exchange(run, Ahead()));
    if (run.unread.frames == 0) {
      const Extent& extent = *lane_.Find(sequence).extent;
      run.next = sequence;
      cut_at = extent.first_sequence < sequence ? extent.end_sequence() : 0;
    }
    run.end = sequence + 1;
    run.unread.frames += 1;
    run.unread.items += frame.counts().items;
    run.unread.bytes += frame.bytes().size();
  }
  if (run.unread.frames > 0) AddBacklog(std::move(run));
  return true;
}

// A life of the Log gives a sequence to one content only, whatever power losses, damage and copies of the directory
// come after it; so what this reader of its frames sent is named by the life, the reader, and the sequences.
BatchId Cursor::IdOf(const std::vector<Frame>& frames) const {
  BatchId batch{.stream = 0, .below = acknowledged_.below(), .ranges = {}};
  for (const Frame& frame : frames) {
    const uint64_t sequence = frame.sequence();
    if (frame.life_id() == 0 || frame.life_id() != frames.front().life_id()) return {};
    if (batch && batch.ranges.back().end == sequence) {
      ++batch.ranges.back().end;
    } else {
      if (batch.ranges.size() == BatchId::kRangesMax) return {};
      batch.ranges.push_back({sequence, sequence + 1});
    }
  }
  if (batch) batch.stream = frames.front().life_id() ^ name_hash_;
  return batch;
}

// Becomes one with its neighbours where they meet, so that an outage, however long, leaves few of them.
void Cursor::AddBacklog(Ahead ahead) {
  auto place = std::ranges::lower_bound(backlog_, ahead.next, {}, &Ahead::next);
  place = backlog_.insert(place, std::move(ahead));
  place = JoinWithNext(place);
  if (place != backlog_.begin()) JoinWithNext(std::prev(place));
  // What was fetched may be far from what is read next.
  std::erase_if(fetches_, [](const auto& fetch) { return fetch.second->block != nullptr; });
}

// Returns where the first of them is afterwards.
std::deque<Cursor::Ahead>::iterator Cursor::JoinWithNext(std::deque<Ahead>::iterator first) {
  const auto second = std::next(first);
  if (second == backlog_.end()) return first;
  const Extent* extent = lane_.Find(first->next).extent;
  const bool begins_midway = extent != nullptr && extent->Has(first->next) && extent->first_sequence < first->next;
  const bool may_be_evicted = file_ != nullptr && first->block == nullptr;
  if (first->end != second->next || (begins_midway && may_be_evicted)) return first;
  first->end = second->end;
  first->unread.frames += second->unread.frames;
  first->unread.items += second->unread.items;
  first->unread.bytes += second->unread.bytes;
  return std::prev(backlog_.erase(second));
}

void Cursor::Fork() {
  if (live_.unread.frames == 0) return;
  Ahead behind = std::exchange(live_, Ahead{.next = lane_.committed(), .unread = {}, .block = lane_.tail()});
  behind.end = live_.next;
  AddBacklog(std::move(behind));
}

void Cursor::Acknowledge(const Frame& frame) {
  CHECK(!acknowledged_.Contains(frame.sequence()));
  const otlp::Counts counts = frame.counts();
  const size_t bytes = frame.bytes().size();
  totals_.acknowledged_items += counts.items;
  totals_.held_items -= counts.items;
  totals_.held_bytes -= bytes;
  acknowledged_.Add(frame.sequence());
  if (file_) file_->Save();
  lane_.Release(frame.sequence(), bytes);
}

// --- Fetching -------------------------------------------------------------------------------------------------------

bool Cursor::Prepare(From from, size_t bytes) {
  Peek(from);  // past what is gone
  Ahead* ahead = Position(from);
  if (ahead == nullptr) return true;
  bool ready = true;
  const uint64_t end = std::min(ahead->end, lane_.committed());
  for (uint64_t sequence = ahead->next; sequence < end && bytes > 0;) {
    const auto [segment, extent] = lane_.Find(sequence);
    if (extent == nullptr) break;  // what was there is damaged
    if (Find(*ahead, std::max(sequence, extent->first_sequence)) == nullptr) {
      StartFetch(*segment, *extent);
      ready = false;
    }
    bytes -= std::min<size_t>(bytes, extent->bytes);
    sequence = extent->end_sequence();
  }
  return ready;
}

void Cursor::StartFetch(const Segment& segment, const Extent& extent) {
  std::shared_ptr<Fetch>& fetch = fetches_[extent.first_sequence];
  const bool under_way = fetch != nullptr && !fetch->bytes.empty();
  if (under_way || (fetch != nullptr && fetch_again_.pending())) return;
  const int failures = fetch != nullptr ? fetch->failures : 0;
  fetch = std::make_shared<Fetch>(Fetch{.cursor = this,
                                        .file = segment.file,
                                        .segment_id = segment.id,
                                        .life_id = segment.life_id,
                                        .extent = extent,
                                        .bytes = {},
                                        .block = nullptr,
                                        .failures = failures});
  fetch->bytes.ResizeUninitialized(extent.file_bytes);
  lane_.log().io_->Read(segment.file->fd.get(), {fetch->bytes.data(), fetch->bytes.size()}, extent.file_offset,
                        [fetch](base::IoResult<size_t> read) {
                          if (fetch->cursor != nullptr) fetch->cursor->Fetched(*fetch, read);
                        });
}

void Cursor::Fetched(Fetch& fetch, const base::IoResult<size_t>& read) {
  if (!read) lane_.log().NoteReadFailure(fetch.file->path, read.error());
  if (!read && ++fetch.failures < kFetchFailuresMax) {
    fetch.bytes = {};
    fetch_again_ = lane_.log().loop_.RunAfter(kFetchAgainAfter, [this] { notice_.Ask(); });
    return;
  }
  fetch.bytes.ResizeUninitialized(read.value_or(0));
  fetch.block =
      ReadBlock(std::move(fetch.bytes), fetch.segment_id, fetch.life_id, fetch.extent, lane_.log().loop_.now());
  notice_.Ask();
}

// --- Losing ---------------------------------------------------------------------------------------------------------

// What of an extent is ahead, and has not been read.
Cursor::Unread Cursor::Rest(const Ahead& ahead, const Extent& extent) const {
  const uint64_t begin = std::max(ahead.next, extent.first_sequence);
  const uint64_t end = std::min(ahead.end, extent.end_sequence());
  if (begin >= end) return {};
  if (const auto block = Find(ahead, begin)) {
    Unread rest;
    for (uint64_t sequence = begin; sequence < end; ++sequence) {
      if (acknowledged_.Contains(sequence)) continue;
      const Block::Record& record = block->record(sequence);
      rest.frames += 1;
      rest.items += record.counts.items;
      rest.bytes += record.size();
    }
    return rest;
  }
  if (const auto partly = partly_acknowledged_.find(extent.first_sequence); partly != partly_acknowledged_.end()) {
    return partly->second;
  }
  return {.frames = extent.frames, .items = extent.items, .bytes = extent.bytes};
}

void Cursor::Lost(Ahead& ahead, const Unread& lost, Loss loss) {
  ahead.unread.frames -= lost.frames;
  ahead.unread.items -= lost.items;
  ahead.unread.bytes -= lost.bytes;
  totals_.lost_items[static_cast<size_t>(loss)] += lost.items;
  totals_.held_items -= lost.items;
  totals_.held_bytes -= lost.bytes;
  if (file_) file_->Save();
}

// Whose the items are that go with the segment. Of an extent that is not in memory, and of which a part was read, that
// is known only when it is all one source's.
void Cursor::CountBySource(const Ahead& ahead, const Segment& segment, const Unread& lost, Loss loss) {
  uint64_t left = lost.items;
  const auto count = [&](Sources::Id source, uint64_t items) {
    items = std::min(items, left);
    left -= items;
    sources().Lose(source, Name(loss), items);
  };
  for (const Extent& extent : segment.extents) {
    const uint64_t items = Rest(ahead, extent).items;
    if (items == extent.items) {
      for (const Sources::Share& share : extent.shares) count(share.source, share.items);
    } else if (extent.shares.size() == 1) {
      count(extent.shares.front().source, items);
    } else {
      count(Sources::kUnknown, items);
    }
  }
  count(Sources::kUnknown, left);
}

// The segment goes, and with it what of it was not read yet. What was read is in its reader's hands.
void Cursor::Lose(const Segment& segment, Loss loss) {
  const auto lose_from = [&](Ahead& ahead) {
    const uint64_t begin = std::max(ahead.next, segment.first_sequence);
    const uint64_t end = std::min({ahead.end, lane_.committed(), segment.end_sequence()});
    if (begin >= end || ahead.unread.frames == 0) return;
    Unread lost;
    if (end == ahead.end) {
      lost = ahead.unread;  // it ends here, perhaps within an extent
    } else {
      for (const Extent& extent : segment.extents) {
        const Unread rest = Rest(ahead, extent);
        lost.frames += rest.frames;
        lost.items += rest.items;
        lost.bytes += rest.bytes;
      }
    }
    CountBySource(ahead, segment, lost, loss);
    acknowledged_.AddRange(begin, end);
    ahead.next = end;
    ahead.block = nullptr;
    Lost(ahead, lost, loss);
  };
  for (Ahead& ahead : backlog_) lose_from(ahead);
  lose_from(live_);
  DropReadBacklog();
}

// --- Times ----------------------------------------------------------------------------------------------------------

std::optional<base::Time> Cursor::AppendedAt(const Ahead& ahead, uint64_t sequence) const {
  if (ahead.block != nullptr && ahead.block->Has(sequence)) return ahead.block->record(sequence).appended;
  const Extent* extent = lane_.Find(sequence).extent;
  if (extent == nullptr) return std::nullopt;
  if (extent->Has(sequence) && extent->block != nullptr) return extent->block->record(sequence).appended;
  return extent->oldest;
}

std::optional<base::Time> Cursor::oldest_unread(From from) const {
  const Ahead* ahead = Position(from);
  if (ahead == nullptr || ahead->unread.frames == 0) return std::nullopt;
  return AppendedAt(*ahead, ahead->next);
}

std::optional<base::Time> Cursor::oldest_held() const {
  const uint64_t oldest = acknowledged_.below();
  return oldest < lane_.committed() ? AppendedAt(live_, oldest) : std::nullopt;
}

}  // namespace tributary::pipeline
