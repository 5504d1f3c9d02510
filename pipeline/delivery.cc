#include "pipeline/delivery.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "otlp/partition.h"

namespace tributary::pipeline {
namespace {

// A Delivery whose oldest unread frame is this old has fallen behind: the rest of the backlog then shares with the new.
constexpr base::Nanos kFallenBehind = std::chrono::seconds(5);

}  // namespace

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
      backoff_(options.retry) {
  cursor_->WhenReadable([this] { Pump(); });
}

void Delivery::Drain() {
  draining_ = true;
  Pump();
}

void Delivery::SetSink(Sink& sink) {
  sink_ = &sink;
  backoff_.Reset();
  resume_.Cancel();
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
  const auto oldest = cursor_->oldest_unread(Cursor::From::kLive);
  if (oldest && !cursor_->has_backlog() && loop_.now() - *oldest > kFallenBehind) cursor_->Fork();

  while (!paused() && in_flight_ < static_cast<uint32_t>(concurrency_)) {
    if (!waiting_.empty()) {
      ShipmentPtr next = std::move(waiting_.front());
      waiting_.pop_front();
      Launch(std::move(next));
    } else if (const auto from = Choose()) {
      CutFrom(*from);
    } else {
      break;
    }
  }

  if (!flush_.pending() && !paused()) {
    if (const auto first = cursor_->oldest_unread(Cursor::From::kLive); first && !Due(Cursor::From::kLive)) {
      flush_ = loop_.RunAt(*first + options_.flush_after, [this] { Pump(); });
    }
  }
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
  const bool live = Due(From::kLive);
  const bool backlog = cursor_->has_backlog();
  if (!live && !backlog) return std::nullopt;
  const From other = last_from_ == From::kLive ? From::kBacklog : From::kLive;
  last_from_ = live && backlog ? other : (live ? From::kLive : From::kBacklog);
  return last_from_;
}

// The most that a frame can take up in a request: splicing adds at most the edit, and lengths' growth, per resource.
size_t Delivery::SizeToSend(const Batch& batch) const {
  constexpr size_t kLengthGrowth = 16;
  const size_t per_resource = view_.edit != nullptr ? view_.edit->encoded_bytes() + kLengthGrowth : 0;
  return batch.bytes.size() + batch.counts.resources * per_resource;
}

void Delivery::CutFrom(Cursor::From from) {
  auto shipment = std::make_unique<Shipment>();
  uint64_t items = 0;
  size_t bytes = 0;
  while (const Frame* frame = cursor_->Peek(from)) {
    const size_t frame_bytes = SizeToSend(frame->batch);
    const bool fits = items + frame->batch.counts.items <= options_.batch_items_max &&
                      bytes + frame_bytes <= options_.batch_bytes_max;
    if (!fits && !shipment->frames.empty()) break;
    cursor_->Next(from);
    if (!fits) {
      const size_t growth = std::min(frame_bytes - frame->batch.bytes.size(), options_.batch_bytes_max / 2);
      return CutPieces(std::make_shared<CutFrame>(CutFrame{frame, 0, {}}), frame->batch.bytes, options_.batch_items_max,
                       options_.batch_bytes_max - growth);
    }
    items += frame->batch.counts.items;
    bytes += frame_bytes;
    shipment->frames.push_back(frame);
  }
  Launch(std::move(shipment));
}

// Cuts `request`, a frame or a piece of one, into pieces that wait for their turn, ahead of everything else.
void Delivery::CutPieces(std::shared_ptr<CutFrame> cut, base::ByteView request, uint32_t items_max, size_t bytes_max) {
  std::vector<otlp::Part> parts = otlp::Split(signal_, request, items_max, bytes_max);
  CHECK(!parts.empty());
  cut->pieces_left += static_cast<uint32_t>(parts.size());
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    auto piece = std::make_unique<Shipment>();
    piece->cut = cut;
    piece->piece = std::move(part->request);
    piece->piece_items = part->items;
    waiting_.push_front(std::move(piece));
  }
}

// Makes the request to send. Done anew for each attempt: a request that waits for its next attempt holds no memory but
// its frames, which are in the Log anyway.
void Delivery::Build(Shipment& shipment) {
  shipment.outgoing = Outgoing{.signal = signal_};
  shipment.kept.clear();
  shipment.not_matched = 0;
  if (shipment.cut) {
    AddRequest(shipment, shipment.piece, shipment.piece_items);
  } else {
    for (const Frame* frame : shipment.frames) AddRequest(shipment, frame->batch.bytes, frame->batch.counts.items);
  }
}

void Delivery::AddRequest(Shipment& shipment, base::ByteView request, uint32_t items) {
  if (view_.select) {
    otlp::Part kept = otlp::FilterResources(signal_, request, view_.select);
    shipment.not_matched += items - kept.items;
    items = kept.items;
    if (items == 0) return;
    request = shipment.kept.emplace_back(std::move(kept.request));
  }
  shipment.outgoing.items += items;
  if (view_.edit != nullptr && !view_.edit->empty()) {
    otlp::SpliceResource(request, *view_.edit, shipment.outgoing.request);
  } else {
    shipment.outgoing.request.Refer(request);
  }
}

void Delivery::Launch(ShipmentPtr shipment) {
  Build(*shipment);
  if (shipment->outgoing.items == 0) return Settle(*shipment, {});
  ++in_flight_;
  ++requests_;
  const Outgoing& outgoing = shipment->outgoing;
  sink_->Send(outgoing, [this, shipment = std::move(shipment)](Outcome outcome) mutable {
    Finish(std::move(shipment), std::move(outcome));
  });
}

void Delivery::Finish(ShipmentPtr shipment, Outcome outcome) {
  CHECK(in_flight_ > 0);
  --in_flight_;
  const uint64_t items = shipment->outgoing.items;
  Tally tally;
  switch (outcome.kind) {
    case Outcome::Kind::kDelivered: {
      const uint64_t rejected = std::min(outcome.rejected_items, items);
      tally.delivered = items - rejected;
      tally.dropped[static_cast<size_t>(Reason::kPeerRejected)] = rejected;
      Settle(*shipment, tally);
      last_error_.clear();
      backoff_.Reset();
      concurrency_ = std::min(concurrency_ + 1 / concurrency_, static_cast<double>(options_.concurrency_max));
      break;
    }
    case Outcome::Kind::kRetry:
      ++retries_[static_cast<size_t>(outcome.reason)];
      last_error_ = outcome.detail;
      shipment->outgoing = Outgoing{.signal = signal_};
      shipment->kept.clear();
      waiting_.push_front(std::move(shipment));
      if (!paused()) Pause(outcome);
      break;
    case Outcome::Kind::kRefused:
      last_error_ = outcome.detail;
      if (outcome.reason == Reason::kTooLarge && items > 1) {
        CutInHalf(std::move(shipment));
      } else {
        tally.dropped[static_cast<size_t>(outcome.reason)] = items;
        Settle(*shipment, tally);
      }
      break;
  }
  // Not at once: an Outcome may come from within Send, and a whole Log must not be sent on one stack.
  if (!pump_queued_) {
    pump_queued_ = true;
    loop_.AtEndOfTurn([this, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      pump_queued_ = false;
      Pump();
    });
  }
}

void Delivery::Settle(const Shipment& shipment, const Tally& tally) {
  Tally whole = tally;
  whole.dropped[static_cast<size_t>(Reason::kNotMatched)] += shipment.not_matched;
  if (shipment.cut) {
    CutFrame& cut = *shipment.cut;
    cut.tally.Add(whole);
    if (--cut.pieces_left > 0) return;
    account_.Add(cut.tally);
    cursor_->Acknowledge(cut.frame->sequence);
    return;
  }
  account_.Add(whole);
  for (const Frame* frame : shipment.frames) cursor_->Acknowledge(frame->sequence);
}

void Delivery::CutInHalf(ShipmentPtr shipment) {
  if (shipment->frames.size() > 1) {
    auto second = std::make_unique<Shipment>();
    const auto middle = shipment->frames.begin() + static_cast<std::ptrdiff_t>(shipment->frames.size() / 2);
    second->frames.assign(middle, shipment->frames.end());
    shipment->frames.erase(middle, shipment->frames.end());
    waiting_.push_front(std::move(second));
    waiting_.push_front(std::move(shipment));
    return;
  }
  std::shared_ptr<CutFrame> cut = shipment->cut;
  if (cut) {
    --cut->pieces_left;  // this piece becomes two
  } else {
    cut = std::make_shared<CutFrame>(CutFrame{shipment->frames.front(), 0, {}});
  }
  const base::ByteView request = shipment->cut ? shipment->piece.view() : cut->frame->batch.bytes.view();
  const uint32_t items = shipment->cut ? shipment->piece_items : cut->frame->batch.counts.items;
  CutPieces(std::move(cut), request, std::max(1u, (items + 1) / 2), SIZE_MAX);
}

void Delivery::Pause(const Outcome& outcome) {
  concurrency_ = std::max(1.0, concurrency_ / 2);
  flush_.Cancel();
  resume_ = loop_.RunAfter(backoff_.Next(outcome.retry_after), [this] { Pump(); });
}

void Delivery::WriteMetrics(std::string_view destination, base::MetricsText& metrics) const {
  const base::MetricsText::Labels labels = {{"signal", otlp::Name(signal_)}, {"destination", destination}};
  const Cursor::Totals& totals = cursor_->totals();
  metrics.Counter("tributary_received_items_total",
                  "Items taken for a destination: received = delivered + dropped + held, at every scrape.", labels,
                  static_cast<double>(totals.appended_items));
  metrics.Counter("tributary_delivered_items_total", "Items that the destination acknowledged.", labels,
                  static_cast<double>(account_.delivered));
  for (const Reason reason :
       {Reason::kRefused, Reason::kTooLarge, Reason::kPeerRejected, Reason::kNotMatched, Reason::kStorage}) {
    metrics.Counter("tributary_dropped_items_total", "Items given up for a destination, by reason.",
                    {{"signal", otlp::Name(signal_)}, {"destination", destination}, {"reason", Name(reason)}},
                    static_cast<double>(account_.dropped[static_cast<size_t>(reason)]));
  }
  metrics.Gauge("tributary_held_items", "Items held for a destination.", labels,
                static_cast<double>(totals.held_items));
  metrics.Gauge("tributary_held_bytes", "Memory of the frames held for a destination.", labels,
                static_cast<double>(totals.held_bytes));
  const auto oldest = cursor_->oldest_held();
  metrics.Gauge("tributary_oldest_held_seconds", "Age of the oldest item held for a destination.", labels,
                oldest ? base::Seconds(loop_.now() - *oldest) : 0);
  metrics.Counter("tributary_requests_total", "Requests sent to a destination, repeats included.", labels,
                  static_cast<double>(requests_));
  for (const Reason reason :
       {Reason::kConnect, Reason::kTimeout, Reason::kThrottled, Reason::kUnavailable, Reason::kStorage}) {
    metrics.Counter("tributary_retries_total", "Attempts that failed and will be repeated, by reason.",
                    {{"signal", otlp::Name(signal_)}, {"destination", destination}, {"reason", Name(reason)}},
                    static_cast<double>(retries_[static_cast<size_t>(reason)]));
  }
  metrics.Gauge("tributary_requests_in_flight", "Requests under way to a destination.", labels, in_flight_);
  metrics.Gauge("tributary_concurrency_limit", "How many requests may be under way now.", labels, concurrency_);
}

}  // namespace tributary::pipeline
