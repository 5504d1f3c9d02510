// tributary-agent: takes telemetry from the applications of this host and brings it upstream.
#include "agent/agent.h"
#include "agent/config.h"
#include "base/program.h"

namespace {

constexpr const char* kAbout = R"(Takes OTLP from this host's applications and forwards it, batched and retried.

Applications need no configuration: OpenTelemetry SDKs send to localhost:4317 (gRPC) or localhost:4318 (HTTP) by default.
A configuration needs one key, where to send:

  upstream:
    endpoint: http://gateway.example:4317

Signals: SIGHUP applies the file anew, or keeps the old one and says why; SIGTERM sends what is held, then ends.
Pages: http://localhost:8888/metrics, http://localhost:13133/ready and /live.)";

}  // namespace

int main(int argc, char** argv) {
  return tributary::base::RunProgram<tributary::agent::Config, tributary::agent::Agent>(
      {.name = "tributary-agent",
       .version = TRIBUTARY_VERSION,
       .about = kAbout,
       .config_file = "/etc/tributary/agent.yaml"},
      argc, argv);
}
