#include "agent/sock_ops.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "base/socket.h"
#include "tests/agent/node_sandbox.h"

namespace tributary::agent {
namespace {

// What a client says of itself as soon as it is connected, to be compared with what the kernel says.
struct Claim {
  uint64_t cgroup_id = 0;
  pid_t process = 0;
};

// A blocking socket, connected; dies otherwise. In a client's process.
int ConnectTo(const sockaddr* address, socklen_t length) {
  const int socket = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0 || ::connect(socket, address, length) != 0) ::_exit(102);
  return socket;
}

void SendClaims(const std::string& address_text, uint64_t cgroup_id, int connections) {
  const base::Address address = *base::Address::Parse(address_text);
  for (int i = 0; i < connections; ++i) {
    const int socket = ConnectTo(address.get(), address.length);
    const Claim claim{cgroup_id, ::getpid()};
    if (::send(socket, &claim, sizeof claim, 0) != sizeof claim) ::_exit(103);
    ::close(socket);
  }
}

class SockOpsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto sandbox = NodeSandbox::Make();
    if (!sandbox) GTEST_SKIP() << "no node to play with: " << sandbox.error().message;
    sandbox_.emplace(std::move(*sandbox));
    auto sock_ops = SockOps::Attach(sandbox_->cgroup_mount());
    if (!sock_ops) GTEST_SKIP() << "no BPF here: " << sock_ops.error().message;
    sock_ops_ = std::move(*sock_ops);
    network_ = sandbox_->AddNetwork();
  }

  // Listens in `network`; blocking, and heard by the kernel's side.
  base::Fd ListenAt(const base::Fd& network, const std::string& address) {
    base::Fd listener;
    sandbox_->InNetwork(network, [&] {
      const auto parsed = base::Address::Parse(address);
      ASSERT_TRUE(parsed) << parsed.error().message;
      auto bound = base::Listen(*parsed);
      ASSERT_TRUE(bound) << bound.error().message;
      listener = std::move(*bound);
    });
    const int flags = ::fcntl(listener.get(), F_GETFL);
    ::fcntl(listener.get(), F_SETFL, flags & ~O_NONBLOCK);
    return listener;
  }

  struct Accepted {
    Claim claim;
    std::optional<tributary_sender> sender;
    std::string peer;
  };

  Accepted Accept(const base::Fd& listener) {
    const base::Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Accepted accepted{.sender = sock_ops_->SenderOf(socket.get())};
    accepted.peer = base::PeerAddress(socket.get()).ToString();
    EXPECT_EQ(::recv(socket.get(), &accepted.claim, sizeof accepted.claim, MSG_WAITALL),
              static_cast<ssize_t>(sizeof accepted.claim));
    return accepted;
  }

  static void ExpectRight(const Accepted& accepted) {
    ASSERT_TRUE(accepted.sender) << accepted.peer;
    EXPECT_EQ(accepted.sender->cgroup_id, accepted.claim.cgroup_id);
    EXPECT_EQ(accepted.sender->tgid, static_cast<uint32_t>(accepted.claim.process));
  }

  std::optional<NodeSandbox> sandbox_;
  std::unique_ptr<SockOps> sock_ops_;
  base::Fd network_;
};

TEST_F(SockOpsTest, NamesProcessAndCgroupOfALoopbackClient) {
  sock_ops_->AddPort(4317);
  const uint64_t cgroup_id = sandbox_->AddCgroup("client");
  const base::Fd listener = ListenAt(network_, "127.0.0.1:4317");
  const pid_t client = sandbox_->Run("client", network_, [&] { SendClaims("127.0.0.1:4317", cgroup_id, 1); });
  const Accepted accepted = Accept(listener);
  EXPECT_EQ(sandbox_->Wait(client), 0);
  ExpectRight(accepted);
  EXPECT_EQ(accepted.sender->tgid, static_cast<uint32_t>(client));
  EXPECT_EQ(accepted.sender->uid, ::getuid());
  EXPECT_STREQ(accepted.sender->comm, "sock_ops_test");
}

TEST_F(SockOpsTest, SpeaksIpv6) {
  sock_ops_->AddPort(4317);
  const uint64_t cgroup_id = sandbox_->AddCgroup("client");
  const base::Fd listener = ListenAt(network_, "[::1]:4317");
  const pid_t client = sandbox_->Run("client", network_, [&] { SendClaims("[::1]:4317", cgroup_id, 1); });
  const Accepted accepted = Accept(listener);
  EXPECT_EQ(sandbox_->Wait(client), 0);
  ExpectRight(accepted);
}

TEST_F(SockOpsTest, KnowsNothingOfPortsThatAreNotOurs) {
  const uint64_t cgroup_id = sandbox_->AddCgroup("client");
  const base::Fd listener = ListenAt(network_, "127.0.0.1:4317");
  const pid_t client = sandbox_->Run("client", network_, [&] { SendClaims("127.0.0.1:4317", cgroup_id, 1); });
  EXPECT_FALSE(Accept(listener).sender);
  EXPECT_EQ(sandbox_->Wait(client), 0);
  EXPECT_EQ(sock_ops_->Counts()[TRIBUTARY_CONNECTS], 0u);
}

TEST_F(SockOpsTest, NamesClientsThatAreGoneBeforeTheyAreAccepted) {
  sock_ops_->AddPort(4317);
  const uint64_t cgroup_id = sandbox_->AddCgroup("client");
  const base::Fd listener = ListenAt(network_, "127.0.0.1:4317");
  const pid_t client = sandbox_->Run("client", network_, [&] { SendClaims("127.0.0.1:4317", cgroup_id, 5); });
  EXPECT_EQ(sandbox_->Wait(client), 0);
  for (int i = 0; i < 5; ++i) ExpectRight(Accept(listener));
}

TEST_F(SockOpsTest, CountsAClientThatConnectedUnseen) {
  const uint64_t cgroup_id = sandbox_->AddCgroup("client");
  const base::Fd listener = ListenAt(network_, "127.0.0.1:4317");
  sock_ops_.reset();
  const pid_t client = sandbox_->Run("client", network_, [&] { SendClaims("127.0.0.1:4317", cgroup_id, 1); });
  EXPECT_EQ(sandbox_->Wait(client), 0);
  auto sock_ops = SockOps::Attach(sandbox_->cgroup_mount());
  ASSERT_TRUE(sock_ops) << sock_ops.error().message;
  sock_ops_ = std::move(*sock_ops);
  sock_ops_->AddPort(4317);
  EXPECT_FALSE(Accept(listener).sender);
}

// Pods' clients reach a hostPort: the destination is rewritten on the node, and so are source address and port.
TEST_F(SockOpsTest, IsRightThroughDnatAndMasqueradeForManyClientsAtOnce) {
  constexpr int kClients = 16, kConnections = 625;
  if (!sandbox_->CanTranslate()) GTEST_SKIP() << "no veth or no nftables here";
  const base::Fd agent = sandbox_->AddNetwork();
  const base::Fd pods = sandbox_->AddNetwork();
  sandbox_->Join(network_, "10.77.1.1/24", pods, "10.77.1.2/24");
  sandbox_->Join(network_, "10.77.2.1/24", agent, "10.77.2.2/24");
  sandbox_->InNetwork(network_, [] {
    Shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    Shell(R"(nft -f - <<'RULES'
table ip node {
  chain in { type nat hook prerouting priority -100; tcp dport 4317 dnat to 10.77.2.2:14317; }
  chain out { type nat hook postrouting priority 100; ip daddr 10.77.2.2 masquerade random,fully-random; }
}
RULES)");
  });
  if (HasFailure()) return;
  sock_ops_->AddPort(4317);   // what clients name
  sock_ops_->AddPort(14317);  // what is listened at
  const base::Fd listener = ListenAt(agent, "10.77.2.2:14317");

  std::vector<pid_t> clients;
  for (int i = 0; i < kClients; ++i) {
    const std::string cgroup = fmt::format("client{}", i);
    const uint64_t cgroup_id = sandbox_->AddCgroup(cgroup);
    clients.push_back(sandbox_->Run(cgroup, pods, [&] { SendClaims("10.77.1.1:4317", cgroup_id, kConnections); }));
  }
  std::map<pid_t, int> right;
  for (int i = 0; i < kClients * kConnections; ++i) {
    const Accepted accepted = Accept(listener);
    ASSERT_NO_FATAL_FAILURE(ExpectRight(accepted));
    EXPECT_TRUE(accepted.peer.starts_with("10.77.2.1:")) << accepted.peer;
    ++right[accepted.claim.process];
  }
  for (const pid_t client : clients) {
    EXPECT_EQ(sandbox_->Wait(client), 0);
    EXPECT_EQ(right[client], kConnections);
  }
  EXPECT_GE(sock_ops_->Counts()[TRIBUTARY_JOINED], uint64_t{kClients} * kConnections);
}

}  // namespace
}  // namespace tributary::agent
