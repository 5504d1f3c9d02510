#include "agent/pods.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "tests/sanitized.h"

namespace tributary::agent {
namespace {

constexpr base::Time kNow = base::Time(std::chrono::hours(1));

Pod Make(const std::string& uid, const std::string& container_id, const std::string& previous_id = "") {
  return {.uid = uid,
          .static_uid = "static-" + uid,
          .name = "pod-" + uid,
          .namespace_name = {},
          .node_name = {},
          .start_time = {},
          .owner_kind = {},
          .owner_name = {},
          .labels = {},
          .annotations = {},
          .containers = {{.name = "main", .image = "i", .id = container_id, .previous_id = previous_id},
                         {.name = "waiting", .image = "i", .id = "", .previous_id = ""}}};
}

TEST(Pods, FindsByContainerAndByEitherUid) {
  Pods pods;
  pods.Put(Make("a", "a1"));
  for (const auto& found : {pods.Find("", "a1"), pods.Find("a", "a1"), pods.Find("static-a", "a1")}) {
    ASSERT_NE(found.pod, nullptr);
    EXPECT_EQ(found.pod->name, "pod-a");
    ASSERT_NE(found.container, nullptr);
    EXPECT_EQ(found.container->name, "main");
  }
  for (const auto& found : {pods.Find("a", ""), pods.Find("a", "not known yet"), pods.Find("static-a", "")}) {
    ASSERT_NE(found.pod, nullptr);
    EXPECT_EQ(found.container, nullptr);
  }
  EXPECT_EQ(pods.Find("", "").pod, nullptr);
  EXPECT_EQ(pods.Find("b", "b1").pod, nullptr);
}

TEST(Pods, FindsTheInstanceBeforeARestart) {
  Pods pods;
  pods.Put(Make("a", "a1"));
  pods.Put(Make("a", "a2", "a1"));
  EXPECT_EQ(pods.Find("", "a1").container->name, "main");
  EXPECT_EQ(pods.Find("", "a2").container->name, "main");
  pods.Put(Make("a", "a3", "a2"));
  EXPECT_EQ(pods.Find("", "a1").pod, nullptr);
}

TEST(Pods, KeepsADeletedPodForAWhile) {
  Pods pods;
  pods.Put(Make("a", "a1"));
  pods.Delete("a", kNow);
  EXPECT_TRUE(pods.present().empty());
  pods.Expire(kNow + Pods::kKeptAfterDeletion - base::Nanos(1));
  EXPECT_NE(pods.Find("a", "a1").pod, nullptr);
  pods.Expire(kNow + Pods::kKeptAfterDeletion);
  EXPECT_EQ(pods.Find("a", "a1").pod, nullptr);
  EXPECT_EQ(pods.Find("static-a", "").pod, nullptr);
  EXPECT_EQ(pods.size(), 0u);
}

TEST(Pods, PrefersTheNameThatPeopleSeeOfAStaticPod) {
  Pod mirror = Make("mirror", "s1"), own = Make("own", "s1");
  mirror.static_uid = own.static_uid = "own";
  for (const bool mirror_first : {true, false}) {
    Pods pods;
    pods.Put(mirror_first ? mirror : own);
    pods.Put(mirror_first ? own : mirror);
    EXPECT_EQ(pods.size(), 1u);
    EXPECT_EQ(pods.Find("own", "").pod->uid, "mirror");
    EXPECT_EQ(pods.Find("", "s1").pod->uid, "mirror");
  }
}

// A StatefulSet's pod comes again under its name, and a late word of the old one's end must not take it away.
TEST(Pods, TellsPodsOfOneNameApart) {
  Pods pods;
  Pod old_pod = Make("old", "o1"), new_pod = Make("new", "n1");
  old_pod.name = new_pod.name = "db-0";
  pods.Put(old_pod);
  pods.Put(new_pod);
  pods.Delete("old", kNow);
  pods.Expire(kNow + Pods::kKeptAfterDeletion);
  EXPECT_NE(pods.Find("new", "n1").pod, nullptr);
}

TEST(Pods, TakesAListForAllThereIs) {
  Pods pods;
  pods.Put(Make("a", "a1"));
  pods.Put(Make("b", "b1"));
  pods.Replace({Make("b", "b1"), Make("c", "c1")}, kNow);
  EXPECT_EQ(pods.present().size(), 2u);
  EXPECT_NE(pods.Find("a", "a1").pod, nullptr);  // for now
  pods.Replace({Make("a", "a1")}, kNow);         // it was there all the time
  pods.Expire(kNow + Pods::kKeptAfterDeletion);
  EXPECT_EQ(pods.size(), 1u);
  EXPECT_NE(pods.Find("a", "a1").pod, nullptr);
}

// A thousand pods of two containers, with what a pod of a Deployment has to say: the most that a node runs, and more.
TEST(Pods, TakeLittleMemory) {
  if (tests::kSanitized) GTEST_SKIP() << "the sanitizer's allocator does not tell";
  Pods pods;
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1'000; ++i) {
    const std::string id(61, static_cast<char>('a' + i % 26)), number = std::to_string(1000 + i);
    Pod pod = Make("6f32ee86-5c29-4560-b482-44c3de2d" + number, number + id, number + "f" + id);
    pod.static_uid.clear();
    pod.name = "checkout-service-6d4cf56db6-" + number;
    pod.namespace_name = "shop-production";
    pod.node_name = "ip-10-0-12-34.eu-central-1.compute.internal";
    pod.start_time = "2026-11-22T10:00:00Z";
    pod.owner_kind = "ReplicaSet";
    pod.owner_name = "checkout-service-6d4cf56db6";
    pod.labels = {{"pod-template-hash", "6d4cf56db6"}, {"app.kubernetes.io/name", "checkout-service"}};
    pod.annotations = {{"resource.opentelemetry.io/service.name", "checkout"}};
    pod.containers[0].image = pod.containers[1].image = "registry.example:5000/shop/checkout:2026-11-22@sha256:" + id;
    pod.containers[1].id = "0" + number + id;
    pods.Put(std::move(pod));
  }
  EXPECT_LE(mallinfo2().uordblks - before, size_t{4} << 20);
}

TEST(Pods, TellsWhenWhatItSaidMayBeStale) {
  Pods pods;
  pods.Put(Make("a", "a1"));
  const uint64_t version = pods.version();
  pods.Put(Make("a", "a1"));
  pods.Replace({Make("a", "a1")}, kNow);
  EXPECT_EQ(pods.version(), version);
  pods.Put(Make("a", "a2"));
  EXPECT_GT(pods.version(), version);
}

}  // namespace
}  // namespace tributary::agent
