// Destination: a Sink under its configured name, with one Delivery (and so one Cursor) per signal that goes there. The
// agent has one, its upstream; a gateway has one per backend. No Destination knows of another, which is why a dead or
// slow one delays nobody. Lives on the loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "pipeline/delivery.h"
#include "pipeline/log.h"
#include "pipeline/sink.h"

namespace tributary::pipeline {

class Destination {
 public:
  // What people ask about a destination: at the health page and in the log.
  struct Health {
    uint64_t held_items = 0;
    std::optional<base::Nanos> oldest_held;  // age of the oldest unsent item
    bool paused = false;                     // waiting after a failure
    std::string last_error;                  // empty after a success
  };

  Destination(base::Loop& loop, Log& log, std::string name, otlp::SignalSet signals, std::unique_ptr<Sink> sink,
              const Delivery::View& view, const Delivery::Options& options);

  const std::string& name() const { return name_; }
  uint64_t held_items() const;
  Health health() const;

  // Sends what is unread without waiting for full batches, from now on.
  void Drain();
  // This Destination will not come back: what is held is dropped when it goes, on disk too.
  void Forget();
  // For a new configuration: what is held goes to the new Sink.
  void ReplaceSink(std::unique_ptr<Sink> sink);
  void SetOptions(const Delivery::Options& options);
  void SetView(const Delivery::View& view);

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  base::Loop& loop_;
  std::string name_;
  // The Sink goes first: it tells its last Outcomes to the Deliveries, whose frames it may still be reading.
  std::vector<std::unique_ptr<Delivery>> deliveries_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace tributary::pipeline
