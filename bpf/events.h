/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's side tells the agent, in structs that both sides include. Explicit padding, never packed. */
#ifndef TRIBUTARY_BPF_EVENTS_H_
#define TRIBUTARY_BPF_EVENTS_H_

#include <linux/types.h>

/* The process that called connect(), as it was when it called. tgid and start_boottime_ns together name a process
 * for ever; a tgid alone is given again. */
struct tributary_sender {
  __u64 cgroup_id; /* of the unified hierarchy: the inode of the cgroup's directory */
  __u64 start_boottime_ns;
  __u64 netns_cookie;
  __u32 tgid; /* in the initial pid namespace */
  __u32 uid;  /* in the initial user namespace */
  char comm[16];
};

/* What identity.bpf.c counts, by index into its map `counts`. */
enum tributary_identity_count {
  TRIBUTARY_CONNECTS,       /* connects to a port of ours, recorded */
  TRIBUTARY_JOINED,         /* server sockets that were told their sender */
  TRIBUTARY_NOT_JOINED,     /* server sockets whose client this kernel did not see connect */
  TRIBUTARY_STORAGE_FAILED, /* no memory to record a connect or a sender */
  TRIBUTARY_IDENTITY_COUNTS,
};

/* What redirect.bpf.c counts, by index into its map `counts`. */
enum tributary_redirect_count {
  TRIBUTARY_REDIRECTED,      /* connects to a local OTLP port that were led to the agent */
  TRIBUTARY_LEFT_ALONE,      /* connects to one where somebody in the caller's network listens */
  TRIBUTARY_REDIRECT_FAILED, /* no memory to remember what the caller asked for: left alone */
  TRIBUTARY_REDIRECT_COUNTS,
};

#endif /* TRIBUTARY_BPF_EVENTS_H_ */
