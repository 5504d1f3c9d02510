// This process as an operator sees it: its log on stderr, its use of memory, its figures at /metrics.
#pragma once

#include <string>

#include "base/metrics_text.h"

namespace tributary::base {

// spdlog's default logger, to stderr: "2026-01-31T12:00:00.123Z info message". Levels as spdlog names them.
void StartLogging(const std::string& level);
// For a new configuration.
void SetLogLevel(const std::string& level);

// Sets the allocator up for buffers that come and go at the rate of requests: their memory stays with the process up to
// a bound, instead of being given back and zeroed again for every request. Call before threads start.
void TuneAllocator();

// User and system CPU time that all threads of this process spent, the kernel's own for it included, in seconds.
double ProcessCpuSeconds();
// The resident memory of this process, in bytes.
double ProcessResidentBytes();

// process_cpu_seconds_total, process_resident_memory_bytes, process_start_time_seconds and process_open_fds, named as
// Prometheus' own client libraries name them.
void WriteProcessMetrics(MetricsText& metrics);

}  // namespace tributary::base
