// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who connected: tells a server's socket which process is at the other end, when that is one of this kernel's.
 *
 * Addresses cannot tell: DNAT, masquerading and network namespaces rewrite them, and a host's pods share one. But both
 * ends of a TCP connection agree on its two initial sequence numbers, which nobody rewrites:
 *
 *   client: connect()         TCP_CONNECT_CB            records the caller with the client's socket
 *   client: SYN-ACK arrives   ACTIVE_ESTABLISHED_CB     publishes the record under the pair of numbers
 *   server: ACK arrives       PASSIVE_ESTABLISHED_CB    moves it to the server's socket
 *
 * The client is established before it sends the ACK that establishes the server, so the record is there in time. The
 * process is read in TCP_CONNECT_CB alone: the other two run in whatever task a packet happens to arrive in. The agent
 * asks for a record by the descriptor that it accepted, with one system call; the kernel frees it with the socket.
 *
 * Attached (sockops) at the root of the unified cgroup hierarchy, it is called for TCP connections of the whole node,
 * several times each: what is not about a port of ours must leave early. It changes nothing and refuses nothing.
 *
 * Not known: clients of other nodes, by design, and senders behind a proxy in user space, which is the sender then. TCP
 * Fast Open turns the order of the two ESTABLISHED around: no record. Whoever connects and hands the socket on stays
 * the sender. */
#include "bpf/events.h"
#include "bpf/kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One bit per TCP port: those the agent listens at, and those that clients name when DNAT leads to them. */
volatile __u64 ports[65536 / 64];

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct tributary_sender);
} senders SEC(".maps");

/* Between the two ESTABLISHED, which is microseconds. What is published and never fetched (the server is elsewhere)
 * ages out. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u64);
  __type(value, struct tributary_sender);
} established SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, TRIBUTARY_IDENTITY_COUNTS);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static void count(enum tributary_identity_count what) {
  __u32 key = what;
  __u64* value = bpf_map_lookup_elem(&counts, &key);
  if (value) ++*value;
}

static bool is_ours(__u32 port) {
  port &= 0xffff;
  return ports[port / 64] >> (port % 64) & 1;
}

static struct tributary_sender* storage_of(struct bpf_sock* sk) {
  struct tributary_sender* sender = bpf_sk_storage_get(&senders, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!sender) count(TRIBUTARY_STORAGE_FAILED);
  return sender;
}

static void record(struct bpf_sock_ops* ops, struct bpf_sock* sk) {
  struct tributary_sender* sender = storage_of(sk);
  if (!sender) return;
  struct task_struct* task = (void*)bpf_get_current_task();
  sender->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
  sender->start_boottime_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  sender->netns_cookie = bpf_get_netns_cookie(ops);
  sender->tgid = BPF_CORE_READ(task, tgid);
  sender->uid = BPF_CORE_READ(task, cred, uid.val);
  BPF_CORE_READ_STR_INTO(&sender->comm, task, group_leader, comm);
  count(TRIBUTARY_CONNECTS);
}

/* The connection's name, the same from both ends: the client's first sequence number, then the server's. */
static __u64 connection_name(__u32 of_client, __u32 of_server) { return (__u64)of_client << 32 | of_server; }

static void publish(struct bpf_sock_ops* ops, struct bpf_sock* sk) {
  struct tributary_sender* sender = bpf_sk_storage_get(&senders, sk, 0, 0);
  if (!sender) return; /* connected before we were attached */
  __u64 name = connection_name(ops->snd_una, ops->rcv_nxt);
  bpf_map_update_elem(&established, &name, sender, BPF_ANY);
}

static void fetch(struct bpf_sock_ops* ops, struct bpf_sock* sk) {
  __u64 name = connection_name(ops->rcv_nxt, ops->snd_una);
  struct tributary_sender* published = bpf_map_lookup_elem(&established, &name);
  if (!published) {
    count(TRIBUTARY_NOT_JOINED);
    return;
  }
  struct tributary_sender* sender = storage_of(sk);
  if (!sender) return;
  *sender = *published;
  bpf_map_delete_elem(&established, &name);
  count(TRIBUTARY_JOINED);
}

SEC("sockops")
int identify(struct bpf_sock_ops* ops) {
  __u32 op = ops->op;
  if (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
      op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
    return 1;
  }
  bool passive = op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
  if (!is_ours(passive ? ops->local_port : bpf_ntohl(ops->remote_port))) return 1;
  struct bpf_sock* sk = ops->sk;
  if (!sk) return 1;
  if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) record(ops, sk);
  if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) publish(ops, sk);
  if (passive) fetch(ops, sk);
  return 1;
}
