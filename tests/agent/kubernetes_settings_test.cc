#include "agent/kubernetes_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace tributary::agent {
namespace {

using testing::HasSubstr;

class KubernetesSettingsTest : public testing::Test {
 protected:
  KubernetesSettingsTest() {
    for (const char* name : {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "K8S_NODE_NAME"}) ::unsetenv(name);
    std::ofstream(token_) << "t";
  }
  ~KubernetesSettingsTest() override { ::unlink(token_.c_str()); }

  // `text` is the section's content; {TOKEN} stands for a file that is there.
  KubernetesSettings Read(std::string text) {
    if (const size_t at = text.find("{TOKEN}"); at != std::string::npos) text.replace(at, 7, token_);
    auto document = base::ParseYaml("kubernetes: {" + text + "}", "f");
    EXPECT_TRUE(document.has_value());
    KubernetesSettings settings = ReadKubernetes(document->root(), "/state");
    const base::Status status = document->Finish();
    fault_ = status ? "" : status.error().message;
    return settings;
  }

  const std::string token_ = testing::TempDir() + "/token." + std::to_string(::getpid());
  std::string fault_;
};

TEST_F(KubernetesSettingsTest, AskNoClusterWhereThereIsNone) {
  EXPECT_FALSE(Read("").cluster.has_value());
  EXPECT_EQ(fault_, "");
}

TEST_F(KubernetesSettingsTest, TakeFromTheEnvironmentWhatAPodIsTold) {
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
  ::setenv("K8S_NODE_NAME", "node7", 1);
  const auto cluster = Read("token_file: \"{TOKEN}\"").cluster;
  ASSERT_TRUE(cluster.has_value());
  EXPECT_EQ(cluster->api_server, "https://[fd00::1]:6443");
  EXPECT_EQ(cluster->node_name, "node7");
  EXPECT_EQ(cluster->kubelet, "https://127.0.0.1:10250");
  EXPECT_TRUE(cluster->api_credentials.verify_certificate);
  EXPECT_FALSE(cluster->kubelet_credentials.verify_certificate);
  EXPECT_EQ(cluster->cache_file, "/state/pods.json");
  EXPECT_FALSE(Read("token_file: \"{TOKEN}\", enabled: false").cluster.has_value());
  EXPECT_FALSE(Read("token_file: /nowhere").cluster.has_value());  // a pod without a service account
}

TEST_F(KubernetesSettingsTest, SayWhatIsMissing) {
  Read("enabled: true");
  EXPECT_THAT(fault_, HasSubstr("api_server"));
  EXPECT_THAT(fault_, HasSubstr("K8S_NODE_NAME"));
  Read("enabled: true, node: n, api_server: \"10.0.0.1\", kubelet: localhost");
  EXPECT_THAT(fault_, HasSubstr("api_server"));
  EXPECT_THAT(fault_, HasSubstr("kubelet"));
}

TEST_F(KubernetesSettingsTest, ReadWhatBecomesAttributes) {
  const KubernetesSettings settings =
      Read("labels: [tier], annotations: [team], service_from_labels: true, pods_file: /p");
  EXPECT_EQ(settings.fields.labels, std::vector<std::string>{"tier"});
  EXPECT_EQ(settings.fields.annotations, std::vector<std::string>{"team"});
  EXPECT_TRUE(settings.fields.service_from_labels);
  EXPECT_EQ(settings.pods_file, "/p");
  Read("pods_file: /p, enabled: true");
  EXPECT_THAT(fault_, HasSubstr("instead of a cluster"));
}

}  // namespace
}  // namespace tributary::agent
