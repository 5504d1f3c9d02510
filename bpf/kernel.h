/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own structs, as far as the programs here read them. A field is found by its name in the BTF of the
 * kernel that runs (CO-RE), not by its place in these declarations, so no generated vmlinux.h is needed and the build
 * machine's kernel does not matter. */
#ifndef TRIBUTARY_BPF_KERNEL_H_
#define TRIBUTARY_BPF_KERNEL_H_

/* libbpf's headers want the kernel's types before them. */
/* clang-format off */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
/* clang-format on */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
  __u32 val;
} kuid_t;

struct cred {
  kuid_t uid;
};

struct kernfs_node {
  __u64 id;
};

struct cgroup {
  struct kernfs_node* kn;
};

struct css_set {
  struct cgroup* dfl_cgrp; /* of the unified hierarchy */
};

struct task_struct {
  int tgid;
  __u64 start_boottime;
  struct task_struct* group_leader;
  char comm[16];
  const struct cred* cred;
  struct css_set* cgroups;
};

#pragma clang attribute pop

#endif /* TRIBUTARY_BPF_KERNEL_H_ */
