// StoreEviction: forgets the oldest items of a Store, some at a time, and whatever no item needs any more.
#pragma once

#include <cstdint>
#include <optional>

#include "gateway/sqlite.h"
#include "otlp/signal.h"

namespace tributary::gateway {

class StoreEviction {
 public:
  // `database` outlives it, and has the tables.
  explicit StoreEviction(Database& database);

  // One transaction: forgets up to a thousand items of the signal that has the oldest, of those that arrived before.
  // False when there was nothing to forget, or after an error, which sticks to the database.
  bool Step(int64_t arrived_before_ns);

  // When the oldest item arrived.
  std::optional<int64_t> oldest_arrival_ns();
  const otlp::PerSignal<uint64_t>& evicted_items() const { return evicted_items_; }

 private:
  struct Oldest {
    otlp::Signal signal;
    int64_t arrived_ns;
  };
  std::optional<Oldest> FindOldest();
  int64_t EvictItems(otlp::Signal signal, int64_t arrived_before_ns);
  int64_t EvictTraces(int64_t arrived_before_ns);
  int64_t EvictUnused();

  Database& database_;
  Statement oldest_trace_;
  Statement oldest_point_;
  Statement oldest_log_;
  Statement evict_trace_;
  Statement evict_spans_;
  Statement evict_points_;
  Statement evict_logs_;
  Statement evict_series_;
  Statement evict_metrics_;
  Statement evict_origins_;
  otlp::PerSignal<uint64_t> evicted_items_;
};

}  // namespace tributary::gateway
