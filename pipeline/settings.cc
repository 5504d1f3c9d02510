#include "pipeline/settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "base/socket.h"

namespace tributary::pipeline {

using namespace std::chrono_literals;

namespace {

// Three signals, each with a segment in use, and some more for what waits.
constexpr uint64_t kLogBytesMaxMin = 16 << 20;

std::string DefaultDirectory(std::string_view program) {
  const auto environment = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  if (const std::string directory = environment("STATE_DIRECTORY"); !directory.empty()) return directory;
  std::string state = "/var/lib";
  if (::geteuid() != 0) {
    state = environment("XDG_STATE_HOME");
    if (state.empty()) state = environment("HOME") + "/.local/state";
  }
  return fmt::format("{}/{}", state, program);
}

}  // namespace

ListenSettings ReadListen(const base::YamlMap& root, ListenSettings defaults) {
  const base::YamlMap listen = root.Map("listen");
  ListenSettings settings;
  const auto address = [&listen](std::string_view key, const std::string& fallback) {
    std::string text = listen.String(key, fallback);
    if (text.empty()) return text;
    if (const auto parsed = base::Address::Parse(text); !parsed) listen.Fail(key, parsed.error().message);
    return text;
  };
  settings.grpc = address("grpc", defaults.grpc);
  settings.http = address("http", defaults.http);
  settings.metrics = address("metrics", defaults.metrics);
  settings.health = address("health", defaults.health);
  const base::YamlMap tls = listen.Map("tls");
  settings.tls.cert_file = tls.String("cert_file", "");
  settings.tls.key_file = tls.String("key_file", "");
  settings.tls.ca_file = tls.String("client_ca_file", "");
  if (settings.tls.cert_file.empty() != settings.tls.key_file.empty()) {
    listen.Fail("tls", "needs both cert_file and key_file");
  }
  return settings;
}

MemorySettings ReadMemory(const base::YamlMap& root) {
  MemorySettings settings;
  settings.bytes_max = root.Map("memory").Size("limit", 16 << 20, uint64_t{1} << 40, settings.bytes_max);
  return settings;
}

LogSettings ReadLog(const base::YamlMap& root, std::string_view program) {
  const base::YamlMap log = root.Map("log");
  LogSettings settings;
  settings.mode = log.Choice<Log::Mode>(
      "mode", {{"memory", Log::Mode::kMemory}, {"process", Log::Mode::kProcess}, {"durable", Log::Mode::kDurable}},
      settings.mode);
  settings.directory = log.String("directory", DefaultDirectory(program));
  settings.bytes_max = log.Size("limit", kLogBytesMaxMin, uint64_t{1} << 44, settings.bytes_max);
  if (log.Find("age")) settings.age_max = log.Duration("age", 1min, 24h * 366, 24h);
  settings.when_full = log.Choice<Log::WhenFull>(
      "when_full", {{"refuse", Log::WhenFull::kRefuse}, {"drop_oldest", Log::WhenFull::kDropOldest}},
      settings.when_full);
  settings.io = log.Choice<base::IoKind>(
      "io", {{"auto", base::IoKind::kAuto}, {"io_uring", base::IoKind::kIoUring}, {"thread", base::IoKind::kThread}},
      settings.io);
  return settings;
}

base::Status CheckLogChange(const LogSettings& from, LogSettings to) {
  to.bytes_max = from.bytes_max;
  if (from == to) return {};
  return base::Fail("log: only its limit can change while running; restart to change the rest");
}

std::string ReadLogLevel(const base::YamlMap& root) {
  const std::string level = root.String("log_level", "info");
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
  if (std::ranges::find(kLevels, level) == std::end(kLevels)) {
    root.Fail("log_level", "must be trace, debug, info, warn, error or off");
  }
  return level;
}

OtlpClient::Options ReadOtlpClient(const base::YamlMap& destination) {
  OtlpClient::Options options;
  const auto endpoint = destination.Find("endpoint");
  if (endpoint && endpoint->is_list()) {
    options.endpoints = destination.Strings("endpoint");
  } else {
    options.endpoints = {destination.String("endpoint")};
  }
  options.protocol = destination.Choice<OtlpClient::Protocol>(
      "protocol", {{"grpc", OtlpClient::Protocol::kGrpc}, {"http/protobuf", OtlpClient::Protocol::kHttpProtobuf}},
      options.protocol);
  options.compression = destination.Choice<Encoding>(
      "compression", {{"none", Encoding::kIdentity}, {"gzip", Encoding::kGzip}, {"zstd", Encoding::kZstd}},
      options.compression);
  for (const auto& [name, value] : destination.StringMap("headers")) options.headers.emplace_back(name, value);
  options.timeout = destination.Duration("timeout", 1ms, 1h, options.timeout);
  const base::YamlMap tls = destination.Map("tls");
  options.tls.ca_file = tls.String("ca_file", "");
  options.tls.cert_file = tls.String("cert_file", "");
  options.tls.key_file = tls.String("key_file", "");
  options.tls_server_name = tls.String("server_name", "");
  options.tls_verify = !tls.Bool("insecure_skip_verify", false);
  return options;
}

Delivery::Options ReadDeliveryOptions(const base::YamlMap& destination) {
  Delivery::Options options;
  const base::YamlMap batch = destination.Map("batch");
  options.batch_items_max = static_cast<uint32_t>(batch.Int("items", 1, 1'000'000, options.batch_items_max));
  options.batch_bytes_max = batch.Size("bytes", 1 << 10, 64 << 20, options.batch_bytes_max);
  options.flush_after = batch.Duration("flush", 0s, 1h, options.flush_after);
  const base::YamlMap retry = destination.Map("retry");
  options.retry.initial = retry.Duration("initial", 1ms, 1h, options.retry.initial);
  options.retry.max = retry.Duration("max", 1ms, 24h, options.retry.max);
  if (options.retry.max < options.retry.initial) retry.Fail("max", "is less than retry.initial");
  options.concurrency_max = static_cast<uint32_t>(destination.Int("concurrency", 1, 1024, options.concurrency_max));
  return options;
}

}  // namespace tributary::pipeline
