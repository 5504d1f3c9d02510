// What does it cost to give five attributes to the resource of a request, and what does libprotobuf charge for parsing
// it, adding them and serializing it again?
#include <benchmark/benchmark.h>
#include <google/protobuf/arena.h>

#include <string>
#include <string_view>

#include "base/slices.h"
#include "bench/otlp_sample.h"
#include "bench/per_item.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/splice.h"

namespace tributary {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using otlp::Signal;

constexpr std::pair<std::string_view, std::string_view> kAttributes[] = {
    {"k8s.namespace.name", "shop"},
    {"k8s.pod.name", "checkout-7d4f9c6b5-x2x9v"},
    {"k8s.pod.uid", "0b9d2c1e-6f1a-4a57-9a0e-3c1f5b7d9e11"},
    {"k8s.node.name", "node-17"},
    {"container.id", "3f4e9a1c7b2d"},
};

void BM_Splice(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  otlp::ResourceEdit edit;
  for (const auto& [key, value] : kAttributes) edit.SetString(key, value, otlp::ResourceEdit::Conflict::kReplace);
  for (auto _ : state) {
    base::Slices out;
    otlp::SpliceResource(request, edit, out);
    CHECK(out.size() > request.size());
  }
  bench::ReportPerItem(state, request);
}

void BM_LibprotobufSplice(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
  for (auto _ : state) {
    google::protobuf::Arena arena;
    auto* message = google::protobuf::Arena::CreateMessage<ExportTraceServiceRequest>(&arena);
    CHECK(message->ParseFromArray(request.data(), static_cast<int>(request.size())));
    for (auto& container : *message->mutable_resource_spans()) {
      for (const auto& [key, value] : kAttributes) {
        auto* attribute = container.mutable_resource()->add_attributes();
        attribute->set_key(std::string(key));
        attribute->mutable_value()->set_string_value(std::string(value));
      }
    }
    CHECK(message->SerializeAsString().size() > request.size());
  }
  bench::ReportPerItem(state, request);
}

BENCHMARK(BM_Splice)->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(BM_LibprotobufSplice)->Arg(1)->Arg(64)->Arg(512);

}  // namespace
}  // namespace tributary
