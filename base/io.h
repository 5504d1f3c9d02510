// Io: what the loop asks of files and never waits for.
//
// One per loop, which outlives it. Two stand behind it and promise the same: io_uring (base/uring_io.h), and, where the
// kernel or its administrator refuses that, a thread that blocks (base/thread_io.h). OpenIo() chooses.
//
// Made, used and destroyed on the loop's thread. What is asked for in a turn begins by the end of it. Every Done is
// called in a later turn of the loop, never inside the call that was given it; it may ask for more, and may not destroy
// the Io. Any number may be under way; they complete in any order, also those of one file, and a Write's sync covers
// that Write alone. Whoever needs an order waits for the Done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/worker.h"

namespace tributary::base {

class Io {
 public:
  enum class Sync { kNo, kYes };
  // 0, or the errno of what failed first. After an error any part of the bytes may have been written.
  using Done = std::move_only_function<void(int error)>;
  using ReadDone = std::move_only_function<void(IoResult<size_t> bytes)>;

  // Waits for everything under way; what has not begun never will. Their Dones are dropped uncalled.
  virtual ~Io() = default;

  // Writes all of `pieces`, one after the other, at `offset`; then, with kYes, makes the file's content and size
  // survive a power loss (fdatasync). No pieces with kYes only syncs. `fd` and the memory stay valid until done.
  virtual void Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) = 0;
  // Reads into all of `into`; fewer bytes only at the end of the file. `fd` and the memory stay valid until done.
  virtual void Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) = 0;

  // Does what else blocks, making files and removing them: one job after the other, on a thread of its own.
  virtual void Run(Worker::Job job) = 0;

  // "io_uring" or "thread".
  virtual std::string_view name() const = 0;
  // Why it is not io_uring: "io_uring_setup: Operation not permitted", or "configured"; empty when it is.
  virtual const std::string& reason() const = 0;
};

enum class IoKind {
  kAuto,     // io_uring, or where it is refused a thread
  kIoUring,  // nothing else: an error where it is refused
  kThread,
};

// `file_system` is what the thread uses; io_uring goes to the kernel by itself. It outlives the Io.
Result<std::unique_ptr<Io>> OpenIo(Loop& loop, FileSystem& file_system, IoKind kind = IoKind::kAuto);

}  // namespace tributary::base
