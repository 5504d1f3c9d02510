// Settings that the agent's and the gateway's configuration files share, read from YAML: the same keys, ranges and
// defaults wherever they occur. Faults are noted in the document (base/yaml.h). Start-up and reload only.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/tls.h"
#include "base/yaml.h"
#include "pipeline/delivery.h"
#include "pipeline/log.h"
#include "pipeline/otlp_client.h"

namespace tributary::pipeline {

// Where a process listens: addresses as base::Address reads them; an empty one is not listened on.
//   listen: {grpc: 127.0.0.1:4317, http: 127.0.0.1:4318, metrics: :8888, health: :13133,
//            tls: {cert_file: ..., key_file: ..., client_ca_file: ...}}
// TLS is for the OTLP ports.
struct ListenSettings {
  std::string grpc;
  std::string http;
  std::string metrics = ":8888";
  std::string health = ":13133";
  base::TlsFiles tls;  // empty cert_file: plain

  bool operator==(const ListenSettings&) const = default;
};
ListenSettings ReadListen(const base::YamlMap& root, ListenSettings defaults);

// How much memory a process may hold telemetry in, and how that is shared out: most of it to a Log in memory, the rest
// to connections and requests being received. A Log on disk takes little of it, for what is young or on its way there.
//   memory: {limit: 256MiB}
struct MemorySettings {
  size_t bytes_max = 256 << 20;
  size_t log_bytes_max() const { return bytes_max / 3 * 2; }
  size_t log_cache_bytes_max() const { return std::min<size_t>(bytes_max / 16, 8 << 20); }
  size_t receive_bytes_max() const { return bytes_max - log_bytes_max(); }
};
MemorySettings ReadMemory(const base::YamlMap& root);

// How what was taken is kept until it is delivered.
//   log: {mode: process, directory: /var/lib/tributary-agent, limit: 1GiB, age: 24h, when_full: refuse, io: auto}
struct LogSettings {
  Log::Mode mode = Log::Mode::kProcess;
  std::string directory;
  size_t bytes_max = size_t{1} << 30;
  std::optional<base::Nanos> age_max;  // none: until delivered
  Log::WhenFull when_full = Log::WhenFull::kRefuse;
  base::IoKind io = base::IoKind::kAuto;

  bool operator==(const LogSettings&) const = default;
};
// Without a directory in the file it is `program` under systemd's $STATE_DIRECTORY, /var/lib for root, or the user's
// own state directory (the XDG base directory specification).
LogSettings ReadLog(const base::YamlMap& root, std::string_view program);
// Whether a running process can go from one to the other: the limit may change, and nothing else.
base::Status CheckLogChange(const LogSettings& from, LogSettings to);

// log_level: trace, debug, info, warn, error or off. The program's own log goes to stderr.
std::string ReadLogLevel(const base::YamlMap& root);

// Keys of a destination that speaks OTLP; only the endpoint is required:
//   endpoint: http://gateway:4317 (or a list: they share the load)
//   protocol: grpc | http/protobuf
//   compression: none | gzip | zstd
//   headers: {name: value}
//   timeout: 10s
//   tls: {ca_file: ..., cert_file: ..., key_file: ..., server_name: ...,
//         insecure_skip_verify: false}
OtlpClient::Options ReadOtlpClient(const base::YamlMap& destination);

// Keys of any destination:
//   batch: {items: 8192, bytes: 4MiB, flush: 200ms}
//   retry: {initial: 1s, max: 30s}
//   concurrency: 16
Delivery::Options ReadDeliveryOptions(const base::YamlMap& destination);

}  // namespace tributary::pipeline
