// Requests that look like what instrumented services send, for benchmarks and load generators: one resource of three
// attributes, one scope, and as many items as asked for. A span with five attributes is about 280 bytes.
// The same arguments give the same bytes. Any thread.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "otlp/signal.h"

namespace tributary::bench {

// Spans each have a trace id of their own. Data points come ten to a metric; sums, gauges and histograms take turns.
// All times lie at and shortly after `start_unix_ns`.
base::Bytes SampleRequest(otlp::Signal signal, uint32_t items, uint64_t seed, uint32_t attributes = 5,
                          uint64_t start_unix_ns = 1'700'000'000'000'000'000);

}  // namespace tributary::bench
