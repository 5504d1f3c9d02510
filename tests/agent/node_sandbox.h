// NodeSandbox: cgroups and network namespaces made for one test, and processes to run in them, with the real kernel.
// Everything is undone when it goes: processes killed, cgroups removed, the network of the test itself as before.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace tributary {

class NodeSandbox {
 public:
  // An error says what this machine refuses (not root, no writable cgroup2, no namespaces).
  static base::Result<NodeSandbox> Make();
  ~NodeSandbox();
  NodeSandbox(NodeSandbox&&) = default;

  // Where the cgroup2 file system is mounted, and the sandbox's own directory in it.
  const std::string& cgroup_mount() const { return mount_; }
  const std::string& cgroup_directory() const { return directory_; }

  // Makes the cgroup `name` ("a" or "a/b") and returns its id.
  uint64_t AddCgroup(const std::string& name);

  // A network namespace with nothing but its loopback, which is up.
  base::Fd AddNetwork();
  // Runs `work` in `network`; sockets made in it stay there.
  void InNetwork(const base::Fd& network, const std::function<void()>& work);
  // Joins two namespaces by a veth pair with these addresses ("10.77.1.1/24").
  void Join(const base::Fd& left, const std::string& left_address, const base::Fd& right,
            const std::string& right_address);
  // Whether this machine has veth pairs and NAT by nftables.
  bool CanTranslate();

  // Runs `work` in a process of its own, in this cgroup and network; it exits with 0 unless `work` dies.
  pid_t Run(const std::string& cgroup, const base::Fd& network, const std::function<void()>& work);
  // The exit status, as wait() tells it.
  int Wait(pid_t process);

 private:
  NodeSandbox(std::string mount, std::string directory) : mount_(std::move(mount)), directory_(std::move(directory)) {}

  std::string mount_, directory_;  // empty when moved from
  std::vector<std::string> cgroups_;
  std::vector<pid_t> processes_;
  int veths_ = 0;
};

// Runs a shell command, and fails the test when it fails.
void Shell(const std::string& command);

}  // namespace tributary
