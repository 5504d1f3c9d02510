// tributary-gateway: takes telemetry from agents, collectors and applications, and brings it to backends.
#include "base/program.h"
#include "gateway/config.h"
#include "gateway/gateway.h"

namespace {

constexpr const char* kAbout =
    R"(Takes OTLP from agents, collectors and applications and delivers it to any number of backends.

Without a configuration it keeps traces, logs and metrics in a local store, tributary-store.db in the working directory,
and shows them at http://localhost:8889/. A configuration says where else they go:

  sinks:
    - {name: jaeger, type: otlp, endpoint: http://jaeger:4317, signals: [traces]}
    - {name: loki, type: otlp, protocol: http/protobuf, endpoint: http://loki:3100/otlp, signals: [logs]}
    - {name: archive, type: file, path: /var/lib/tributary/telemetry.jsonl}
    - {name: local, type: local, path: /var/lib/tributary/store.db}

Each sink is served on its own: one that is slow or away delays no other.

Signals: SIGHUP applies the file anew, or keeps the old one and says why; SIGTERM sends what is held, then ends.
Pages: http://localhost:8888/metrics, http://localhost:13133/ready and /live.)";

}  // namespace

int main(int argc, char** argv) {
  return tributary::base::RunProgram<tributary::gateway::Config, tributary::gateway::Gateway>(
      {.name = "tributary-gateway", .version = TRIBUTARY_VERSION, .about = kAbout, .config_file = ""}, argc, argv);
}
