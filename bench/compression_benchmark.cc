// What do the content codings cost per span, and how much do they save, at which level?
#include <benchmark/benchmark.h>

#include "base/check.h"
#include "bench/otlp_sample.h"
#include "pipeline/compression.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;

constexpr Encoding kEncodings[] = {Encoding::kGzip, Encoding::kZstd};

base::Bytes Sample(benchmark::State& state) {
  return bench::SampleRequest(Signal::kTraces, static_cast<uint32_t>(state.range(0)), 1);
}

void Report(benchmark::State& state, Encoding encoding, size_t plain_bytes, size_t compressed_bytes) {
  state.SetLabel(std::string(Name(encoding)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * plain_bytes));
  state.counters["ratio"] = static_cast<double>(plain_bytes) / static_cast<double>(compressed_bytes);
}

// Arguments: spans, index of kEncodings, level.
void BM_Compress(benchmark::State& state) {
  const base::Bytes plain = Sample(state);
  const Encoding encoding = kEncodings[state.range(1)];
  base::Slices pieces;
  pieces.Refer(plain.view());
  Compressor compressor;
  base::Bytes compressed;
  for (auto _ : state) compressor.Compress(encoding, pieces, static_cast<int>(state.range(2)), compressed);
  Report(state, encoding, plain.size(), compressed.size());
}

void BM_Decompress(benchmark::State& state) {
  const base::Bytes plain = Sample(state);
  const Encoding encoding = kEncodings[state.range(1)];
  base::Slices pieces;
  pieces.Refer(plain.view());
  base::Bytes compressed;
  Compressor().Compress(encoding, pieces, static_cast<int>(state.range(2)), compressed);
  Decompressor decompressor;
  for (auto _ : state) {
    base::Bytes out;
    CHECK(decompressor.Decompress(encoding, compressed, {}, out).has_value());
    benchmark::DoNotOptimize(out.data());
  }
  Report(state, encoding, plain.size(), compressed.size());
}

BENCHMARK(BM_Compress)
    ->ArgNames({"spans", "encoding", "level"})
    ->ArgsProduct({{64, 512, 8192}, {0}, {1, 3, 6}})
    ->ArgsProduct({{64, 512, 8192}, {1}, {1, 3, 6}});
BENCHMARK(BM_Decompress)
    ->ArgNames({"spans", "encoding", "level"})
    ->ArgsProduct({{64, 512, 8192}, {0}, {1, 6}})
    ->ArgsProduct({{64, 512, 8192}, {1}, {1}});

}  // namespace
}  // namespace tributary::pipeline
