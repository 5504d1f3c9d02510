// What does sending a request cost the client, in CPU time of its loop thread, kernel included? Time is that of one
// request; user_ns and system_ns are per item. A server on a thread of its own takes everything and answers OK.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/loop.h"
#include "base/socket.h"
#include "bench/otlp_sample.h"
#include "pipeline/http_server.h"
#include "pipeline/otlp_client.h"

namespace tributary {
namespace {

// It is CPU time that is measured: a machine that is busy elsewhere, or stands still, makes no request fail.
constexpr base::Nanos kPatience = std::chrono::hours(1);

class NullService final : public pipeline::HttpService {
 public:
  Admission Admit(const pipeline::HttpHead&, std::optional<size_t>) override { return {.body_bytes_max = 64 << 20}; }
  pipeline::HttpResponse OnBodyFault(const pipeline::HttpHead&, BodyFault) override { std::abort(); }
  void OnRequest(const pipeline::HttpHead& head, base::Bytes, Reply reply) override {
    if (!head.is_grpc) return reply({});
    pipeline::HttpResponse response;
    response.grpc.emplace();
    reply(std::move(response));
  }
};

class ServerThread {
 public:
  ServerThread()
      : server_(loop_, budget_, service_,
                {.head_timeout = kPatience, .body_timeout = kPatience, .write_timeout = kPatience}) {
    address_ = *server_.Listen(*base::Address::Parse("127.0.0.1:0"));
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~ServerThread() {
    loop_.Stop();
    thread_.join();
  }
  std::string endpoint() const { return address_.ToString(); }

 private:
  base::Loop loop_;
  base::Budget budget_{256 << 20};
  NullService service_;
  pipeline::HttpServer server_;
  base::Address address_;
  std::thread thread_;
};

struct Cpu {
  double user_s, system_s;
};
Cpu ThreadCpu() {
  rusage usage;
  CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
  const auto seconds = [](timeval time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
}

// Keeps `concurrency` requests of `items` under way until `requests` were answered.
void Run(base::Loop& loop, pipeline::OtlpClient& client, const pipeline::Outgoing& outgoing, int requests,
         int concurrency) {
  int begun = 0, ended = 0;
  std::function<void()> send = [&] {
    ++begun;
    client.Send(outgoing, [&](pipeline::Outcome outcome) {
      CHECK(outcome.kind == pipeline::Outcome::Kind::kDelivered);
      ++ended;
      if (begun < requests) send();
    });
  };
  while (begun < concurrency) send();
  while (ended < requests) loop.RunOnce(std::chrono::seconds(1));
}

// Arguments: items per request, items per piece of memory that a request is made of.
void Measure(benchmark::State& state, pipeline::OtlpClient::Protocol protocol) {
  const auto items = static_cast<uint32_t>(state.range(0));
  const auto piece_items = static_cast<uint32_t>(state.range(1));
  constexpr int kConcurrency = 8;
  const int requests = items == 1 ? 2'000 : std::max(2 * kConcurrency, 50'000 / static_cast<int>(items));

  ServerThread server;
  base::Loop loop;
  auto client = pipeline::OtlpClient::Create(loop, {.endpoints = {"http://" + server.endpoint()},
                                                    .protocol = protocol,
                                                    .timeout = kPatience,
                                                    .connect_timeout = kPatience});
  CHECK(client.has_value());
  std::vector<base::Bytes> pieces;
  pipeline::Outgoing outgoing{.signal = otlp::Signal::kTraces, .items = items};
  for (uint32_t i = 0; i < items; i += piece_items) {
    pieces.push_back(bench::SampleRequest(otlp::Signal::kTraces, piece_items, i));
    outgoing.request.Refer(pieces.back().view());
  }
  Run(loop, **client, outgoing, requests, kConcurrency);
  Cpu total{};
  for (auto _ : state) {
    const Cpu before = ThreadCpu();
    Run(loop, **client, outgoing, requests, kConcurrency);
    const Cpu after = ThreadCpu();
    total.user_s += after.user_s - before.user_s;
    total.system_s += after.system_s - before.system_s;
    state.SetIterationTime(after.user_s - before.user_s + after.system_s - before.system_s);
  }
  const double items_sent = static_cast<double>(state.iterations()) * requests * items;
  state.counters["user_ns"] = total.user_s * 1e9 / items_sent;
  state.counters["system_ns"] = total.system_s * 1e9 / items_sent;
  state.counters["bytes_per_item"] = static_cast<double>(outgoing.request.size()) / items;
}

void Grpc(benchmark::State& state) { Measure(state, pipeline::OtlpClient::Protocol::kGrpc); }
void Http(benchmark::State& state) { Measure(state, pipeline::OtlpClient::Protocol::kHttpProtobuf); }
void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 1})
      ->Args({64, 64})
      ->Args({512, 512})
      ->Args({512, 64})
      ->Args({8192, 512})
      ->Args({8192, 64})
      ->Args({8192, 4});
  benchmark->ArgNames({"items", "piece"})->UseManualTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(Grpc)->Apply(Shapes);
BENCHMARK(Http)->Apply(Shapes);

}  // namespace
}  // namespace tributary
