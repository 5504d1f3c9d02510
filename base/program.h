// RunProgram: the main() of a long-running program with one configuration file, one loop and one object that is the
// program. Teaches itself by --help; SIGHUP applies the file anew, SIGTERM and SIGINT end it in order.
//
//   Config:  static base::Result<Config> Load(const std::string& file);   std::string log_level;
//   Process: static base::Result<std::unique_ptr<Process>> Start(base::Loop&, Config);
//            base::Status Reload(Config);                                  // or the old one stays in force
//            void Drain(base::Nanos grace, std::move_only_function<void(std::string rest)> drained);
#pragma once

#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/command_line.h"
#include "base/loop.h"
#include "base/process.h"
#include "base/result.h"
#include "base/signals.h"

namespace tributary::base {

struct ProgramInfo {
  const char* name;
  const char* version;
  const char* about;        // what --help begins with
  const char* config_file;  // without --config; what Load() makes of an empty one is its own business
};

// How long a program that was told to end may take to send what it holds. Kubernetes gives 30 s.
inline constexpr Nanos kDrainGrace = std::chrono::seconds(10);

template <typename Config, typename Process>
int RunProgram(const ProgramInfo& info, int argc, char** argv) {
  CLI::App app(info.about, info.name);
  std::string file = info.config_file;
  bool check = false;
  app.add_option("-c,--config", file, "Configuration file, YAML")->type_name("FILE")->capture_default_str();
  app.add_flag("--check", check, "Say whether the configuration is valid, and end");
  app.set_version_flag("--version", std::string(info.name) + " " + info.version);
  app.footer("Exit code: 0 it ended as it was told to, 1 it could not start and says why, 2 a wrong argument.");
  if (const std::optional<int> code = ParseCommandLine(app, argc, argv)) return *code;

  const auto fail = [&info](const Error& error) {
    std::fprintf(stderr, "%s: %s\n", info.name, error.message.c_str());
    return 1;
  };
  auto config = Config::Load(file);
  if (!config) return fail(config.error());
  if (check) {
    std::printf("%s is valid\n", file.empty() ? "the built-in configuration" : file.c_str());
    return 0;
  }

  TuneAllocator();
  StartLogging(config->log_level);
  Loop loop;
  std::unique_ptr<Process> process;
  bool ending = false;
  const Signals signals(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
    if (signal == SIGHUP) {
      auto fresh = Config::Load(file);
      const std::string log_level = fresh ? fresh->log_level : "";
      const Status status = fresh ? process->Reload(std::move(*fresh)) : std::unexpected(fresh.error());
      if (status) {
        SetLogLevel(log_level);
        spdlog::info("{} applied", file);
      } else {
        spdlog::error("configuration unchanged: {}", status.error().message);
      }
    } else if (std::exchange(ending, true)) {
      spdlog::warn("ending at once");
      loop.Stop();
    } else {
      spdlog::info("ending: sending what is held");
      process->Drain(kDrainGrace, [&loop](const std::string& rest) {
        if (!rest.empty()) spdlog::warn("{}", rest);
        loop.Stop();
      });
    }
  });

  auto started = Process::Start(loop, std::move(*config));
  if (!started) return fail(started.error());
  process = std::move(*started);
  loop.Run();
  return 0;
}

}  // namespace tributary::base
