#include "agent/identity.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>

#include "base/socket.h"
#include "tests/agent/node_sandbox.h"

namespace tributary::agent {
namespace {

const std::string kUid = "7f0c0a4e-91f2-4b2e-8f0a-3c1d2e4f5a6b";
const std::string kContainerId(64, 'c');
const std::string kPod = "kubepods/pod" + kUid;
constexpr uint16_t kPort = 4317;

class IdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    auto sandbox = NodeSandbox::Make();
    if (!sandbox) GTEST_SKIP() << "no node to play with: " << sandbox.error().message;
    sandbox_.emplace(std::move(*sandbox));
    for (const std::string& cgroup : {std::string("kubepods"), kPod, kPod + "/" + kContainerId}) {
      sandbox_->AddCgroup(cgroup);
    }
    container_ = sandbox_->AddCgroup(kPod + "/" + kContainerId + "/nested");
    network_ = sandbox_->AddNetwork();
    sandbox_->InNetwork(network_, [&] {
      listener_ = std::move(*base::Listen(*base::Address::Parse("127.0.0.1:" + std::to_string(kPort))));
    });
    ::fcntl(listener_.get(), F_SETFL, ::fcntl(listener_.get(), F_GETFL) & ~O_NONBLOCK);
  }

  // A process in the container connects, and then stays until it is told to end or ends at once.
  base::Fd AcceptFromContainer(bool stays) {
    const pid_t client = sandbox_->Run(kPod + "/" + kContainerId + "/nested", network_, [stays] {
      const base::Address server = *base::Address::Parse("127.0.0.1:" + std::to_string(kPort));
      const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(socket, server.get(), server.length) != 0) ::_exit(102);
      char byte;
      if (stays) ::recv(socket, &byte, 1, 0);
    });
    if (!stays) {
      EXPECT_EQ(sandbox_->Wait(client), 0);
    }
    return base::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  static std::string Text(const std::shared_ptr<const std::string>& source) { return source ? *source : "nobody"; }

  std::optional<NodeSandbox> sandbox_;
  uint64_t container_ = 0;
  base::Fd network_, listener_;
};

TEST_F(IdentityTest, NamesContainerAndPodOfWhoeverConnected) {
  Identity identity;
  if (!identity.lacks().empty()) GTEST_SKIP() << "no BPF here: " << identity.lacks();
  identity.AddPort(kPort);
  const auto first = identity.SourceOf(AcceptFromContainer(false).get());
  EXPECT_EQ(Text(first), "container.id=" + kContainerId + ",k8s.pod.uid=" + kUid + ",comm=identity_test");
  EXPECT_EQ(identity.SourceOf(AcceptFromContainer(false).get()), first) << "one text for all that are the same";
  base::MetricsText metrics;
  identity.WriteMetrics(metrics);
  EXPECT_THAT(metrics.Render(), testing::HasSubstr("tributary_identity_connections_total{method=\"sockops\"} 2\n"));
}

TEST_F(IdentityTest, AsksInetDiagForWhatBpfDidNotSee) {
  const base::Fd accepted = AcceptFromContainer(true);
  std::optional<SockDiag::Owner> owner;
  sandbox_->InNetwork(network_, [&] { owner = SockDiag().ClientOf(accepted.get()); });
  ASSERT_TRUE(owner);
  EXPECT_EQ(owner->uid, ::getuid());
  EXPECT_EQ(owner->cgroup_id, container_);
}

TEST_F(IdentityTest, DoesNotGuessWhoAClientThatIsGoneWas) {
  const base::Fd accepted = AcceptFromContainer(false);
  sandbox_->InNetwork(network_, [&] { EXPECT_FALSE(SockDiag().ClientOf(accepted.get())); });
  EXPECT_FALSE(SockDiag().ClientOf(accepted.get())) << "and nothing of other networks";
}

TEST_F(IdentityTest, FindsACgroupByItsIdAndForgetsNoneThatIsGone) {
  const auto root = FindCgroupRoot();
  if (!root) GTEST_SKIP() << root.error().message;
  Cgroups cgroups(*root);
  const uint64_t id = sandbox_->AddCgroup("docker-" + kContainerId + ".scope");
  const uint64_t unseen = sandbox_->AddCgroup("unseen");
  ASSERT_NE(cgroups.Find(id), nullptr);
  EXPECT_EQ(cgroups.Find(id)->container_id, kContainerId);
  sandbox_.reset();
  ASSERT_NE(cgroups.Find(id), nullptr);
  EXPECT_EQ(cgroups.Find(id)->runtime, "docker");
  EXPECT_EQ(cgroups.Find(unseen), nullptr);
  EXPECT_EQ(Cgroups("").Find(id), nullptr);
}

TEST(Cgroups, ReadsTheHierarchiesOfVersionOne) {
  EXPECT_EQ(
      Cgroups::OwnerOf("9:name=systemd:/system.slice/shop.service\n4:memory:/docker/" + kContainerId + "\n0::/\n"),
      (CgroupOwner{.container_id = kContainerId, .pod_uid = "", .runtime = "", .systemd_unit = ""}));
  EXPECT_EQ(Cgroups::OwnerOf("4:memory:/\n1:name=systemd:/system.slice/shop.service\n0::/\n").systemd_unit,
            "shop.service");
  EXPECT_EQ(Cgroups::OwnerOf("nonsense\n::\n\n"), CgroupOwner());
}

}  // namespace
}  // namespace tributary::agent
