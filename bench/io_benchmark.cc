// What an append to a file costs, by the ways there are: CPU of the whole process, the kernel's io_uring threads and
// our helper thread included, and the time until it is told. One append at a time. The file is 16 MiB, on the disk
// under /tmp (or under $TRIBUTARY_BENCH_DIRECTORY): `recycled` ones are written already and in the page cache, `new`
// ones grow from nothing and are emptied outside the measurement. What the disk does later, without sync, is not
// counted.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/file_system.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/process.h"

namespace tributary::bench {
namespace {

using base::ByteView;
using base::Io;

constexpr size_t kFileBytes = size_t{16} << 20;

class AppendedFile {
 public:
  explicit AppendedFile(bool recycled) : recycled_(recycled) {
    const char* directory = std::getenv("TRIBUTARY_BENCH_DIRECTORY");
    std::string path = std::string(directory ? directory : "/tmp") + "/tributary_io_benchmark.XXXXXX";
    fd_ = base::Fd(::mkostemp(path.data(), O_CLOEXEC));
    CHECK(fd_.valid() && ::unlink(path.c_str()) == 0);
    if (!recycled) return;
    base::FileSystem file_system;
    const std::vector<uint8_t> content(kFileBytes, 1);
    CHECK(file_system.Write(fd_.get(), content, 0) == kFileBytes && file_system.Sync(fd_.get()));
  }

  int fd() const { return fd_.get(); }
  // Where the next append goes; outside the measurement when the file begins again.
  uint64_t Next(benchmark::State& state, size_t bytes) {
    if (offset_ + bytes > kFileBytes) {
      state.PauseTiming();
      offset_ = 0;
      if (!recycled_) CHECK(::ftruncate(fd_.get(), 0) == 0 && ::fsync(fd_.get()) == 0);
      state.ResumeTiming();
    }
    return std::exchange(offset_, offset_ + bytes);
  }

 private:
  const bool recycled_;
  base::Fd fd_;
  uint64_t offset_ = 0;
};

// Measures `append(offset)`, which returns when the bytes are written, and synced if so asked.
template <typename Append>
void Measure(benchmark::State& state, AppendedFile& file, size_t bytes, Append append) {
  double cpu = 0;
  for (auto _ : state) {
    const uint64_t offset = file.Next(state, bytes);
    const double before = base::ProcessCpuSeconds();
    append(offset);
    cpu += base::ProcessCpuSeconds() - before;
  }
  const double appended = static_cast<double>(state.iterations()) * static_cast<double>(bytes);
  state.counters["per_item"] = cpu / static_cast<double>(state.iterations());  // in seconds
  state.counters["cpu_us_per_mib"] = 1e6 * cpu / (appended / (1 << 20));
}

struct Case {
  explicit Case(const benchmark::State& state)
      : bytes(static_cast<size_t>(state.range(0)) << 10),
        sync(state.range(1) != 0 ? Io::Sync::kYes : Io::Sync::kNo),
        file(state.range(2) != 0),
        content(bytes, 2) {}
  size_t bytes;
  Io::Sync sync;
  AppendedFile file;
  std::vector<uint8_t> content;
};

// The least it can cost, and it blocks.
void BM_Inline(benchmark::State& state) {
  Case c(state);
  base::FileSystem file_system;
  Measure(state, c.file, c.bytes, [&](uint64_t offset) {
    CHECK(file_system.Write(c.file.fd(), c.content, offset) == c.bytes);
    if (c.sync == Io::Sync::kYes) CHECK(file_system.Sync(c.file.fd()));
  });
}

void MeasureIo(benchmark::State& state, base::IoKind kind) {
  Case c(state);
  base::FileSystem file_system;
  base::Loop loop;
  const auto io = base::OpenIo(loop, file_system, kind);
  if (!io) return state.SkipWithError(io.error().message.c_str());
  Measure(state, c.file, c.bytes, [&](uint64_t offset) {
    bool done = false;
    (*io)->Write(c.file.fd(), {c.content}, offset, c.sync, [&](int error) {
      CHECK(error == 0);
      done = true;
    });
    while (!done) loop.RunOnce(base::Nanos::max());
  });
}

void BM_IoUring(benchmark::State& state) { MeasureIo(state, base::IoKind::kIoUring); }
void BM_Thread(benchmark::State& state) { MeasureIo(state, base::IoKind::kThread); }

// io_uring without a loop around it, and what else it offers.
enum class Registered { kNothing, kFile, kFileAndBuffer };

void MeasureRing(benchmark::State& state, Registered registered, unsigned flags) {
  Case c(state);
  io_uring ring;
  if (io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) != 0) {
    return state.SkipWithError("no io_uring here");
  }
  int fd = c.file.fd();
  if (registered != Registered::kNothing) {
    CHECK(io_uring_register_files(&ring, &fd, 1) == 0);
    fd = 0;
    flags |= IOSQE_FIXED_FILE;
  }
  const iovec buffer = {c.content.data(), c.bytes};
  if (registered == Registered::kFileAndBuffer) CHECK(io_uring_register_buffers(&ring, &buffer, 1) == 0);
  Measure(state, c.file, c.bytes, [&](uint64_t offset) {
    io_uring_sqe* write = io_uring_get_sqe(&ring);
    if (registered == Registered::kFileAndBuffer) {
      io_uring_prep_write_fixed(write, fd, buffer.iov_base, static_cast<unsigned>(c.bytes), offset, 0);
    } else {
      io_uring_prep_writev(write, fd, &buffer, 1, offset);
    }
    write->flags |= flags;
    CHECK(io_uring_submit_and_wait(&ring, 1) == 1);
    io_uring_cqe* completion;
    CHECK(io_uring_wait_cqe(&ring, &completion) == 0 && completion->res == static_cast<int>(c.bytes));
    io_uring_cqe_seen(&ring, completion);
  });
  io_uring_queue_exit(&ring);
}

void BM_RingBare(benchmark::State& state) { MeasureRing(state, Registered::kNothing, 0); }
void BM_RingAsync(benchmark::State& state) { MeasureRing(state, Registered::kNothing, IOSQE_ASYNC); }
void BM_RingFile(benchmark::State& state) { MeasureRing(state, Registered::kFile, 0); }
void BM_RingFileAndBuffer(benchmark::State& state) { MeasureRing(state, Registered::kFileAndBuffer, 0); }

void Arguments(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"kib", "sync", "recycled"})->ArgsProduct({{4, 64, 256}, {0, 1}, {0, 1}})->UseRealTime();
}

void RingArguments(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"kib", "sync", "recycled"})->ArgsProduct({{4, 64, 256}, {0}, {1}})->UseRealTime();
}

BENCHMARK(BM_Inline)->Apply(Arguments);
BENCHMARK(BM_IoUring)->Apply(Arguments);
BENCHMARK(BM_Thread)->Apply(Arguments);
BENCHMARK(BM_RingBare)->Apply(RingArguments);
BENCHMARK(BM_RingAsync)->Apply(RingArguments);
BENCHMARK(BM_RingFile)->Apply(RingArguments);
BENCHMARK(BM_RingFileAndBuffer)->Apply(RingArguments);

}  // namespace
}  // namespace tributary::bench
