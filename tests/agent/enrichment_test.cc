#include "agent/enrichment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "otlp/wire.h"

namespace tributary::agent {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

// What an empty Resource becomes: "key" -> "=value" when a sender's own value is kept, "!value" when it is replaced.
std::map<std::string, std::string> Given(const otlp::ResourceEdit& edit) {
  std::map<std::string, std::string> given;
  for (const auto& attribute : edit.attributes()) {
    const std::string_view encoded = base::AsText(attribute.encoded);
    const std::string_view value = encoded.substr(encoded.find(attribute.key) + attribute.key.size());
    // KeyValue.value: its tag and length, AnyValue: a tag, and for a string a length.
    const bool is_text = value[2] == '\x0a';
    given[attribute.key] = (attribute.conflict == otlp::ResourceEdit::Conflict::kKeep ? "=" : "!") +
                           (is_text ? std::string(value.substr(4)) : "#" + std::to_string(value[3]));
  }
  return given;
}

constexpr std::string_view kContainer = "container.id=c1,container.runtime=containerd,k8s.pod.uid=u1,comm=shop";

Pod Shop() {
  Pod pod;
  pod.uid = "u1";
  pod.name = "shop-7";
  pod.namespace_name = "market";
  Container container;
  container.name = "till";
  container.id = "c1";
  pod.containers.push_back(container);
  return pod;
}

class EnrichmentTest : public testing::Test {
 protected:
  std::map<std::string, std::string> EditOf(std::string_view source) {
    return Given(enrichment_.EditOf(base::AsBytes(source)));
  }

  Pods pods_;
  int refreshes_ = 0;
  Enrichment enrichment_{
      pods_,
      [this] { ++refreshes_; },
      {.host = {{"host.name", "node"}}, .given = {{"env", "prod"}}, .fields = {}, .awaits_pods = true}};
};

TEST_F(EnrichmentTest, GivesANobodyWhatThisHostIsAndWhatTheFileSays) {
  EXPECT_THAT(EditOf(""), UnorderedElementsAre(Pair("host.name", "=node"), Pair("env", "=prod")));
}

TEST_F(EnrichmentTest, TellsOfAProcessOfTheHostWhatItDidNotSayItself) {
  EXPECT_THAT(EditOf("systemd.unit=shop.service,process.pid=77,process.executable.name=shop,process.user.id=0"),
              UnorderedElementsAre(Pair("systemd.unit", "=shop.service"), Pair("process.pid", "=#77"),
                                   Pair("process.executable.name", "=shop"), Pair("process.user.id", "=#0"),
                                   Pair("host.name", "=node"), Pair("env", "=prod")));
}

TEST_F(EnrichmentTest, LetsTheKernelsWordOnContainerAndPodWin) {
  pods_.Put(Shop());
  const auto given = EditOf(kContainer);
  EXPECT_EQ(given.at("container.id"), "!c1");
  EXPECT_EQ(given.at("k8s.pod.uid"), "!u1");
  EXPECT_EQ(given.at("k8s.pod.name"), "!shop-7");
  EXPECT_EQ(given.at("k8s.container.name"), "!till");
  EXPECT_EQ(given.at("service.namespace"), "=market");
  EXPECT_EQ(given.at("host.name"), "=node");
  EXPECT_FALSE(given.contains("comm"));
  EXPECT_FALSE(given.contains("process.executable.name"));
  EXPECT_TRUE(enrichment_.IsComplete(base::AsBytes(kContainer)));
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(EnrichmentTest, AsksForAPodItDoesNotKnowAndTellsOfItOnceItIsThere) {
  EXPECT_EQ(EditOf(kContainer).at("k8s.pod.uid"), "!u1");
  EXPECT_FALSE(EditOf(kContainer).contains("k8s.pod.name"));
  EXPECT_FALSE(enrichment_.IsComplete(base::AsBytes(kContainer)));
  EXPECT_EQ(refreshes_, 1);
  Pod pod = Shop();
  pod.containers.clear();
  pods_.Put(pod);
  EXPECT_EQ(EditOf(kContainer).at("k8s.pod.name"), "!shop-7");
  EXPECT_FALSE(EditOf(kContainer).contains("k8s.container.name"));
  EXPECT_FALSE(enrichment_.IsComplete(base::AsBytes(kContainer)));
  EXPECT_EQ(refreshes_, 2);
  pods_.Put(Shop());
  EXPECT_EQ(EditOf(kContainer).at("k8s.container.name"), "!till");
  EXPECT_TRUE(enrichment_.IsComplete(base::AsBytes(kContainer)));
  EXPECT_EQ(refreshes_, 2);
  base::MetricsText metrics;
  enrichment_.WriteMetrics(metrics);
  EXPECT_THAT(metrics.Render(), testing::HasSubstr("tributary_identity_incomplete_total{reason=\"unknown_pod\"} 1"));
  EXPECT_THAT(metrics.Render(),
              testing::HasSubstr("tributary_identity_incomplete_total{reason=\"unknown_container\"} 1"));
}

TEST_F(EnrichmentTest, ExpectsNoPodsWhereNobodyTellsOfAny) {
  enrichment_.SetOptions({});
  EXPECT_TRUE(enrichment_.IsComplete(base::AsBytes(kContainer)));
  EXPECT_EQ(refreshes_, 0);
}

TEST_F(EnrichmentTest, LeavesTheClaimsOfAForwarderAloneAndSaysWhatTheyCameVia) {
  pods_.Put(Shop());
  EXPECT_THAT(EditOf("container.id=c1,k8s.pod.uid=u1,comm=otelcol-contrib"),
              UnorderedElementsAre(Pair("tributary.via.container.id", "=c1"), Pair("tributary.via.k8s.pod.uid", "=u1"),
                                   Pair("tributary.via.k8s.pod.name", "=shop-7"),
                                   Pair("tributary.via.k8s.namespace.name", "=market"), Pair("env", "=prod")));
}

TEST_F(EnrichmentTest, TakesNothingFromASourceThatIsNotWellFormed) {
  EXPECT_THAT(EditOf("container.id=c1,nonsense"),
              UnorderedElementsAre(Pair("host.name", "=node"), Pair("env", "=prod")));
}

TEST_F(EnrichmentTest, FollowsANewConfiguration) {
  EditOf(kContainer);
  enrichment_.SetOptions({.host = {}, .given = {{"env", "test"}}, .fields = {}});
  EXPECT_EQ(EditOf(kContainer).at("env"), "=test");
  EXPECT_THAT(EditOf(""), UnorderedElementsAre(Pair("env", "=test")));
}

}  // namespace
}  // namespace tributary::agent
