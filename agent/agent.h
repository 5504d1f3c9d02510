// Agent: the parts of tributary-agent, owned and wired. It does nothing itself. Lives on the loop's thread.
#pragma once

#include <functional>
#include <memory>

#include "agent/config.h"
#include "agent/enrichment.h"
#include "agent/identity.h"
#include "agent/kubernetes.h"
#include "agent/pod_file.h"
#include "agent/pods.h"
#include "agent/redirect.h"
#include "base/loop.h"
#include "base/result.h"
#include "pipeline/pipeline.h"
#include "pipeline/sink.h"

namespace tributary::agent {

class Agent {
 public:
  // Listens and delivers when it returns; what cannot be (an address in use, a certificate unreadable) is told.
  static base::Result<std::unique_ptr<Agent>> Start(base::Loop& loop, Config config);

  // Applies `config`, all but the addresses that are listened on. Nothing that is held is lost, and counters go on.
  // After an error the old configuration stays in force.
  base::Status Reload(Config config);

  // Takes no more telemetry and sends what it has. When all is sent or `grace` is over, `drained` is told, for people,
  // what becomes of what is left; nothing when nothing is.
  void Drain(base::Nanos grace, std::move_only_function<void(std::string rest)> drained);

 private:
  Agent(base::Loop& loop, Config config, std::unique_ptr<pipeline::Sink> upstream,
        std::unique_ptr<pipeline::Pipeline> pipeline);

  void Identify();
  void LearnOfPods();
  base::Status RedirectLocalhost();
  Enrichment::Options EnrichmentOptions() const;

  base::Loop& loop_;
  Config config_;
  std::unique_ptr<Identity> identity_;  // null when the configuration wants nothing detected
  Pods pods_;
  std::unique_ptr<Kubernetes> kubernetes_;  // null without a cluster
  std::unique_ptr<PodFile> pod_file_;       // null without one
  Enrichment enrichment_;
  std::unique_ptr<pipeline::Pipeline> pipeline_;  // with one destination, "upstream"
  std::unique_ptr<Redirect> redirect_;            // null when nobody asked for it, or the kernel refuses
};

}  // namespace tributary::agent
