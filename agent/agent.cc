#include "agent/agent.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "agent/host_resource.h"
#include "base/socket.h"
#include "pipeline/otlp_client.h"

namespace tributary::agent {
namespace {

bool IsLoopback(const base::Address& address) {
  if (address.family() == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  }
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
}

}  // namespace

base::Result<std::unique_ptr<Agent>> Agent::Start(base::Loop& loop, Config config) {
  auto upstream = pipeline::OtlpClient::Create(loop, config.upstream);
  if (!upstream) return std::unexpected(upstream.error());
  auto pipeline = pipeline::Pipeline::Create(loop, config.log, config.memory);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(config), std::move(*upstream), std::move(*pipeline)));
  if (base::Status status = agent->pipeline_->Open(agent->config_.listen); !status) {
    return std::unexpected(status.error());
  }
  if (base::Status status = agent->RedirectLocalhost(); !status) return std::unexpected(status.error());
  return agent;
}

Agent::Agent(base::Loop& loop, Config config, std::unique_ptr<pipeline::Sink> upstream,
             std::unique_ptr<pipeline::Pipeline> pipeline)
    : loop_(loop),
      config_(std::move(config)),
      enrichment_(
          pods_,
          [this] {
            if (kubernetes_) kubernetes_->Refresh();
          },
          EnrichmentOptions()),
      pipeline_(std::move(pipeline)) {
  LearnOfPods();
  if (config_.detect) Identify();
  pipeline_->set_more_metrics([this](base::MetricsText& metrics) {
    if (identity_) identity_->WriteMetrics(metrics);
    if (redirect_) redirect_->WriteMetrics(metrics);
    enrichment_.WriteMetrics(metrics);
    if (kubernetes_) kubernetes_->WriteMetrics(metrics);
  });
  pipeline::Delivery::View view;
  view.complete = [this](base::ByteView source) { return enrichment_.IsComplete(source); };
  view.edit = [this](base::ByteView source) -> const auto& { return enrichment_.EditOf(source); };
  pipeline_->destinations().push_back(
      std::make_unique<pipeline::Destination>(loop, pipeline_->log(), "upstream", otlp::SignalSet::All(),
                                              std::move(upstream), std::move(view), config_.delivery));
}

// Before anybody is listened to, so that no connection is older than what looks at it.
void Agent::Identify() {
  identity_ = std::make_unique<Identity>();
  for (const uint16_t port : {uint16_t{4317}, uint16_t{4318}}) identity_->AddPort(port);
  for (const std::string& text : {config_.listen.grpc, config_.listen.http}) {
    if (const auto address = base::Address::Parse(text)) identity_->AddPort(address->port());
  }
  pipeline_->set_source_of([this](int socket) { return identity_->SourceOf(socket); });
}

// Once somebody listens, or pods' connects would be led to nobody.
base::Status Agent::RedirectLocalhost() {
  if (config_.redirect.empty()) return {};
  Redirect::Target target{.ip4 = config_.redirect};
  const std::pair<const std::string&, uint16_t&> ports[] = {{config_.listen.grpc, target.grpc_port},
                                                            {config_.listen.http, target.http_port}};
  for (const auto& [text, port] : ports) {
    if (text.empty()) continue;
    const auto address = base::Address::Parse(text);
    if (!address) return std::unexpected(address.error());
    if (IsLoopback(*address)) {
      return base::Fail("redirect: pods do not reach {}; listen at {} or at every interface", text, config_.redirect);
    }
    port = address->port();
  }
  const auto root = FindCgroupRoot();
  auto redirect = root ? Redirect::Attach(*root, target) : std::unexpected(root.error());
  if (redirect) {
    redirect_ = std::move(*redirect);
  } else {
    spdlog::warn("redirect: localhost's OTLP ports do not lead here from pods: {}", redirect.error().message);
  }
  return {};
}

// What is known already stays, and changes when a list has come.
void Agent::LearnOfPods() {
  kubernetes_.reset();
  pod_file_.reset();
  const KubernetesSettings& settings = config_.kubernetes;
  if (settings.cluster) kubernetes_ = std::make_unique<Kubernetes>(loop_, pods_, *settings.cluster);
  if (!settings.pods_file.empty()) {
    pod_file_ = std::make_unique<PodFile>(loop_, pods_, settings.pods_file, settings.fields);
  }
}

base::Status Agent::Reload(Config config) {
  if (config.listen != config_.listen) {
    return base::Fail("listen: addresses and TLS files cannot change while running; restart the agent to change them");
  }
  if (config.redirect != config_.redirect) {
    return base::Fail("redirect: cannot change while running; restart the agent to change it");
  }
  if (config.detect != config_.detect) {
    return base::Fail("resource.detect: cannot change while running; restart the agent to change it");
  }
  if (base::Status status = pipeline::CheckLogChange(config_.log, config.log); !status) return status;
  // An upstream that did not change stays, with what it has under way.
  std::unique_ptr<pipeline::Sink> upstream;
  if (!config.upstream.KeepsClientOf(config_.upstream)) {
    auto client = pipeline::OtlpClient::Create(loop_, config.upstream);
    if (!client) return std::unexpected(client.error());
    upstream = std::move(*client);
  }
  const bool pods_change = config.kubernetes != config_.kubernetes;
  config_ = std::move(config);
  if (pods_change) LearnOfPods();
  enrichment_.SetOptions(EnrichmentOptions());
  pipeline_->SetLimits(config_.log, config_.memory);
  pipeline::Destination& destination = *pipeline_->destinations().front();
  destination.SetOptions(config_.delivery);
  if (upstream) destination.ReplaceSink(std::move(upstream));
  return {};
}

void Agent::Drain(base::Nanos grace, std::move_only_function<void(std::string)> drained) {
  pipeline_->Drain(grace, std::move(drained));
}

// What telemetry is given on the way out: what this host is, and what the file says, which goes before what the
// environment says. A sender that knows better keeps its own.
Enrichment::Options Agent::EnrichmentOptions() const {
  Enrichment::Options options;
  if (config_.detect) options.host = DetectHost("/");
  if (const char* environment_untrusted = std::getenv("OTEL_RESOURCE_ATTRIBUTES")) {
    options.given = ParseResourceAttributes(environment_untrusted);
  }
  options.fields = config_.kubernetes.fields;
  options.awaits_pods = config_.kubernetes.cluster.has_value() || !config_.kubernetes.pods_file.empty();
  options.given.insert(options.given.end(), config_.resource_attributes.begin(), config_.resource_attributes.end());
  return options;
}

}  // namespace tributary::agent
