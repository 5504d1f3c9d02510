// What does it cost to validate and count a request, per item, and what does libprotobuf charge for parsing the same?
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>

#include <vector>

#include "base/check.h"
#include "bench/otlp_sample.h"
#include "bench/per_item.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/scan.h"

namespace tributary {
namespace {

namespace collector = opentelemetry::proto::collector;
using otlp::Signal;

template <Signal signal>
void BM_Scan(benchmark::State& state) {
  const auto items = static_cast<uint32_t>(state.range(0));
  const base::Bytes request = bench::SampleRequest(signal, items, 1);
  for (auto _ : state) {
    const auto counts = otlp::Scan(signal, request);
    CHECK(counts.has_value() && counts->items == items);
  }
  bench::ReportPerItem(state, request);
}

void BM_ScanSpans(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  std::vector<otlp::SpanRef> index;
  for (auto _ : state) {
    index.clear();
    CHECK(otlp::ScanSpans(request, index).has_value());
    benchmark::DoNotOptimize(index.data());
  }
  bench::ReportPerItem(state, request);
}

// On an arena, as a server would.
template <Signal signal, typename Request>
void BM_LibprotobufParse(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(signal, static_cast<uint32_t>(state.range(0)), 1);
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* message = google::protobuf::Arena::CreateMessage<Request>(&arena);
    CHECK(message->ParseFromArray(request.data(), static_cast<int>(request.size())));
  }
  bench::ReportPerItem(state, request);
}

BENCHMARK(BM_Scan<Signal::kTraces>)->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(BM_ScanSpans)->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(BM_LibprotobufParse<Signal::kTraces, collector::trace::v1::ExportTraceServiceRequest>)
    ->Arg(1)
    ->Arg(64)
    ->Arg(512);
BENCHMARK(BM_Scan<Signal::kMetrics>)->Arg(512);
BENCHMARK(BM_LibprotobufParse<Signal::kMetrics, collector::metrics::v1::ExportMetricsServiceRequest>)->Arg(512);
BENCHMARK(BM_Scan<Signal::kLogs>)->Arg(512);
BENCHMARK(BM_LibprotobufParse<Signal::kLogs, collector::logs::v1::ExportLogsServiceRequest>)->Arg(512);

}  // namespace
}  // namespace tributary
