// What keeping and delivering costs: append one request to a Log and bring it through a Delivery to a peer that takes
// everything at once. An item is a request. And what a start costs that finds a backlog on disk.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/process.h"
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

// A directory with a backlog of `bytes`, in the page cache.
class Backlog {
 public:
  Backlog(uint32_t spans, size_t bytes) {
    CHECK(mkdtemp(directory_.data()) != nullptr);
    const base::Bytes request = SampleRequest(Signal::kTraces, spans, 1);
    const otlp::Counts counts = otlp::Scan(Signal::kTraces, request).value();
    const auto log = Open();
    const auto cursor = log->OpenCursor(Signal::kTraces, "null");
    log->Start();
    uint64_t under_way = 0;
    for (size_t done = 0; done < bytes; done += request.size()) {
      ++under_way;
      log->Append({Signal::kTraces, counts, base::Bytes(request.view())}, [&under_way](pipeline::Log::Taken taken) {
        CHECK(taken == pipeline::Log::Taken::kYes);
        --under_way;
      });
      ++frames_;
      while (under_way * request.size() > 1 << 20) loop_.RunOnce(std::chrono::milliseconds(10));
    }
    while (under_way > 0) loop_.RunOnce(std::chrono::milliseconds(10));
  }
  ~Backlog() { std::filesystem::remove_all(directory_); }

  std::unique_ptr<pipeline::Log> Open() {
    auto io = base::OpenIo(loop_, file_system_, base::IoKind::kThread);
    return std::move(*pipeline::Log::Open(
        loop_, file_system_, std::move(*io),
        {.mode = pipeline::Log::Mode::kProcess, .bytes_max = size_t{4} << 30, .directory = directory_}));
  }
  uint64_t frames() const { return frames_; }

 private:
  std::string directory_ = "/tmp/tributary_log_benchmark.XXXXXX";
  base::Loop loop_;
  base::FileSystem file_system_;
  uint64_t frames_ = 0;
};

// An item is a frame; s_per_gib is what 1 GiB of segments takes, rss_mb what the process has at the end of a start.
void BM_Recover(benchmark::State& state) {
  constexpr size_t kBytes = 256 << 20;
  Backlog backlog(static_cast<uint32_t>(state.range(0)), kBytes);
  for (auto _ : state) {
    const auto log = backlog.Open();
    const auto cursor = log->OpenCursor(Signal::kTraces, "null");
    if (cursor->unread(pipeline::Cursor::From::kBacklog).frames != backlog.frames()) {
      state.SkipWithError("not all of it was found");
    }
    state.counters["rss_mb"] = base::ProcessResidentBytes() / (1 << 20);
  }
  const auto starts = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(starts * static_cast<int64_t>(backlog.frames()));
  state.SetBytesProcessed(starts * static_cast<int64_t>(kBytes));
  state.counters["s_per_gib"] = benchmark::Counter(static_cast<double>(starts) * kBytes / (1 << 30),
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Recover)->ArgName("spans")->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMillisecond);

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
