#include "pipeline/delivery.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "otlp/partition.h"

namespace tributary::pipeline {
namespace {

// Failures of a request's own before it is cut in half: more than an overloaded peer that answers every other request
// deals out by chance.
constexpr uint32_t kOwnFailuresBeforeCut = 3;
// The longest pause a peer may demand: one that says "a year", in error or in malice, is asked again before.
constexpr base::Nanos kDemandMax = std::chrono::minutes(10);
constexpr uint32_t kConcurrencyAtStart = 2;
// Requests that wait for a peer that fails, and keep their frames in memory.
constexpr size_t kWaitingMax = 2;
// Of frames that wait for their sources, and how often it is looked whether they still have to.
constexpr size_t kSourceWaitBytesMax = 8 << 20;
constexpr base::Nanos kSourceLook = std::chrono::milliseconds(50);

}  // namespace

uint64_t Delivery::Tally::dropped_items() const { return std::accumulate(dropped.begin(), dropped.end(), uint64_t{0}); }

void Delivery::Tally::Add(const Tally& other) {
  delivered += other.delivered;
  for (size_t i = 0; i < kReasons; ++i) dropped[i] += other.dropped[i];
}

Delivery::Delivery(base::Loop& loop, std::unique_ptr<Cursor> cursor, otlp::Signal signal, Sink& sink, View view,
                   Options options)
    : loop_(loop),
      signal_(signal),
      sink_(&sink),
      view_(std::move(view)),
      options_(options),
      cursor_(std::move(cursor)),
      concurrency_(std::min(kConcurrencyAtStart, options.concurrency_max)),
      backoff_(options.retry),
      pump_(loop, [this] { Pump(); }) {
  cursor_->WhenReadable([this] { Pump(); });
}

void Delivery::Drain() {
  draining_ = true;
  Pump();
}

void Delivery::SetSink(Sink& sink) {
  sink_ = &sink;
  last_error_.clear();
  backoff_.Reset();
  resume_.Cancel();
  for (; !to_repeat_.empty(); to_repeat_.erase(to_repeat_.begin())) {
    fresh_.push_back(std::move(to_repeat_.begin()->second));
  }
  Pump();
}

void Delivery::SetOptions(Options options) {
  options_ = options;
  backoff_ = Backoff(options.retry);
  concurrency_ = std::min(concurrency_, static_cast<double>(options.concurrency_max));
  Pump();
}

void Delivery::Pump() {
  if (paused()) return;
  ReturnWaiting();
  const auto oldest = cursor_->oldest_unread(Cursor::From::kLive);
  if (oldest && loop_.now() - *oldest > options_.flush_after + options_.behind_after) cursor_->Fork();

  while (!paused() && in_flight_ < InFlightMax()) {
    ShipmentPtr next = Take();
    if (next == nullptr) return WakeWhenDue();
    Launch(std::move(next));
  }
}

// With nothing to send now and room for more, time is what makes something due. Otherwise an Outcome or the end of a
// pause comes first, and pumps.
void Delivery::WakeWhenDue() {
  auto when = base::Time::max();
  if (!to_repeat_.empty()) when = to_repeat_.begin()->first;
  // What is due and not taken is on its way from disk, and pumps when it is here.
  if (const auto oldest = cursor_->oldest_unread(Cursor::From::kLive); oldest && !Due(Cursor::From::kLive)) {
    when = std::min(when, *oldest + options_.flush_after);
  }
  if (!waiting_.empty()) when = std::min(when, loop_.now() + kSourceLook);
  if (when == base::Time::max() || (wake_.pending() && wake_at_ <= when)) return;
  wake_at_ = when;
  wake_ = loop_.RunAt(when, [this] { Pump(); });
}

// Repeats and fresh requests take turns when both are due, so that neither waits for the other to succeed.
Delivery::ShipmentPtr Delivery::Take() {
  const bool repeat_due = !to_repeat_.empty() && to_repeat_.begin()->first <= loop_.now();
  if (!repeat_due || repeated_last_) {
    ShipmentPtr fresh = TakeFresh();
    if (fresh != nullptr || !repeat_due) {
      repeated_last_ = false;
      return fresh;
    }
  }
  repeated_last_ = true;
  return std::move(to_repeat_.extract(to_repeat_.begin()).mapped());
}

Delivery::ShipmentPtr Delivery::TakeFresh() {
  while (fresh_.empty()) {
    const auto from = Choose();
    if (!from) return nullptr;
    CutFrom(*from);
  }
  ShipmentPtr next = std::move(fresh_.front());
  fresh_.pop_front();
  return next;
}

// Whether what is unread makes a full request, or waited long enough to be sent as it is.
bool Delivery::Due(Cursor::From from) const {
  const auto oldest = cursor_->oldest_unread(from);
  if (!oldest) return false;
  const Cursor::Unread unread = cursor_->unread(from);
  return draining_ || unread.items >= options_.batch_items_max || unread.bytes >= options_.batch_bytes_max ||
         loop_.now() - *oldest >= options_.flush_after;
}

// Backlog and live take turns when both have something to send.
std::optional<Cursor::From> Delivery::Choose() {
  using From = Cursor::From;
  // What is not in memory is being fetched, and pumps when it is here.
  const bool live = Due(From::kLive) && cursor_->Prepare(From::kLive, options_.batch_bytes_max);
  const bool backlog = cursor_->has_backlog() && cursor_->Prepare(From::kBacklog, options_.batch_bytes_max);
  if (!live && !backlog) return std::nullopt;
  const From other = last_from_ == From::kLive ? From::kBacklog : From::kLive;
  last_from_ = live && backlog ? other : (live ? From::kLive : From::kBacklog);
  return last_from_;
}

// Splicing adds at most the edit to a resource, and a few bytes of lengths.
size_t Delivery::GrowthPerResource(base::ByteView source) const {
  constexpr size_t kLengthGrowth = 16;
  return view_.edit ? view_.edit(source).encoded_bytes() + kLengthGrowth : 0;
}

// Cuts one request from what is unread, or several from a frame that is too large for one; none when all that is unread
// turns out to be lost.
void Delivery::CutFrom(Cursor::From from) {
  auto shipment = std::make_unique<Shipment>();
  uint64_t items = 0;
  size_t bytes = 0;
  while (const Block::Record* record = cursor_->Peek(from)) {
    if (MayWait(record->appended, DecodeSource(record->origin))) {
      if (waiting_bytes_ + record->size() <= kSourceWaitBytesMax) {
        waiting_bytes_ += record->size();
        waiting_.push_back(*cursor_->Next(from));
        continue;
      }
      incomplete_items_ += record->counts.items;
    }
    const size_t growth = record->counts.resources * GrowthPerResource(DecodeSource(record->origin));
    items += record->counts.items;
    bytes += record->bytes.size() + growth;
    const bool fits = items <= options_.batch_items_max && bytes <= options_.batch_bytes_max;
    if (!fits && !shipment->frames.empty()) break;
    Frame frame = *cursor_->Next(from);
    if (!fits) {
      const base::ByteView request = frame.bytes();
      return CutPieces(std::make_shared<CutFrame>(CutFrame{std::move(frame), 0, {}}), request, options_.batch_items_max,
                       options_.batch_bytes_max - std::min(growth, options_.batch_bytes_max / 2));
    }
    // What one life of the Log took is one request, so that it has a name.
    if (!shipment->frames.empty() && frame.life_id() != shipment->frames.front().life_id()) {
      fresh_.push_back(std::exchange(shipment, std::make_unique<Shipment>()));
      items = frame.counts().items;
      bytes = frame.bytes().size() + growth;
    }
    shipment->frames.push_back(std::move(frame));
  }
  if (!shipment->frames.empty()) fresh_.push_back(std::move(shipment));
}

bool Delivery::MayWait(base::Time appended, base::ByteView source) const {
  return view_.complete && !draining_ && loop_.now() - appended < kSourceWait && !view_.complete(source);
}

// What need not wait any more is unread again.
void Delivery::ReturnWaiting() {
  if (waiting_.empty()) return;
  std::vector<Frame> waiting, frames;
  for (Frame& frame : waiting_) {
    (MayWait(frame.appended(), frame.source()) ? waiting : frames).push_back(std::move(frame));
  }
  waiting_ = std::move(waiting);
  for (const Frame& frame : frames) {
    waiting_bytes_ -= frame.bytes().size();
    if (!view_.complete(frame.source())) incomplete_items_ += frame.counts().items;
  }
  std::ranges::sort(frames, {}, &Frame::sequence);
  if (cursor_->PutBack(frames)) return;
  for (Frame& frame : frames) {
    auto shipment = std::make_unique<Shipment>();
    shipment->frames.push_back(std::move(frame));
    fresh_.push_back(std::move(shipment));
  }
}

// Cuts `request`, a frame or a piece of one, into pieces that go next.
void Delivery::CutPieces(std::shared_ptr<CutFrame> cut, base::ByteView request, uint32_t items_max, size_t bytes_max) {
  std::vector<otlp::Part> parts = otlp::Split(signal_, request, items_max, bytes_max);
  CHECK(!parts.empty());
  cut->pieces_left += static_cast<uint32_t>(parts.size());
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    auto piece = std::make_unique<Shipment>();
    piece->cut = cut;
    piece->piece = std::move(part->request);
    piece->piece_items = part->items;
    fresh_.push_front(std::move(piece));
  }
}

// By frames when there are several, then by items.
void Delivery::CutInHalf(ShipmentPtr shipment) {
  const auto& frames = shipment->frames;
  if (frames.size() > 1) {
    const auto middle = frames.begin() + static_cast<std::ptrdiff_t>(frames.size() / 2);
    auto first = std::make_unique<Shipment>(), second = std::make_unique<Shipment>();
    first->frames.assign(frames.begin(), middle);
    second->frames.assign(middle, frames.end());
    fresh_.push_front(std::move(second));
    fresh_.push_front(std::move(first));
    return;
  }
  std::shared_ptr<CutFrame> cut = shipment->cut;
  if (cut) {
    --cut->pieces_left;  // this piece becomes two
  } else {
    cut = std::make_shared<CutFrame>(CutFrame{frames.front(), 0, {}});
  }
  const base::ByteView request = shipment->cut ? shipment->piece.view() : cut->frame.bytes();
  const uint32_t items = shipment->cut ? shipment->piece_items : cut->frame.counts().items;
  CutPieces(std::move(cut), request, (items + 1) / 2, SIZE_MAX);
}

void Delivery::Launch(ShipmentPtr shipment) {
  Build(*shipment);
  if (shipment->outgoing.items == 0) return Settle(*shipment, {});
  if (shipment->number == 0) shipment->number = ++shipments_;
  ++in_flight_;
  ++requests_;
  const Outgoing& outgoing = shipment->outgoing;
  sink_->Send(outgoing, [this, shipment = std::move(shipment)](Outcome outcome) mutable {
    Finish(std::move(shipment), std::move(outcome));
  });
}

// Makes the request to send. Done anew for each attempt: a request that waits for its next attempt holds no memory but
// its frames, which are in the Log anyway.
void Delivery::Build(Shipment& shipment) {
  shipment.outgoing = Outgoing{.signal = signal_};
  shipment.not_matched = 0;
  shipment.claims_replaced = 0;
  if (shipment.cut) {
    AddRequest(shipment, shipment.cut->frame, shipment.piece, shipment.piece_items);
  } else {
    for (const Frame& frame : shipment.frames) AddRequest(shipment, frame, frame.bytes(), frame.counts().items);
    // What is selected may be selected otherwise the next time, under the same name.
    if (!view_.select) shipment.outgoing.batch = cursor_->IdOf(shipment.frames);
  }
}

// `request` is `frame`'s, or a piece of it.
void Delivery::AddRequest(Shipment& shipment, const Frame& frame, base::ByteView request, uint32_t items) {
  if (view_.select) {
    otlp::Part kept = otlp::FilterResources(signal_, request, view_.select);
    shipment.not_matched += items - kept.items;
    items = kept.items;
    if (items == 0) return;
    request = shipment.kept.emplace_back(std::move(kept.request));
  }
  shipment.outgoing.items += items;
  if (view_.edit) {
    if (const otlp::ResourceEdit& edit = view_.edit(frame.source()); !edit.empty()) {
      shipment.claims_replaced += otlp::SpliceResource(request, edit, shipment.outgoing.request);
      return;
    }
  }
  shipment.outgoing.request.Refer(request);
}

void Delivery::Finish(ShipmentPtr shipment, Outcome outcome) {
  CHECK(in_flight_ > 0);
  CHECK(outcome.kind == Outcome::Kind::kDelivered || outcome.reason != Reason::kNone);
  --in_flight_;
  const uint64_t items = shipment->outgoing.items;
  last_error_ = std::move(outcome.detail);
  Tally tally;
  switch (outcome.kind) {
    case Outcome::Kind::kDelivered: {
      Answered(*shipment);
      const uint64_t rejected = std::min(outcome.rejected_items, items);
      tally.delivered = items - rejected;
      tally.dropped[static_cast<size_t>(Reason::kPeerRejected)] = rejected;
      claims_replaced_ += shipment->claims_replaced;
      Settle(*shipment, tally);
      last_error_.clear();
      concurrency_ = std::min(concurrency_ + 1 / concurrency_, static_cast<double>(options_.concurrency_max));
      break;
    }
    case Outcome::Kind::kRetry:
      ++retries_[static_cast<size_t>(outcome.reason)];
      if (SettleTaken(*shipment, outcome.taken)) break;
      Repeat(std::move(shipment), outcome.retry_after);
      break;
    case Outcome::Kind::kRefused:
      Answered(*shipment);
      if (outcome.reason == Reason::kTooLarge && items > 1) {
        CutInHalf(std::move(shipment));
      } else {
        tally.dropped[static_cast<size_t>(outcome.reason)] = items;
        Settle(*shipment, tally);
      }
      break;
  }
  pump_.Ask();
}

// The peer has some of these frames, of a request that was put together in another way: the rest goes at once. Nothing
// when it has none, whatever it says.
bool Delivery::SettleTaken(Shipment& shipment, const std::vector<AckSet::Range>& taken_untrusted) {
  if (!shipment.outgoing.batch) return false;
  AckSet taken;
  for (const AckSet::Range& range : taken_untrusted) taken.AddRange(range.begin, range.end);
  Shipment settled;
  auto rest = std::make_unique<Shipment>();
  Tally tally;
  for (Frame& frame : shipment.frames) {
    const bool is_taken = taken.Contains(frame.sequence());
    if (is_taken) tally.delivered += frame.counts().items;
    (is_taken ? settled : *rest).frames.push_back(std::move(frame));
  }
  if (settled.frames.empty()) {
    shipment.frames = std::move(rest->frames);
    return false;
  }
  Answered(shipment);
  Settle(settled, tally);
  if (!rest->frames.empty()) fresh_.push_front(std::move(rest));
  return true;
}

// The peer is there and says what it thinks.
void Delivery::Answered(const Shipment& shipment) {
  newest_answered_ = std::max(newest_answered_, shipment.number);
  probing_ = false;
  backoff_.Reset();
}

void Delivery::Repeat(ShipmentPtr shipment, std::optional<base::Nanos> demanded) {
  if (demanded) demanded = std::clamp(*demanded, base::Nanos(0), kDemandMax);
  const bool own_failure = shipment->number < newest_answered_;
  if (!own_failure || demanded) Pause(demanded);
  base::Time when = loop_.now();
  if (own_failure) {
    SlowDown();
    if (++shipment->own_failures >= kOwnFailuresBeforeCut && shipment->outgoing.items > 1) {
      return CutInHalf(std::move(shipment));
    }
    if (!shipment->own_backoff) shipment->own_backoff.emplace(options_.retry);
    when += shipment->own_backoff->Next(demanded);
  }
  // Enough wait to tell a peer's failure from a request's own. The rest goes back to the Log, which may keep it on
  // disk.
  if (!own_failure && !shipment->cut && to_repeat_.size() >= kWaitingMax && cursor_->PutBack(shipment->frames)) return;
  // While it waits it holds no memory but its frames or its piece of one.
  shipment->outgoing = Outgoing{.signal = signal_};
  shipment->kept = std::vector<base::Bytes>();
  to_repeat_.emplace(when, std::move(shipment));
}

// The first failure of a burst counts; a later one may only make the pause longer, when the peer says so.
void Delivery::Pause(std::optional<base::Nanos> demanded) {
  const bool first = !paused();
  if (first) SlowDown();
  probing_ = true;
  repeated_last_ = true;  // the probe is rather another request: if it is answered, this one is at fault
  const base::Time until = loop_.now() + (first ? backoff_.Next(demanded) : demanded.value_or(base::Nanos(0)));
  if (!first && until <= resume_at_) return;
  resume_at_ = until;
  resume_ = loop_.RunAt(until, [this] { Pump(); });
}

void Delivery::Settle(const Shipment& shipment, const Tally& tally) {
  Tally whole = tally;
  whole.dropped[static_cast<size_t>(Reason::kNotMatched)] += shipment.not_matched;
  if (shipment.cut) {
    CutFrame& cut = *shipment.cut;
    cut.tally.Add(whole);
    if (--cut.pieces_left > 0) return;
    account_.Add(cut.tally);
    CountBySource({cut.frame}, cut.tally);
    cursor_->Acknowledge(cut.frame);
    return;
  }
  account_.Add(whole);
  CountBySource(shipment.frames, whole);
  for (const Frame& frame : shipment.frames) cursor_->Acknowledge(frame);
}

// What was given up, not what was not meant for the destination. When a request of several sources was given up in
// part, nobody knows whose that was.
void Delivery::CountBySource(const std::vector<Frame>& frames, const Tally& tally) {
  if (tally.dropped_items() == tally.dropped[static_cast<size_t>(Reason::kNotMatched)]) return;
  uint64_t items = 0;
  for (const Frame& frame : frames) items += frame.counts().items;
  const base::ByteView first = frames.front().source();
  const bool of_one =
      std::ranges::all_of(frames, [first](const Frame& frame) { return std::ranges::equal(frame.source(), first); });
  for (size_t i = 0; i < kReasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    if (tally.dropped[i] == 0 || reason == Reason::kNotMatched) continue;
    if (tally.dropped[i] == items) {
      for (const Frame& frame : frames) cursor_->sources().Lose(frame.source(), Name(reason), frame.counts().items);
    } else {
      cursor_->sources().Lose(of_one ? first : base::ByteView(), Name(reason), tally.dropped[i]);
    }
  }
}

void Delivery::WriteMetrics(std::string_view destination, base::MetricsText& metrics) const {
  const base::MetricsText::Labels labels = {{"signal", otlp::Name(signal_)}, {"destination", destination}};
  const Cursor::Totals& totals = cursor_->totals();
  metrics.Counter("tributary_received_items_total",
                  "Items taken for a destination: received = delivered + dropped + held, at every scrape.", labels,
                  static_cast<double>(totals.appended_items));
  metrics.Counter("tributary_delivered_items_total", "Items that the destination acknowledged.", labels,
                  static_cast<double>(account_.delivered));
  for (size_t i = 1; i < kReasons; ++i) {
    metrics.Counter(
        "tributary_dropped_items_total", "Items given up for a destination, by reason.",
        {{"signal", otlp::Name(signal_)}, {"destination", destination}, {"reason", Name(static_cast<Reason>(i))}},
        static_cast<double>(account_.dropped[i]));
  }
  for (size_t i = 0; i < Cursor::kLosses; ++i) {
    metrics.Counter("tributary_dropped_items_total", "Items given up for a destination, by reason.",
                    {{"signal", otlp::Name(signal_)},
                     {"destination", destination},
                     {"reason", Cursor::Name(static_cast<Cursor::Loss>(i))}},
                    static_cast<double>(totals.lost_items[i]));
  }
  if (view_.edit) {
    metrics.Counter("tributary_replaced_claims_total",
                    "Resource attributes delivered as claimed.KEY, since more is known than their sender says.", labels,
                    static_cast<double>(claims_replaced_));
  }
  metrics.Gauge("tributary_held_items", "Items held for a destination.", labels,
                static_cast<double>(totals.held_items));
  metrics.Gauge("tributary_held_bytes", "Memory of the frames held for a destination.", labels,
                static_cast<double>(totals.held_bytes));
  const auto oldest = cursor_->oldest_held();
  metrics.Gauge("tributary_oldest_held_seconds", "Age of the oldest item held for a destination.", labels,
                oldest ? base::Seconds(loop_.now() - *oldest) : 0);
  metrics.Counter("tributary_incomplete_items_total", "Items sent before all that could be known of their sender was.",
                  labels, static_cast<double>(incomplete_items_));
  metrics.Counter("tributary_requests_total", "Requests sent to a destination, repeats included.", labels,
                  static_cast<double>(requests_));
  for (size_t i = 1; i < kReasons; ++i) {
    metrics.Counter(
        "tributary_retries_total", "Attempts that failed and will be repeated, by reason.",
        {{"signal", otlp::Name(signal_)}, {"destination", destination}, {"reason", Name(static_cast<Reason>(i))}},
        static_cast<double>(retries_[i]));
  }
  metrics.Gauge("tributary_requests_in_flight", "Requests under way to a destination.", labels, in_flight_);
  metrics.Gauge("tributary_concurrency_limit", "How many requests may be under way now.", labels, concurrency_);
}

}  // namespace tributary::pipeline
