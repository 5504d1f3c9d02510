// What the checksum of a frame costs. An item is a KiB.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/crc32c.h"

namespace tributary::bench {
namespace {

void BM_Crc32c(benchmark::State& state) {
  const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 1);
  uint32_t crc = 0;
  for (auto _ : state) benchmark::DoNotOptimize(crc = base::Crc32c(bytes, crc));
  const double kibibytes = static_cast<double>(bytes.size()) / 1024;
  state.counters["per_item"] =
      benchmark::Counter(kibibytes, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Crc32c)->Arg(32)->Arg(280)->Arg(4096)->Arg(65'536)->Arg(1 << 20);

}  // namespace
}  // namespace tributary::bench
