#include "base/whole_file.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

namespace tributary::base {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kSectorBytes = 4096;  // what a disk that fails to read gives up at least
constexpr int kRoundsMax = 4;
constexpr std::chrono::milliseconds kBetweenRounds(20);
constexpr uint64_t kFailedReadsMax = 1'000;  // of a disk that takes its time for each

struct Stretch {
  size_t at;  // in WholeFile::bytes
  size_t size;
};

std::vector<Stretch> SectorsOf(const Stretch& stretch) {
  std::vector<Stretch> sectors;
  for (size_t done = 0; done < stretch.size; done += kSectorBytes) {
    sectors.push_back({stretch.at + done, std::min(kSectorBytes, stretch.size - done)});
  }
  return sectors;
}

}  // namespace

WholeFile ReadWhole(FileSystem& file_system, int fd, uint64_t offset, uint64_t size) {
  WholeFile file;
  file.bytes.ResizeUninitialized(size);
  size_t end = size;  // less when the file ends before
  const auto read = [&](const Stretch& stretch) {
    if (stretch.at >= end || file.failed_reads >= kFailedReadsMax) return stretch.at >= end;
    const auto got = file_system.ReadAll(fd, {file.bytes.data() + stretch.at, stretch.size}, offset + stretch.at);
    if (got && *got < stretch.size) end = std::min(end, stretch.at + *got);
    if (got) return true;
    ++file.failed_reads;
    file.error = got.error();
    return false;
  };
  std::vector<Stretch> failed;
  for (size_t at = 0; at < end; at += kPieceBytes) {
    const Stretch piece{at, std::min<size_t>(kPieceBytes, size - at)};
    if (read(piece)) continue;
    const auto sectors = SectorsOf(piece);
    failed.insert(failed.end(), sectors.begin(), sectors.end());
  }
  for (int round = 0; round < kRoundsMax && !failed.empty(); ++round) {
    if (round > 0) std::this_thread::sleep_for(kBetweenRounds);
    std::erase_if(failed, read);
  }
  for (const Stretch& stretch : failed) {
    if (stretch.at >= end) break;
    const size_t bytes = std::min(stretch.size, end - stretch.at);
    std::fill_n(file.bytes.data() + stretch.at, bytes, uint8_t{0});
    file.unreadable_bytes += bytes;
  }
  file.bytes.ResizeUninitialized(end);
  return file;
}

IoResult<WholeFile> ReadWhole(FileSystem& file_system, const std::string& path) {
  const auto fd = file_system.Open(path, O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  const auto size = file_system.Size(fd->get());
  if (!size) return std::unexpected(size.error());
  return ReadWhole(file_system, fd->get(), 0, *size);
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tributary::base
