// FileSystem: the blocking system calls that whatever keeps files needs, and nothing around them.
//
// It is a class so that a test may put a simulated disk in its place, which fails and forgets
// (tests/base/simulated_disk.h). Any thread, several at once; holds no state. Interrupted calls are repeated here;
// every other error is handed back as errno, and what it means is the caller's to know: after a failed Sync() nobody
// knows what is on the disk, and no later Sync() of the same file tells.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"

namespace tributary::base {

template <typename T>
using IoResult = std::expected<T, int>;  // the error is an errno

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // open(2), with O_CLOEXEC. `mode` is of a file that this creates.
  virtual IoResult<Fd> Open(const std::string& path, int flags, mode_t mode = 0600);
  // Up to `into.size()` bytes from `offset`; fewer, down to none, at the end of the file, and now and then before it.
  virtual IoResult<size_t> Read(int fd, std::span<uint8_t> into, uint64_t offset);
  // The pieces, one after the other, at `offset`. May be short; then the rest is to be written again. More than IOV_MAX
  // pieces are always short.
  virtual IoResult<size_t> Write(int fd, std::span<const iovec> pieces, uint64_t offset);
  IoResult<size_t> Write(int fd, ByteView bytes, uint64_t offset) {
    const iovec piece = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
    return Write(fd, std::span(&piece, 1), offset);
  }
  // All of it, by as many of the above as it takes. Nothing for something counts as EIO: it would be the same again.
  IoResult<void> WriteAll(int fd, ByteView bytes, uint64_t offset);
  // As much as there is, up to the end of the file.
  IoResult<size_t> ReadAll(int fd, std::span<uint8_t> into, uint64_t offset);
  // fdatasync(2): content and size of the file, not its name (SyncDirectory).
  virtual IoResult<void> Sync(int fd);
  // Makes what was created, renamed and unlinked in a directory survive a power loss.
  virtual IoResult<void> SyncDirectory(const std::string& path);
  // fallocate(2): the file is at least `bytes` long and its blocks are reserved. EOPNOTSUPP where the file system
  // cannot. Reserved is not written: the first write to each block still changes metadata.
  virtual IoResult<void> Allocate(int fd, uint64_t bytes);
  virtual IoResult<uint64_t> Size(int fd);
  // flock(2), exclusive, without waiting: EWOULDBLOCK when another open file has it. Held until `fd` is closed.
  virtual IoResult<void> Lock(int fd);
  virtual IoResult<void> Rename(const std::string& from, const std::string& to);
  virtual IoResult<void> Unlink(const std::string& path);
  virtual IoResult<void> MakeDirectory(const std::string& path, mode_t mode = 0700);
  virtual IoResult<void> RemoveDirectory(const std::string& path);
  // Names of everything in a directory, sorted, without "." and "..".
  virtual IoResult<std::vector<std::string>> List(const std::string& directory);
};

}  // namespace tributary::base
