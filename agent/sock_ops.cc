#include "agent/sock_ops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "bpf/identity.skel.h"

namespace tributary::agent {
namespace {

// libbpf explains a failure over many lines; they are for whoever asks for them.
int LogLine(libbpf_print_level, const char* format, va_list arguments) {
  if (!spdlog::should_log(spdlog::level::debug)) return 0;
  char line[1024];
  std::vsnprintf(line, sizeof line, format, arguments);
  spdlog::debug("libbpf: {}", std::string_view(line).substr(0, std::string_view(line).find_last_not_of('\n') + 1));
  return 0;
}

std::unexpected<base::Error> Explain(int error, const std::string& operation) {
  if (error == EPERM || error == EACCES) {
    return base::Fail("{}: not permitted; it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", operation);
  }
  return base::FailErrno(error, operation);
}

}  // namespace

base::Result<std::unique_ptr<SockOps>> SockOps::Attach(const std::string& cgroup_directory) {
  libbpf_set_print(LogLine);
  identity_bpf* skeleton = identity_bpf__open_and_load();
  if (skeleton == nullptr) return Explain(errno, "load BPF");
  std::unique_ptr<SockOps> sock_ops(new SockOps(skeleton));
  const base::Fd cgroup(::open(cgroup_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return base::FailErrno(errno, cgroup_directory);
  skeleton->links.identify = bpf_program__attach_cgroup(skeleton->progs.identify, cgroup.get());
  if (skeleton->links.identify == nullptr) return Explain(errno, "attach BPF to " + cgroup_directory);
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
  std::array<uint64_t, TRIBUTARY_IDENTITY_COUNTS> sums{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return sums;
  std::vector<uint64_t> of_cpus(cpus);
  for (uint32_t what = 0; what < sums.size(); ++what) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counts), &what, of_cpus.data()) != 0) continue;
    for (const uint64_t count : of_cpus) sums[what] += count;
  }
  return sums;
}

}  // namespace tributary::agent
