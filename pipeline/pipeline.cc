#include "pipeline/pipeline.h"

#include <utility>

#include "base/process.h"
#include "pipeline/health.h"

namespace tributary::pipeline {

Pipeline::Pipeline(base::Loop& loop, const MemorySettings& memory)
    : loop_(loop),
      log_(loop, {.bytes_max = memory.log_bytes_max()}),
      intake_(log_),
      listeners_(loop, intake_, memory.receive_bytes_max()) {
  AddPages();
}

base::Status Pipeline::Open(const ListenSettings& listen) { return listeners_.Open(listen); }

void Pipeline::SetMemory(const MemorySettings& memory) {
  log_.set_bytes_max(memory.log_bytes_max());
  listeners_.set_receive_bytes_max(memory.receive_bytes_max());
}

void Pipeline::Drain(base::Nanos grace, std::move_only_function<void(uint64_t)> drained) {
  listeners_.Drain();
  drain_.emplace(loop_, destinations_, grace, std::move(drained));
}

void Pipeline::AddPages() {
  AdminService& pages = listeners_.pages();
  pages.Add("/metrics", [this](const std::string&) {
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = base::Bytes(std::string_view(MetricsPage()))};
  });
  pages.Add("/live", [](const std::string&) { return LivePage(); });
  const auto ready = [this](const std::string&) { return ReadyPage(log_, destinations_, drain_.has_value()); };
  pages.Add("/ready", ready);
  pages.Add("/", ready);
}

std::string Pipeline::MetricsPage() const {
  base::MetricsText metrics;
  intake_.WriteMetrics(metrics);
  for (const auto& destination : destinations_) destination->WriteMetrics(metrics);
  log_.WriteMetrics(metrics);
  listeners_.WriteMetrics(metrics);
  base::WriteProcessMetrics(metrics);
  return metrics.Render();
}

}  // namespace tributary::pipeline
