#include "gateway/rotating_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tributary::gateway {
namespace {

using SystemClock = std::chrono::system_clock;
constexpr std::string_view kTimestampShape = "0000-00-00T00-00-00.000";

// Sorts as text in the order of time.
std::string Timestamp(SystemClock::time_point time) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = millis / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}-{:02}-{:02}.{:03}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, millis % 1000);
}

bool IsTimestamp(std::string_view text) {
  return text.size() == kTimestampShape.size() &&
         std::equal(text.begin(), text.end(), kTimestampShape.begin(), [](unsigned char c, char shape) {
           return shape == '0' ? std::isdigit(c) != 0 : c == static_cast<unsigned char>(shape);
         });
}

// "telemetry-" and ".jsonl" of "dir/telemetry.jsonl".
std::pair<std::string, std::string> BackupAffixes(const std::filesystem::path& path) {
  return {path.stem().string() + "-", path.extension().string()};
}

// Where the last whole line of the file ends.
base::Result<uint64_t> EndOfLines(int fd, uint64_t size) {
  char block[64 * 1024];
  for (uint64_t end = size; end > 0;) {
    const size_t length = std::min<uint64_t>(end, sizeof block);
    const ssize_t n = pread(fd, block, length, static_cast<off_t>(end - length));
    if (n != static_cast<ssize_t>(length)) return base::FailErrno(n < 0 ? errno : EIO, "read");
    const size_t line_break = std::string_view(block, length).rfind('\n');
    if (line_break != std::string_view::npos) return end - length + line_break + 1;
    end -= length;
  }
  return 0;
}

}  // namespace

base::Result<RotatingFile> RotatingFile::Open(Options options) {
  RotatingFile file(std::move(options));
  if (auto opened = file.OpenFile(); !opened) return std::unexpected(opened.error());
  return file;
}

base::Status RotatingFile::Append(std::string_view line) {
  if (auto open = FollowMoves(); !open) return open;
  if (torn_) {
    if (auto cut = CutBack(); !cut) return cut;
  }
  if (size_ > 0 && size_ + line.size() > options_.bytes_max) {
    if (auto rotated = Rotate(); !rotated) return rotated;
  }
  for (size_t written = 0; written < line.size();) {
    const ssize_t n = write(fd_.get(), line.data() + written, line.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      if (written > 0) (void)CutBack();  // a failure to cut is remembered in torn_
      return base::FailErrno(error, fmt::format("write {}", options_.path));
    }
    written += static_cast<size_t>(n);
  }
  size_ += line.size();
  return {};
}

base::Status RotatingFile::OpenFile() {
  fd_ = base::Fd(open(options_.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640));
  if (!fd_.valid()) return base::FailErrno(errno, fmt::format("open {}", options_.path));
  struct stat status{};
  if (fstat(fd_.get(), &status) != 0) return base::FailErrno(errno, fmt::format("stat {}", options_.path));
  if (!S_ISREG(status.st_mode)) return base::Fail("{}: not a regular file", options_.path);
  const auto end = EndOfLines(fd_.get(), static_cast<uint64_t>(status.st_size));
  if (!end) return base::Fail("{}: {}", options_.path, end.error().message);
  size_ = *end;
  if (size_ == static_cast<uint64_t>(status.st_size)) return {};
  return CutBack();
}

// Opens the file again when its path no longer leads to it, or an earlier attempt to open it failed.
base::Status RotatingFile::FollowMoves() {
  struct stat at_path{};
  struct stat at_fd{};
  if (fd_.valid() && fstat(fd_.get(), &at_fd) == 0 && stat(options_.path.c_str(), &at_path) == 0 &&
      at_path.st_dev == at_fd.st_dev && at_path.st_ino == at_fd.st_ino) {
    return {};
  }
  torn_ = false;
  return OpenFile();
}

base::Status RotatingFile::CutBack() {
  torn_ = ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0;
  if (torn_) return base::FailErrno(errno, fmt::format("truncate {}", options_.path));
  return {};
}

base::Status RotatingFile::Rotate() {
  const std::string backup = BackupPath();
  if (rename(options_.path.c_str(), backup.c_str()) != 0) {
    return base::FailErrno(errno, fmt::format("rename {} to {}", options_.path, backup));
  }
  ++rotations_;
  DeleteBackups();
  return OpenFile();
}

// Best effort: what cannot be listed or deleted now is tried again at the next rotation.
void RotatingFile::DeleteBackups() {
  namespace fs = std::filesystem;
  const fs::path path(options_.path);
  const auto [prefix, suffix] = BackupAffixes(path);
  const fs::path directory = path.has_parent_path() ? path.parent_path() : ".";
  std::vector<std::string> timestamps;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() != prefix.size() + kTimestampShape.size() + suffix.size() || !name.starts_with(prefix) ||
        !name.ends_with(suffix)) {
      continue;
    }
    std::string timestamp = name.substr(prefix.size(), kTimestampShape.size());
    if (IsTimestamp(timestamp)) timestamps.push_back(std::move(timestamp));
  }
  std::sort(timestamps.begin(), timestamps.end(), std::greater<>());
  const std::string oldest_kept = Timestamp(SystemClock::now() - std::chrono::hours(24) * options_.days_max);
  for (size_t i = 0; i < timestamps.size(); ++i) {
    const bool surplus = options_.backups_max > 0 && i >= options_.backups_max;
    const bool old = options_.days_max > 0 && timestamps[i] < oldest_kept;
    if (surplus || old) fs::remove(directory / (prefix + timestamps[i] + suffix), error);
  }
}

// A name that is not taken: the time now, or the next free millisecond.
std::string RotatingFile::BackupPath() const {
  const std::filesystem::path path(options_.path);
  const auto [prefix, suffix] = BackupAffixes(path);
  for (auto time = SystemClock::now();; time += std::chrono::milliseconds(1)) {
    const std::filesystem::path backup = path.parent_path() / (prefix + Timestamp(time) + suffix);
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(backup, error))) return backup.string();
  }
}

}  // namespace tributary::gateway
