#include "agent/sock_ops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>

#include "agent/bpf.h"
#include "bpf/identity.skel.h"

namespace tributary::agent {

base::Result<std::unique_ptr<SockOps>> SockOps::Attach(const std::string& cgroup_directory) {
  LogLibbpf();
  std::unique_ptr<SockOps> sock_ops(new SockOps(identity_bpf__open_and_load()));
  identity_bpf* skeleton = sock_ops->skeleton_.get();
  if (skeleton == nullptr) return FailBpf(errno, "load BPF");
  auto link = AttachToCgroup(skeleton->progs.identify, cgroup_directory);
  if (!link) return std::unexpected(link.error());
  skeleton->links.identify = *link;
  return sock_ops;
}

void SockOps::Unload::operator()(identity_bpf* skeleton) const { identity_bpf__destroy(skeleton); }

SockOps::~SockOps() = default;

void SockOps::AddPort(uint16_t port) {
  volatile auto& word = skeleton_->bss->ports[port / 64];
  word = word | uint64_t{1} << (port % 64);
}

std::optional<tributary_sender> SockOps::SenderOf(int socket) const {
  tributary_sender sender;
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.senders), &socket, &sender) != 0) return std::nullopt;
  return sender;
}

std::array<uint64_t, TRIBUTARY_IDENTITY_COUNTS> SockOps::Counts() const {
  std::array<uint64_t, TRIBUTARY_IDENTITY_COUNTS> counts{};
  SumOverCpus(bpf_map__fd(skeleton_->maps.counts), counts);
  return counts;
}

}  // namespace tributary::agent
