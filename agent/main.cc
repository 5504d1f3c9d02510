// tributary-agent: takes telemetry from the applications of this host and brings it upstream.
#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "agent/agent.h"
#include "base/loop.h"
#include "base/process.h"
#include "base/signals.h"

namespace {

using namespace tributary;

constexpr auto kDrainGrace = std::chrono::seconds(10);

constexpr const char* kAbout = R"(Takes OTLP from this host's applications and forwards it, batched and retried.

Applications need no configuration: OpenTelemetry SDKs send to localhost:4317 (gRPC) or localhost:4318 (HTTP) by default.
A configuration needs one key, where to send:

  upstream:
    endpoint: http://gateway.example:4317

Signals: SIGHUP applies the file anew, or keeps the old one and says why; SIGTERM sends what is held, then ends.
Pages: http://localhost:8888/metrics, http://localhost:13133/ready and /live.)";

int Fail(const base::Error& error) {
  std::fprintf(stderr, "tributary-agent: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kAbout, "tributary-agent");
  std::string file = "/etc/tributary/agent.yaml";
  bool check = false;
  app.add_option("-c,--config", file, "Configuration file, YAML")->capture_default_str();
  app.add_flag("--check", check, "Say whether the configuration is valid, and end");
  app.set_version_flag("--version", "tributary-agent " TRIBUTARY_VERSION);
  CLI11_PARSE(app, argc, argv);

  auto config = agent::Config::Load(file);
  if (!config) return Fail(config.error());
  if (check) {
    std::printf("%s is valid\n", file.c_str());
    return 0;
  }

  base::TuneAllocator();
  base::StartLogging(config->log_level);
  base::Loop loop;
  std::unique_ptr<agent::Agent> agent;
  const base::Signals signals(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
    if (signal == SIGHUP) {
      auto fresh = agent::Config::Load(file);
      base::Status status = fresh ? agent->Reload(std::move(*fresh)) : std::unexpected(fresh.error());
      if (status) {
        spdlog::info("{} applied", file);
      } else {
        spdlog::error("configuration unchanged: {}", status.error().message);
      }
      return;
    }
    spdlog::info("ending: sending what is held");
    agent->Drain(kDrainGrace, [&loop](uint64_t held_items) {
      if (held_items > 0) spdlog::warn("{} items were not delivered in time and are lost", held_items);
      loop.Stop();
    });
  });

  auto started = agent::Agent::Start(loop, std::move(*config));
  if (!started) return Fail(started.error());
  agent = std::move(*started);
  loop.Run();
  return 0;
}
