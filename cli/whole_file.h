// A file of the Log, read as far as its disk will give it. Blocks; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/file_system.h"

namespace tributary::cli {

struct WholeFile {
  base::Bytes bytes;  // zeros where it could not be read
  uint64_t unreadable_bytes = 0;
};

// An error only when the file cannot be opened.
base::IoResult<WholeFile> ReadWhole(base::FileSystem& file_system, const std::string& path);

}  // namespace tributary::cli
