#include "base/thread_io.h"

#include <cerrno>
#include <utility>

#include "base/io_pieces.h"

namespace tributary::base {
namespace {

int WriteAll(FileSystem& file_system, int fd, IoPieces pieces, uint64_t offset) {
  while (!pieces.empty()) {
    const IoResult<size_t> written = file_system.Write(fd, pieces.next(), offset);
    if (!written) return written.error();
    if (*written == 0) return EIO;  // nothing for something: it would be the same again
    pieces.Advance(*written);
    offset += *written;
  }
  return 0;
}

}  // namespace

void ThreadIo::Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) {
  worker_.Run([&file_system = file_system_, fd, left = IoPieces(pieces), offset, sync,
               done = std::move(done)]() mutable -> Loop::Task {
    int error = WriteAll(file_system, fd, std::move(left), offset);
    if (error == 0 && sync == Sync::kYes) {
      if (const auto synced = file_system.Sync(fd); !synced) error = synced.error();
    }
    return [error, done = std::move(done)]() mutable { done(error); };
  });
}

void ThreadIo::Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) {
  worker_.Run([&file_system = file_system_, fd, into, offset, done = std::move(done)]() mutable -> Loop::Task {
    const IoResult<size_t> result = file_system.ReadAll(fd, into, offset);
    return [result, done = std::move(done)]() mutable { done(result); };
  });
}

}  // namespace tributary::base
