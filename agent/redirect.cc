#include "agent/redirect.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "agent/bpf.h"
#include "base/fd.h"
#include "bpf/events.h"
#include "bpf/redirect.skel.h"

namespace tributary::agent {

base::Result<std::unique_ptr<Redirect>> Redirect::Attach(const std::string& cgroup_directory, const Target& target) {
  in_addr address{};
  if (::inet_pton(AF_INET, target.ip4.c_str(), &address) != 1) {
    return base::Fail("'{}' is not an IPv4 address", target.ip4);
  }
  LogLibbpf();
  std::unique_ptr<Redirect> redirect(new Redirect(redirect_bpf__open()));
  redirect_bpf* skeleton = redirect->skeleton_.get();
  if (skeleton == nullptr) return FailBpf(errno, "open BPF");
  skeleton->rodata->agent_ip4 = address.s_addr;
  skeleton->rodata->named_ports[0] = htons(4317);
  skeleton->rodata->named_ports[1] = htons(4318);
  skeleton->rodata->agent_ports[0] = htons(target.grpc_port);
  skeleton->rodata->agent_ports[1] = htons(target.http_port);
  if (const int error = redirect_bpf__load(skeleton); error != 0) return FailBpf(-error, "load BPF");

  // connect4 first, by which we say who we are; before that all is as if the others were not there.
  const std::pair<bpf_program*, bpf_link**> attachments[] = {
      {skeleton->progs.getpeername4, &skeleton->links.getpeername4},
      {skeleton->progs.getpeername6, &skeleton->links.getpeername6},
      {skeleton->progs.connect6, &skeleton->links.connect6},
      {skeleton->progs.connect4, &skeleton->links.connect4}};
  for (const auto& [program, link] : attachments) {
    auto attached = AttachToCgroup(program, cgroup_directory);
    if (!attached) return std::unexpected(attached.error());
    *link = *attached;
  }
  if (base::Status status = redirect->SayWhoWeAre(); !status) return std::unexpected(status.error());
  return redirect;
}

// By connecting a UDP socket, which sends nothing.
base::Status Redirect::SayWhoWeAre() {
  const base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0)
    return base::FailErrno(errno, "SO_COOKIE");
  skeleton_->bss->agent_socket = cookie;
  sockaddr_in discard{};
  discard.sin_family = AF_INET;
  discard.sin_port = htons(9);
  discard.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&discard), sizeof discard);
  skeleton_->bss->agent_socket = 0;
  if (connected != 0) return base::FailErrno(errno, "connect to ourselves");
  if (skeleton_->bss->agent_tgid == 0) return base::Fail("this process is not below the cgroup hierarchy's root");
  return {};
}

void Redirect::Unload::operator()(redirect_bpf* skeleton) const { redirect_bpf__destroy(skeleton); }

Redirect::~Redirect() = default;

void Redirect::WriteMetrics(base::MetricsText& metrics) const {
  constexpr std::array<std::string_view, TRIBUTARY_REDIRECT_COUNTS> kResults = {"redirected", "left_alone", "failed"};
  std::array<uint64_t, TRIBUTARY_REDIRECT_COUNTS> counts{};
  SumOverCpus(bpf_map__fd(skeleton_->maps.counts), counts);
  for (size_t i = 0; i < counts.size(); ++i) {
    metrics.Counter("tributary_redirect_connects_total",
                    "Connects to localhost's OTLP ports on this node; left_alone: somebody listens there.",
                    {{"result", kResults[i]}}, static_cast<double>(counts[i]));
  }
}

}  // namespace tributary::agent
