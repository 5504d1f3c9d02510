#include "gateway/config.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/socket.h"
#include "base/yaml.h"

namespace tributary::gateway {
namespace {

using namespace std::chrono_literals;

enum class SinkType : uint8_t { kLocal, kFile, kOtlp };

otlp::SignalSet ReadSignals(const base::YamlMap& sink) {
  const auto names = sink.Strings("signals");
  if (names.empty()) return otlp::SignalSet::All();
  otlp::SignalSet signals;
  for (const std::string& name : names) {
    const auto* found = std::ranges::find(otlp::kSignals, name, [](otlp::Signal signal) { return otlp::Name(signal); });
    if (found == otlp::kSignals.end()) {
      sink.Fail("signals", "must be of traces, metrics and logs");
    } else {
      signals = signals.With(*found);
    }
  }
  return signals;
}

LocalSettings ReadLocal(const base::YamlMap& sink) {
  LocalSettings local;
  local.store.path = sink.String("path", local.store.path);
  local.store.bytes_max = sink.Size("limit", Store::kBytesMaxMin, uint64_t{1} << 40, local.store.bytes_max);
  local.store.age_max = sink.Duration("age", 1min, 24h * 366, local.store.age_max);
  local.pages = sink.String("pages", local.pages);
  if (const auto address = base::Address::Parse(local.pages); !local.pages.empty() && !address) {
    sink.Fail("pages", address.error().message);
  }
  return local;
}

// The keys and limits are those of the OpenTelemetry Collector's file exporter.
RotatingFile::Options ReadFile(const base::YamlMap& sink) {
  RotatingFile::Options file{.path = sink.String("path")};
  const base::YamlMap rotation = sink.Map("rotation");
  file.bytes_max = static_cast<uint64_t>(rotation.Int("max_megabytes", 1, 1 << 20, 100)) << 20;
  file.days_max = static_cast<uint32_t>(rotation.Int("max_days", 0, 36500, file.days_max));
  file.backups_max = static_cast<uint32_t>(rotation.Int("max_backups", 0, 1'000'000, file.backups_max));
  return file;
}

SinkSettings ReadSink(const base::YamlMap& map) {
  SinkSettings sink;
  sink.name = map.String("name");
  const auto type =
      map.Choice<SinkType>("type", {{"otlp", SinkType::kOtlp}, {"file", SinkType::kFile}, {"local", SinkType::kLocal}});
  sink.signals = ReadSignals(map);
  sink.when = Condition::Read(map.Map("when"));
  sink.delivery = pipeline::ReadDeliveryOptions(map);
  switch (type) {
    case SinkType::kLocal:
      sink.target = ReadLocal(map);
      break;
    case SinkType::kFile:
      sink.target = ReadFile(map);
      break;
    case SinkType::kOtlp:
      sink.target = pipeline::ReadOtlpClient(map);
      break;
  }
  return sink;
}

std::string PathOf(const SinkSettings& sink) {
  if (const auto* local = std::get_if<LocalSettings>(&sink.target)) return local->store.path;
  if (const auto* file = std::get_if<RotatingFile::Options>(&sink.target)) return file->path;
  return {};
}

std::vector<SinkSettings> ReadSinks(const base::YamlMap& root) {
  std::vector<SinkSettings> sinks;
  std::set<std::string> names;
  std::set<std::string> paths;
  for (const base::YamlMap& map : root.Maps("sinks")) {
    const SinkSettings& sink = sinks.emplace_back(ReadSink(map));
    if (!names.insert(sink.name).second) map.Fail("name", "two sinks have this name");
    const std::string path = PathOf(sink);
    if (!path.empty() && !paths.insert(path).second) map.Fail("path", "two sinks have this path");
  }
  if (sinks.empty()) sinks.push_back({.name = "local", .when = {}, .delivery = {}, .target = LocalSettings()});
  return sinks;
}

base::Result<Config> Read(base::Result<base::YamlDocument> document) {
  if (!document) return std::unexpected(document.error());
  const base::YamlMap root = document->root();
  Config config;
  config.listen = pipeline::ReadListen(root, config.listen);
  config.log = pipeline::ReadLog(root, "tributary-gateway");
  config.memory = pipeline::ReadMemory(root);
  config.log_level = pipeline::ReadLogLevel(root);
  config.sinks = ReadSinks(root);
  if (base::Status status = document->Finish(); !status) return std::unexpected(status.error());
  return config;
}

}  // namespace

base::Result<Config> Config::Load(const std::string& file) {
  return file.empty() ? Parse("", file) : Read(base::LoadYaml(file));
}

base::Result<Config> Config::Parse(std::string_view text, const std::string& file) {
  return Read(base::ParseYaml(text, file));
}

}  // namespace tributary::gateway
