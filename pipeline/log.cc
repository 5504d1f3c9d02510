#include "pipeline/log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

constexpr base::Nanos kDrainWindow = std::chrono::seconds(1);

// What a Batch costs while it is held: its bytes as allocated, and the bookkeeping around them, which is most of the
// cost when a request carries one span.
size_t Cost(const Batch& batch) { return batch.bytes.capacity() + base::Bytes::kPadding + sizeof(Frame) + 32; }

}  // namespace

Log::Log(base::Loop& loop, Options options) : loop_(loop), options_(options), drain_window_start_(loop.now()) {}

Log::~Log() {
  for (const Queue& queue : queues_.values) CHECK(queue.cursors.empty());
}

void Log::Append(Batch batch, Answer answer) {
  const size_t cost = Cost(batch);
  if (!Admits(cost)) return answer(Taken::kFull);
  Queue& queue = queues_[batch.signal];
  if (!queue.cursors.empty()) {
    bytes_ += cost;
    for (Cursor* cursor : queue.cursors) cursor->Appended(batch, cost);
    const auto readers = static_cast<uint32_t>(queue.cursors.size());
    queue.frames.push_back({{queue.end(), loop_.now(), cost, std::move(batch)}, readers});
  }
  answer(Taken::kYes);
}

std::unique_ptr<Cursor> Log::OpenCursor(otlp::Signal signal) {
  return std::unique_ptr<Cursor>(new Cursor(*this, signal));
}

std::optional<base::Nanos> Log::TimeUntilFree(size_t bytes) const {
  if (bytes_ + bytes <= options_.bytes_max) return base::Nanos(0);
  const double excess = static_cast<double>(bytes_ + bytes - options_.bytes_max);
  // The running window counts once it is long enough to mean something, so that a stopped drain is noticed.
  const base::Nanos window = loop_.now() - drain_window_start_;
  const double rate =
      window > kDrainWindow ? static_cast<double>(drain_window_bytes_) / base::Seconds(window) : drain_bytes_per_s_;
  if (rate < 1) return std::nullopt;
  return base::Nanos(static_cast<int64_t>(std::min(excess / rate, 3600.0) * 1e9));
}

void Log::WriteMetrics(base::MetricsText& metrics) const {
  metrics.Gauge("tributary_log_bytes", "Memory of the frames in the Log.", {}, static_cast<double>(bytes_));
  metrics.Gauge("tributary_log_bytes_max", "The Log's cap; at it senders are refused.", {},
                static_cast<double>(options_.bytes_max));
}

// One reader less for the frame at `sequence`; the last one frees its bytes at once, even behind frames that stay.
void Log::Release(Queue& queue, uint64_t sequence) {
  Held& held = queue.at(sequence);
  CHECK(held.readers > 0);
  if (--held.readers > 0) return;
  MeasureDrain(held.frame.cost_bytes);
  bytes_ -= held.frame.cost_bytes;
  held.frame.batch.bytes = base::Bytes();
  while (!queue.frames.empty() && queue.frames.front().readers == 0) {
    queue.frames.pop_front();
    ++queue.first;
  }
}

void Log::MeasureDrain(size_t bytes) {
  const base::Nanos window = loop_.now() - drain_window_start_;
  if (window >= kDrainWindow) {
    const double rate = static_cast<double>(drain_window_bytes_) / base::Seconds(window);
    drain_bytes_per_s_ = drain_bytes_per_s_ == 0 ? rate : 0.5 * drain_bytes_per_s_ + 0.5 * rate;
    drain_window_start_ = loop_.now();
    drain_window_bytes_ = 0;
  }
  drain_window_bytes_ += bytes;
}

Cursor::Cursor(Log& log, otlp::Signal signal) : log_(log), queue_(log.queues_[signal]) {
  acknowledged_below_ = live_next_ = queue_.end();
  queue_.cursors.push_back(this);
}

Cursor::~Cursor() {
  std::erase(queue_.cursors, this);
  const uint64_t end = queue_.end();
  for (uint64_t sequence = acknowledged_below_; sequence < end; ++sequence) {
    const uint64_t i = sequence - acknowledged_below_;
    if (i >= acknowledged_.size() || !acknowledged_[i]) log_.Release(queue_, sequence);
  }
}

void Cursor::Appended(const Batch& batch, size_t cost_bytes) {
  totals_.appended_items += batch.counts.items;
  totals_.held_items += batch.counts.items;
  totals_.held_bytes += cost_bytes;
  live_unread_.items += batch.counts.items;
  live_unread_.bytes += batch.bytes.size();
  if (notice_queued_ || !readable_) return;
  notice_queued_ = true;
  log_.loop_.AtEndOfTurn([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    notice_queued_ = false;
    readable_();
  });
}

const Frame* Cursor::Peek(From from) const {
  if (from == From::kBacklog) return has_backlog() ? &queue_.at(backlog_next_).frame : nullptr;
  return live_next_ < queue_.end() ? &queue_.at(live_next_).frame : nullptr;
}

const Frame* Cursor::Next(From from) {
  const Frame* frame = Peek(from);
  if (frame == nullptr) return nullptr;
  Unread& unread = from == From::kBacklog ? backlog_unread_ : live_unread_;
  unread.items -= frame->batch.counts.items;
  unread.bytes -= frame->batch.bytes.size();
  ++(from == From::kBacklog ? backlog_next_ : live_next_);
  return frame;
}

std::optional<base::Time> Cursor::oldest_unread(From from) const {
  const Frame* frame = Peek(from);
  return frame != nullptr ? std::optional(frame->appended) : std::nullopt;
}

void Cursor::Fork() {
  CHECK(!has_backlog());
  backlog_next_ = live_next_;
  backlog_end_ = live_next_ = queue_.end();
  backlog_unread_ = std::exchange(live_unread_, {});
}

void Cursor::Acknowledge(uint64_t sequence) {
  CHECK(sequence >= acknowledged_below_ && sequence < queue_.end());
  const Frame& frame = queue_.at(sequence).frame;
  totals_.acknowledged_items += frame.batch.counts.items;
  totals_.held_items -= frame.batch.counts.items;
  totals_.held_bytes -= frame.cost_bytes;

  const uint64_t i = sequence - acknowledged_below_;
  if (i >= acknowledged_.size()) acknowledged_.resize(i + 1);
  CHECK(!acknowledged_[i]);
  acknowledged_[i] = true;
  log_.Release(queue_, sequence);
  while (!acknowledged_.empty() && acknowledged_.front()) {
    acknowledged_.pop_front();
    ++acknowledged_below_;
  }
}

std::optional<base::Time> Cursor::oldest_held() const {
  if (acknowledged_below_ == queue_.end()) return std::nullopt;
  return queue_.at(acknowledged_below_).frame.appended;
}

}  // namespace tributary::pipeline
