// A gateway's configuration: one YAML file, every key optional. docs/configuration.md explains it to users.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "gateway/condition.h"
#include "gateway/rotating_file.h"
#include "gateway/store.h"
#include "otlp/signal.h"
#include "pipeline/delivery.h"
#include "pipeline/otlp_client.h"
#include "pipeline/settings.h"

namespace tributary::gateway {

// A local store and where a browser finds it; nowhere when `pages` is empty.
struct LocalSettings {
  Store::Options store = {.path = "tributary-store.db"};
  // On loopback, since whoever reaches the pages reads all that is stored.
  std::string pages = "127.0.0.1:8889";

  bool operator==(const LocalSettings&) const = default;
};

struct SinkSettings {
  std::string name;
  otlp::SignalSet signals = otlp::SignalSet::All();
  Condition when;
  pipeline::Delivery::Options delivery;
  std::variant<LocalSettings, RotatingFile::Options, pipeline::OtlpClient::Options> target;
};

struct Config {
  // Telemetry comes from other machines: all interfaces.
  pipeline::ListenSettings listen = {.grpc = ":4317", .http = ":4318"};
  pipeline::LogSettings log;
  pipeline::MemorySettings memory;
  std::vector<SinkSettings> sinks;  // never empty: without any in the file, a local store named "local"
  std::string log_level = "info";

  // Every fault of the file is told at once, with file, line and key. Without a file all is as if it were empty.
  static base::Result<Config> Load(const std::string& file);
  static base::Result<Config> Parse(std::string_view text, const std::string& file);
};

}  // namespace tributary::gateway
