// A file read as far as its disk will give it. A sector that cannot be read is tried again, for a fraction of a second,
// and then left out: the rest of the file is no worse for it. Blocks; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/file_system.h"

namespace tributary::base {

struct WholeFile {
  Bytes bytes;  // zeros where it could not be read
  uint64_t unreadable_bytes = 0;
  uint64_t failed_reads = 0;
  int error = 0;  // errno of the last of them
};

// `size` bytes from `offset`, or fewer where the file ends.
WholeFile ReadWhole(FileSystem& file_system, int fd, uint64_t offset, uint64_t size);
// An error only when it cannot be opened.
IoResult<WholeFile> ReadWhole(FileSystem& file_system, const std::string& path);

// The text of a file whose size tells nothing, as in /proc, or does not matter. Empty when it cannot be read.
std::string ReadText(const std::string& path);

}  // namespace tributary::base
