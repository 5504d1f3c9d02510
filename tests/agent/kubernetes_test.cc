#include "agent/kubernetes.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "tests/agent/api_server.h"

namespace tributary::agent {
namespace {

using test::ApiServer;
using testing::HasSubstr;

std::string PodJson(const std::string& uid, const std::string& container_id) {
  return fmt::format(R"({{"metadata":{{"uid":"{0}","name":"pod-{0}","namespace":"shop"}},"spec":{{"nodeName":"node1",)"
                     R"("containers":[{{"name":"main","image":"i:1"}}]}},)"
                     R"("status":{{"containerStatuses":[{{"name":"main","containerID":"containerd://{1}"}}]}}}})",
                     uid, container_id);
}

class KubernetesTest : public testing::Test {
 protected:
  KubernetesTest() {
    std::string path = testing::TempDir() + "/kubernetes.XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    std::ofstream(directory_ / "token") << "secret\n";
    options_ = {.api_server = server_.url(),
                .api_credentials = {.token_file = directory_ / "token", .ca_file = {}},
                .node_name = "node1",
                .kubelet = {},
                .kubelet_credentials = {},
                .cache_file = {},
                .fields = {},
                .retry = {.initial = std::chrono::milliseconds(5), .max = std::chrono::milliseconds(20)}};
  }
  ~KubernetesTest() override {
    kubernetes_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Start() { kubernetes_.emplace(loop_, pods_, options_); }
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) loop_.RunOnce(std::chrono::milliseconds(10));
  }
  bool Knows(const std::string& container_id) { return pods_.Find("", container_id).pod != nullptr; }
  void RunUntilKnown(const std::string& container_id) {
    RunUntil([&] { return Knows(container_id); });
  }
  std::string Metrics() {
    base::MetricsText metrics;
    kubernetes_->WriteMetrics(metrics);
    return metrics.Render();
  }

  std::filesystem::path directory_;
  ApiServer server_;
  Kubernetes::Options options_;
  base::Loop loop_;
  Pods pods_;
  std::optional<Kubernetes> kubernetes_;
};

TEST_F(KubernetesTest, ListsThePodsOfItsNodeAndWatchesThem) {
  server_.Put("a", PodJson("a", "a1"));
  Start();
  RunUntilKnown("a1");
  EXPECT_TRUE(kubernetes_->synced());
  server_.Put("b", PodJson("b", "b1"));
  RunUntilKnown("b1");
  server_.Put("a", PodJson("a", "a2"));
  RunUntilKnown("a2");
  server_.Delete("b");
  RunUntil([&] { return pods_.present().size() == 1; });
  EXPECT_TRUE(Knows("b1"));  // for a while
  const ApiServer::Seen seen = server_.seen();
  EXPECT_EQ(seen.lists, 1u);
  EXPECT_EQ(seen.watches, 1u);
  EXPECT_THAT(seen.last_url, HasSubstr("fieldSelector=spec.nodeName%3Dnode1"));
  EXPECT_THAT(seen.last_url, HasSubstr("allowWatchBookmarks=true"));
  EXPECT_EQ(seen.last_authorization, "Bearer secret");
}

TEST_F(KubernetesTest, GoesOnWhereADroppedWatchWas) {
  Start();
  RunUntil([&] { return server_.seen().watches == 1; });
  server_.Bookmark();
  server_.Put("a", PodJson("a", "a1"));
  RunUntilKnown("a1");
  server_.DropWatches();
  RunUntil([&] { return server_.seen().watches >= 2; });
  server_.Put("b", PodJson("b", "b1"));
  RunUntilKnown("b1");
  EXPECT_EQ(server_.seen().lists, 1u);
}

TEST_F(KubernetesTest, ListsAnewWhenItIsTooFarBehind) {
  server_.Put("a", PodJson("a", "a1"));
  server_.Put("b", PodJson("b", "b1"));
  Start();
  RunUntilKnown("b1");
  RunUntil([&] { return server_.seen().watches == 1; });
  server_.AnswerAllWith(500);
  RunUntil([&] { return !kubernetes_->api_error().empty(); });
  server_.Delete("a");
  server_.Put("c", PodJson("c", "c1"));
  server_.ForgetHistory();
  server_.AnswerAllWith(0);
  RunUntilKnown("c1");
  EXPECT_EQ(pods_.present().size(), 2u);
  EXPECT_GE(server_.seen().lists, 2u);
  EXPECT_THAT(Metrics(), HasSubstr("tributary_kubernetes_expired_total 1"));
  EXPECT_EQ(kubernetes_->api_error(), "");
}

TEST_F(KubernetesTest, KeepsWhatItKnowsWhileTheServerIsAway) {
  server_.Put("a", PodJson("a", "a1"));
  Start();
  RunUntilKnown("a1");
  server_.Stop();
  RunUntil([&] { return !kubernetes_->api_error().empty(); });
  EXPECT_TRUE(Knows("a1"));
  EXPECT_EQ(pods_.present().size(), 1u);
  server_.Put("b", PodJson("b", "b1"));
  server_.Start();
  RunUntilKnown("b1");
}

TEST_F(KubernetesTest, SaysWhatARefusalMeans) {
  server_.AnswerAllWith(403);
  Start();
  RunUntil([&] { return !kubernetes_->api_error().empty(); });
  EXPECT_THAT(kubernetes_->api_error(), HasSubstr("the service account may not list pods"));
  server_.AnswerAllWith(401);
  RunUntil([&] { return kubernetes_->api_error().find("401") != std::string::npos; });
  EXPECT_THAT(kubernetes_->api_error(), HasSubstr("token"));
  EXPECT_FALSE(kubernetes_->synced());
  server_.AnswerAllWith(0);
  RunUntil([&] { return kubernetes_->synced(); });
}

TEST_F(KubernetesTest, ReadsTheTokenAnewEachTime) {
  std::filesystem::remove(directory_ / "token");
  Start();
  RunUntil([&] { return !kubernetes_->api_error().empty(); });
  EXPECT_THAT(kubernetes_->api_error(), HasSubstr("no token can be read"));
  std::ofstream(directory_ / "token") << "another";
  RunUntil([&] { return kubernetes_->synced(); });
  EXPECT_EQ(server_.seen().last_authorization, "Bearer another");
}

TEST_F(KubernetesTest, OutlivesGarbage) {
  server_.Put("a", PodJson("a", "a1"));
  Start();
  RunUntilKnown("a1");
  RunUntil([&] { return server_.seen().watches == 1; });
  server_.SendToWatches("{\"type\":\"ADDED\"");
  RunUntil([&] { return !kubernetes_->api_error().empty(); });
  EXPECT_THAT(kubernetes_->api_error(), HasSubstr("malformed JSON"));
  EXPECT_TRUE(Knows("a1"));
  server_.ForgetHistory();  // and the garbage with it
  server_.Put("b", PodJson("b", "b1"));
  RunUntilKnown("b1");
}

TEST_F(KubernetesTest, TakesALineInAnyPieces) {
  server_.SetSlow(true);
  server_.Put("a", PodJson("a", "a1"));
  Start();
  RunUntilKnown("a1");
  server_.Put("b", PodJson("b", "b1"));
  server_.Put("c", PodJson("c", "c1"));
  RunUntilKnown("c1");
  EXPECT_TRUE(Knows("b1"));
}

TEST_F(KubernetesTest, AsksTheKubeletForWhatIsNotKnownYetAndNotTooOften) {
  ApiServer kubelet;
  kubelet.Put("new", PodJson("new", "n1"));
  options_.kubelet = kubelet.url();
  Start();
  for (int i = 0; i < 100; ++i) kubernetes_->Refresh();
  RunUntilKnown("n1");
  EXPECT_EQ(kubelet.seen().kubelet_lists, 1u);
  // What was asked for meanwhile is one more, a second later.
  kubelet.Put("newer", PodJson("newer", "n2"));
  loop_.Advance(std::chrono::seconds(1));
  RunUntilKnown("n2");
  EXPECT_EQ(kubelet.seen().kubelet_lists, 2u);
  kubelet.AnswerAllWith(403);
  loop_.Advance(std::chrono::seconds(1));
  RunUntil([&] {
    kubernetes_->Refresh();
    return !kubernetes_->kubelet_error().empty();
  });
  EXPECT_THAT(kubernetes_->kubelet_error(), HasSubstr("may not get nodes/pods"));
  EXPECT_TRUE(Knows("n1"));
}

TEST_F(KubernetesTest, RemembersInItsNextLife) {
  options_.cache_file = directory_ / "pods.json";
  server_.Put("a", PodJson("a", "a1"));
  Start();
  RunUntilKnown("a1");
  loop_.Advance(std::chrono::seconds(5));
  RunUntil([&] { return std::filesystem::exists(options_.cache_file); });
  kubernetes_.reset();
  server_.Stop();

  Pods pods;
  const Kubernetes again(loop_, pods, options_);
  ASSERT_NE(pods.Find("", "a1").pod, nullptr);
  EXPECT_EQ(pods.Find("", "a1").pod->name, "pod-a");
  EXPECT_FALSE(again.synced());
}

TEST_F(KubernetesTest, DoesWithoutADamagedMemory) {
  options_.cache_file = directory_ / "pods.json";
  std::ofstream(options_.cache_file) << "{\"items\":[{";
  server_.Put("a", PodJson("a", "a1"));
  Start();
  EXPECT_EQ(pods_.size(), 0u);
  RunUntilKnown("a1");
}

TEST_F(KubernetesTest, EndsAtOnceWhateverItWaitsFor) {
  Start();
  RunUntil([&] { return server_.seen().watches == 1; });
  kubernetes_.reset();  // a watch is under way; the test's time limit is what tells
}

}  // namespace
}  // namespace tributary::agent
