#include "base/process.h"

#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace tributary::base {
namespace {

// Read once, at the first scrape at the latest; what counts is that it stays the same.
double StartTime() {
  static const double started =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return started;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double OpenFds() {
  std::error_code error;
  const std::filesystem::directory_iterator fds("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(fds), end(fds)));
}

}  // namespace

void StartLogging(const std::string& level) {
  StartTime();
  auto logger = spdlog::stderr_logger_mt("tributary");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

void SetLogLevel(const std::string& level) { spdlog::set_level(spdlog::level::from_str(level)); }

void TuneAllocator() {
  // One arena: the loop's thread does nearly all allocation, and what a helper thread frees must be found again.
  mallopt(M_ARENA_MAX, 1);
  // Setting either of these ends glibc's own moving of both thresholds.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

double ProcessResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void WriteProcessMetrics(MetricsText& metrics) {
  metrics.Counter("process_cpu_seconds_total", "User and system CPU time spent, seconds.", {}, ProcessCpuSeconds());
  metrics.Gauge("process_resident_memory_bytes", "Resident memory, bytes.", {}, ProcessResidentBytes());
  metrics.Gauge("process_start_time_seconds", "Start of the process, seconds since the Unix epoch.", {}, StartTime());
  metrics.Gauge("process_open_fds", "Open file descriptors.", {}, OpenFds());
}

}  // namespace tributary::base
