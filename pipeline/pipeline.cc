#include "pipeline/pipeline.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/io.h"
#include "base/process.h"
#include "pipeline/health.h"

namespace tributary::pipeline {
namespace {

// Of the smallest Log: each signal has one segment in use, and backlogs need more.
constexpr uint64_t kSegmentsMin = 16;

size_t LogBytesMax(const LogSettings& log, const MemorySettings& memory) {
  return log.mode == Log::Mode::kMemory ? memory.log_bytes_max() : log.bytes_max;
}

}  // namespace

base::Result<std::unique_ptr<Pipeline>> Pipeline::Create(base::Loop& loop, const LogSettings& settings,
                                                         const MemorySettings& memory) {
  auto file_system = std::make_unique<base::FileSystem>();
  Log::Options options{.mode = settings.mode, .bytes_max = LogBytesMax(settings, memory)};
  if (options.mode == Log::Mode::kMemory) {
    auto log = std::make_unique<Log>(loop, options);
    return std::unique_ptr<Pipeline>(new Pipeline(loop, std::move(file_system), std::move(log), memory));
  }
  options.when_full = settings.when_full;
  options.directory = settings.directory;
  options.age_max = settings.age_max;
  options.memory_bytes_max = memory.log_cache_bytes_max();
  options.segment_bytes = std::min<uint64_t>(options.segment_bytes, settings.bytes_max / kSegmentsMin);
  auto io = base::OpenIo(loop, *file_system, settings.io);
  if (!io) return base::Fail("log.io: {}", io.error().message);
  if (!(*io)->reason().empty()) spdlog::warn("the Log writes through a thread: {}", (*io)->reason());
  auto log = Log::Open(loop, *file_system, std::move(*io), options);
  if (!log) return base::Fail("log.directory: {} (log.mode: memory needs none)", log.error().message);
  return std::unique_ptr<Pipeline>(new Pipeline(loop, std::move(file_system), std::move(*log), memory));
}

Pipeline::Pipeline(base::Loop& loop, std::unique_ptr<base::FileSystem> file_system, std::unique_ptr<Log> log,
                   const MemorySettings& memory)
    : loop_(loop),
      file_system_(std::move(file_system)),
      log_(std::move(log)),
      intake_(*log_),
      listeners_(loop, intake_, memory.receive_bytes_max()) {
  AddPages();
}

base::Status Pipeline::Open(const ListenSettings& listen) {
  log_->Start();
  return listeners_.Open(listen);
}

void Pipeline::SetLimits(const LogSettings& log, const MemorySettings& memory) {
  log_->set_bytes_max(LogBytesMax(log, memory));
  listeners_.set_receive_bytes_max(memory.receive_bytes_max());
}

void Pipeline::Drain(base::Nanos grace, std::move_only_function<void(std::string)> drained) {
  listeners_.Drain();
  drain_.emplace(loop_, destinations_, grace, [this, drained = std::move(drained)](uint64_t held_items) mutable {
    if (held_items == 0) return drained("");
    drained(log_->mode() == Log::Mode::kMemory
                ? fmt::format("{} items were not delivered in time and are lost", held_items)
                : fmt::format("{} items were not delivered in time; they stay in {} for the next start", held_items,
                              log_->directory()));
  });
}

void Pipeline::AddPages() {
  AdminService& pages = listeners_.pages();
  pages.Add("/metrics", [this](const std::string&) {
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = base::Bytes(std::string_view(MetricsPage()))};
  });
  pages.Add("/live", [](const std::string&) { return LivePage(); });
  const auto ready = [this](const std::string&) { return ReadyPage(*log_, destinations_, drain_.has_value()); };
  pages.Add("/ready", ready);
  pages.Add("/", ready);
}

std::string Pipeline::MetricsPage() const {
  base::MetricsText metrics;
  intake_.WriteMetrics(metrics);
  for (const auto& destination : destinations_) destination->WriteMetrics(metrics);
  log_->WriteMetrics(metrics);
  listeners_.WriteMetrics(metrics);
  if (more_metrics_) more_metrics_(metrics);
  base::WriteProcessMetrics(metrics);
  return metrics.Render();
}

}  // namespace tributary::pipeline
