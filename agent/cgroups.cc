#include "agent/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace tributary::agent {
namespace {

// A kernfs file handle is the node's 64-bit id. Since Linux 5.5; <linux/exportfs.h> is not for programs.
constexpr int kFileIdKernfs = 0xfe;

base::Fd OpenById(int mount, uint64_t id) {
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof id> storage{};
  auto* handle = reinterpret_cast<file_handle*>(storage.data());
  handle->handle_bytes = sizeof id;
  handle->handle_type = kFileIdKernfs;
  std::memcpy(handle->f_handle, &id, sizeof id);
  return base::Fd(::open_by_handle_at(mount, handle, O_PATH | O_CLOEXEC));
}

// Where `fd` is now; empty when that is nowhere any more.
std::string PathOf(int fd) {
  std::array<char, PATH_MAX> target;
  const ssize_t length = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target.data(), target.size());
  if (length <= 0) return "";
  const std::string_view path(target.data(), static_cast<size_t>(length));
  return path.ends_with(" (deleted)") ? "" : std::string(path);
}

}  // namespace

base::Result<std::string> FindCgroupRoot() {
  std::ifstream mounts("/proc/self/mounts");
  bool mounted = false;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device, directory, type;
    fields >> device >> directory >> type;
    if (type != "cgroup2") continue;
    mounted = true;
    struct stat status{};
    if (::stat(directory.c_str(), &status) == 0 && status.st_ino == Cgroups::kRootId) return directory;
  }
  if (!mounted) return base::Fail("no cgroup2 file system is mounted");
  return base::Fail("only a part of the cgroup hierarchy is visible; mount the host's /sys/fs/cgroup");
}

Cgroups::Cgroups(std::string root) : root_(std::move(root)) {
  if (!root_.empty()) root_fd_ = base::Fd(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

const CgroupOwner* Cgroups::Find(uint64_t id) {
  if (const auto kept = owners_.find(id); kept != owners_.end()) return &kept->second;
  if (!root_fd_.valid()) return nullptr;
  if (may_open_) {
    const base::Fd cgroup = OpenById(root_fd_.get(), id);
    if (cgroup.valid()) {
      const std::string path = PathOf(cgroup.get());
      return path.starts_with(root_) ? Keep(id, std::string_view(path).substr(root_.size())) : nullptr;
    }
    may_open_ = errno != EPERM && errno != EOPNOTSUPP;
    if (may_open_) return nullptr;
  }
  const base::Time now = base::Clock::now();
  if (now - walked_ < kWalkInterval) return nullptr;
  walked_ = now;
  Walk();
  const auto walked = owners_.find(id);
  return walked != owners_.end() ? &walked->second : nullptr;
}

const CgroupOwner* Cgroups::Keep(uint64_t id, std::string_view path) {
  if (owners_.size() >= kOwnersMax) owners_.clear();
  return &(owners_[id] = ParseCgroupPath(path));
}

void Cgroups::Walk() {
  using Iterator = std::filesystem::recursive_directory_iterator;
  std::error_code error;
  for (Iterator entry(root_, std::filesystem::directory_options::skip_permission_denied, error), end;
       !error && entry != end; entry.increment(error)) {
    if (!entry->is_directory(error) || error) continue;
    struct stat status{};
    const std::string& path = entry->path().native();
    if (::lstat(path.c_str(), &status) == 0) Keep(status.st_ino, std::string_view(path).substr(root_.size()));
  }
}

CgroupOwner Cgroups::OwnerOf(std::string_view proc_cgroup) {
  CgroupOwner first;
  while (!proc_cgroup.empty()) {
    const std::string_view line = proc_cgroup.substr(0, proc_cgroup.find('\n'));
    proc_cgroup.remove_prefix(std::min(proc_cgroup.size(), line.size() + 1));
    // "4:memory:/docker/<id>"
    const size_t controllers = line.find(':');
    const size_t path = line.find(':', controllers + 1);
    if (controllers == line.npos || path == line.npos) continue;
    CgroupOwner owner = ParseCgroupPath(line.substr(path + 1));
    if (!owner.container_id.empty() || !owner.pod_uid.empty()) return owner;
    if (first.systemd_unit.empty()) first = std::move(owner);
  }
  return first;
}

}  // namespace tributary::agent
