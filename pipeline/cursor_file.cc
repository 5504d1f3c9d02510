#include "pipeline/cursor_file.h"

#include <cerrno>
#include <utility>

#include "base/whole_file.h"

namespace tributary::pipeline {
namespace {

constexpr base::Nanos kAgainAfter = std::chrono::seconds(1);

uint64_t SlotOffset(uint64_t generation) { return generation % 2 * kCursorSlotBytes; }

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

base::IoResult<CursorState> CursorFile::Load(base::FileSystem& file_system, const std::string& path) {
  const auto file = base::ReadWhole(file_system, path);
  if (!file) return std::unexpected(file.error());
  CursorState state = DecodeCursor(file->bytes).value_or(CursorState{.acknowledged = {}, .may_be_old = true});
  state.may_be_old |= file->unreadable_bytes > 0;
  return state;
}

CursorFile::CursorFile(const Disk& disk, std::string path, CursorState state)
    : disk_(disk),
      path_(std::move(path)),
      generation_(++state.generation),
      save_(disk.loop, [this] { SaveNow(); }),
      self_(std::make_shared<CursorFile*>(this)) {
  if (auto fd = Make(disk.file_system, path_, state)) {
    fd_ = std::make_shared<base::Fd>(std::move(*fd));
    saved_ = std::move(state.acknowledged);
  } else {
    again_ = disk.loop.RunAfter(kAgainAfter, [this] { MakeAnew(); });
  }
}

CursorFile::~CursorFile() {
  *self_ = nullptr;
  if (path_.empty() || acknowledged_ == nullptr || *acknowledged_ == saved_) return;
  const CursorState last{.generation = generation_ + 1, .acknowledged = *acknowledged_};
  // While a save is under way in one slot, the other may be the one in force.
  if (saving_ || again_.pending()) {
    (void)Make(disk_.file_system, path_, last);
    return;
  }
  if (!disk_.file_system.WriteAll(fd_->get(), EncodeCursor(last), SlotOffset(last.generation))) return;
  if (disk_.sync) (void)disk_.file_system.Sync(fd_->get());
}

void CursorFile::Remove() {
  (void)disk_.file_system.Unlink(path_);
  path_.clear();
}

// A whole file under another name first, so that there is one at every moment.
base::IoResult<base::Fd> CursorFile::Make(base::FileSystem& file_system, const std::string& path,
                                          const CursorState& state) {
  const std::string fresh_path = path + ".new";
  auto fd = file_system.Open(fresh_path, O_RDWR | O_CREAT | O_TRUNC);
  if (!fd) return fd;
  base::Bytes content;
  content.ResizeUninitialized(kCursorFileBytes);
  std::fill_n(content.data(), content.size(), uint8_t{0});
  const base::Bytes slot = EncodeCursor(state);
  std::copy_n(slot.data(), slot.size(), content.data() + SlotOffset(state.generation));
  auto done = file_system.WriteAll(fd->get(), content, 0);
  if (done) done = file_system.Sync(fd->get());
  if (done) done = file_system.Rename(fresh_path, path);
  if (done) done = file_system.SyncDirectory(DirectoryOf(path));
  if (!done) return std::unexpected(done.error());
  return fd;
}

void CursorFile::SaveNow() {
  if (path_.empty()) return;
  if (saving_ || again_.pending()) {
    changed_ = true;
    return;
  }
  saving_ = true;
  changed_ = false;
  CursorState state{.generation = ++generation_, .acknowledged = *acknowledged_};
  auto slot = std::make_shared<base::Bytes>(EncodeCursor(state));
  const base::ByteView bytes = slot->view();
  disk_.io.Write(fd_->get(), {bytes}, SlotOffset(generation_), disk_.sync ? base::Io::Sync::kYes : base::Io::Sync::kNo,
                 [self = self_, fd = fd_, slot = std::move(slot), state = std::move(state)](int error) mutable {
                   if (*self != nullptr) (*self)->Saved(std::move(state), error);
                 });
}

void CursorFile::Saved(CursorState state, int error) {
  saving_ = false;
  if (error != 0) {
    again_ = disk_.loop.RunAfter(kAgainAfter, [this] { MakeAnew(); });
    return;
  }
  saved_ = std::move(state.acknowledged);
  if (changed_) SaveNow();
  if (when_saved_) when_saved_();
}

void CursorFile::MakeAnew() {
  saving_ = true;
  changed_ = false;
  CursorState state{.generation = ++generation_, .acknowledged = *acknowledged_};
  disk_.io.Run([self = self_, &file_system = disk_.file_system, path = path_,
                state = std::move(state)]() mutable -> base::Loop::Task {
    auto fd = Make(file_system, path, state);
    return [self = std::move(self), fd = std::move(fd), state = std::move(state)]() mutable {
      CursorFile* file = *self;
      if (file == nullptr) return;
      if (fd) file->fd_ = std::make_shared<base::Fd>(std::move(*fd));
      file->Saved(std::move(state), fd ? 0 : fd.error());
    };
  });
}

}  // namespace tributary::pipeline
