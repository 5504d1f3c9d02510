// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* localhost:4317 in every pod: leads connects to the local OTLP ports to the agent of the node.
 *
 * In a pod localhost is the pod's own, where nobody listens unless it has a collector as its sidecar. So a connect to a
 * loopback address and one of `ports` is rewritten to the agent's address, but only when in the caller's own network
 * namespace nobody listens at that port, of either family: who connects to "localhost" tries both, and a sidecar that
 * listens at one of them is to be found. getpeername() tells what the caller asked for. IPv6 goes by a v4-mapped
 * address; a socket that is IPv6 only is refused that, and its owner then tries IPv4.
 *
 * cgroup/connect4 and connect6 at the root of the unified hierarchy: they run in the caller's context for every connect
 * of the node, and leave early when it is not about us. When the agent goes, so do they, and everything is as without.
 * The agent's own connects are left alone, or it would send to itself. */
#include "bpf/events.h"
#include "bpf/kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PORTS 2
enum { TCP = 6, LISTEN = 10 }; /* IPPROTO_TCP, TCP_LISTEN */

/* Set before loading; all in network byte order. */
const volatile __u32 agent_ip4 = 0;
const volatile __u32 named_ports[PORTS] = {};
const volatile __u32 agent_ports[PORTS] = {};

/* The agent says who it is by connecting the socket of this cookie: its pid in our namespace it does not know. */
volatile __u64 agent_socket = 0;
volatile __u32 agent_tgid = 0;

/* What the caller of connect() asked for. */
struct asked {
  __u32 ip[4]; /* IPv4: the first */
  __u32 port;
};

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct asked);
} redirected SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, TRIBUTARY_REDIRECT_COUNTS);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static void count(enum tributary_redirect_count what) {
  __u32 key = what;
  __u64* value = bpf_map_lookup_elem(&counts, &key);
  if (value) ++*value;
}

static bool is_loopback4(__u32 ip) { return (ip & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000); }

/* Tells the agent's connects from others, and hears it say who it is. */
static bool is_agents(struct bpf_sock_addr* ctx) {
  struct task_struct* task = (void*)bpf_get_current_task();
  __u32 tgid = BPF_CORE_READ(task, tgid);
  if (agent_socket && bpf_get_socket_cookie(ctx) == agent_socket) agent_tgid = tgid;
  return tgid == agent_tgid;
}

/* The agent's port for the one that was named, or 0. */
static __u32 agent_port(__u32 port) {
  if (port == named_ports[0]) return agent_ports[0];
  if (port == named_ports[1]) return agent_ports[1];
  return 0;
}

static bool listens(struct bpf_sock_addr* ctx, struct bpf_sock_tuple* tuple, __u32 size) {
  struct bpf_sock* sk = bpf_skc_lookup_tcp(ctx, tuple, size, BPF_F_CURRENT_NETNS, 0);
  if (!sk) return false;
  bool found = sk->state == LISTEN;
  bpf_sk_release(sk);
  return found;
}

static bool anybody_listens(struct bpf_sock_addr* ctx, __u32 port) {
  struct bpf_sock_tuple tuple = {};
  tuple.ipv4.saddr = tuple.ipv4.daddr = bpf_htonl(0x7f000001);
  tuple.ipv4.dport = port;
  if (listens(ctx, &tuple, sizeof tuple.ipv4)) return true;
  __builtin_memset(&tuple, 0, sizeof tuple);
  tuple.ipv6.saddr[3] = tuple.ipv6.daddr[3] = bpf_htonl(1);
  tuple.ipv6.dport = port;
  return listens(ctx, &tuple, sizeof tuple.ipv6);
}

/* Where to remember what the caller asked for, when its connect to a loopback address is to be led to the agent. */
static struct asked* redirect(struct bpf_sock_addr* ctx) {
  if (anybody_listens(ctx, ctx->user_port)) {
    count(TRIBUTARY_LEFT_ALONE);
    return 0;
  }
  struct bpf_sock* sk = ctx->sk;
  if (!sk) return 0;
  struct asked* asked = bpf_sk_storage_get(&redirected, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  count(asked ? TRIBUTARY_REDIRECTED : TRIBUTARY_REDIRECT_FAILED);
  return asked;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr* ctx) {
  if (is_agents(ctx) || ctx->protocol != TCP || !is_loopback4(ctx->user_ip4)) return 1;
  __u32 port = agent_port(ctx->user_port);
  struct asked* asked = port ? redirect(ctx) : 0;
  if (!asked) return 1;
  asked->ip[0] = ctx->user_ip4;
  asked->port = ctx->user_port;
  ctx->user_ip4 = agent_ip4;
  ctx->user_port = port;
  return 1;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr* ctx) {
  if (is_agents(ctx) || ctx->protocol != TCP || ctx->user_ip6[0] || ctx->user_ip6[1]) return 1;
  bool loopback6 = !ctx->user_ip6[2] && ctx->user_ip6[3] == bpf_htonl(1);
  bool mapped4 = ctx->user_ip6[2] == bpf_htonl(0xffff) && is_loopback4(ctx->user_ip6[3]);
  if (!loopback6 && !mapped4) return 1;
  __u32 port = agent_port(ctx->user_port);
  struct asked* asked = port ? redirect(ctx) : 0;
  if (!asked) return 1;
  asked->ip[0] = asked->ip[1] = 0;
  asked->ip[2] = ctx->user_ip6[2];
  asked->ip[3] = ctx->user_ip6[3];
  asked->port = ctx->user_port;
  ctx->user_ip6[2] = bpf_htonl(0xffff);
  ctx->user_ip6[3] = agent_ip4;
  ctx->user_port = port;
  return 1;
}

/* A socket may have been connected again since, to where it really is now. */
static struct asked* asked_for(struct bpf_sock_addr* ctx, __u32 ip4) {
  struct bpf_sock* sk = ctx->sk;
  if (!sk || ip4 != agent_ip4) return 0;
  return bpf_sk_storage_get(&redirected, sk, 0, 0);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr* ctx) {
  struct asked* asked = asked_for(ctx, ctx->user_ip4);
  if (!asked) return 1;
  ctx->user_ip4 = asked->ip[0];
  ctx->user_port = asked->port;
  return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr* ctx) {
  struct asked* asked = asked_for(ctx, ctx->user_ip6[3]);
  if (!asked) return 1;
  ctx->user_ip6[2] = asked->ip[2];
  ctx->user_ip6[3] = asked->ip[3];
  ctx->user_port = asked->port;
  return 1;
}
