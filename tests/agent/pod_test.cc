#include "agent/pod.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tributary::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr PodFields kPlain;

std::string Example(const std::string& name) {
  std::ifstream file(std::string(TRIBUTARY_POD_EXAMPLES) + "/" + name);
  EXPECT_TRUE(file.good());
  return (std::stringstream() << file.rdbuf()).str();
}

Pod OnlyPod(const std::string& example, const PodFields& fields = kPlain) {
  const auto list = ParsePodList(Example(example), fields);
  EXPECT_TRUE(list.has_value());
  EXPECT_EQ(list->pods.size(), 1u);
  return list->pods.at(0);
}

// The attributes that a request without any gets.
std::map<std::string, std::string> Attributes(const Pod& pod, const Container* container, const PodFields& fields) {
  otlp::ResourceEdit edit;
  AddAttributes(pod, container, fields, edit);
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  request.add_resource_spans();
  const base::Bytes bytes(request.SerializeAsString());
  base::Slices out;
  otlp::SpliceResource(bytes, edit, out);
  const base::Bytes flat = out.Flatten();
  EXPECT_TRUE(request.ParseFromArray(flat.data(), static_cast<int>(flat.size())));
  std::map<std::string, std::string> attributes;
  for (const auto& attribute : request.resource_spans(0).resource().attributes()) {
    std::string text = attribute.value().string_value();
    for (const auto& value : attribute.value().array_value().values()) text += "[" + value.string_value() + "]";
    attributes[attribute.key()] = text;
  }
  return attributes;
}

Pod OwnedBy(const char* kind, const char* name) {
  Pod pod{.uid = "u", .name = "p", .namespace_name = "n"};
  pod.owner_kind = kind;
  pod.owner_name = name;
  return pod;
}

TEST(Pod, IsReadFromTheListOfAnApiServer) {
  const auto list = ParsePodList(Example("deployment.json"), {.labels = {"tier"}});
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->resource_version, "1042");
  ASSERT_EQ(list->pods.size(), 1u);  // what has no uid or is no pod is left out
  const Pod& pod = list->pods[0];
  EXPECT_EQ(pod.uid, "6f32ee86-5c29-4560-b482-44c3de2d6e75");
  EXPECT_EQ(pod.name, "api-6d4cf56db6-x2x7k");
  EXPECT_EQ(pod.namespace_name, "shop");
  EXPECT_EQ(pod.node_name, "node1");
  EXPECT_EQ(pod.start_time, "2026-11-22T10:00:00Z");
  EXPECT_EQ(pod.owner_kind, "ReplicaSet");  // the controller, not whoever else owns it
  EXPECT_EQ(Lookup(pod.labels, "tier"), "backend");
  EXPECT_EQ(Lookup(pod.annotations, "note"), "");
  ASSERT_EQ(pod.containers.size(), 3u);
  EXPECT_EQ(pod.containers[0].name, "api");
  EXPECT_EQ(pod.containers[0].id, "4745e8d6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(pod.containers[0].previous_id, "0745e8d6aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(pod.containers[1].id, "");  // not running yet
  EXPECT_EQ(pod.containers[2].name, "migrate");
}

TEST(Pod, IsWrittenAndReadAgain) {
  const PodFields fields{.labels = {"tier"}, .annotations = {"note"}};
  Pod strange = OwnedBy("Job", "j");
  strange.labels = {{"tier", "\"quoted\"\n\\"}};
  strange.static_uid = "own";
  strange.annotations = {{"kubernetes.io/config.hash", "own"}};
  const Pod api = OnlyPod("deployment.json", fields);
  const std::string written = FormatPodList({&api, &strange});
  EXPECT_THAT(written, testing::Not(HasSubstr("hidden")));
  const auto list = ParsePodList(written, fields);
  ASSERT_TRUE(list.has_value());
  EXPECT_THAT(list->pods, ElementsAre(api, strange));
}

TEST(Pod, TellsOfAStaticPodByTheNameOfItsCgroup) {
  const auto event = ParsePodEvent(Example("events.json"), kPlain);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, PodEvent::Kind::kPut);
  EXPECT_EQ(event->pod.uid, "aaaa");
  EXPECT_EQ(event->pod.static_uid, "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(event->resource_version, "77");
}

TEST(Pod, SaysWhatAWatchSays) {
  const auto bookmark = ParsePodEvent(Example("bookmark.json"), kPlain);
  ASSERT_TRUE(bookmark.has_value());
  EXPECT_EQ(bookmark->kind, PodEvent::Kind::kBookmark);
  EXPECT_EQ(bookmark->resource_version, "99");
  const auto expired = ParsePodEvent(Example("expired.json"), kPlain);
  ASSERT_TRUE(expired.has_value());
  EXPECT_EQ(expired->kind, PodEvent::Kind::kExpired);
  EXPECT_EQ(expired->detail, "too old resource version: 5 (90)");
  const auto other = ParsePodEvent(R"({"type":"ERROR","object":{"code":500,"message":"etcd is away"}})", kPlain);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->kind, PodEvent::Kind::kError);
}

TEST(Pod, RefusesWhatIsNoListAndNoEvent) {
  EXPECT_THAT(ParsePodList("{", kPlain).error().message, HasSubstr("malformed JSON"));
  EXPECT_THAT(ParsePodList(R"({"kind":"Status"})", kPlain).error().message, HasSubstr("kind \"Status\""));
  EXPECT_TRUE(ParsePodList(R"({"items":null})", kPlain).has_value());
  EXPECT_FALSE(ParsePodEvent(R"({"type":"ADDED","object":{"metadata":{"name":"x"}}})", kPlain).has_value());
  EXPECT_FALSE(ParsePodEvent(R"({"type":"RENAMED"})", kPlain).has_value());
  EXPECT_FALSE(ParsePodEvent("", kPlain).has_value());
}

TEST(PodAttributes, AreThoseOfTheSemanticConventions) {
  const Pod pod = OnlyPod("deployment.json");
  const std::map<std::string, std::string> expected = {
      {"k8s.pod.name", "api-6d4cf56db6-x2x7k"},
      {"k8s.pod.uid", "6f32ee86-5c29-4560-b482-44c3de2d6e75"},
      {"k8s.pod.start_time", "2026-11-22T10:00:00Z"},
      {"k8s.namespace.name", "shop"},
      {"k8s.node.name", "node1"},
      {"k8s.deployment.name", "api"},
      {"k8s.replicaset.name", "api-6d4cf56db6"},
      {"k8s.container.name", "api"},
      {"container.image.name", "registry.example:5000/shop/api"},
      {"container.image.tags", "[1.4]"},
      {"service.name", "api"},
      {"service.namespace", "shop"},
      {"service.version", "1.4@sha256:abcd"},
      {"service.instance.id", "shop.api-6d4cf56db6-x2x7k.api"},
      {"deployment.environment.name", "production"},
  };
  EXPECT_EQ(Attributes(pod, &pod.containers[0], kPlain), expected);
}

TEST(PodAttributes, NameTheServiceByLabelsOnlyWhenAsked) {
  const PodFields fields{.labels = {"tier"}, .service_from_labels = true};
  const auto attributes = Attributes(OnlyPod("deployment.json", fields), nullptr, fields);
  EXPECT_EQ(attributes.at("service.name"), "api-blue");
  EXPECT_EQ(attributes.at("service.version"), "1.5");
  EXPECT_EQ(attributes.at("k8s.pod.label.tier"), "backend");
  EXPECT_EQ(attributes.at("service.instance.id"), "shop.api-6d4cf56db6-x2x7k");
  EXPECT_FALSE(attributes.contains("k8s.container.name"));
}

TEST(PodAttributes, KnowEveryKindOfController) {
  struct Case {
    const char* kind;
    const char* name;
    std::map<std::string, std::string> owners;
    const char* service;
  };
  const Case cases[] = {
      {"StatefulSet", "db", {{"k8s.statefulset.name", "db"}}, "db"},
      {"DaemonSet", "log", {{"k8s.daemonset.name", "log"}}, "log"},
      {"Job", "once", {{"k8s.job.name", "once"}}, "once"},
      {"Job", "report-29387520", {{"k8s.cronjob.name", "report"}, {"k8s.job.name", "report-29387520"}}, "report"},
      {"Job", "v-2938752x", {{"k8s.job.name", "v-2938752x"}}, "v-2938752x"},
      {"ReplicaSet", "bare", {{"k8s.replicaset.name", "bare"}}, "bare"},
      {"Workflow", "w", {}, "p"},
      {"", "", {}, "p"},
  };
  for (const Case& row : cases) {
    auto attributes = Attributes(OwnedBy(row.kind, row.name), nullptr, kPlain);
    EXPECT_EQ(attributes["service.name"], row.service) << row.kind;
    std::erase_if(attributes, [](const auto& entry) {
      return !entry.first.starts_with("k8s.") || entry.first.starts_with("k8s.pod.") ||
             entry.first == "k8s.namespace.name";
    });
    EXPECT_EQ(attributes, row.owners) << row.kind << " " << row.name;
  }
}

TEST(PodAttributes, TakeAReplicaSetForADeploymentsOnlyByItsHash) {
  Pod pod = OwnedBy("ReplicaSet", "api-6d4cf56db6");
  EXPECT_FALSE(Attributes(pod, nullptr, kPlain).contains("k8s.deployment.name"));
  pod.labels = {{"pod-template-hash", "56db6"}};
  EXPECT_FALSE(Attributes(pod, nullptr, kPlain).contains("k8s.deployment.name"));
  pod.labels = {{"pod-template-hash", "6d4cf56db6"}};
  EXPECT_EQ(Attributes(pod, nullptr, kPlain).at("k8s.deployment.name"), "api");
}

TEST(PodAttributes, TakeImagesApart) {
  struct Case {
    const char* image;
    const char* name;
    const char* tags;
    const char* version;
  };
  const Case cases[] = {
      {"api", "api", "", ""},
      {"api:1", "api", "[1]", "1"},
      {"localhost:5000/api", "localhost:5000/api", "", ""},
      {"localhost:5000/api:1", "localhost:5000/api", "[1]", "1"},
      {"api@sha256:ab", "api", "", "sha256:ab"},
      {"r.example/a/api:1@sha256:ab", "r.example/a/api", "[1]", "1@sha256:ab"},
  };
  for (const Case& row : cases) {
    const Container container{.name = "c", .image = row.image};
    auto attributes = Attributes(OwnedBy("", ""), &container, kPlain);
    EXPECT_EQ(attributes["container.image.name"], row.name) << row.image;
    EXPECT_EQ(attributes["container.image.tags"], row.tags) << row.image;
    EXPECT_EQ(attributes["service.version"], row.version) << row.image;
  }
}

TEST(PodAttributes, AreAsTheAnnotationsSayButForWhatTheKernelKnows) {
  Pod pod = OwnedBy("Deployment", "d");
  pod.annotations = {{"resource.opentelemetry.io/service.name", "checkout"},
                     {"resource.opentelemetry.io/k8s.pod.name", "forged"}};
  const auto attributes = Attributes(pod, nullptr, kPlain);
  EXPECT_EQ(attributes.at("service.name"), "checkout");
  EXPECT_EQ(attributes.at("k8s.pod.name"), "p");
}

}  // namespace
}  // namespace tributary::agent
