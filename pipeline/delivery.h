// Delivery: brings one Cursor's frames to one Sink, until each item is delivered, dropped for a counted reason, or
// held.
//
// It cuts Outgoing requests from what is unread (by items, bytes and age), has several under way, and acts on each
// Outcome: acknowledge, wait and try again, cut in half, or drop and count. How many are under way follows the peer:
// one more for each round of successes, half after a failure. A failure pauses the whole Delivery, not one request, so
// a peer in trouble sees one probe and not a storm. After an outage old and new telemetry take turns, so that what
// happens now is visible before the backlog is through.
//
// Lives on the loop's thread. Never drops for lack of time: how long to hold is the Log's cap.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
    uint32_t concurrency_max = 16;
    Backoff::Options retry;
  };
  // What the destination sees of each frame. Both may change between frames.
  struct View {
    const otlp::ResourceEdit* edit = nullptr;    // attributes to give; outlives the Delivery
    std::function<bool(base::ByteView)> select;  // which resource containers to send; empty: all
  };

  // `cursor` and `sink` belong to a Destination, which destroys the Sink first.
  Delivery(base::Loop& loop, std::unique_ptr<Cursor> cursor, otlp::Signal signal, Sink& sink, View view,
           Options options);

  // Sends what is unread without waiting for full batches, from now on.
  void Drain();
  // Uses another Sink for what is sent from now on, at once.
  void SetSink(Sink& sink);
  void SetOptions(Options options);
  void SetView(View view) { view_ = std::move(view); }

  const Cursor& cursor() const { return *cursor_; }
  otlp::Signal signal() const { return signal_; }
  bool paused() const { return resume_.pending(); }
  const std::string& last_error() const { return last_error_; }  // empty after a success

  void WriteMetrics(std::string_view destination, base::MetricsText& metrics) const;

 private:
  static constexpr size_t kReasons = static_cast<size_t>(Reason::kStorage) + 1;
  // What became of items. Entered in the account when their frame is acknowledged, so that at every moment
  // received = delivered + dropped + held.
  struct Tally {
    uint64_t delivered = 0;
    std::array<uint64_t, kReasons> dropped{};
    void Add(const Tally& other);
  };
  // A frame that had to be cut into several requests.
  struct CutFrame {
    const Frame* frame;
    uint32_t pieces_left;
    Tally tally;
  };
  // One request, from being cut until it is delivered or dropped: either some whole frames, or one piece of a frame.
  struct Shipment {
    std::vector<const Frame*> frames;
    std::shared_ptr<CutFrame> cut;
    base::Bytes piece;  // of `cut`
    uint32_t piece_items = 0;
    std::vector<base::Bytes> kept;  // what `select` left of the frames, where it did not leave all
    uint64_t not_matched = 0;
    Outgoing outgoing;
  };
  using ShipmentPtr = std::unique_ptr<Shipment>;

  void Pump();
  bool Due(Cursor::From from) const;
  std::optional<Cursor::From> Choose();
  void CutFrom(Cursor::From from);
  void CutPieces(std::shared_ptr<CutFrame> cut, base::ByteView request, uint32_t items_max, size_t bytes_max);
  void Build(Shipment& shipment);
  void AddRequest(Shipment& shipment, base::ByteView request, uint32_t items);
  void Launch(ShipmentPtr shipment);
  void Finish(ShipmentPtr shipment, Outcome outcome);
  void Settle(const Shipment& shipment, const Tally& tally);
  void CutInHalf(ShipmentPtr shipment);
  void Pause(const Outcome& outcome);
  size_t SizeToSend(const Batch& batch) const;

  base::Loop& loop_;
  otlp::Signal signal_;
  Sink* sink_;
  View view_;
  Options options_;
  std::unique_ptr<Cursor> cursor_;

  std::deque<ShipmentPtr> waiting_;  // cut and not under way: to be tried again, or pieces awaiting their turn
  uint32_t in_flight_ = 0;
  double concurrency_ = 2;  // how many may be under way, between 1 and concurrency_max
  Backoff backoff_;
  base::Loop::Timer resume_;  // pending while paused
  base::Loop::Timer flush_;
  Cursor::From last_from_ = Cursor::From::kLive;
  bool draining_ = false;
  bool pump_queued_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // end-of-turn tasks may outlive the Delivery

  Tally account_;
  uint64_t requests_ = 0;
  std::array<uint64_t, kReasons> retries_{};
  std::string last_error_;
};

}  // namespace tributary::pipeline
