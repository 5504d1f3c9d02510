#include "agent/agent.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "agent/host_resource.h"
#include "pipeline/otlp_client.h"

namespace tributary::agent {

base::Result<std::unique_ptr<Agent>> Agent::Start(base::Loop& loop, Config config) {
  auto upstream = pipeline::OtlpClient::Create(loop, config.upstream);
  if (!upstream) return std::unexpected(upstream.error());
  auto pipeline = pipeline::Pipeline::Create(loop, config.log, config.memory);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(config), std::move(*upstream), std::move(*pipeline)));
  if (base::Status status = agent->pipeline_->Open(agent->config_.listen); !status) {
    return std::unexpected(status.error());
  }
  return agent;
}

Agent::Agent(base::Loop& loop, Config config, std::unique_ptr<pipeline::Sink> upstream,
             std::unique_ptr<pipeline::Pipeline> pipeline)
    : loop_(loop), config_(std::move(config)), pipeline_(std::move(pipeline)) {
  UpdateEdit();
  pipeline_->destinations().push_back(std::make_unique<pipeline::Destination>(
      loop, pipeline_->log(), "upstream", otlp::SignalSet::All(), std::move(upstream),
      pipeline::Delivery::View{.edit = [this](base::ByteView) -> const auto& { return edit_; }, .select = {}},
      config_.delivery));
}

base::Status Agent::Reload(Config config) {
  if (config.listen != config_.listen) {
    return base::Fail("listen: addresses and TLS files cannot change while running; restart the agent to change them");
  }
  if (base::Status status = pipeline::CheckLogChange(config_.log, config.log); !status) return status;
  // An upstream that did not change stays, with what it has under way.
  std::unique_ptr<pipeline::Sink> upstream;
  if (!config.upstream.KeepsClientOf(config_.upstream)) {
    auto client = pipeline::OtlpClient::Create(loop_, config.upstream);
    if (!client) return std::unexpected(client.error());
    upstream = std::move(*client);
  }
  config_ = std::move(config);
  UpdateEdit();
  pipeline_->SetLimits(config_.log, config_.memory);
  pipeline::Destination& destination = *pipeline_->destinations().front();
  destination.SetOptions(config_.delivery);
  if (upstream) destination.ReplaceSink(std::move(upstream));
  return {};
}

void Agent::Drain(base::Nanos grace, std::move_only_function<void(std::string)> drained) {
  pipeline_->Drain(grace, std::move(drained));
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

}  // namespace tributary::agent
