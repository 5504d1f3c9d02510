// What the agent's users of libbpf share. Start-up, except for SumOverCpus.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

struct bpf_link;
struct bpf_program;

namespace tributary::agent {

// libbpf's many lines about a failure go to our log, at level debug. Once is enough.
void LogLibbpf();

// What `error` means of a call about BPF, and what to do about it.
std::unexpected<base::Error> FailBpf(int error, const std::string& operation);

// For every process below `cgroup_directory`, until the link is destroyed, which is the caller's to do.
base::Result<bpf_link*> AttachToCgroup(const bpf_program* program, const std::string& cgroup_directory);

// Adds up a BPF_MAP_TYPE_PERCPU_ARRAY of 64-bit counts, as many as `sums` has room for.
void SumOverCpus(int map, std::span<uint64_t> sums);

}  // namespace tributary::agent
