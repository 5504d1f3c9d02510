#include "agent/redirect.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "base/socket.h"
#include "tests/agent/node_sandbox.h"

namespace tributary::agent {
namespace {

using testing::HasSubstr;

// A node with an agent at 10.78.0.1, and a pod that reaches it.
class RedirectTest : public testing::Test {
 protected:
  void SetUp() override {
    auto sandbox = NodeSandbox::Make();
    if (!sandbox) GTEST_SKIP() << "no node to play with: " << sandbox.error().message;
    sandbox_.emplace(std::move(*sandbox));
    if (!sandbox_->CanTranslate()) GTEST_SKIP() << "no veth here";
    sandbox_->AddCgroup("pod");
    node_ = sandbox_->AddNetwork();
    pod_ = sandbox_->AddNetwork();
    sandbox_->Join(node_, "10.78.0.1/24", pod_, "10.78.0.2/24");
    agent_ = Listen(node_, "10.78.0.1:14317");
    auto redirect = Redirect::Attach(sandbox_->cgroup_mount(), {"10.78.0.1", 14317, 14318});
    if (!redirect) GTEST_SKIP() << "no BPF here: " << redirect.error().message;
    redirect_ = std::move(*redirect);
  }

  base::Fd Listen(const base::Fd& network, const std::string& address) {
    base::Fd listener;
    sandbox_->InNetwork(network, [&] { listener = std::move(*base::Listen(*base::Address::Parse(address))); });
    return listener;
  }

  // Connects to `address` as a process of the pod does. Whom it then believes to be connected to, or the error.
  std::string ConnectFromPod(const std::string& address, bool ipv6_only = false) {
    int tell[2];
    EXPECT_EQ(::pipe2(tell, O_CLOEXEC), 0);
    const pid_t process = sandbox_->Run("pod", pod_, [&] {
      const base::Address to = *base::Address::Parse(address);
      const int socket = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
      const int only = ipv6_only;
      if (to.family() == AF_INET6) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
      std::string told = ::connect(socket, to.get(), to.length) == 0 ? base::PeerAddress(socket).ToString()
                                                                     : std::string(strerrorname_np(errno));
      if (::write(tell[1], told.data(), told.size()) < 0) ::_exit(104);
    });
    EXPECT_EQ(sandbox_->Wait(process), 0);
    char text[100];
    const ssize_t length = ::read(tell[0], text, sizeof text);
    ::close(tell[0]);
    ::close(tell[1]);
    return std::string(text, length > 0 ? static_cast<size_t>(length) : 0);
  }

  static bool Accepts(const base::Fd& listener) { return base::Accept(listener.get()).valid(); }

  std::string Metrics() const {
    base::MetricsText metrics;
    redirect_->WriteMetrics(metrics);
    return metrics.Render();
  }

  std::optional<NodeSandbox> sandbox_;
  base::Fd node_, pod_, agent_;
  std::unique_ptr<Redirect> redirect_;
};

TEST_F(RedirectTest, LeadsLocalhostOfAPodToTheAgentAndDoesNotSaySo) {
  EXPECT_EQ(ConnectFromPod("127.0.0.1:4317"), "127.0.0.1:4317");
  EXPECT_TRUE(Accepts(agent_));
  EXPECT_EQ(ConnectFromPod("127.8.9.10:4317"), "127.8.9.10:4317");
  EXPECT_TRUE(Accepts(agent_));
  EXPECT_THAT(Metrics(), HasSubstr("tributary_redirect_connects_total{result=\"redirected\"} 2\n"));
}

TEST_F(RedirectTest, LeadsIpv6ThereByAMappedAddress) {
  EXPECT_EQ(ConnectFromPod("[::1]:4317"), "[::1]:4317");
  EXPECT_TRUE(Accepts(agent_));
  EXPECT_EQ(ConnectFromPod("[::ffff:127.0.0.1]:4317"), "[::ffff:127.0.0.1]:4317");
  EXPECT_TRUE(Accepts(agent_));
  EXPECT_EQ(ConnectFromPod("[::1]:4317", true), "ENETUNREACH") << "and the caller tries IPv4";
  EXPECT_FALSE(Accepts(agent_));
}

TEST_F(RedirectTest, KnowsBothPortsApart) {
  const base::Fd http = Listen(node_, "10.78.0.1:14318");
  EXPECT_EQ(ConnectFromPod("127.0.0.1:4318"), "127.0.0.1:4318");
  EXPECT_TRUE(Accepts(http));
  EXPECT_FALSE(Accepts(agent_));
}

TEST_F(RedirectTest, LeavesASidecarItsConnections) {
  for (const char* address : {"127.0.0.1:4317", "[::1]:4317", ":4317"}) {
    SCOPED_TRACE(address);
    const base::Fd sidecar = Listen(pod_, address);
    const std::string to = address[0] == '[' ? "[::1]:4317" : "127.0.0.1:4317";
    EXPECT_EQ(ConnectFromPod(to), to);
    EXPECT_TRUE(Accepts(sidecar));
  }
  EXPECT_FALSE(Accepts(agent_));
  EXPECT_THAT(Metrics(), HasSubstr("tributary_redirect_connects_total{result=\"left_alone\"} 3\n"));
}

// Who connects to "localhost" tries ::1 first, and must be refused there to find a sidecar at 127.0.0.1.
TEST_F(RedirectTest, LeavesWhoeverTriesTheOtherFamilyToFindTheSidecar) {
  const base::Fd sidecar = Listen(pod_, "127.0.0.1:4317");
  EXPECT_EQ(ConnectFromPod("[::1]:4317"), "ECONNREFUSED");
  EXPECT_FALSE(Accepts(agent_));
}

TEST_F(RedirectTest, LeavesOtherPortsAndAddressesAlone) {
  EXPECT_EQ(ConnectFromPod("127.0.0.1:4319"), "ECONNREFUSED");
  EXPECT_EQ(ConnectFromPod("10.78.0.1:4317"), "ECONNREFUSED");
  EXPECT_EQ(ConnectFromPod("10.78.0.1:14317"), "10.78.0.1:14317");
  EXPECT_TRUE(Accepts(agent_));
  EXPECT_THAT(Metrics(), HasSubstr("tributary_redirect_connects_total{result=\"redirected\"} 0\n"));
}

TEST_F(RedirectTest, DoesNotLeadTheAgentToItself) {
  sandbox_->InNetwork(pod_, [] {
    const base::Address to = *base::Address::Parse("127.0.0.1:4317");
    const base::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket.get(), to.get(), to.length), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
  });
  EXPECT_FALSE(Accepts(agent_));
}

TEST_F(RedirectTest, GoesWithTheAgent) {
  redirect_.reset();
  EXPECT_EQ(ConnectFromPod("127.0.0.1:4317"), "ECONNREFUSED");
}

TEST_F(RedirectTest, SaysWhatIsNoAddress) {
  const auto redirect = Redirect::Attach(sandbox_->cgroup_mount(), {"fd00::1", 4317, 4318});
  ASSERT_FALSE(redirect);
  EXPECT_EQ(redirect.error().message, "'fd00::1' is not an IPv4 address");
}

}  // namespace
}  // namespace tributary::agent
