// Agent: the parts of tributary-agent, owned and wired. It does nothing itself.
//
// Members are declared downstream first, so that construction starts what delivers before what receives, and destruction
// stops receiving before delivering. Lives on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/config.h"
#include "base/loop.h"
#include "base/result.h"
#include "otlp/splice.h"
#include "pipeline/destination.h"
#include "pipeline/drain.h"
#include "pipeline/intake.h"
#include "pipeline/listeners.h"
#include "pipeline/log.h"

namespace tributary::agent {

class Agent {
 public:
  // Listens and delivers when it returns; what cannot be (an address in use, a certificate unreadable) is told.
  static base::Result<std::unique_ptr<Agent>> Start(base::Loop& loop, Config config);

  // Applies `config`, all but the addresses that are listened on. Nothing that is held is lost, and counters go on.
  // After an error the old configuration stays in force.
  base::Status Reload(Config config);

  // Takes no more telemetry and sends what it has. `drained` is told how many items are left when all is sent or `grace`
  // is over.
  void Drain(base::Nanos grace, std::move_only_function<void(uint64_t held_items)> drained);

 private:
  Agent(base::Loop& loop, Config config, std::unique_ptr<pipeline::Sink> upstream);

  void UpdateEdit();
  void AddPages();
  std::string MetricsPage() const;

  base::Loop& loop_;
  Config config_;
  otlp::ResourceEdit edit_;
  pipeline::Log log_;
  std::vector<std::unique_ptr<pipeline::Destination>> destinations_;  // one, "upstream"
  pipeline::Intake intake_;
  pipeline::Listeners listeners_;
  std::optional<pipeline::Drain> drain_;
};

}  // namespace tributary::agent
