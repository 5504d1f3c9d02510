// What the path of a cgroup says about who runs in it. Every runtime and cgroup driver lays paths out in its own way,
// and nodes that are containers themselves (kind, k3d) put a prefix before it. So nothing is decided by prefix: the
// path is read from the inside out, for the innermost pod, and the outermost container within that. Whatever a
// container makes below its own cgroup (an init.scope, containers of its own) belongs to it. Any thread.
//
// The layouts, all in the test: cgroupfs and systemd drivers of the kubelet with containerd, CRI-O and Docker; Docker,
// Podman and ECS without Kubernetes; static pods, whose uid is a hash without dashes.
#pragma once

#include <string>
#include <string_view>

namespace tributary::agent {

struct CgroupOwner {
  std::string container_id;  // 64 hexadecimal digits, or ECS's 32 and a number
  std::string pod_uid;       // with dashes, as Kubernetes writes it; a static pod's is its configuration's hash
  std::string runtime;       // containerd, cri-o, docker, podman, where the path says so
  std::string systemd_unit;  // of processes in no container

  bool operator==(const CgroupOwner&) const = default;
};

// `path` is below the hierarchy's root, as in /proc/PID/cgroup.
CgroupOwner ParseCgroupPath(std::string_view path);

}  // namespace tributary::agent
