// tributary-load: sends OTLP at a given rate and tells how long the answers took.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>

#include "base/command_line.h"
#include "base/loop.h"
#include "base/process.h"
#include "base/signals.h"
#include "bench/load_run.h"

namespace tributary::bench {
namespace {

constexpr const char* kAbout =
    R"(Sends OTLP requests on an open schedule and measures the answers.

The schedule does not wait for the server: a request that the limit of requests in flight holds back is late, and its
latency counts from when it should have left. Every item carries the run's id and its own number, in its trace and span
ids (spans, log records) or its times (data points), from which tributary-sink tells what arrived, what arrived twice
and what is missing. Without --retry a refused request is counted and given up.

  tributary-load --rate 100000 --items-per-request 512        100,000 spans/s for 10 s to localhost:4317
  tributary-load --rate 0 --connections 2 --in-flight 16      as fast as the server answers
  tributary-load --signal logs --protocol http --endpoint localhost:4318
  tributary-load --rate 20000 --duration 60 --retry           nothing may be lost: wait and send again when refused

Exit code: 0 all that was sent is known to have been taken, 1 it is not, 2 a wrong argument.)";

uint64_t Sum(const std::map<std::string, uint64_t>& counts) {
  uint64_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return sum;
}

std::string Json(const std::map<std::string, uint64_t>& counts) {
  std::string json = "{";
  for (const auto& [name, count] : counts) {
    json += fmt::format("{}\"{}\":{}", json.size() > 1 ? "," : "", name, count);
  }
  return json + "}";
}

std::string Json(const LoadRun& run, const LoadOptions& options) {
  const LoadRun::Totals& totals = run.totals();
  const LatencyHistogram& latency = run.latency();
  const auto items = static_cast<double>(totals.items);
  return fmt::format(
      R"({{"tool":"tributary-load","run":"{}","signal":"{}","protocol":"{}","seconds":{:.3f},)"
      R"("items_per_request":{},"request_bytes":{},"items_sent":{},"items_ok":{},"fingerprint_ok":"{:016x}",)"
      R"("items_rejected":{},)"
      R"("items_held_back":{},"requests_ok":{},"refused":{},"lost":{},"resends":{},"connects":{},"items_per_s":{:.1f},)"
      R"("latency_us":{{"mean":{:.1f},"p50":{:.1f},"p90":{:.1f},"p99":{:.1f},"p99.9":{:.1f},"max":{:.1f}}},)"
      R"("cpu_us_per_item":{:.4f}}})",
      run.id(), otlp::Name(options.signal), options.protocol == LoadOptions::Protocol::kGrpc ? "grpc" : "http",
      run.seconds(), options.items_per_request, run.request_bytes(), run.items_sent(), totals.items, totals.fingerprint,
      totals.rejected_items, run.items_held_back(), totals.requests, Json(totals.refused), Json(totals.lost),
      totals.resends, run.connects(), items / run.seconds(), latency.mean_us(), latency.quantile_us(0.5),
      latency.quantile_us(0.9), latency.quantile_us(0.99), latency.quantile_us(0.999), latency.max_us(),
      base::ProcessCpuSeconds() * 1e6 / std::max(items, 1.0));
}

void PrintForPeople(const LoadRun& run, const LoadOptions& options) {
  const LoadRun::Totals& totals = run.totals();
  const LatencyHistogram& latency = run.latency();
  fmt::print("{} {} answered OK in {:.1f} s: {:.0f}/s, {} of {} sent\n", totals.items, otlp::ItemName(options.signal),
             run.seconds(), static_cast<double>(totals.items) / run.seconds(), totals.items, run.items_sent());
  if (totals.rejected_items != 0) fmt::print("{} rejected in partial successes\n", totals.rejected_items);
  if (run.items_held_back() != 0)
    fmt::print("{} never left: the server was away, or is behind the schedule\n", run.items_held_back());
  for (const auto& [code, count] : totals.refused) fmt::print("{} requests refused: {}\n", count, code);
  for (const auto& [cause, count] : totals.lost) fmt::print("{} requests lost: {}\n", count, cause);
  if (totals.resends != 0) fmt::print("{} requests sent again\n", totals.resends);
  fmt::print(
      "latency from the intended send time: p50 {:.0f} us, p90 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us, max {:.0f} "
      "us\n",
      latency.quantile_us(0.5), latency.quantile_us(0.9), latency.quantile_us(0.99), latency.quantile_us(0.999),
      latency.max_us());
}

// A line each second: what was answered since the last.
class Progress {
 public:
  Progress(base::Loop& loop, const LoadRun& run) : loop_(loop), run_(run) { Schedule(); }

 private:
  void Schedule() {
    timer_ = loop_.RunAfter(std::chrono::seconds(1), [this] {
      const LoadRun::Totals& totals = run_.totals();
      fmt::print(stderr, "{:4.0f} s: {}/s ok, {} refused, {} lost, p99 so far {:.0f} us\n", run_.seconds(),
                 totals.items - last_items_, Sum(totals.refused), Sum(totals.lost), run_.latency().quantile_us(0.99));
      last_items_ = totals.items;
      Schedule();
    });
  }

  base::Loop& loop_;
  const LoadRun& run_;
  base::Loop::Timer timer_;
  uint64_t last_items_ = 0;
};

int Main(int argc, char** argv) {
  LoadOptions options;
  std::string endpoint_text;
  bool json = false;
  CLI::App app(kAbout, "tributary-load");
  using Protocol = LoadOptions::Protocol;
  const std::map<std::string, Protocol> protocols{{"grpc", Protocol::kGrpc}, {"http", Protocol::kHttp}};
  std::map<std::string, otlp::Signal> signals;
  for (const otlp::Signal signal : otlp::kSignals) signals.emplace(otlp::Name(signal), signal);

  app.add_option("--endpoint", endpoint_text, "Where to send (localhost:4317, with http :4318)")
      ->type_name("HOST:PORT");
  app.add_option("--protocol", options.protocol, "grpc, or http: OTLP/HTTP with protobuf")
      ->transform(CLI::CheckedTransformer(protocols).description("grpc|http"))
      ->default_str("grpc");
  app.add_option("--signal", options.signal, "What to send")
      ->transform(CLI::CheckedTransformer(signals).description("traces|metrics|logs"))
      ->default_str("traces");
  app.add_option("--rate", options.rate, "Items (spans, data points, log records) per second; 0: as fast as possible")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--items-per-request", options.items_per_request, "Items in each request")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--attributes", options.attributes, "Attributes of each item; a span with five is about 280 bytes")
      ->check(CLI::Range(0, 128))
      ->capture_default_str();
  app.add_option("--connections", options.connections, "Connections, used in turn")
      ->check(CLI::Range(1, 20'000))
      ->capture_default_str();
  auto* in_flight =
      app.add_option("--in-flight", options.in_flight, "Unanswered requests per connection (http: always 1)")
          ->check(CLI::Range(1, 10'000))
          ->capture_default_str();
  app.add_option("--duration", options.duration_s, "Seconds to send for; 0: until --requests or Ctrl-C")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--requests", options.requests, "Requests to send; 0: no limit")->capture_default_str();
  app.add_flag(
      "--retry", options.retry,
      "Send what is refused (as OTLP says which may be) or lost again, after the delay the server names or 100 ms,\n"
      "until it is answered OK, also after the end of the schedule");
  app.add_option("--timeout", options.timeout_s, "Seconds to wait for an answer")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_flag("--json", json, "Print the result as one line of JSON");
  app.callback([&] {
    if (options.protocol != Protocol::kHttp) return;
    if (*in_flight && options.in_flight != 1) throw CLI::ValidationError("--in-flight", "HTTP/1.1 takes one at a time");
    options.in_flight = 1;
  });
  if (const std::optional<int> code = base::ParseCommandLine(app, argc, argv)) return *code;

  if (endpoint_text.empty()) endpoint_text = options.protocol == Protocol::kGrpc ? "localhost:4317" : "localhost:4318";
  const base::Result<Endpoint> endpoint = ResolveEndpoint(endpoint_text);
  if (!endpoint) {
    fmt::print(stderr, "tributary-load: {}\n", endpoint.error().message);
    return 1;
  }

  base::Loop loop;
  LoadRun run(loop, options, *endpoint);
  const Progress progress(loop, run);
  const base::Signals interrupted(loop, {SIGINT, SIGTERM}, [&](int) { run.Interrupt(); });
  run.Start([&] { loop.Stop(); });
  loop.Run();

  if (json) {
    fmt::print("{}\n", Json(run, options));
  } else {
    PrintForPeople(run, options);
  }
  // Success is that all that was sent is known to have been taken.
  return run.totals().items == run.items_sent() && run.items_sent() != 0 ? 0 : 1;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) { return tributary::bench::Main(argc, argv); }
