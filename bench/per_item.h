// What a benchmark over requests of state.range(0) items reports: time per item, and bytes per item and second.
#pragma once

#include <benchmark/benchmark.h>

#include "base/bytes.h"

namespace tributary::bench {

inline void ReportPerItem(benchmark::State& state, base::ByteView request) {
  using benchmark::Counter;
  const auto items = static_cast<double>(state.range(0));
  state.counters["per_item"] = Counter(items, Counter::kIsIterationInvariantRate | Counter::kInvert);
  state.counters["item_bytes"] = static_cast<double>(request.size()) / items;
  state.SetBytesProcessed(static_cast<int64_t>(static_cast<size_t>(state.iterations()) * request.size()));
}

}  // namespace tributary::bench
