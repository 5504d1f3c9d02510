#include "agent/agent.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "agent/host_resource.h"
#include "base/process.h"
#include "pipeline/health.h"

namespace tributary::agent {

base::Result<std::unique_ptr<Agent>> Agent::Start(base::Loop& loop, Config config) {
  auto upstream = pipeline::OtlpClient::Create(loop, config.upstream);
  if (!upstream) return std::unexpected(upstream.error());
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(config), std::move(*upstream)));
  if (base::Status status = agent->listeners_.Open(agent->config_.listen); !status) {
    return std::unexpected(status.error());
  }
  return agent;
}

Agent::Agent(base::Loop& loop, Config config, std::unique_ptr<pipeline::Sink> upstream)
    : loop_(loop),
      config_(std::move(config)),
      log_(loop, {.bytes_max = config_.memory.log_bytes_max()}),
      intake_(log_),
      listeners_(loop, intake_, config_.memory.receive_bytes_max()) {
  UpdateEdit();
  destinations_.push_back(std::make_unique<pipeline::Destination>(
      loop, log_, "upstream", otlp::SignalSet::All(), std::move(upstream),
      pipeline::Delivery::View{.edit = &edit_, .select = {}}, config_.delivery));
  AddPages();
}

base::Status Agent::Reload(Config config) {
  if (config.listen != config_.listen) {
    return base::Fail("listen: addresses and TLS files cannot change while running; restart the agent to change them");
  }
  auto upstream = pipeline::OtlpClient::Create(loop_, config.upstream);
  if (!upstream) return std::unexpected(upstream.error());
  config_ = std::move(config);
  UpdateEdit();
  log_.set_bytes_max(config_.memory.log_bytes_max());
  listeners_.set_receive_bytes_max(config_.memory.receive_bytes_max());
  pipeline::Destination& destination = *destinations_.front();
  destination.SetOptions(config_.delivery);
  destination.ReplaceSink(std::move(*upstream));
  return {};
}

void Agent::Drain(base::Nanos grace, std::move_only_function<void(uint64_t)> drained) {
  listeners_.Drain();
  drain_.emplace(loop_, destinations_, grace, std::move(drained));
}

// What telemetry is given on the way out: what this host is, then what the environment says, then what the file says. A
// sender that knows better keeps its own.
void Agent::UpdateEdit() {
  const auto keep = otlp::ResourceEdit::Conflict::kKeep;
  edit_ = {};
  if (config_.detect_host) {
    for (const auto& [key, value] : DetectHost("/")) edit_.SetString(key, value, keep);
  }
  if (const char* environment_untrusted = std::getenv("OTEL_RESOURCE_ATTRIBUTES")) {
    for (const auto& [key, value] : ParseResourceAttributes(environment_untrusted)) edit_.SetString(key, value, keep);
  }
  for (const auto& [key, value] : config_.resource_attributes) edit_.SetString(key, value, keep);
}

void Agent::AddPages() {
  pipeline::AdminService& pages = listeners_.pages();
  pages.Add("/metrics", [this](const std::string&) {
    return pipeline::HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = base::Bytes(std::string_view(MetricsPage()))};
  });
  pages.Add("/live", [](const std::string&) { return pipeline::LivePage(); });
  const auto ready = [this](const std::string&) {
    return pipeline::ReadyPage(log_, destinations_, drain_.has_value());
  };
  pages.Add("/ready", ready);
  pages.Add("/", ready);
}

std::string Agent::MetricsPage() const {
  base::MetricsText metrics;
  intake_.WriteMetrics(metrics);
  for (const auto& destination : destinations_) destination->WriteMetrics(metrics);
  log_.WriteMetrics(metrics);
  listeners_.WriteMetrics(metrics);
  base::WriteProcessMetrics(metrics);
  return metrics.Render();
}

}  // namespace tributary::agent
