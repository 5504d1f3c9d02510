// SockDiag: asks the kernel, by netlink, whose the other end of a TCP connection is. Needs no privilege and no BPF, and
// knows only clients in the agent's own network namespace that are not gone yet: applications of this host itself. A
// question is one datagram, answered before it returns: some microseconds on the loop's thread.
// https://www.man7.org/linux/man-pages/man7/sock_diag.7.html
#pragma once

#include <cstdint>
#include <optional>

#include "base/fd.h"

namespace tributary::agent {

class SockDiag {
 public:
  struct Owner {
    uint32_t uid = 0;
    uint64_t cgroup_id = 0;  // 0: the kernel does not say
  };

  SockDiag();

  // Of the client's end of an accepted TCP socket; nothing when it is not in this network namespace.
  std::optional<Owner> ClientOf(int accepted) const;

 private:
  base::Fd netlink_;  // invalid: this kernel has none, and nothing is known
};

}  // namespace tributary::agent
