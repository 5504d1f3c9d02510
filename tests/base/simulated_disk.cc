#include "tests/base/simulated_disk.h"

#include <limits.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace tributary::base {
namespace {

using Random = std::mt19937_64;
using FileContent = std::vector<uint8_t>;

bool Coin(Random& random) { return (random() & 1) != 0; }

// What happened to a file since it was last synced.
struct Change {
  enum class Kind { kWrite, kGrow, kTruncate };
  Kind kind;
  uint64_t offset = 0;
  FileContent bytes;
  uint64_t size = 0;  // of the file, after it
};

void Put(FileContent& content, const Change& change, uint64_t from, uint64_t to) {
  if (content.size() < to) content.resize(to);
  std::copy(change.bytes.begin() + static_cast<ptrdiff_t>(from - change.offset),
            change.bytes.begin() + static_cast<ptrdiff_t>(to - change.offset),
            content.begin() + static_cast<ptrdiff_t>(from));
}

void Apply(FileContent& content, const Change& change) {
  if (change.kind == Change::Kind::kTruncate) content.clear();
  if (change.kind == Change::Kind::kWrite) Put(content, change, change.offset, change.offset + change.bytes.size());
  content.resize(change.size);
}

// All of a write, nothing, or some of its sectors.
void ApplySectors(FileContent& content, const Change& change, Random& random) {
  const uint64_t end = change.offset + change.bytes.size();
  const uint64_t fate = random() % 4;
  if (fate == 0) return;
  if (fate == 1) return Put(content, change, change.offset, end);
  const uint64_t sector = fate == 2 ? 512 : 4096;
  for (uint64_t from = change.offset; from < end;) {
    const uint64_t to = std::min(end, (from / sector + 1) * sector);
    if (Coin(random)) Put(content, change, from, to);
    from = to;
  }
}

// What a power loss may leave of a file that was `content` and then was changed.
void ApplySome(FileContent& content, std::vector<Change> changes, Random& random) {
  // A truncation that survives has lost all before it, and one that does not has kept all after it from happening.
  const auto is_truncation = [](const Change& change) { return change.kind == Change::Kind::kTruncate; };
  while (true) {
    const auto truncation = std::ranges::find_if(changes, is_truncation);
    if (truncation == changes.end()) break;
    if (Coin(random)) {
      content.clear();
      changes.erase(changes.begin(), truncation + 1);
    } else {
      changes.erase(truncation, changes.end());
    }
  }
  if (changes.empty()) return;
  const uint64_t choice = random() % (changes.size() + 1);
  const uint64_t size = choice == changes.size() ? content.size() : changes[choice].size;
  std::ranges::shuffle(changes, random);
  for (const Change& change : changes) {
    if (change.kind == Change::Kind::kWrite) ApplySectors(content, change, random);
  }
  content.resize(size);
}

std::pair<std::string, std::string> SplitPath(const std::string& path) {
  CHECK(path.starts_with('/'));
  const size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

// A file or a directory, twice: as a live process sees it, and as it certainly is on the disk.
struct SimulatedDisk::Node {
  using Names = std::map<std::string, NodePtr>;
  // What happened to a directory since it was last synced: `name` is `node` now (or gone, when null), and was `was`
  // before if this is a rename.
  struct NameChange {
    std::string name;
    NodePtr node;
    std::string was;
  };

  bool is_directory = false;
  FileContent content;
  FileContent durable_content;
  std::vector<Change> changes;
  Names names;
  Names durable_names;
  std::vector<NameChange> name_changes;

  static void Apply(Names& names, const NameChange& change) {
    if (!change.was.empty()) names.erase(change.was);
    if (change.node) {
      names[change.name] = change.node;
    } else {
      names.erase(change.name);
    }
  }
  void ChangeContent(Change change) {
    base::Apply(content, change);
    changes.push_back(std::move(change));
  }
  void ChangeNames(NameChange change) {
    Apply(names, change);
    name_changes.push_back(std::move(change));
  }
  void SyncContent() {
    for (const Change& change : changes) base::Apply(durable_content, change);
    changes.clear();
  }
  void LoseContent(Random& random) { ApplySome(durable_content, std::exchange(changes, {}), random); }
  void SyncNames() {
    for (const NameChange& change : name_changes) Apply(durable_names, change);
    name_changes.clear();
  }
  void LoseNames(Random& random) {
    for (const NameChange& change : std::exchange(name_changes, {})) {
      if (Coin(random)) Apply(durable_names, change);
    }
  }

  // This and all below it, as they are when the power is back.
  void Crash(Random& random) {
    if (is_directory) {
      LoseNames(random);
      names = durable_names;
      for (const auto& [name, node] : names) node->Crash(random);
    } else {
      LoseContent(random);
      content = durable_content;
    }
  }
};

// A name in a directory, taken or free.
struct SimulatedDisk::Place {
  NodePtr directory;
  std::string name;
  NodePtr node;  // null: free
};

SimulatedDisk::SimulatedDisk(uint64_t seed) : random_(seed), root_(std::make_shared<Node>()) {
  root_->is_directory = true;
}

SimulatedDisk::~SimulatedDisk() = default;

uint64_t SimulatedDisk::operations() const {
  std::lock_guard lock(mutex_);
  return operations_.size();
}

std::string SimulatedDisk::Describe(uint64_t operation) const {
  std::lock_guard lock(mutex_);
  return operation < operations_.size() ? operations_[operation] : "an operation to come";
}

void SimulatedDisk::FailOperations(uint64_t first, uint64_t count, int error) {
  CHECK(error > 0);
  std::lock_guard lock(mutex_);
  faults_.push_back({first, count, error});
}

void SimulatedDisk::ShortenWrite(uint64_t operation) {
  std::lock_guard lock(mutex_);
  faults_.push_back({operation, 1, 0});
}

void SimulatedDisk::CrashAfter(uint64_t operation) {
  std::lock_guard lock(mutex_);
  crash_after_ = operation;
}

void SimulatedDisk::Crash() {
  {
    std::lock_guard lock(mutex_);
    root_->Crash(random_);
  }
  Kill();
}

void SimulatedDisk::Kill() {
  std::lock_guard lock(mutex_);
  open_.clear();
  faults_.clear();
  crash_after_ = UINT64_MAX;
}

std::vector<uint8_t> SimulatedDisk::Content(const std::string& path) const {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  CHECK(node && !node->is_directory);
  return node->content;
}

void SimulatedDisk::SetContent(const std::string& path, std::vector<uint8_t> content) {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  CHECK(node && !node->is_directory);
  node->changes.clear();
  node->content = node->durable_content = std::move(content);
}

IoResult<Fd> SimulatedDisk::Open(const std::string& path, int flags, mode_t) {
  std::lock_guard lock(mutex_);
  CHECK((flags & O_APPEND) == 0);
  if (const int error = Begin("open", path)) return std::unexpected(error);
  const IoResult<Place> place = FindPlace(path);
  if (!place) return std::unexpected(place.error());
  NodePtr node = place->node;
  if (!node && !(flags & O_CREAT)) return std::unexpected(ENOENT);
  if (node && (flags & O_CREAT) && (flags & O_EXCL)) return std::unexpected(EEXIST);
  if (node && node->is_directory) return std::unexpected(EISDIR);
  Fd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK(fd.valid());
  if (!node) {
    node = std::make_shared<Node>();
    place->directory->ChangeNames({place->name, node, ""});
  }
  if ((flags & O_TRUNC) && !node->content.empty()) node->ChangeContent({.kind = Change::Kind::kTruncate});
  open_[fd.get()] = {std::move(node), flags, path};
  return fd;
}

IoResult<size_t> SimulatedDisk::Read(int fd, std::span<uint8_t> into, uint64_t offset) {
  std::lock_guard lock(mutex_);
  const OpenFile* file = FindOpen(fd);
  if (const int error = Begin("read", file ? file->path : "")) return std::unexpected(error);
  if (!file || (file->flags & O_ACCMODE) == O_WRONLY) return std::unexpected(EBADF);
  const FileContent& content = file->node->content;
  if (offset >= content.size()) return 0;
  const size_t size = std::min<size_t>(into.size(), content.size() - offset);
  std::copy_n(content.begin() + static_cast<ptrdiff_t>(offset), size, into.begin());
  return size;
}

IoResult<size_t> SimulatedDisk::Write(int fd, std::span<const iovec> pieces, uint64_t offset) {
  std::lock_guard lock(mutex_);
  const OpenFile* file = FindOpen(fd);
  const bool is_short = IsShort(operations_.size());
  if (const int error = Begin("write", file ? file->path : "")) return std::unexpected(error);
  if (!file || (file->flags & O_ACCMODE) == O_RDONLY) return std::unexpected(EBADF);
  FileContent bytes;
  for (const iovec& piece : pieces.first(std::min<size_t>(pieces.size(), IOV_MAX))) {
    const auto* begin = static_cast<const uint8_t*>(piece.iov_base);
    bytes.insert(bytes.end(), begin, begin + piece.iov_len);
  }
  if (is_short && bytes.size() > 1) bytes.resize(1 + random_() % (bytes.size() - 1));
  const size_t size = bytes.size();
  if (size == 0) return 0;
  const uint64_t file_size = std::max<uint64_t>(file->node->content.size(), offset + size);
  file->node->ChangeContent({Change::Kind::kWrite, offset, std::move(bytes), file_size});
  return size;
}

IoResult<void> SimulatedDisk::Sync(int fd) {
  std::lock_guard lock(mutex_);
  const OpenFile* file = FindOpen(fd);
  const bool power_is_lost = operations_.size() >= crash_after_;
  if (const int error = Begin("sync", file ? file->path : "")) {
    if (file && !power_is_lost) file->node->LoseContent(random_);
    return std::unexpected(error);
  }
  if (!file) return std::unexpected(EBADF);
  file->node->SyncContent();
  return {};
}

IoResult<void> SimulatedDisk::SyncDirectory(const std::string& path) {
  std::lock_guard lock(mutex_);
  const NodePtr node = Find(path);
  const bool power_is_lost = operations_.size() >= crash_after_;
  if (const int error = Begin("sync directory", path)) {
    if (node && !power_is_lost) node->LoseNames(random_);
    return std::unexpected(error);
  }
  if (!node) return std::unexpected(ENOENT);
  if (!node->is_directory) return std::unexpected(ENOTDIR);
  node->SyncNames();
  return {};
}

IoResult<void> SimulatedDisk::Allocate(int fd, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const OpenFile* file = FindOpen(fd);
  if (const int error = Begin("allocate", file ? file->path : "")) return std::unexpected(error);
  if (!file || (file->flags & O_ACCMODE) == O_RDONLY) return std::unexpected(EBADF);
  if (bytes > file->node->content.size()) file->node->ChangeContent({.kind = Change::Kind::kGrow, .size = bytes});
  return {};
}

IoResult<uint64_t> SimulatedDisk::Size(int fd) {
  std::lock_guard lock(mutex_);
  const OpenFile* file = FindOpen(fd);
  if (!file) return std::unexpected(EBADF);
  return file->node->content.size();
}

IoResult<void> SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  if (const int error = Begin("rename", from)) return std::unexpected(error);
  const IoResult<Place> old_place = FindPlace(from);
  if (!old_place) return std::unexpected(old_place.error());
  const IoResult<Place> new_place = FindPlace(to);
  if (!new_place) return std::unexpected(new_place.error());
  if (!old_place->node) return std::unexpected(ENOENT);
  CHECK(old_place->directory == new_place->directory);  // what a crash leaves of a move is not simulated
  if (old_place->name != new_place->name) {
    new_place->directory->ChangeNames({new_place->name, old_place->node, old_place->name});
  }
  return {};
}

IoResult<void> SimulatedDisk::Unlink(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (const int error = Begin("unlink", path)) return std::unexpected(error);
  const IoResult<Place> place = FindPlace(path);
  if (!place) return std::unexpected(place.error());
  if (!place->node) return std::unexpected(ENOENT);
  if (place->node->is_directory) return std::unexpected(EISDIR);
  place->directory->ChangeNames({place->name, nullptr, ""});
  return {};
}

IoResult<void> SimulatedDisk::MakeDirectory(const std::string& path, mode_t) {
  std::lock_guard lock(mutex_);
  if (const int error = Begin("make directory", path)) return std::unexpected(error);
  const IoResult<Place> place = FindPlace(path);
  if (!place) return std::unexpected(place.error());
  if (place->node) return std::unexpected(EEXIST);
  const auto directory = std::make_shared<Node>();
  directory->is_directory = true;
  place->directory->ChangeNames({place->name, directory, ""});
  return {};
}

IoResult<void> SimulatedDisk::RemoveDirectory(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (const int error = Begin("remove directory", path)) return std::unexpected(error);
  const IoResult<Place> place = FindPlace(path);
  if (!place) return std::unexpected(place.error());
  if (!place->node) return std::unexpected(ENOENT);
  if (!place->node->is_directory) return std::unexpected(ENOTDIR);
  if (!place->node->names.empty()) return std::unexpected(ENOTEMPTY);
  place->directory->ChangeNames({place->name, nullptr, ""});
  return {};
}

IoResult<std::vector<std::string>> SimulatedDisk::List(const std::string& directory) {
  std::lock_guard lock(mutex_);
  if (const int error = Begin("list", directory)) return std::unexpected(error);
  const NodePtr node = Find(directory);
  if (!node) return std::unexpected(ENOENT);
  if (!node->is_directory) return std::unexpected(ENOTDIR);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->names) names.push_back(name);
  return names;
}

int SimulatedDisk::Begin(std::string_view what, const std::string& path) {
  const uint64_t operation = operations_.size();
  operations_.push_back(std::string(what) + " " + path);
  if (operation >= crash_after_) return EIO;
  for (const Faults& fault : faults_) {
    if (operation >= fault.first && operation - fault.first < fault.count && fault.error != 0) return fault.error;
  }
  return 0;
}

bool SimulatedDisk::IsShort(uint64_t operation) const {
  return std::ranges::any_of(faults_,
                             [&](const Faults& fault) { return fault.first == operation && fault.error == 0; });
}

SimulatedDisk::NodePtr SimulatedDisk::Find(const std::string& path) const {
  if (path.empty() || path == "/") return root_;
  const IoResult<Place> place = FindPlace(path);
  return place ? place->node : nullptr;
}

IoResult<SimulatedDisk::Place> SimulatedDisk::FindPlace(const std::string& path) const {
  const auto [parent, name] = SplitPath(path);
  CHECK(!name.empty());
  const NodePtr directory = Find(parent);
  if (!directory) return std::unexpected(ENOENT);
  if (!directory->is_directory) return std::unexpected(ENOTDIR);
  const auto found = directory->names.find(name);
  return Place{directory, name, found == directory->names.end() ? nullptr : found->second};
}

SimulatedDisk::OpenFile* SimulatedDisk::FindOpen(int fd) {
  const auto found = open_.find(fd);
  return found == open_.end() ? nullptr : &found->second;
}

}  // namespace tributary::base
