// StoreWriter: turns export requests into rows of a Store's tables. Whoever calls it holds the transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "gateway/sqlite.h"
#include "otlp/items.h"
#include "otlp/signal.h"

namespace tributary::gateway {

class StoreWriter {
 public:
  // `database` outlives it, and has the tables.
  explicit StoreWriter(Database& database);

  // `request` must have passed Scan. An error sticks to the database.
  void Write(otlp::Signal signal, base::ByteView request, uint64_t now_unix_ns);

 private:
  struct Origin {
    int64_t id = 0;
    std::string service;
  };

  void WriteTraces(base::ByteView request);
  void WriteLogs(base::ByteView request);
  void WriteMetrics(base::ByteView request);
  void WriteMetric(const Origin& origin, base::ByteView metric);
  Origin FindOrigin(const otlp::ItemReader& reader);
  int64_t FindMetric(const Origin& origin, std::string_view name, uint32_t kind, base::ByteView head,
                     base::ByteView data);
  int64_t FindSeries(int64_t metric, base::ByteView attributes);
  // Of a row that `find` was started for: its id, after noting in it that it is in use. nullopt when there is none.
  std::optional<int64_t> Use(Statement& find, Statement& touch);

  int64_t now_ns_ = 0;
  Statement find_origin_;
  Statement touch_origin_;
  Statement insert_origin_;
  Statement upsert_trace_;
  Statement insert_span_;
  Statement insert_log_;
  Statement find_metric_;
  Statement touch_metric_;
  Statement insert_metric_;
  Statement find_series_;
  Statement touch_series_;
  Statement insert_series_;
  Statement insert_point_;
};

}  // namespace tributary::gateway
