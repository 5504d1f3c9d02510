// What it costs to keep: requests of 512 spans go into a Log, each is answered OK when the Log has taken it, and a
// Delivery to a peer that takes everything at once lets it go again. One mode and one way to the disk for each process,
// so that its memory is that mode's own.
//
// First paced, on an open schedule: how long an OK takes, from the time it was due. Then flooded, with a bounded number
// of requests under way: the CPU time of the whole process, the kernel's io_uring threads and our helper threads
// included. Last, on the same disk and at the same size, what a write with fdatasync takes that waits for nothing
// else: what of a durable OK is the disk's own. Prints one line of JSON.
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/process.h"
#include "bench/latency_histogram.h"
#include "bench/otlp_sample.h"
#include "otlp/scan.h"
#include "pipeline/destination.h"
#include "pipeline/log.h"

namespace tributary::bench {
namespace {

using otlp::Signal;
using pipeline::Log;

constexpr uint32_t kSpansPerRequest = 512;
constexpr double kPacedSpansPerS = 100'000;
constexpr uint64_t kUnderWayMax = 16;  // requests, when flooded: of four connections with four each

double ResidentMb() { return base::ProcessResidentBytes() / (1 << 20); }

class NullSink : public pipeline::Sink {
 public:
  void Send(const pipeline::Outgoing&, Done done) override { done(pipeline::Outcome::Delivered()); }
  void WriteMetrics(std::string_view, base::MetricsText&) const override {}
};

class LogCost {
 public:
  LogCost(Log::Mode mode, base::IoKind io, std::string directory)
      : directory_(std::move(directory)),
        request_(SampleRequest(Signal::kTraces, kSpansPerRequest, 1)),
        counts_(otlp::Scan(Signal::kTraces, request_).value()),
        log_(Open(mode, io)),
        destination_(loop_, *log_, "null", otlp::SignalSet::All(), std::make_unique<NullSink>(), {}, {}) {
    log_->Start();
  }

  // Appends at a steady rate for so long.
  void Pace(base::Nanos duration) {
    const base::Nanos interval(static_cast<int64_t>(1e9 * kSpansPerRequest / kPacedSpansPerS));
    const base::Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    CHECK(timer.valid());
    const timespec every{.tv_sec = 0, .tv_nsec = interval.count()};
    const itimerspec schedule{.it_interval = every, .it_value = every};
    CHECK(timerfd_settime(timer.get(), 0, &schedule, nullptr) == 0);
    const base::Time began = base::Clock::now();
    int64_t due = 0;
    const auto watch = loop_.WatchFd(timer.get(), EPOLLIN, [&](uint32_t) {
      uint64_t expirations;
      if (read(timer.get(), &expirations, sizeof expirations) != sizeof expirations) return;
      for (; expirations > 0; --expirations) Append(began + interval * ++due);
    });
    while (base::Clock::now() < began + duration) loop_.RunOnce(std::chrono::milliseconds(10));
    Settle();
  }

  // So many requests, as fast as it takes them.
  void Flood(uint64_t requests) {
    const uint64_t end = appended_ + requests;
    while (appended_ < end) {
      for (uint64_t i = under_way_; i < kUnderWayMax; ++i) Append(base::Clock::now());
      loop_.RunOnce(std::chrono::milliseconds(10));
    }
    Settle();
  }

  // How long a write of one request takes that is synced and waits for nothing else.
  LatencyHistogram SyncLatency(uint32_t writes) {
    base::FileSystem file_system;
    const std::string path = directory_ + "/sync";
    const auto fd = file_system.Open(path, O_RDWR | O_CREAT);
    CHECK(fd.has_value());
    for (uint32_t i = 0; i < writes; ++i) Write(file_system, fd->get(), i);
    CHECK(file_system.Sync(fd->get()).has_value());
    LatencyHistogram latency;
    for (uint32_t i = 0; i < writes; ++i) {
      const base::Time began = base::Clock::now();
      Write(file_system, fd->get(), i);
      CHECK(file_system.Sync(fd->get()).has_value());
      latency.Record(base::Clock::now() - began);
    }
    return latency;
  }

  const LatencyHistogram& ok_latency() const { return ok_latency_; }
  void ForgetLatency() { ok_latency_ = LatencyHistogram(); }
  uint64_t spans() const { return appended_ * kSpansPerRequest; }

 private:
  std::unique_ptr<Log> Open(Log::Mode mode, base::IoKind kind) {
    Log::Options options{.mode = mode, .bytes_max = size_t{1} << 30, .directory = directory_ + "/log"};
    if (mode == Log::Mode::kMemory) return std::make_unique<Log>(loop_, options);
    auto io = base::OpenIo(loop_, file_system_, kind);
    CHECK(io.has_value());
    auto log = Log::Open(loop_, file_system_, std::move(*io), options);
    CHECK(log.has_value());
    return std::move(*log);
  }

  void Write(base::FileSystem& file_system, int fd, uint32_t at) {
    CHECK(file_system.Write(fd, request_, at * request_.size()) == request_.size());
  }

  // The copy stands for what a server hands over, and is part of what is measured.
  void Append(base::Time due) {
    ++under_way_;
    ++appended_;
    log_->Append({Signal::kTraces, counts_, base::Bytes(request_.view())}, [this, due](Log::Taken taken) {
      CHECK(taken == Log::Taken::kYes);
      --under_way_;
      ok_latency_.Record(base::Clock::now() - due);
    });
  }

  void Settle() {
    while (under_way_ > 0 || destination_.held_items() > 0) loop_.RunOnce(std::chrono::milliseconds(10));
  }

  const std::string directory_;
  const base::Bytes request_;
  const otlp::Counts counts_;
  base::Loop loop_;
  base::FileSystem file_system_;
  std::unique_ptr<Log> log_;
  pipeline::Destination destination_;
  LatencyHistogram ok_latency_;
  uint64_t under_way_ = 0;
  uint64_t appended_ = 0;
};

int Main(int argc, char** argv) {
  Log::Mode mode = Log::Mode::kProcess;
  base::IoKind io = base::IoKind::kAuto;
  std::string directory;
  bool quick = false;
  CLI::App app("What keeping telemetry in a Log costs. Usually run by `./run bench log`.", "log_cost");
  const std::map<std::string, Log::Mode> modes = {
      {"memory", Log::Mode::kMemory}, {"process", Log::Mode::kProcess}, {"durable", Log::Mode::kDurable}};
  const std::map<std::string, base::IoKind> ios = {{"io_uring", base::IoKind::kIoUring},
                                                   {"thread", base::IoKind::kThread}};
  app.add_option("--mode", mode, "The Log's promise")->transform(CLI::CheckedTransformer(modes));
  app.add_option("--io", io, "The way to the disk")->transform(CLI::CheckedTransformer(ios));
  app.add_option("--directory", directory, "An empty one, for the Log's files")->required();
  app.add_flag("--quick", quick, "A tenth of the work");
  CLI11_PARSE(app, argc, argv);

  LogCost cost(mode, io, directory);
  const uint64_t requests = quick ? 1'000 : 10'000;
  cost.Flood(requests / 10);  // makes the segments
  cost.ForgetLatency();
  cost.Pace(std::chrono::seconds(quick ? 2 : 20));
  const LatencyHistogram ok = cost.ok_latency();
  const double rss_paced_mb = ResidentMb();

  const double cpu_before_s = base::ProcessCpuSeconds();
  const uint64_t spans_before = cost.spans();
  const base::Time began = base::Clock::now();
  cost.Flood(requests);
  const double seconds = base::Seconds(base::Clock::now() - began);
  const auto spans = static_cast<double>(cost.spans() - spans_before);
  const double cpu_s = base::ProcessCpuSeconds() - cpu_before_s;
  const double rss_mb = ResidentMb();
  const LatencyHistogram sync = cost.SyncLatency(quick ? 100 : 500);

  fmt::print(
      R"({{"spans_per_request":{},"cpu_us_per_span":{:.4f},"spans_per_s":{:.0f},"rss_mb":{:.1f},)"
      R"("rss_paced_mb":{:.1f},"ok_p50_ms":{:.3f},"ok_p99_ms":{:.3f},"sync_p50_ms":{:.3f},"sync_p99_ms":{:.3f}}})"
      "\n",
      kSpansPerRequest, cpu_s * 1e6 / spans, spans / seconds, rss_mb, rss_paced_mb, ok.quantile_us(0.5) / 1e3,
      ok.quantile_us(0.99) / 1e3, sync.quantile_us(0.5) / 1e3, sync.quantile_us(0.99) / 1e3);
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) { return tributary::bench::Main(argc, argv); }
