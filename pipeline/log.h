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
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "otlp/signal.h"
#include "pipeline/batch.h"

namespace tributary::pipeline {

class Cursor;

// A Batch in a Log.
struct Frame {
  uint64_t sequence;  // consecutive per signal
  base::Time appended;
  size_t cost_bytes;  // what it counts for against the Log's cap
  Batch batch;
};

class Log {
 public:
  struct Options {
    size_t bytes_max = 64 << 20;
  };
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

  // A Cursor that sees the frames of `signal` appended from now on. The Log must outlive it.
  std::unique_ptr<Cursor> OpenCursor(otlp::Signal signal);

 private:
  friend class Cursor;
  struct Held {
    Frame frame;
    uint32_t readers;  // Cursors that have not acknowledged it
  };
  struct Queue {
    std::deque<Held> frames;  // front has sequence `first`
    uint64_t first = 0;
    std::vector<Cursor*> cursors;
    uint64_t end() const { return first + frames.size(); }
    Held& at(uint64_t sequence) { return frames[sequence - first]; }
  };

  void Release(Queue& queue, uint64_t sequence);
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
// A reader that fell behind may Fork: what is unread becomes the backlog, and Next(kLive) starts at what arrives from
// now on, so that fresh telemetry need not queue behind old. Lives on the loop's thread.
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
    uint64_t items = 0;
    size_t bytes = 0;
  };

  ~Cursor();  // what it had not acknowledged is let go
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // The next unread frame, or nullptr when there is none. Stays valid, at its place, until acknowledged. Without a Fork
  // everything is live.
  const Frame* Next(From from);
  // The same frame without reading it.
  const Frame* Peek(From from) const;
  void Acknowledge(uint64_t sequence);

  bool has_backlog() const { return backlog_next_ < backlog_end_; }
  void Fork();

  // Calls `readable` at the end of the turn in which frames were appended.
  void WhenReadable(base::Loop::Task readable) { readable_ = std::move(readable); }

  const Totals& totals() const { return totals_; }
  Unread unread(From from) const { return from == From::kBacklog ? backlog_unread_ : live_unread_; }
  // When the next unread frame was appended.
  std::optional<base::Time> oldest_unread(From from) const;
  // When the oldest unacknowledged frame was appended.
  std::optional<base::Time> oldest_held() const;

 private:
  friend class Log;
  Cursor(Log& log, otlp::Signal signal);
  void Appended(const Batch& batch, size_t cost_bytes);

  Log& log_;
  Log::Queue& queue_;
  uint64_t acknowledged_below_;    // everything before this is acknowledged
  std::deque<bool> acknowledged_;  // from acknowledged_below_ on, acknowledged out of order
  uint64_t backlog_next_ = 0;
  uint64_t backlog_end_ = 0;
  uint64_t live_next_;
  Unread backlog_unread_;
  Unread live_unread_;
  Totals totals_;
  base::Loop::Task readable_;
  bool notice_queued_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // end-of-turn notices may outlive the Cursor
};

}  // namespace tributary::pipeline
