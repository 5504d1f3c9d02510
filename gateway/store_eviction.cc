#include "gateway/store_eviction.h"

#include <algorithm>
#include <chrono>

#include "gateway/store_schema.h"

namespace tributary::gateway {
namespace {

using otlp::Signal;

// How many rows of a table one step deletes at most, so that no step takes long or makes the write-ahead log long.
constexpr int64_t kStepRows = 1000;

}  // namespace

// Arrivals follow row ids, so that no statement looks further than the rows it deletes.
StoreEviction::StoreEviction(Database& database)
    : database_(database),
      oldest_trace_(database, "SELECT arrived_ns, id FROM trace ORDER BY id LIMIT 1"),
      oldest_point_(database, "SELECT arrived_ns FROM point ORDER BY id LIMIT 1"),
      oldest_log_(database, "SELECT arrived_ns FROM log ORDER BY id LIMIT 1"),
      evict_trace_(database, "DELETE FROM trace WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM span WHERE trace = ?1)"),
      evict_spans_(database, "DELETE FROM span WHERE id IN (SELECT id FROM span WHERE trace = ? LIMIT ?)"),
      evict_points_(database, "DELETE FROM point WHERE id < (SELECT min(id) FROM point) + ? AND arrived_ns < ?"),
      evict_logs_(database, "DELETE FROM log WHERE id < (SELECT min(id) FROM log) + ? AND arrived_ns < ?"),
      evict_series_(database, "DELETE FROM series WHERE id IN (SELECT id FROM series WHERE used_ns < ? LIMIT ?)"),
      evict_metrics_(database, "DELETE FROM metric WHERE id IN (SELECT id FROM metric WHERE used_ns < ? LIMIT ?)"),
      evict_origins_(database, "DELETE FROM origin WHERE id IN (SELECT id FROM origin WHERE used_ns < ? LIMIT ?)") {}

bool StoreEviction::Step(int64_t arrived_before_ns) {
  const auto oldest = FindOldest();
  database_.Execute("BEGIN IMMEDIATE");
  int64_t items = 0;
  if (oldest && oldest->arrived_ns < arrived_before_ns) items = EvictItems(oldest->signal, arrived_before_ns);
  const int64_t unused = EvictUnused();
  database_.Execute("COMMIT");
  if (database_.failed()) return false;
  if (items > 0) evicted_items_[oldest->signal] += static_cast<uint64_t>(items);
  return items + unused > 0;
}

std::optional<int64_t> StoreEviction::oldest_arrival_ns() {
  const auto oldest = FindOldest();
  if (!oldest) return std::nullopt;
  return oldest->arrived_ns;
}

std::optional<StoreEviction::Oldest> StoreEviction::FindOldest() {
  std::optional<Oldest> oldest;
  const auto consider = [&oldest](Signal signal, Statement& find) {
    if (!find.Start().Next()) return;
    if (!oldest || find.Int(0) < oldest->arrived_ns) oldest = {signal, find.Int(0)};
    find.Reset();
  };
  consider(Signal::kTraces, oldest_trace_);
  consider(Signal::kMetrics, oldest_point_);
  consider(Signal::kLogs, oldest_log_);
  return oldest;
}

int64_t StoreEviction::EvictItems(Signal signal, int64_t arrived_before_ns) {
  if (signal == Signal::kTraces) return EvictTraces(arrived_before_ns);
  Statement& evict = signal == Signal::kLogs ? evict_logs_ : evict_points_;
  evict.Start(kStepRows, arrived_before_ns).Run();
  return database_.rows_changed();
}

// A trace goes when its last span goes; one with many spans takes several steps.
int64_t StoreEviction::EvictTraces(int64_t arrived_before_ns) {
  int64_t evicted = 0;
  while (evicted < kStepRows && oldest_trace_.Start().Next() && oldest_trace_.Int(0) < arrived_before_ns) {
    const int64_t trace = oldest_trace_.Int(1);
    oldest_trace_.Reset();
    evict_spans_.Start(trace, kStepRows - evicted).Run();
    evicted += database_.rows_changed();
    evict_trace_.Start(trace).Run();
  }
  oldest_trace_.Reset();
  return evicted;
}

// An item keeps what it refers to in use at its arrival, give or take the lag.
int64_t StoreEviction::EvictUnused() {
  const int64_t lag_ns = std::chrono::nanoseconds(kStoreUsedLag).count();
  const int64_t used_before_ns = oldest_arrival_ns().value_or(INT64_MAX) - 2 * lag_ns;
  int64_t evicted = 0;
  for (Statement* evict : {&evict_series_, &evict_metrics_, &evict_origins_}) {
    evict->Start(used_before_ns, kStepRows).Run();
    evicted += database_.rows_changed();
  }
  return evicted;
}

}  // namespace tributary::gateway
