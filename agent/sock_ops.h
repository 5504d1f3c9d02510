// SockOps: bpf/identity.bpf.c, loaded and attached: asks the kernel which process is at the other end of an accepted
// TCP connection. Right whatever the addresses say, and one system call; knows nothing of clients on other nodes, nor
// of those that connected before it was attached. Attach before listening, then: an accepted connection cannot be older
// than its listener. Lives on the loop's thread.
//
// Needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, a kernel with BTF (5.14 or later) and the unified cgroup hierarchy.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "bpf/events.h"

struct identity_bpf;  // generated

namespace tributary::agent {

class SockOps {
 public:
  // Hears of the connects of every process below `cgroup_directory`, until it is destroyed.
  static base::Result<std::unique_ptr<SockOps>> Attach(const std::string& cgroup_directory);
  ~SockOps();
  SockOps(const SockOps&) = delete;
  SockOps& operator=(const SockOps&) = delete;

  // Connects to `port`, and connections accepted at it, are looked at from now on.
  void AddPort(uint16_t port);

  // Of an accepted socket; nothing when the kernel did not see its client connect.
  std::optional<tributary_sender> SenderOf(int socket) const;

  // By tributary_identity_count.
  std::array<uint64_t, TRIBUTARY_IDENTITY_COUNTS> Counts() const;

 private:
  struct Unload {
    void operator()(identity_bpf* skeleton) const;
  };

  explicit SockOps(identity_bpf* skeleton) : skeleton_(skeleton) {}

  std::unique_ptr<identity_bpf, Unload> skeleton_;
};

}  // namespace tributary::agent
