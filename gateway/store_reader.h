// What people ask a Store, answered in JSON: lists in a form of their own, telemetry as OTLP/JSON, so that an answer
// can be fed to whatever reads that. Newest first. Called where the Store is (its Worker); blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/sqlite.h"
#include "otlp/scan.h"

namespace tributary::gateway {

struct StoreAnswer {
  std::string json;      // empty: there is no such thing
  bool complete = true;  // false: the limit or the time allowed cut it short
};
using StoreResult = base::Result<StoreAnswer>;

// How long one question may keep the Store from storing. What was found until then is the answer.
inline constexpr base::Nanos kStoreReadTimeMax = std::chrono::seconds(1);

// {"services": [{"name": "cart", "spans": 120, "errors": 3, "lastSeenUnixNano": "1700..."}]}, by name.
StoreResult ReadServices(Database& database);

struct TraceFilter {
  std::optional<std::string> service;  // has a span of it
  base::Nanos duration_min{};
  bool errors_only = false;
  uint32_t traces_max = 100;
};
// {"traces": [{"traceId": "0af7...", "service": "gw", "name": "GET /", "startTimeUnixNano": "1700...",
//   "durationNano": "1500000", "spans": 12, "errors": 1, "services": [{"name": "cart", "spans": 3, "errors": 1}]}]}
StoreResult ReadTraces(Database& database, const TraceFilter& filter);

// The trace's spans as an ExportTraceServiceRequest.
StoreResult ReadTrace(Database& database, const otlp::TraceId& trace_id);

struct LogFilter {
  std::optional<std::string> service;
  int severity_min = 0;  // SeverityNumber
  std::string text;      // in the body, whatever the case of ASCII letters
  std::optional<otlp::TraceId> trace_id;
  uint32_t records_max = 200;
};
// An ExportLogsServiceRequest.
StoreResult ReadLogs(Database& database, const LogFilter& filter);

// {"metrics": [{"name": "http.server.duration", "type": "histogram", "unit": "ms", "description": "...",
//   "services": ["cart"], "series": 12, "lastSeenUnixNano": "1700..."}]}, by name.
StoreResult ReadMetrics(Database& database);

struct PointFilter {
  std::string metric;
  std::optional<std::string> service;
  uint32_t series_max = 100;
  uint32_t points_max = 200;  // of a series
};
// The latest points, oldest first within a series, as an ExportMetricsServiceRequest with one Metric for each series.
StoreResult ReadPoints(Database& database, const PointFilter& filter);

}  // namespace tributary::gateway
