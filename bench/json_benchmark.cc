// What does it cost to read and write OTLP/JSON, per item, and what does libprotobuf charge for the same?
#include <benchmark/benchmark.h>
#include <google/protobuf/util/json_util.h>

#include <string>

#include "base/check.h"
#include "bench/otlp_sample.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/json.h"

namespace tributary {
namespace {

namespace collector = opentelemetry::proto::collector;
using otlp::Signal;

void Report(benchmark::State& state, size_t bytes) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes));
}

std::string SampleJson(Signal signal, benchmark::State& state) {
  std::string json;
  otlp::ProtoToJson(signal, bench::SampleRequest(signal, static_cast<uint32_t>(state.range(0)), 1), json);
  return json;
}

template <Signal signal>
void BM_JsonToProto(benchmark::State& state) {
  const base::Bytes json(SampleJson(signal, state));
  for (auto _ : state) {
    const auto request = otlp::JsonToProto(signal, json);
    CHECK(request.has_value());
    benchmark::DoNotOptimize(request->data());
  }
  Report(state, json.size());
}

template <Signal signal>
void BM_ProtoToJson(benchmark::State& state) {
  const base::Bytes request = bench::SampleRequest(signal, static_cast<uint32_t>(state.range(0)), 1);
  std::string json;
  for (auto _ : state) {
    json.clear();
    otlp::ProtoToJson(signal, request, json);
    benchmark::DoNotOptimize(json.data());
  }
  Report(state, json.size());
}

// From and to its own JSON, where ids are base64, by way of its message objects.
template <Signal signal, typename Request>
void BM_LibprotobufJsonToProto(benchmark::State& state) {
  const base::Bytes bytes = bench::SampleRequest(signal, static_cast<uint32_t>(state.range(0)), 1);
  Request sample;
  CHECK(sample.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  std::string json;
  CHECK(google::protobuf::util::MessageToJsonString(sample, &json).ok());
  for (auto _ : state) {
    Request request;
    CHECK(google::protobuf::util::JsonStringToMessage(json, &request).ok());
    benchmark::DoNotOptimize(request.SerializeAsString().data());
  }
  Report(state, json.size());
}

template <Signal signal, typename Request>
void BM_LibprotobufProtoToJson(benchmark::State& state) {
  const base::Bytes bytes = bench::SampleRequest(signal, static_cast<uint32_t>(state.range(0)), 1);
  std::string json;
  for (auto _ : state) {
    Request request;
    CHECK(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    json.clear();
    CHECK(google::protobuf::util::MessageToJsonString(request, &json).ok());
  }
  Report(state, json.size());
}

BENCHMARK(BM_JsonToProto<Signal::kTraces>)->Name("BM_JsonToProto/Traces")->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(BM_JsonToProto<Signal::kMetrics>)->Name("BM_JsonToProto/Metrics")->Arg(512);
BENCHMARK(BM_JsonToProto<Signal::kLogs>)->Name("BM_JsonToProto/Logs")->Arg(512);
BENCHMARK(BM_ProtoToJson<Signal::kTraces>)->Name("BM_ProtoToJson/Traces")->Arg(1)->Arg(64)->Arg(512);
BENCHMARK(BM_ProtoToJson<Signal::kMetrics>)->Name("BM_ProtoToJson/Metrics")->Arg(512);
BENCHMARK(BM_ProtoToJson<Signal::kLogs>)->Name("BM_ProtoToJson/Logs")->Arg(512);
BENCHMARK(BM_LibprotobufJsonToProto<Signal::kTraces, collector::trace::v1::ExportTraceServiceRequest>)
    ->Name("BM_LibprotobufJsonToProto/Traces")
    ->Arg(512);
BENCHMARK(BM_LibprotobufProtoToJson<Signal::kTraces, collector::trace::v1::ExportTraceServiceRequest>)
    ->Name("BM_LibprotobufProtoToJson/Traces")
    ->Arg(512);

}  // namespace
}  // namespace tributary
