// tributary-sink: a backend for tests and measurements.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/budget.h"
#include "base/command_line.h"
#include "base/loop.h"
#include "base/signals.h"
#include "base/socket.h"
#include "bench/sink_service.h"
#include "pipeline/admin_service.h"
#include "pipeline/http_server.h"

namespace tributary::bench {
namespace {

using pipeline::HttpResponse;

constexpr const char* kAbout =
    R"(Takes OTLP (gRPC and HTTP with protobuf bodies), counts it, keeps nothing, and fails when it is told to.

  curl 'localhost:14319/stats'                                   what was taken, by signal and by run of tributary-load:
                                                                 how many items arrived, arrived twice or are missing
  curl 'localhost:14319/mode?set=unavailable'                    answer UNAVAILABLE, 503
  curl 'localhost:14319/mode?set=throttle&retry_after_ms=500'    the same, with RetryInfo and Retry-After
  curl 'localhost:14319/mode?set=too_large'                      answer RESOURCE_EXHAUSTED, 413
  curl 'localhost:14319/mode?set=stall'                          answer nothing until the mode changes
  curl 'localhost:14319/mode?set=away'                           close all connections, and the ports
  curl 'localhost:14319/mode?set=ok'                             take everything again)";

constexpr size_t kBudgetBytes = 1 << 30;

// The value of `key` in "a=1&b=2", empty when it is not there. Values here need no decoding.
std::string_view QueryValue(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with(key) && pair.substr(key.size()).starts_with('=')) return pair.substr(key.size() + 1);
  }
  return {};
}

HttpResponse Page(int status, std::string_view content_type, std::string_view text) {
  return {.status = status, .content_type = std::string(content_type), .body = base::Bytes(text)};
}

class Sink {
 public:
  // Addresses; an empty one is not listened on.
  struct Addresses {
    std::string grpc = "127.0.0.1:14317";
    std::string http = "127.0.0.1:14318";
    std::string control = "127.0.0.1:14319";
  };

  Sink(base::Loop& loop, Addresses addresses) : loop_(loop), addresses_(std::move(addresses)) {
    pages_.Add("/stats", [this](const std::string&) { return Page(200, "application/json", service_.StatsJson()); });
    pages_.Add("/mode", [this](const std::string& query) { return SetMode(query); });
  }

  base::Status Start() {
    if (auto listening = Listen(control_, addresses_.control); !listening) return listening;
    return Open();
  }

 private:
  using Mode = SinkService::Mode;

  base::Status Open() {
    server_ = std::make_unique<pipeline::HttpServer>(loop_, budget_, service_);
    for (std::string* address : {&addresses_.grpc, &addresses_.http}) {
      if (address->empty()) continue;
      if (auto listening = Listen(*server_, *address); !listening) return listening;
    }
    return {};
  }

  // Says where; `address` is given the port that the kernel chose for port 0, to keep it when opened again.
  base::Status Listen(pipeline::HttpServer& server, std::string& address) {
    const auto parsed = base::Address::Parse(address);
    if (!parsed) return std::unexpected(parsed.error());
    const auto bound = server.Listen(*parsed);
    if (!bound) return std::unexpected(bound.error());
    address = bound->ToString();
    fmt::print(stderr, "listening on {}\n", address);
    return {};
  }

  HttpResponse SetMode(std::string_view query) {
    static const std::map<std::string_view, Mode> kModes = {{"ok", Mode::kOk},
                                                            {"unavailable", Mode::kUnavailable},
                                                            {"throttle", Mode::kThrottle},
                                                            {"too_large", Mode::kTooLarge},
                                                            {"stall", Mode::kStall}};
    const std::string_view name = QueryValue(query, "set");
    if (name == "away") {
      server_.reset();
      return Page(200, "text/plain", "away\n");
    }
    const auto mode = kModes.find(name);
    if (mode == kModes.end())
      return Page(400, "text/plain", "modes are ok, unavailable, throttle, too_large, stall and away\n");
    int64_t retry_after_ms = 1000;
    const std::string_view delay = QueryValue(query, "retry_after_ms");
    std::from_chars(delay.data(), delay.data() + delay.size(), retry_after_ms);
    service_.SetMode(mode->second, std::chrono::milliseconds(retry_after_ms));
    if (server_ == nullptr) {
      if (const auto opened = Open(); !opened) return Page(500, "text/plain", opened.error().message);
    }
    return Page(200, "text/plain", fmt::format("{}\n", name));
  }

  base::Loop& loop_;
  Addresses addresses_;
  base::Budget budget_{kBudgetBytes};
  SinkService service_;
  pipeline::AdminService pages_;
  pipeline::HttpServer control_{loop_, budget_, pages_};
  std::unique_ptr<pipeline::HttpServer> server_;  // null while away
};

int Main(int argc, char** argv) {
  Sink::Addresses addresses;
  CLI::App app(kAbout, "tributary-sink");
  app.add_option("--grpc", addresses.grpc, "Address for OTLP/gRPC; empty: none")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--http", addresses.http, "Address for OTLP/HTTP; empty: none")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--control", addresses.control, "Address for /stats and /mode")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  if (const std::optional<int> code = base::ParseCommandLine(app, argc, argv)) return *code;

  base::Loop loop;
  const base::Signals signals(loop, {SIGINT, SIGTERM}, [&](int) { loop.Stop(); });
  Sink sink(loop, addresses);
  if (const base::Status started = sink.Start(); !started) {
    fmt::print(stderr, "tributary-sink: {}\n", started.error().message);
    return 1;
  }
  loop.Run();
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) { return tributary::bench::Main(argc, argv); }
