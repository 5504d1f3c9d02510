#include "gateway/gateway.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "pipeline/otlp_client.h"
#include "tests/gateway/otlp_text.h"

namespace tributary::gateway {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using otlp::Signal;
using pipeline::OtlpClient;
using pipeline::Outcome;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A whole gateway on Unix sockets, and a real OTLP client in front of it, on one loop.
class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    std::string pattern = (fs::temp_directory_path() / "gateway.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~GatewayTest() override {
    client_.reset();
    gateway_.reset();
    fs::remove_all(directory_);
  }

  std::string Path(const std::string& name) const { return directory_ / name; }
  std::string Socket() const { return "unix:" + Path("otlp"); }
  // A configuration with these sinks.
  Config Configure(const std::string& sinks, const std::string& more = "") const {
    auto config = Config::Parse(
        fmt::format("listen: {{grpc: '{}', http: '', metrics: '', health: ''}}\nlog: {{directory: {}}}\n{}sinks:\n{}",
                    Socket(), Path("log"), more, sinks),
        "test.yaml");
    EXPECT_TRUE(config) << config.error().message;
    return std::move(*config);
  }
  std::string FileSinkText(const std::string& name, const std::string& more = "") const {
    return fmt::format("  - {{name: {}, type: file, path: {}, batch: {{flush: 1ms}}{}}}\n", name, Path(name), more);
  }
  std::string LocalSinkText(const std::string& more = "") const {
    return fmt::format("  - {{name: local, type: local, path: {}, pages: '', batch: {{flush: 1ms}}{}}}\n",
                       Path("store.db"), more);
  }
  // An OTLP sink where nobody listens.
  std::string DeadSinkText() const {
    return fmt::format("  - {{name: dead, type: otlp, endpoint: 'unix:{}', batch: {{flush: 1ms}}}}\n", Path("nobody"));
  }

  void Start(Config config) {
    auto started = Gateway::Start(loop_, std::move(config));
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
    OtlpClient::Options options;
    options.endpoints = {Socket()};
    auto client = OtlpClient::Create(loop_, std::move(options));
    ASSERT_TRUE(client) << client.error().message;
    client_ = std::move(*client);
  }
  std::string StartError(Config config) {
    auto started = Gateway::Start(loop_, std::move(config));
    EXPECT_FALSE(started);
    return started ? "" : started.error().message;
  }
  void RunUntil(const std::function<bool()>& condition) {
    while (!condition()) loop_.RunOnce(base::Nanos::max());
  }
  // Sends one log record and waits for the gateway's answer.
  void Send(const std::string& service, const std::string& body) {
    const base::Bytes request = ToBytes(FromText<ExportLogsServiceRequest>(fmt::format(
        R"(resource_logs {{ resource {{ attributes {{ key: "service.name" value {{ string_value: "{}" }} }} }}
                       scope_logs {{ log_records {{ body {{ string_value: "{}" }} }} }} }})",
        service, body)));
    pipeline::Outgoing outgoing{.signal = Signal::kLogs, .items = 1};
    outgoing.request.Refer(request);
    std::optional<Outcome> outcome;
    client_->Send(outgoing, [&](Outcome told) { outcome = std::move(told); });
    RunUntil([&] { return outcome.has_value(); });
    EXPECT_EQ(outcome->kind, Outcome::Kind::kDelivered) << outcome->detail;
  }
  // The bodies of all log records in the file of a sink.
  std::vector<std::string> Bodies(const std::string& name) const {
    std::vector<std::string> bodies;
    std::ifstream in(Path(name));
    for (std::string line; std::getline(in, line);) {
      const auto logs = FromJson<ExportLogsServiceRequest>(line);
      for (const auto& container : logs.resource_logs()) {
        for (const auto& record : container.scope_logs(0).log_records()) bodies.push_back(record.body().string_value());
      }
    }
    return bodies;
  }
  void RunUntilBodies(const std::string& name, size_t count) {
    RunUntil([&] { return Bodies(name).size() >= count; });
  }
  std::string Drain(base::Nanos grace) {
    std::optional<std::string> rest;
    gateway_->Drain(grace, [&](std::string text) { rest = std::move(text); });
    RunUntil([&] { return rest.has_value(); });
    return *rest;
  }

  base::Loop loop_;
  fs::path directory_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<OtlpClient> client_;
};

TEST_F(GatewayTest, DeliversToEverySinkAndWaitsForNoDeadOne) {
  Start(Configure(DeadSinkText() + FileSinkText("a") + LocalSinkText() + FileSinkText("b")));
  for (int i = 0; i < 20; ++i) Send("cart", std::to_string(i));
  RunUntilBodies("a", 20);
  RunUntilBodies("b", 20);
  EXPECT_EQ(Bodies("a"), Bodies("b"));
}

TEST_F(GatewayTest, GivesEachSinkWhatItsConditionAndSignalsSelect) {
  Start(Configure(FileSinkText("cart", ", when: {service.name: cart}") +
                  FileSinkText("others", ", when: {service.name: {not: cart}}") +
                  FileSinkText("traces", ", signals: [traces]")));
  Send("cart", "1");
  Send("mail", "2");
  Send("cart", "3");
  RunUntilBodies("cart", 2);
  RunUntilBodies("others", 1);
  EXPECT_EQ(Drain(10s), "");
  EXPECT_THAT(Bodies("cart"), ElementsAre("1", "3"));
  EXPECT_THAT(Bodies("others"), ElementsAre("2"));
  EXPECT_THAT(Bodies("traces"), IsEmpty());
}

TEST_F(GatewayTest, SendsWhatItHoldsBeforeItEnds) {
  Start(Configure(fmt::format("  - {{name: slow, type: file, path: {}, batch: {{flush: 1h}}}}\n", Path("slow"))));
  Send("cart", "1");
  EXPECT_THAT(Bodies("slow"), IsEmpty());
  EXPECT_EQ(Drain(10s), "");
  EXPECT_THAT(Bodies("slow"), ElementsAre("1"));
}

TEST_F(GatewayTest, TellsHowManyItemsItCouldNotSend) {
  Start(Configure(DeadSinkText()));
  Send("cart", "1");
  Send("cart", "2");
  EXPECT_EQ(Drain(50ms), "2 items were not delivered in time; they stay in " + Path("log") + " for the next start");
}

TEST_F(GatewayTest, ReloadKeepsAddsAndRemovesSinks) {
  Start(Configure(FileSinkText("kept") + FileSinkText("gone") + LocalSinkText()));
  Send("cart", "1");
  RunUntilBodies("kept", 1);
  RunUntilBodies("gone", 1);
  const base::Status status = gateway_->Reload(
      Configure(LocalSinkText() + FileSinkText("kept", ", when: {service.name: mail}") + FileSinkText("new")));
  ASSERT_TRUE(status) << status.error().message;
  Send("cart", "2");
  Send("mail", "3");
  RunUntilBodies("kept", 2);
  RunUntilBodies("new", 2);
  EXPECT_EQ(Drain(10s), "");
  EXPECT_THAT(Bodies("kept"), ElementsAre("1", "3"));
  EXPECT_THAT(Bodies("new"), ElementsAre("2", "3"));
  EXPECT_THAT(Bodies("gone"), ElementsAre("1"));
}

TEST_F(GatewayTest, ReloadBringsWhatIsHeldToTheSinksNewPlace) {
  Start(Configure(FileSinkText("a") + DeadSinkText()));
  Send("cart", "held");
  RunUntilBodies("a", 1);
  // A gateway behind the dead sink's new address.
  const std::string behind = "unix:" + Path("behind");
  auto config = Config::Parse(
      fmt::format("listen: {{grpc: '{}', http: '', metrics: '', health: ''}}\nlog: {{mode: memory}}\nsinks:\n{}", behind,
                  FileSinkText("b")),
      "test.yaml");
  ASSERT_TRUE(config);
  auto second = Gateway::Start(loop_, std::move(*config));
  ASSERT_TRUE(second) << second.error().message;
  const base::Status status = gateway_->Reload(
      Configure(FileSinkText("a") +
                fmt::format("  - {{name: dead, type: otlp, endpoint: '{}', batch: {{flush: 1ms}}}}\n", behind)));
  ASSERT_TRUE(status) << status.error().message;
  RunUntilBodies("b", 1);
  EXPECT_THAT(Bodies("b"), ElementsAre("held"));
  EXPECT_EQ(Drain(10s), "");
}

TEST_F(GatewayTest, ReloadRefusesWhatCannotChangeAndLeavesTheRest) {
  Start(Configure(FileSinkText("a") + LocalSinkText()));
  const auto refusal = [this](Config config) {
    const base::Status status = gateway_->Reload(std::move(config));
    EXPECT_FALSE(status);
    return status ? "" : status.error().message;
  };
  EXPECT_THAT(refusal(Configure(FileSinkText("a") + LocalSinkText(", age: 1h"))), HasSubstr("sink local: path, limit"));
  EXPECT_THAT(refusal(Configure(FileSinkText("a", ", signals: [logs]") + LocalSinkText())),
              HasSubstr("sink a: signals"));
  EXPECT_THAT(refusal(Configure("  - {name: a, type: otlp, endpoint: 'http://x:1'}\n")), HasSubstr("sink a: type"));
  EXPECT_THAT(refusal(Configure(FileSinkText("a", ", rotation: {max_megabytes: 1}") + LocalSinkText())),
              HasSubstr("sink a: path and rotation"));
  EXPECT_THAT(refusal(Configure(FileSinkText("a") + "  - {name: c, type: file, path: /nowhere/c}\n")),
              HasSubstr("sink c: open /nowhere/c"));
  Config elsewhere = Configure(FileSinkText("a") + LocalSinkText());
  elsewhere.listen.http = ":4318";
  EXPECT_THAT(refusal(std::move(elsewhere)), HasSubstr("listen:"));
  Send("cart", "1");
  RunUntilBodies("a", 1);
  EXPECT_EQ(Drain(10s), "");
}

TEST_F(GatewayTest, SaysWhyItCannotStart) {
  EXPECT_EQ(StartError(Configure("  - {name: c, type: file, path: /nowhere/c}\n")),
            "sink c: open /nowhere/c: No such file or directory");
  EXPECT_THAT(StartError(Configure("  - {name: s, type: local, path: /nowhere/s}\n")),
              HasSubstr("sink s: /nowhere/s: No such file or directory"));
  Config config = Configure(LocalSinkText());
  config.listen.http = "unix:/nowhere/otlp";
  EXPECT_THAT(StartError(std::move(config)), HasSubstr("unix:/nowhere/otlp"));
}

}  // namespace
}  // namespace tributary::gateway
