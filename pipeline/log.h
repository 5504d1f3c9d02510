// Log: takes responsibility for Batches and keeps them until every Cursor is done with them.
//
// Append answers when responsibility is taken, which is what a sender's OK waits for. Any number of Cursors read
// independently, each the frames of one signal: per signal, so that a backend which fails for logs does not hold back
// its traces. A frame goes when its last Cursor acknowledged it. Everything held counts against one cap in bytes; at
// the cap Append refuses, so that senders keep what we cannot.
//
// This Log lives in memory: what it holds ends with the process. Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/end_of_turn.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "otlp/signal.h"
#include "pipeline/batch.h"

namespace tributary::pipeline {

class Cursor;

// A Batch in a Log, at its place until every Cursor has acknowledged it.
class Frame {
 public:
  const Batch batch;
  const base::Time appended;
  const size_t cost_bytes;  // what it counts for against the Log's cap

 private:
  friend class Log;
  friend class Cursor;
  Frame(Batch the_batch, base::Time now, size_t cost, uint64_t cursors)
      : batch(std::move(the_batch)), appended(now), cost_bytes(cost), readers_(cursors) {}

  uint64_t readers_;  // the bits of those Cursors that have not acknowledged it
  Frame* previous_ = nullptr;
  Frame* next_ = nullptr;
};

class Log {
 public:
  struct Options {
    size_t bytes_max = 64 << 20;
  };
  static constexpr int kCursorsMax = 64;
  enum class Taken : uint8_t { kYes, kFull };
  using Answer = std::move_only_function<void(Taken)>;

  Log(base::Loop& loop, Options options);
  ~Log();  // every Cursor must be gone

  // Takes `batch`, or leaves it to the sender. `answer` is called once, on the loop's thread, in this call or later.
  void Append(Batch batch, Answer answer);

  // Whether a request of `bytes` would be taken now.
  bool Admits(size_t bytes) const { return bytes_ + bytes <= options_.bytes_max; }
  size_t bytes() const { return bytes_; }
  size_t bytes_max() const { return options_.bytes_max; }
  // For a new configuration. Below what is held, nothing is lost: appends are refused until enough is delivered.
  void set_bytes_max(size_t bytes_max) { options_.bytes_max = bytes_max; }

  // How long until `bytes` more fit, judged by how fast frames have been leaving lately; nullopt when none are leaving.
  std::optional<base::Nanos> TimeUntilFree(size_t bytes) const;

  void WriteMetrics(base::MetricsText& metrics) const;

  // A Cursor that sees the frames of `signal` appended from now on. The Log must outlive it. At most kCursorsMax per
  // signal at a time.
  std::unique_ptr<Cursor> OpenCursor(otlp::Signal signal);

 private:
  friend class Cursor;
  // The frames of one signal, oldest first, linked so that one may go from between those that stay: nothing is left of
  // what is delivered, however long one frame before it is held.
  struct Queue {
    Frame* first = nullptr;
    Frame* last = nullptr;
    std::vector<Cursor*> cursors;
    uint64_t cursor_bits = 0;
  };

  void Release(Queue& queue, Frame* frame, uint64_t cursor_bit);
  void MeasureDrain(size_t bytes);

  base::Loop& loop_;
  Options options_;
  size_t bytes_ = 0;
  otlp::PerSignal<Queue> queues_;

  // Drain rate: bytes released in the current window and an average over windows.
  base::Time drain_window_start_{};
  size_t drain_window_bytes_ = 0;
  double drain_bytes_per_s_ = 0;
};

// Cursor: one reader's position in a Log. Frames are read in order and acknowledged in any order.
//
// A reader that fell behind may Fork: what is unread becomes backlog, after what is backlog already, and Next(kLive)
// starts at what arrives from now on, so that fresh telemetry need not queue behind old. Lives on the loop's thread.
class Cursor {
 public:
  enum class From : uint8_t { kBacklog, kLive };
  struct Totals {
    uint64_t appended_items = 0;      // ever appended for this Cursor
    uint64_t acknowledged_items = 0;  // of those, acknowledged
    uint64_t held_items = 0;          // counted frame by frame, as they come and go
    uint64_t held_bytes = 0;
  };

  // What Next() has still to return.
  struct Unread {
    uint64_t frames = 0;
    uint64_t items = 0;
    size_t bytes = 0;
  };

  ~Cursor();  // what it had not acknowledged is let go
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // The next unread frame, or nullptr when there is none. Without a Fork everything is live.
  Frame* Next(From from);
  // The same frame without reading it.
  Frame* Peek(From from) const { return unread(from).frames > 0 ? ahead(from).next : nullptr; }
  // Lets go of a frame that was read.
  void Acknowledge(Frame* frame);

  bool has_backlog() const { return !backlog_.empty(); }
  void Fork();

  // Calls `readable` at the end of the turn in which frames were appended.
  void WhenReadable(base::Loop::Task readable) { readable_ = std::move(readable); }

  const Totals& totals() const { return totals_; }
  // Of a backlog that several Forks made, up to the next of them.
  Unread unread(From from) const { return ahead(from).unread; }
  // When the next unread frame was appended.
  std::optional<base::Time> oldest_unread(From from) const;
  // When the oldest unacknowledged frame was appended.
  std::optional<base::Time> oldest_held() const;

 private:
  friend class Log;
  // What is ahead of a reading position.
  struct Ahead {
    Frame* next = nullptr;  // meaningful while frames are unread
    Unread unread;
  };

  Cursor(Log& log, otlp::Signal signal);
  void Appended(Frame* frame);
  bool Holds(const Frame* frame) const { return (frame->readers_ & bit_) != 0; }
  // Backlogs are read oldest first.
  Ahead ahead(From from) const {
    if (from == From::kLive) return live_;
    return backlog_.empty() ? Ahead() : backlog_.front();
  }

  Log& log_;
  Log::Queue& queue_;
  uint64_t bit_;               // of this Cursor in Frame::readers_
  Frame* oldest_ = nullptr;    // of those not acknowledged
  std::deque<Ahead> backlog_;  // what each Fork left, none of it empty
  Ahead live_;
  Totals totals_;
  base::Loop::Task readable_;
  base::EndOfTurn notice_;
};

}  // namespace tributary::pipeline
