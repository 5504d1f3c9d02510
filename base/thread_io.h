// ThreadIo: the Io of machines without io_uring: a thread of its own that does one thing after the other, blocking.
// Lives on the loop's thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/worker.h"

namespace tributary::base {

class ThreadIo : public Io {
 public:
  // `reason`: why it is not io_uring. `file_system` outlives this.
  ThreadIo(Loop& loop, FileSystem& file_system, std::string reason)
      : file_system_(file_system),
        reason_(std::move(reason)),
        worker_(loop, "tributary-io"),
        jobs_(loop, "tributary-disk") {}

  void Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) override;
  void Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) override;
  void Run(Worker::Job job) override { jobs_.Run(std::move(job)); }
  std::string_view name() const override { return "thread"; }
  const std::string& reason() const override { return reason_; }

 private:
  FileSystem& file_system_;
  const std::string reason_;
  Worker worker_;
  Worker jobs_;
};

}  // namespace tributary::base
