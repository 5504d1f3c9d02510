// tributary-shop: twelve services of an imaginary shop, in one process, sending what they would send.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/command_line.h"
#include "bench/shop/exporter.h"
#include "bench/shop/shop.h"

namespace tributary::bench::shop {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kAbout =
    "Demo load: a shop of twelve services (gw, auth, api, ord, inv, db, pay, cart, ship, mail, rec, search) that sends "
    "whole\n"
    "traces, logs that belong to them, and metrics, through OTLP/gRPC to ENDPOINT until Ctrl-C. Each service has a "
    "Resource\n"
    "and a connection of its own. Things go wrong: cards are declined, calls time out, and every other minute one "
    "service has\n"
    "a bad half minute, which is announced here. Look for service ord, or for traces with errors.\n\n"
    "  tributary-shop                                     20 traces/s to localhost:4317\n"
    "  tributary-shop --endpoint gateway:4317 --rate 200  more, elsewhere";

constexpr milliseconds kTick{100};
constexpr seconds kExportInterval{1};
constexpr seconds kMetricsInterval{5};
constexpr seconds kReportInterval{10};
constexpr seconds kIncidentInterval{120};
constexpr seconds kIncidentBegin{60}, kIncidentEnd{90};  // within each interval
constexpr auto kLookBack =
    seconds(4);  // traces are acted out at once: they begin this long ago, so that they end by now

// "http://localhost:4317/" as OTEL_EXPORTER_OTLP_ENDPOINT has it, as gRPC wants it.
std::string Target(std::string endpoint) {
  if (const size_t scheme = endpoint.find("://"); scheme != endpoint.npos) endpoint.erase(0, scheme + 3);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

void Report(const Exported& exported) {
  fmt::print("{} spans, {} log records, {} data points sent", exported.spans, exported.log_records,
             exported.data_points);
  if (exported.dropped_requests != 0) fmt::print("; {} requests dropped", exported.dropped_requests);
  if (!exported.last_error.empty()) fmt::print("; last error {}", exported.last_error);
  fmt::print("\n");
  std::fflush(stdout);
}

// What goes wrong after the shop has been open for `running`: one thing at a time, in turn.
Incident IncidentAt(base::Nanos running) {
  static constexpr std::array kTurns = {Incident::kSlowDatabase, Incident::kPaymentProviderDown, Incident::kSlowSearch};
  const base::Nanos phase = running % kIncidentInterval;
  if (phase < kIncidentBegin || phase >= kIncidentEnd) return Incident::kNone;
  return kTurns[static_cast<size_t>(running / kIncidentInterval) % kTurns.size()];
}

volatile std::sig_atomic_t interrupted = 0;

void Run(const std::string& target, double traces_per_s) {
  std::random_device seed;
  Shop shop(seed(), base::UnixNanos());
  std::deque<Exporter> exporters;
  for (Service& service : shop.services()) exporters.emplace_back(service, target);

  Random random(seed());
  std::poisson_distribution<int> arrivals(traces_per_s * base::Seconds(kTick));
  Incident incident = Incident::kNone;
  Exported exported;
  const base::Time began = base::Clock::now();
  base::Time tick = began, export_at = began + kExportInterval, metrics_at = began, report_at = began + kReportInterval;
  while (!interrupted) {
    const uint64_t start_unix_ns = base::UnixNanos() - static_cast<uint64_t>(base::Nanos(kLookBack).count());
    const auto tick_ns = static_cast<uint64_t>(base::Nanos(kTick).count());
    for (int visits = arrivals(random); visits > 0; --visits) shop.Visit(start_unix_ns + random() % tick_ns);

    if (tick >= export_at) {
      for (Exporter& exporter : exporters) exporter.ExportSpansAndLogs(exported);
      export_at += kExportInterval;
    }
    if (tick >= metrics_at) {
      shop.Sample(base::Seconds(kMetricsInterval));
      for (Exporter& exporter : exporters) exporter.ExportMetrics(base::UnixNanos(), exported);
      metrics_at += kMetricsInterval;
    }
    if (tick >= report_at) {
      Report(exported);
      exported.last_error.clear();
      report_at += kReportInterval;
    }
    if (const Incident now = IncidentAt(tick - began); now != incident) {
      fmt::print("incident: {}\n", Describe(now));
      std::fflush(stdout);
      shop.set_incident(incident = now);
    }
    // Behind a server that keeps it waiting the shop has fewer customers; it does not catch up.
    tick = std::max(tick + kTick, base::Clock::now());
    std::this_thread::sleep_until(tick);
  }
  for (Exporter& exporter : exporters) exporter.ExportSpansAndLogs(exported);
  Report(exported);
}

int Main(int argc, char** argv) {
  std::string endpoint = "localhost:4317";
  double traces_per_s = 20;
  CLI::App app(kAbout, "tributary-shop");
  app.add_option("--endpoint", endpoint, "Where OTLP/gRPC is spoken, without TLS")
      ->type_name("HOST:PORT")
      ->envname("OTEL_EXPORTER_OTLP_ENDPOINT")
      ->capture_default_str();
  app.add_option("--rate", traces_per_s, "Traces per second; one has ten spans on average")
      ->check(CLI::Range(0.1, 10'000.0))
      ->capture_default_str();
  if (const std::optional<int> code = base::ParseCommandLine(app, argc, argv)) return *code;

  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = 1; });
  fmt::print("The shop is open: twelve services, {:g} traces per second, to {}. Ctrl-C closes it.\n", traces_per_s,
             Target(endpoint));
  std::fflush(stdout);
  Run(Target(endpoint), traces_per_s);
  return 0;
}

}  // namespace
}  // namespace tributary::bench::shop

int main(int argc, char** argv) { return tributary::bench::shop::Main(argc, argv); }
