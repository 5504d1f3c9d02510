// Cgroups: from a cgroup's id, which is what the kernel tells, to who runs there, which its path says. Ids are of the
// unified hierarchy and never given twice, so what was found once stays true and is kept, for a while also after the
// cgroup is gone. Lives on the loop's thread; finding one for the first time costs a few microseconds there.
//
// A cgroup is opened by its id, which needs CAP_DAC_READ_SEARCH; without it the tree is walked instead, at most once a
// second. Nothing is found of a cgroup that is gone before it is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/cgroup_path.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace tributary::agent {

// Where the unified hierarchy's real root is mounted (a cgroup namespace shows its own root, which is not), or what is
// missing.
base::Result<std::string> FindCgroupRoot();

class Cgroups {
 public:
  static constexpr uint64_t kRootId = 1;

  // `root` is where the hierarchy is mounted; empty when it is nowhere, and nothing will be found.
  explicit Cgroups(std::string root);

  // Null when it is not known. Valid until the next call.
  const CgroupOwner* Find(uint64_t id);

  // What the hierarchies of version 1 say of a process, from the text of its /proc/PID/cgroup: the first that knows a
  // container, or else the first that knows a unit.
  static CgroupOwner OwnerOf(std::string_view proc_cgroup);

 private:
  static constexpr size_t kOwnersMax = 16 << 10;
  static constexpr base::Nanos kWalkInterval = std::chrono::seconds(1);

  const CgroupOwner* Keep(uint64_t id, std::string_view path);
  void Walk();

  std::string root_;
  base::Fd root_fd_;
  std::unordered_map<uint64_t, CgroupOwner> owners_;
  bool may_open_ = true;
  base::Time walked_{};
};

}  // namespace tributary::agent
