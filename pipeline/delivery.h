// Delivery: brings one Cursor's frames to one Sink, until each item is delivered, dropped for a counted reason, or
// held.
//
// It cuts Outgoing requests from what is unread (by items, bytes and age), has several under way, and acts on each
// Outcome: acknowledge, wait and try again, cut in half, or drop and count. How many are under way follows the peer:
// one more for each round of successes, half after a failure.
//
// A failure is the peer's until proven otherwise: the whole Delivery pauses, and then one request goes ahead of the
// others, so a peer in trouble sees one probe and not a storm. But when the peer meanwhile answered a request that was
// sent later, the failure is the request's own: it waits alone, longer each time, and after a few such failures it is
// cut in half, so that what a peer cannot stomach ends up alone and small while everything else flows.
//
// Requests to repeat and new ones take turns, and so do old and new telemetry after an outage: what happens now is
// visible before the backlog is through.
//
// Lives on the loop's thread. Never drops for lack of time: how long to hold is the Log's cap.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/end_of_turn.h"
#include "base/loop.h"
#include "otlp/splice.h"
#include "pipeline/backoff.h"
#include "pipeline/log.h"
#include "pipeline/sink.h"

namespace tributary::pipeline {

class Delivery {
 public:
  struct Options {
    uint32_t batch_items_max = 8192;
    size_t batch_bytes_max = 4 << 20;  // of one request, uncompressed: what a default gRPC server takes
    base::Nanos flush_after = std::chrono::milliseconds(200);
    // A Delivery whose oldest unread frame was due so long ago has fallen behind: what is unread then takes turns with
    // what is new. Again whenever what was new has become as old, so that what happens now does not queue behind an
    // earlier outage, nor behind what a slow peer has not taken yet.
    base::Nanos behind_after = std::chrono::seconds(5);
    uint32_t concurrency_max = 16;  // at least 1
    Backoff::Options retry;
  };
  // What the destination sees of each frame. Both may change between frames.
  struct View {
    // Attributes to give to what came from `source` (Origin::source; empty when not known); valid until the next call.
    // Empty: none.
    std::function<const otlp::ResourceEdit&(base::ByteView source)> edit;
    // Whether `edit` knows all of a source that it will know soon. What came from one it does not waits for that, for
    // kSourceWait at most, and within bounds; everything else passes it. Empty: always.
    std::function<bool(base::ByteView source)> complete;
    std::function<bool(base::ByteView)> select;  // which resource containers to send; empty: all
  };

  static constexpr base::Nanos kSourceWait = std::chrono::seconds(2);  // since the frame was appended

  // `sink` belongs to a Destination, which destroys it first.
  Delivery(base::Loop& loop, std::unique_ptr<Cursor> cursor, otlp::Signal signal, Sink& sink, View view,
           Options options);

  // Sends what is unread without waiting for full batches, from now on.
  void Drain();
  // What is held is dropped when this goes, on disk too.
  void Forget() { cursor_->Forget(); }
  // Uses another Sink for what is sent from now on, at once. The one before may be gone already.
  void SetSink(Sink& sink);
  void SetOptions(Options options);
  void SetView(View view) { view_ = std::move(view); }

  const Cursor& cursor() const { return *cursor_; }
  otlp::Signal signal() const { return signal_; }
  bool paused() const { return resume_.pending(); }
  const std::string& last_error() const { return last_error_; }  // empty after a success

  void WriteMetrics(std::string_view destination, base::MetricsText& metrics) const;

 private:
  static constexpr size_t kReasons = static_cast<size_t>(Reason::kPartlyTaken) + 1;
  // What became of items. Entered in the account when their frame is acknowledged, so that at every moment
  // received = delivered + dropped + held.
  struct Tally {
    uint64_t delivered = 0;
    std::array<uint64_t, kReasons> dropped{};
    uint64_t dropped_items() const;
    void Add(const Tally& other);
  };
  // A frame that had to be cut into several requests.
  struct CutFrame {
    Frame frame;
    uint32_t pieces_left;
    Tally tally;
  };
  // One request, from being cut until it is delivered or dropped: either some whole frames, or one piece of a frame.
  struct Shipment {
    std::vector<Frame> frames;
    std::shared_ptr<CutFrame> cut;
    base::Bytes piece;  // of `cut`
    uint32_t piece_items = 0;

    uint64_t number = 0;  // in the order of first attempts, from 1
    uint32_t own_failures = 0;
    std::optional<Backoff> own_backoff;

    // Of the attempt under way:
    Outgoing outgoing;
    std::vector<base::Bytes> kept;  // what `select` left of the frames
    uint64_t not_matched = 0;
    uint64_t claims_replaced = 0;
  };
  using ShipmentPtr = std::unique_ptr<Shipment>;

  void Pump();
  void WakeWhenDue();
  uint32_t InFlightMax() const { return probing_ ? 1 : static_cast<uint32_t>(concurrency_); }

  // What to send next; nullptr when nothing is due.
  ShipmentPtr Take();
  ShipmentPtr TakeFresh();
  bool Due(Cursor::From from) const;
  std::optional<Cursor::From> Choose();
  void CutFrom(Cursor::From from);
  bool MayWait(base::Time appended, base::ByteView source) const;
  void ReturnWaiting();
  void CutPieces(std::shared_ptr<CutFrame> cut, base::ByteView request, uint32_t items_max, size_t bytes_max);
  void CutInHalf(ShipmentPtr shipment);

  void Launch(ShipmentPtr shipment);
  void Build(Shipment& shipment);
  void AddRequest(Shipment& shipment, const Frame& frame, base::ByteView request, uint32_t items);
  size_t GrowthPerResource(base::ByteView source) const;

  void Finish(ShipmentPtr shipment, Outcome outcome);
  void Answered(const Shipment& shipment);
  void Repeat(ShipmentPtr shipment, std::optional<base::Nanos> demanded);
  bool SettleTaken(Shipment& shipment, const std::vector<AckSet::Range>& taken_untrusted);
  void Pause(std::optional<base::Nanos> demanded);
  void SlowDown() { concurrency_ = std::max(1.0, concurrency_ / 2); }
  void Settle(const Shipment& shipment, const Tally& tally);
  void CountBySource(const std::vector<Frame>& frames, const Tally& tally);

  base::Loop& loop_;
  otlp::Signal signal_;
  Sink* sink_;
  View view_;
  Options options_;
  std::unique_ptr<Cursor> cursor_;

  std::vector<Frame> waiting_;  // for their sources to be complete
  size_t waiting_bytes_ = 0;
  std::deque<ShipmentPtr> fresh_;                     // cut, and not tried yet
  std::multimap<base::Time, ShipmentPtr> to_repeat_;  // by when
  bool repeated_last_ = false;
  Cursor::From last_from_ = Cursor::From::kLive;

  uint32_t in_flight_ = 0;
  double concurrency_;            // how many may be under way, between 1 and concurrency_max
  bool probing_ = false;          // nothing was answered since a failure
  uint64_t shipments_ = 0;        // numbers given
  uint64_t newest_answered_ = 0;  // the highest number that the peer answered for good
  Backoff backoff_;
  base::Loop::Timer resume_;  // pending while paused
  base::Time resume_at_{};
  base::Loop::Timer wake_;  // for what becomes due by itself
  base::Time wake_at_{};
  bool draining_ = false;
  // After an Outcome. Not at once, since one may come from within Send, and a whole Log must not be sent on one stack.
  base::EndOfTurn pump_;

  Tally account_;
  uint64_t requests_ = 0;
  uint64_t incomplete_items_ = 0;  // that waited in vain, or for which there was no room to wait
  uint64_t claims_replaced_ = 0;
  std::array<uint64_t, kReasons> retries_{};
  std::string last_error_;
};

}  // namespace tributary::pipeline
