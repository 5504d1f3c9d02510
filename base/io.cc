#include "base/io.h"

#include <utility>

#include "base/thread_io.h"
#include "base/uring_io.h"

namespace tributary::base {

Result<std::unique_ptr<Io>> OpenIo(Loop& loop, FileSystem& file_system, IoKind kind) {
  if (kind == IoKind::kThread) return std::make_unique<ThreadIo>(loop, file_system, "configured");
  Result<std::unique_ptr<Io>> uring = UringIo::Open(loop);
  if (uring || kind == IoKind::kIoUring) return uring;
  return std::make_unique<ThreadIo>(loop, file_system, std::move(uring.error().message));
}

}  // namespace tributary::base
