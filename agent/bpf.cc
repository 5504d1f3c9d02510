#include "agent/bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace tributary::agent {
namespace {

int LogLine(libbpf_print_level, const char* format, va_list arguments) {
  if (!spdlog::should_log(spdlog::level::debug)) return 0;
  char line[1024];
  std::vsnprintf(line, sizeof line, format, arguments);
  const std::string_view text(line);
  spdlog::debug("libbpf: {}", text.substr(0, text.find_last_not_of('\n') + 1));
  return 0;
}

}  // namespace

void LogLibbpf() { libbpf_set_print(LogLine); }

std::unexpected<base::Error> FailBpf(int error, const std::string& operation) {
  if (error == EPERM || error == EACCES) {
    return base::Fail("{}: not permitted; it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", operation);
  }
  return base::FailErrno(error, operation);
}

base::Result<bpf_link*> AttachToCgroup(const bpf_program* program, const std::string& cgroup_directory) {
  const base::Fd cgroup(::open(cgroup_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return base::FailErrno(errno, cgroup_directory);
  bpf_link* link = bpf_program__attach_cgroup(program, cgroup.get());
  if (link == nullptr) return FailBpf(errno, "attach BPF to " + cgroup_directory);
  return link;
}

void SumOverCpus(int map, std::span<uint64_t> sums) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return;
  std::vector<uint64_t> of_cpus(static_cast<size_t>(cpus));
  for (uint32_t i = 0; i < sums.size(); ++i) {
    if (bpf_map_lookup_elem(map, &i, of_cpus.data()) != 0) continue;
    for (const uint64_t count : of_cpus) sums[i] += count;
  }
}

}  // namespace tributary::agent
