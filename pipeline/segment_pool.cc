#include "pipeline/segment_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace tributary::pipeline {
namespace {

constexpr base::Nanos kRetryAfter = std::chrono::seconds(1);
constexpr std::string_view kPrefix = "segment-";

std::string Describe(const char* what, const std::string& path, int error) {
  return fmt::format("{} {}: {}", what, path, std::strerror(error));
}

// Zeros over the whole file: afterwards neither its size nor its extents change, and a sync writes data alone.
base::IoResult<void> WriteZeros(base::FileSystem& file_system, int fd, uint64_t bytes) {
  static const std::vector<uint8_t> zeros(1 << 20);
  for (uint64_t at = 0; at < bytes;) {
    const base::ByteView piece = base::ByteView(zeros).first(std::min<uint64_t>(zeros.size(), bytes - at));
    if (const auto wrote = file_system.WriteAll(fd, piece, at); !wrote) return wrote;
    at += piece.size();
  }
  return {};
}

base::IoResult<void> Reserve(base::FileSystem& file_system, int fd, uint64_t bytes, bool write_ahead) {
  const auto allocated = file_system.Allocate(fd, bytes);
  if (!allocated && allocated.error() != EOPNOTSUPP) return allocated;
  if (allocated && !write_ahead) return {};
  return WriteZeros(file_system, fd, bytes);
}

}  // namespace

SegmentPool::SegmentPool(base::Loop& loop, base::FileSystem& file_system, base::Io& io, Options options,
                         base::Loop::Task changed)
    : loop_(loop),
      file_system_(file_system),
      io_(io),
      options_(std::move(options)),
      changed_(loop, std::move(changed)) {}

void SegmentPool::Count(const SegmentFile& file) {
  bytes_ += file.bytes;
  const std::string_view name = std::string_view(file.path).substr(file.path.rfind('/') + 1);
  if (!name.starts_with(kPrefix)) return;
  uint64_t number = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  last_number_ = std::max(last_number_, number);
}

bool SegmentPool::CanGive(uint64_t bytes) const {
  if (bytes <= options_.segment_bytes && !ready_.empty()) return true;
  const uint64_t reclaimed = bytes <= options_.segment_bytes ? 0 : ready_.size() * options_.segment_bytes;
  return bytes_ - reclaimed + std::max(bytes, options_.segment_bytes) <= options_.bytes_max;
}

void SegmentPool::set_bytes_max(uint64_t bytes_max) {
  options_.bytes_max = bytes_max;
  MakeMore();
}

std::shared_ptr<SegmentFile> SegmentPool::Take(uint64_t bytes) {
  const auto fits = std::find_if(ready_.rbegin(), ready_.rend(), [bytes](const auto& f) { return f->bytes >= bytes; });
  std::shared_ptr<SegmentFile> file;
  if (fits != ready_.rend()) {
    file = std::move(*fits);
    ready_.erase(std::next(fits).base());
  } else if (bytes > options_.segment_bytes) {
    wanted_bytes_ = bytes;
  }
  MakeMore();
  return file;
}

void SegmentPool::Give(std::shared_ptr<SegmentFile> file) {
  if (ready_.size() >= kReadyWanted || file->bytes != options_.segment_bytes || bytes_ > options_.bytes_max) {
    return Discard(std::move(file));
  }
  ready_.push_back(std::move(file));
  changed_.Ask();
}

void SegmentPool::Discard(std::shared_ptr<SegmentFile> file) {
  io_.Run([this, file = std::move(file)]() mutable -> base::Loop::Task {
    const uint64_t bytes = file->bytes;
    // An unlinked file that comes back after a power loss holds nothing that its cursors do not know.
    const auto unlinked = file_system_.Unlink(file->path);
    if (unlinked || unlinked.error() == ENOENT) file.reset();
    return [this, bytes, file = std::move(file)]() mutable {
      if (file) {
        undead_.push_back(std::move(file));
        return RetryLater();
      }
      bytes_ -= bytes;
      MakeMore();
      changed_.Ask();
    };
  });
}

void SegmentPool::RetryLater() {
  if (retry_.pending()) return;
  retry_ = loop_.RunAfter(kRetryAfter, [this] {
    for (auto& file : std::exchange(undead_, {})) Discard(std::move(file));
    MakeMore();
  });
}

// One at a time; an unusually long one first.
void SegmentPool::MakeMore() {
  if (making_ || retry_.pending()) return;
  if (wanted_bytes_ > 0) {
    const uint64_t bytes = wanted_bytes_;
    while (!ready_.empty() && bytes_ + bytes > options_.bytes_max) {
      bytes_ -= ready_.back()->bytes;  // its unlinking below comes first
      io_.Run([this, file = std::move(ready_.back())]() mutable -> base::Loop::Task {
        (void)file_system_.Unlink(file->path);
        file.reset();
        return [] {};
      });
      ready_.pop_back();
    }
    if (bytes_ + bytes <= options_.bytes_max) return Make(bytes);
  }
  if (ready_.size() < kReadyWanted && bytes_ + options_.segment_bytes <= options_.bytes_max) {
    Make(options_.segment_bytes);
  }
}

void SegmentPool::Make(uint64_t bytes) {
  making_ = true;
  bytes_ += bytes;
  io_.Run([this, bytes, number = ++last_number_]() -> base::Loop::Task {
    Made made = MakeFile(file_system_, options_.directory, number, bytes, options_.write_ahead);
    return [this, bytes, made = std::move(made)]() mutable {
      making_ = false;
      error_ = std::move(made.error);
      if (made.file) {
        if (bytes == wanted_bytes_) wanted_bytes_ = 0;
        ready_.push_back(std::move(made.file));
        MakeMore();
      } else {
        bytes_ -= bytes;
        RetryLater();
      }
      changed_.Ask();
    };
  });
}

SegmentPool::Made SegmentPool::MakeFile(base::FileSystem& file_system, const std::string& directory, uint64_t number,
                                        uint64_t bytes, bool write_ahead) {
  const std::string path = fmt::format("{}/{}{:08}", directory, kPrefix, number);
  auto fd = file_system.Open(path, O_RDWR | O_CREAT | O_EXCL);
  if (!fd) return {nullptr, Describe("create", path, fd.error())};
  const auto fail = [&](const char* what, int error) {
    (void)file_system.Unlink(path);
    return Made{nullptr, Describe(what, path, error)};
  };
  if (const auto done = Reserve(file_system, fd->get(), bytes, write_ahead); !done) {
    return fail("reserve", done.error());
  }
  if (write_ahead) {
    if (const auto done = file_system.Sync(fd->get()); !done) return fail("sync", done.error());
    if (const auto done = file_system.SyncDirectory(directory); !done) return fail("sync directory of", done.error());
  }
  return {std::make_shared<SegmentFile>(std::move(*fd), path, bytes), {}};
}

}  // namespace tributary::pipeline
