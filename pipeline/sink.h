// Sink: where a Cursor delivers. It tries once and tells the Outcome; batching, patience, retries and splitting are
// Delivery's. Lives on the loop's thread; one that does blocking work does it on a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/metrics_text.h"
#include "base/slices.h"
#include "otlp/signal.h"
#include "pipeline/origin.h"
#include "pipeline/outcome.h"

namespace tributary::pipeline {

// One OTLP export request to be sent. Delivery owns it and keeps it, and all it refers to, until the Outcome is told.
struct Outgoing {
  otlp::Signal signal;
  uint32_t items = 0;
  BatchId batch;         // by which the peer recognises it, if it is a Tributary too; may be none
  base::Slices request;  // Export{Trace,Metrics,Logs}ServiceRequest, uncompressed
};

class Sink {
 public:
  using Done = std::move_only_function<void(Outcome)>;

  virtual ~Sink() = default;

  // Calls `done` exactly once, on the loop's thread, in this call or later; also when the Sink is destroyed first (with
  // a retryable Outcome). May be called again before the first is done: Delivery decides how many are under way.
  virtual void Send(const Outgoing& outgoing, Done done) = 0;

  // Appends the Sink's own samples (connections, bytes) with the label destination="`name`".
  virtual void WriteMetrics(std::string_view name, base::MetricsText& metrics) const = 0;
};

}  // namespace tributary::pipeline
