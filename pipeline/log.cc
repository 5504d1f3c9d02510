#include "pipeline/log.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

constexpr base::Nanos kDrainWindow = std::chrono::seconds(1);
constexpr base::Nanos kStalledAfter = 2 * kDrainWindow;

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
    auto* frame = new Frame(std::move(batch), loop_.now(), cost, queue.cursor_bits);
    frame->previous_ = queue.last;
    (queue.last != nullptr ? queue.last->next_ : queue.first) = frame;
    queue.last = frame;
    for (Cursor* cursor : queue.cursors) cursor->Appended(frame);
  }
  answer(Taken::kYes);
}

std::unique_ptr<Cursor> Log::OpenCursor(otlp::Signal signal) {
  return std::unique_ptr<Cursor>(new Cursor(*this, signal));
}

std::optional<base::Nanos> Log::TimeUntilFree(size_t bytes) const {
  if (bytes_ + bytes <= options_.bytes_max) return base::Nanos(0);
  const double excess = static_cast<double>(bytes_ + bytes - options_.bytes_max);
  // The running window counts once it is long enough to mean something, so that a stopped drain is noticed. One that
  // no frame has ended for long says nothing of when the next ones leave.
  const base::Nanos window = loop_.now() - drain_window_start_;
  if (window > kStalledAfter) return std::nullopt;
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

// One reader less for `frame`; the last one frees it.
void Log::Release(Queue& queue, Frame* frame, uint64_t cursor_bit) {
  frame->readers_ &= ~cursor_bit;
  if (frame->readers_ != 0) return;
  (frame->previous_ != nullptr ? frame->previous_->next_ : queue.first) = frame->next_;
  (frame->next_ != nullptr ? frame->next_->previous_ : queue.last) = frame->previous_;
  MeasureDrain(frame->cost_bytes);
  bytes_ -= frame->cost_bytes;
  delete frame;
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

Cursor::Cursor(Log& log, otlp::Signal signal)
    : log_(log), queue_(log.queues_[signal]), notice_(log.loop_, [this] { readable_(); }) {
  const int free_bit = std::countr_one(queue_.cursor_bits);
  CHECK(free_bit < Log::kCursorsMax);
  bit_ = uint64_t{1} << free_bit;
  queue_.cursor_bits |= bit_;
  queue_.cursors.push_back(this);
}

Cursor::~Cursor() {
  std::erase(queue_.cursors, this);
  queue_.cursor_bits &= ~bit_;
  for (Frame* frame = oldest_; frame != nullptr;) {
    Frame* next = frame->next_;
    if (Holds(frame)) log_.Release(queue_, frame, bit_);
    frame = next;
  }
}

void Cursor::Appended(Frame* frame) {
  const uint32_t items = frame->batch.counts.items;
  totals_.appended_items += items;
  totals_.held_items += items;
  totals_.held_bytes += frame->cost_bytes;
  if (oldest_ == nullptr) oldest_ = frame;
  if (live_.unread.frames == 0) live_.next = frame;
  ++live_.unread.frames;
  live_.unread.items += items;
  live_.unread.bytes += frame->batch.bytes.size();
  if (readable_) notice_.Ask();
}

Frame* Cursor::Next(From from) {
  Frame* frame = Peek(from);
  if (frame == nullptr) return nullptr;
  Ahead& position = from == From::kBacklog ? backlog_.front() : live_;
  --position.unread.frames;
  position.unread.items -= frame->batch.counts.items;
  position.unread.bytes -= frame->batch.bytes.size();
  position.next = frame->next_;
  if (from == From::kBacklog && position.unread.frames == 0) backlog_.pop_front();
  return frame;
}

std::optional<base::Time> Cursor::oldest_unread(From from) const {
  const Frame* frame = Peek(from);
  return frame != nullptr ? std::optional(frame->appended) : std::nullopt;
}

void Cursor::Fork() {
  if (live_.unread.frames > 0) backlog_.push_back(std::exchange(live_, {}));
}

void Cursor::Acknowledge(Frame* frame) {
  CHECK(Holds(frame));
  totals_.acknowledged_items += frame->batch.counts.items;
  totals_.held_items -= frame->batch.counts.items;
  totals_.held_bytes -= frame->cost_bytes;
  if (frame == oldest_) {
    do oldest_ = oldest_->next_;
    while (oldest_ != nullptr && !Holds(oldest_));
  }
  log_.Release(queue_, frame, bit_);
}

std::optional<base::Time> Cursor::oldest_held() const {
  return oldest_ != nullptr ? std::optional(oldest_->appended) : std::nullopt;
}

}  // namespace tributary::pipeline
