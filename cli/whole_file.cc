#include "cli/whole_file.h"

#include <algorithm>

namespace tributary::cli {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kSectorBytes = 4096;  // what a disk that fails to read gives up at least

}  // namespace

base::IoResult<WholeFile> ReadWhole(base::FileSystem& file_system, const std::string& path) {
  const auto fd = file_system.Open(path, O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  const auto size = file_system.Size(fd->get());
  if (!size) return std::unexpected(size.error());
  WholeFile file;
  file.bytes.ResizeUninitialized(*size);
  bool careful = false;  // a piece failed, so its sectors are read one by one
  for (size_t at = 0; at < *size;) {
    const size_t left = careful ? kSectorBytes - at % kSectorBytes : kPieceBytes;
    const std::span<uint8_t> into(file.bytes.data() + at, std::min<size_t>(left, *size - at));
    const auto read = file_system.Read(fd->get(), into, at);
    if (!read && !careful) {
      careful = true;
      continue;
    }
    if (!read) {
      std::ranges::fill(into, uint8_t{0});
      file.unreadable_bytes += into.size();
    } else if (*read == 0) {  // it became shorter meanwhile
      file.bytes.ResizeUninitialized(at);
      break;
    }
    at += read ? *read : into.size();
    if (at % kPieceBytes == 0) careful = false;
  }
  return file;
}

}  // namespace tributary::cli
