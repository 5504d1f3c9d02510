// What keeping and delivering costs: append one request to a Log and bring it through a Delivery to a peer that takes
// everything at once. An item is a request.
#include <benchmark/benchmark.h>

#include <memory>
#include <utility>

#include "base/loop.h"
#include "bench/otlp_sample.h"
#include "otlp/scan.h"
#include "pipeline/destination.h"
#include "pipeline/log.h"

namespace tributary::bench {
namespace {

using otlp::Signal;

class NullSink : public pipeline::Sink {
 public:
  void Send(const pipeline::Outgoing& outgoing, Done done) override {
    benchmark::DoNotOptimize(outgoing.request.pieces().data());
    done(pipeline::Outcome::Delivered());
  }
  void WriteMetrics(std::string_view, base::MetricsText&) const override {}
};

// `turn` requests arrive in each turn of the loop, as they do when many senders are busy. The copy of the request
// stands for what a server hands over, and is part of what is measured.
void BM_AppendAndDeliver(benchmark::State& state) {
  const auto spans = static_cast<uint32_t>(state.range(0));
  const int64_t turn = state.range(1);
  const base::Bytes request = SampleRequest(Signal::kTraces, spans, 1);
  const otlp::Counts counts = otlp::Scan(Signal::kTraces, request).value();

  base::Loop loop;
  pipeline::Log log(loop, {.bytes_max = size_t{1} << 30});
  pipeline::Destination destination(loop, log, "null", otlp::SignalSet::All(), std::make_unique<NullSink>(), {},
                                    {.flush_after = base::Nanos(0)});
  int64_t requests = 0;
  while (state.KeepRunningBatch(turn)) {
    for (int64_t i = 0; i < turn; ++i) {
      log.Append({Signal::kTraces, counts, base::Bytes(request.view())}, [](pipeline::Log::Taken taken) {
        if (taken != pipeline::Log::Taken::kYes) std::abort();
      });
    }
    loop.RunOnce(base::Nanos(0));
    requests += turn;
  }
  if (destination.held_items() != 0) state.SkipWithError("something was not delivered");
  state.SetItemsProcessed(requests);
}
BENCHMARK(BM_AppendAndDeliver)
    ->ArgNames({"spans", "turn"})
    ->Args({1, 1})
    ->Args({1, 100})
    ->Args({1, 10'000})
    ->Args({512, 1})
    ->Args({512, 16});

// The floor: making and freeing the copy that stands for a received request.
void BM_Copy(benchmark::State& state) {
  const base::Bytes request = SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  for (auto _ : state) {
    base::Bytes copy(request.view());
    benchmark::DoNotOptimize(copy.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Copy)->ArgName("spans")->Arg(1)->Arg(512);

}  // namespace
}  // namespace tributary::bench
