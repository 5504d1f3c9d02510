// tributary: answers people's questions about the agent and the gateway.
#include <map>
#include <optional>
#include <string>

#include "base/command_line.h"
#include "cli/doctor.h"
#include "cli/fsck.h"

namespace {

using tributary::otlp::Signal;

constexpr const char* kAbout = "Looks after tributary-agent and tributary-gateway.";

constexpr const char* kAboutFsck = "Checks the directory of a Log: segments, cursors, every frame; exports, repairs";

constexpr const char* kFsckExamples = R"(
Reads only, unless both --repair and --write are given; safe while a process has the directory.

  tributary fsck /var/lib/tributary-agent                what is there, and what is wrong
  tributary fsck DIR --json | jq .missing                the same for programs
  tributary fsck DIR --export - --unacknowledged         what was not delivered, as OTLP JSON lines
  tributary fsck DIR --repair                            what a repair would do
  tributary fsck DIR --repair --write                    does it, when no process has the directory

Exit code: 0 nothing is wrong, 1 there is damage, 2 it could not look, or not do what was asked.)";

constexpr const char* kAboutDoctor = "Tries what the agent needs of this node, and says what follows where it lacks";

constexpr const char* kDoctorExamples = R"(
Run it as the agent runs: the same user, the same capabilities, in its container. It changes nothing.

  tributary doctor                                       on a host
  tributary doctor --config /etc/tributary/agent.yaml    with what the agent's configuration says of its Log and cluster

Exit code: 0 nothing is lacking, 1 something is, 2 the configuration cannot be read.)";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kAbout, "tributary");
  app.set_version_flag("--version", "tributary " TRIBUTARY_VERSION);
  app.require_subcommand(1);

  tributary::cli::FsckOptions fsck;
  CLI::App* command = app.add_subcommand("fsck", kAboutFsck);
  command->footer(kFsckExamples);
  command->add_option("DIR", fsck.directory, "The Log's directory")->required()->type_name("");
  auto* json = command->add_flag("--json", fsck.json, "Print one JSON object");
  auto* to = command->add_option("--export", fsck.export_file,
                                 "Write every whole frame as a line of OTLP/JSON to FILE, - for standard output");
  to->type_name("FILE");
  const std::map<std::string, Signal> signals = {
      {"traces", Signal::kTraces}, {"metrics", Signal::kMetrics}, {"logs", Signal::kLogs}};
  std::string signal;
  command->add_option("--signal", signal, "Export only this signal: traces, metrics or logs")
      ->check(CLI::IsMember(signals))
      ->type_name("SIGNAL")
      ->needs(to);
  command->add_flag("--unacknowledged", fsck.unacknowledged, "Export only what some destination has still to get")
      ->needs(to);
  auto* repair = command->add_flag("--repair", fsck.repair, "Say what can be mended");
  command->add_flag("--write", fsck.write, "With --repair: mend it. What is replaced is kept beside it")->needs(repair);
  json->excludes(to)->excludes(repair);
  repair->excludes(to);

  tributary::cli::DoctorOptions doctor;
  CLI::App* doctor_command = app.add_subcommand("doctor", kAboutDoctor);
  doctor_command->footer(kDoctorExamples);
  doctor_command->add_option("-c,--config", doctor.config_file, "The agent's configuration file")->type_name("FILE");
  doctor_command->add_flag("--json", doctor.json, "Print one JSON object a line");

  if (const std::optional<int> code = tributary::base::ParseCommandLine(app, argc, argv)) return *code;
  if (doctor_command->parsed()) return tributary::cli::Doctor(doctor);
  if (!signal.empty()) fsck.signal = signals.at(signal);
  return tributary::cli::Fsck(fsck);
}
