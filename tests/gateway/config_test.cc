#include "gateway/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace tributary::gateway {
namespace {

using namespace std::chrono_literals;
using otlp::Signal;
using pipeline::OtlpClient;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Config Parse(const std::string& text) {
  auto config = Config::Parse(text, "gateway.yaml");
  EXPECT_TRUE(config) << config.error().message;
  return config ? std::move(*config) : Config();
}
std::string Fault(const std::string& text) {
  const auto config = Config::Parse(text, "gateway.yaml");
  EXPECT_FALSE(config) << text;
  return config ? "" : config.error().message;
}

TEST(GatewayConfig, WithoutAFileKeepsEverythingInALocalStore) {
  const auto config = Config::Load("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen.grpc, ":4317");
  EXPECT_EQ(config->listen.http, ":4318");
  EXPECT_EQ(config->listen.metrics, ":8888");
  EXPECT_EQ(config->listen.health, ":13133");
  ASSERT_EQ(config->sinks.size(), 1);
  EXPECT_EQ(config->sinks[0].name, "local");
  EXPECT_EQ(config->sinks[0].signals, otlp::SignalSet::All());
  const auto& local = std::get<LocalSettings>(config->sinks[0].target);
  EXPECT_EQ(local.store.path, "tributary-store.db");
  EXPECT_EQ(local.store.bytes_max, 512 << 20);
  EXPECT_EQ(local.store.age_max, 24h);
  EXPECT_EQ(local.pages, "127.0.0.1:8889");
}

TEST(GatewayConfig, ReadsSinksOfEveryType) {
  const Config config = Parse(R"(
sinks:
  - name: prometheus
    type: otlp
    protocol: http/protobuf
    endpoint: http://prometheus:9090/api/v1/otlp
    headers: {x-tenant: shop}
    compression: gzip
    signals: [metrics]
    batch: {items: 100, flush: 1s}
    concurrency: 4
    when: {service.name: cart}
  - {name: archive, type: file, path: /tmp/x.jsonl, rotation: {max_megabytes: 5, max_days: 7, max_backups: 3}}
  - {name: here, type: local, path: /tmp/x.db, limit: 64MiB, age: 2h, pages: ""}
)");
  ASSERT_EQ(config.sinks.size(), 3);
  const SinkSettings& prometheus = config.sinks[0];
  EXPECT_EQ(prometheus.name, "prometheus");
  EXPECT_EQ(prometheus.signals, otlp::SignalSet().With(Signal::kMetrics));
  EXPECT_FALSE(prometheus.when.empty());
  EXPECT_EQ(prometheus.delivery.batch_items_max, 100);
  EXPECT_EQ(prometheus.delivery.flush_after, 1s);
  EXPECT_EQ(prometheus.delivery.concurrency_max, 4);
  const auto& otlp = std::get<OtlpClient::Options>(prometheus.target);
  EXPECT_THAT(otlp.endpoints, ElementsAre("http://prometheus:9090/api/v1/otlp"));
  EXPECT_EQ(otlp.protocol, OtlpClient::Protocol::kHttpProtobuf);
  const auto& file = std::get<RotatingFile::Options>(config.sinks[1].target);
  EXPECT_EQ(file.path, "/tmp/x.jsonl");
  EXPECT_EQ(file.bytes_max, 5 << 20);
  EXPECT_EQ(file.days_max, 7);
  EXPECT_EQ(file.backups_max, 3);
  const auto& local = std::get<LocalSettings>(config.sinks[2].target);
  EXPECT_EQ(local.store.bytes_max, 64 << 20);
  EXPECT_EQ(local.store.age_max, 2h);
  EXPECT_EQ(local.pages, "");
}

TEST(GatewayConfig, TellsEveryFaultWithItsPlace) {
  EXPECT_THAT(Fault("sinks:\n  - {name: a, type: kafka}\n  - {name: b, type: file}\n  - {type: local, limit: 1MiB}\n"),
              AllOf(HasSubstr("gateway.yaml:2"), HasSubstr("sinks[0].type"), HasSubstr("gateway.yaml:3"),
                    HasSubstr("sinks[1]"), HasSubstr("path"), HasSubstr("sinks[2].limit"), HasSubstr("name")));
}

TEST(GatewayConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Fault("exporters: {}"), HasSubstr("exporters"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: local, endpoint: 'http://x'}]"), HasSubstr("endpoint"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: file, path: x, rotation: {max_hours: 1}}]"), HasSubstr("max_hours"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: local, signals: [spans]}]"),
              HasSubstr("sinks[0].signals: must be of traces, metrics and logs"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: local, pages: nowhere}]"), HasSubstr("sinks[0].pages"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: local, when: {x: {matches: y}}}]"), HasSubstr("sinks[0].when.x"));
}

TEST(GatewayConfig, RefusesSinksThatGetInEachOthersWay) {
  EXPECT_THAT(Fault("sinks: [{name: a, type: local}, {name: a, type: file, path: x}]"),
              HasSubstr("two sinks have this name"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: file, path: x}, {name: b, type: file, path: x}]"),
              HasSubstr("two sinks have this path"));
  EXPECT_THAT(Fault("sinks: [{name: a, type: local}, {name: b, type: local}]"), HasSubstr("two sinks have this path"));
}

TEST(GatewayConfig, SaysThatAFileIsMissing) {
  const auto config = Config::Load("/nowhere/gateway.yaml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, HasSubstr("/nowhere/gateway.yaml"));
}

}  // namespace
}  // namespace tributary::gateway
