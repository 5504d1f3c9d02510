#include "agent/sock_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "base/socket.h"

namespace tributary::agent {
namespace {

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 request;
};

// Port and address as inet_diag wants them. A v4-mapped address stands for the IPv4 connection that it is.
void Put(const base::Address& address, uint8_t& family, __be16& port, __be32 (&host)[4]) {
  if (address.family() == AF_INET) {
    const auto& v4 = *reinterpret_cast<const sockaddr_in*>(address.get());
    family = AF_INET;
    port = v4.sin_port;
    host[0] = v4.sin_addr.s_addr;
    return;
  }
  const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address.get());
  port = v6.sin6_port;
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
  family = mapped ? AF_INET : AF_INET6;
  std::memcpy(host, v6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
}

}  // namespace

SockDiag::SockDiag() : netlink_(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)) {}

std::optional<SockDiag::Owner> SockDiag::ClientOf(int accepted) const {
  const base::Address client = base::PeerAddress(accepted), server = base::LocalAddress(accepted);
  if (client.family() != AF_INET && client.family() != AF_INET6) return std::nullopt;
  Question question{};
  question.header = {.nlmsg_len = sizeof question,
                     .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                     .nlmsg_flags = NLM_F_REQUEST,
                     .nlmsg_seq = 0,
                     .nlmsg_pid = 0};
  inet_diag_req_v2& request = question.request;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~0u;
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  // The client's socket: its own address is what we see as the peer's.
  Put(client, request.sdiag_family, request.id.idiag_sport, request.id.idiag_src);
  Put(server, request.sdiag_family, request.id.idiag_dport, request.id.idiag_dst);
  if (::send(netlink_.get(), &question, sizeof question, 0) != sizeof question) return std::nullopt;

  alignas(nlmsghdr) std::array<char, 4096> answer;
  const ssize_t bytes = ::recv(netlink_.get(), answer.data(), answer.size(), 0);
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (bytes < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg))) || !NLMSG_OK(header, bytes) ||
      header->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
    return std::nullopt;
  }
  const auto* message = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
  if (message->idiag_inode == 0) return std::nullopt;  // closed already; nobody's
  Owner owner{.uid = message->idiag_uid};
  auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
  for (const auto* attribute = reinterpret_cast<const rtattr*>(message + 1); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != INET_DIAG_CGROUP_ID || RTA_PAYLOAD(attribute) != sizeof owner.cgroup_id) continue;
    std::memcpy(&owner.cgroup_id, RTA_DATA(attribute), sizeof owner.cgroup_id);
  }
  return owner;
}

}  // namespace tributary::agent
