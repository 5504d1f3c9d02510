// What does it cost to cut a request into parts of 64 items, or into four by trace id, per item, and what does
// libprotobuf charge for the latter?
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>

#include <vector>

#include "bench/otlp_sample.h"
#include "bench/per_item.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/partition.h"

namespace tributary {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using otlp::Signal;

constexpr uint32_t kBuckets = 4;

template <Signal signal>
void BM_Split(benchmark::State& state) {
  const auto items = static_cast<uint32_t>(state.range(0));
  const base::Bytes request = bench::SampleRequest(signal, items, 1);
  for (auto _ : state) {
    CHECK(otlp::Split(signal, request, 64, SIZE_MAX).size() == items / 64);
  }
  bench::ReportPerItem(state, request);
}

void BM_PartitionByTrace(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  for (auto _ : state) {
    const std::vector<otlp::Part> parts =
        otlp::PartitionByTrace(request, kBuckets, [](const otlp::TraceId& id) { return id[0] % kBuckets; });
    CHECK(parts.size() == kBuckets);
  }
  bench::ReportPerItem(state, request);
}

// One resource and scope are enough here: the request has no more.
void BM_LibprotobufPartitionByTrace(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* whole = google::protobuf::Arena::CreateMessage<ExportTraceServiceRequest>(&arena);
    CHECK(whole->ParseFromArray(request.data(), static_cast<int>(request.size())));
    ExportTraceServiceRequest* parts[kBuckets];
    for (auto& part : parts) {
      part = google::protobuf::Arena::CreateMessage<ExportTraceServiceRequest>(&arena);
      auto* container = part->add_resource_spans();
      *container->mutable_resource() = whole->resource_spans(0).resource();
      *container->add_scope_spans()->mutable_scope() = whole->resource_spans(0).scope_spans(0).scope();
    }
    auto* spans = whole->mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans();
    for (auto& span : *spans) {
      auto* part = parts[static_cast<uint8_t>(span.trace_id()[0]) % kBuckets];
      part->mutable_resource_spans(0)->mutable_scope_spans(0)->add_spans()->Swap(&span);
    }
    size_t bytes = 0;
    for (auto* part : parts) bytes += part->SerializeAsString().size();
    CHECK(bytes > request.size());
  }
  bench::ReportPerItem(state, request);
}

BENCHMARK(BM_Split<Signal::kTraces>)->Arg(512);
BENCHMARK(BM_Split<Signal::kMetrics>)->Arg(512);
BENCHMARK(BM_Split<Signal::kLogs>)->Arg(512);
BENCHMARK(BM_PartitionByTrace)->Arg(64)->Arg(512);
BENCHMARK(BM_LibprotobufPartitionByTrace)->Arg(64)->Arg(512);

}  // namespace
}  // namespace tributary
