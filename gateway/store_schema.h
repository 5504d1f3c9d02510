// The tables of a Store, version 1 (PRAGMA user_version).
//
// Row ids are in the order of arrival. Times end in _ns: nanoseconds since 1970, by our clock but for start_ns and
// end_ns, which are the spans' own. BLOBs are protobuf bytes as they came, or an id. `service` is service.name, cut at
// kStoreServiceBytesMax. `hash` finds a row by what it is made of, which is compared too.
#pragma once

#include <chrono>
#include <cstddef>

namespace tributary::gateway {

inline constexpr int kStoreApplicationId = 0x54524942;  // "TRIB"
inline constexpr int kStoreSchemaVersion = 1;
inline constexpr size_t kStoreServiceBytesMax = 100;
// How far used_ns may lag behind, so that a busy row is not written with every request.
inline constexpr std::chrono::minutes kStoreUsedLag{1};

inline constexpr char kStoreSchema[] = R"sql(
-- What the items of a scope share: all fields of the container but its scopes, and of the scope but its items.
CREATE TABLE origin(
  id INTEGER PRIMARY KEY,
  hash INTEGER NOT NULL,
  used_ns INTEGER NOT NULL,       -- when an item last came from it, to the minute
  service TEXT NOT NULL,
  container BLOB NOT NULL,
  scope BLOB NOT NULL);
CREATE INDEX origin_hash ON origin(hash);
CREATE INDEX origin_used ON origin(used_ns);

-- The sum of what is known of a trace.
CREATE TABLE trace(
  id INTEGER PRIMARY KEY,
  trace_id BLOB NOT NULL UNIQUE,
  arrived_ns INTEGER NOT NULL,    -- its first span
  start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL,
  spans INTEGER NOT NULL,
  errors INTEGER NOT NULL,        -- spans with status ERROR
  rooted INTEGER NOT NULL,        -- whether a span without a parent came
  service TEXT NOT NULL,          -- of that span, else of the earliest one
  name TEXT NOT NULL);

CREATE TABLE span(
  id INTEGER PRIMARY KEY,
  trace INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  service TEXT NOT NULL,
  error INTEGER NOT NULL,
  bytes BLOB NOT NULL);
CREATE INDEX span_trace ON span(trace);
CREATE INDEX span_service ON span(service, trace, error);

CREATE TABLE log(
  id INTEGER PRIMARY KEY,
  arrived_ns INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  service TEXT NOT NULL,
  severity INTEGER NOT NULL,      -- SeverityNumber
  trace_id BLOB,
  bytes BLOB NOT NULL);
CREATE INDEX log_service ON log(service);
CREATE INDEX log_trace ON log(trace_id) WHERE trace_id IS NOT NULL;

CREATE TABLE metric(
  id INTEGER PRIMARY KEY,
  hash INTEGER NOT NULL,
  used_ns INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  service TEXT NOT NULL,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,          -- the field number of the Metric's data: 5 gauge, 7 sum, 9 histogram, ...
  head BLOB NOT NULL,             -- all fields of the Metric but its data
  data BLOB NOT NULL);            -- all fields of the data (Gauge, Sum, ...) but its points
CREATE INDEX metric_hash ON metric(hash);
CREATE INDEX metric_used ON metric(used_ns);
CREATE INDEX metric_name ON metric(name);

-- The points of a metric with the same attributes.
CREATE TABLE series(
  id INTEGER PRIMARY KEY,
  hash INTEGER NOT NULL,
  used_ns INTEGER NOT NULL,
  metric INTEGER NOT NULL,
  attributes BLOB NOT NULL);      -- as fields of the point
CREATE INDEX series_hash ON series(hash);
CREATE INDEX series_used ON series(used_ns);
CREATE INDEX series_metric ON series(metric);

CREATE TABLE point(
  id INTEGER PRIMARY KEY,
  arrived_ns INTEGER NOT NULL,
  series INTEGER NOT NULL,
  bytes BLOB NOT NULL);           -- all fields of the point but its attributes
CREATE INDEX point_series ON point(series);
)sql";

}  // namespace tributary::gateway
