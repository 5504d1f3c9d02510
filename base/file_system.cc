#include "base/file_system.h"

#include <dirent.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace tributary::base {
namespace {

// Repeats a system call as long as signals interrupt it.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

IoResult<size_t> Count(ssize_t result) {
  if (result < 0) return std::unexpected(errno);
  return static_cast<size_t>(result);
}

IoResult<void> Nothing(int result) {
  if (result < 0) return std::unexpected(errno);
  return {};
}

}  // namespace

IoResult<Fd> FileSystem::Open(const std::string& path, int flags, mode_t mode) {
  Fd fd(Uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!fd.valid()) return std::unexpected(errno);
  return fd;
}

IoResult<size_t> FileSystem::Read(int fd, std::span<uint8_t> into, uint64_t offset) {
  return Count(Uninterrupted([&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); }));
}

IoResult<size_t> FileSystem::Write(int fd, std::span<const iovec> pieces, uint64_t offset) {
  const int count = static_cast<int>(std::min<size_t>(pieces.size(), IOV_MAX));
  return Count(Uninterrupted([&] { return ::pwritev(fd, pieces.data(), count, static_cast<off_t>(offset)); }));
}

IoResult<void> FileSystem::WriteAll(int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const IoResult<size_t> written = Write(fd, bytes, offset);
    if (!written) return std::unexpected(written.error());
    if (*written == 0) return std::unexpected(EIO);
    bytes = bytes.subspan(*written);
    offset += *written;
  }
  return {};
}

IoResult<size_t> FileSystem::ReadAll(int fd, std::span<uint8_t> into, uint64_t offset) {
  size_t done = 0;
  while (done < into.size()) {
    const IoResult<size_t> read = Read(fd, into.subspan(done), offset + done);
    if (!read) return read;
    if (*read == 0) break;
    done += *read;
  }
  return done;
}

IoResult<void> FileSystem::Sync(int fd) {
  return Nothing(Uninterrupted([&] { return ::fdatasync(fd); }));
}

IoResult<void> FileSystem::SyncDirectory(const std::string& path) {
  const IoResult<Fd> directory = FileSystem::Open(path, O_RDONLY | O_DIRECTORY, 0);
  if (!directory) return std::unexpected(directory.error());
  return Nothing(Uninterrupted([&] { return ::fsync(directory->get()); }));
}

IoResult<void> FileSystem::Allocate(int fd, uint64_t bytes) {
  return Nothing(Uninterrupted([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)); }));
}

IoResult<void> FileSystem::Lock(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return std::unexpected(errno);
  return {};
}

IoResult<uint64_t> FileSystem::Size(int fd) {
  struct stat status;
  if (::fstat(fd, &status) < 0) return std::unexpected(errno);
  return static_cast<uint64_t>(status.st_size);
}

IoResult<void> FileSystem::Rename(const std::string& from, const std::string& to) {
  return Nothing(::rename(from.c_str(), to.c_str()));
}

IoResult<void> FileSystem::Unlink(const std::string& path) { return Nothing(::unlink(path.c_str())); }

IoResult<void> FileSystem::MakeDirectory(const std::string& path, mode_t mode) {
  return Nothing(::mkdir(path.c_str(), mode));
}

IoResult<void> FileSystem::RemoveDirectory(const std::string& path) { return Nothing(::rmdir(path.c_str())); }

IoResult<std::vector<std::string>> FileSystem::List(const std::string& directory) {
  const auto close = [](DIR* open) { ::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> open(::opendir(directory.c_str()));
  if (!open) return std::unexpected(errno);
  std::vector<std::string> names;
  errno = 0;  // the only way to tell the end from an error
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return std::unexpected(errno);
  std::ranges::sort(names);
  return names;
}

}  // namespace tributary::base
