#include "gateway/local_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "bench/otlp_sample.h"
#include "tests/gateway/otlp_text.h"

namespace tributary::gateway {
namespace {

namespace fs = std::filesystem;
using otlp::Signal;
using pipeline::Outcome;
using ::testing::HasSubstr;

pipeline::Outgoing Outgoing(Signal signal, const base::Bytes& request, uint32_t items) {
  pipeline::Outgoing outgoing{.signal = signal, .items = items};
  outgoing.request.Refer(request);
  return outgoing;
}

class LocalStoreTest : public ::testing::Test {
 protected:
  LocalStoreTest() {
    std::string pattern = (fs::temp_directory_path() / "local_store.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    Open();
  }
  ~LocalStoreTest() override {
    store_.reset();
    fs::remove_all(directory_);
  }
  void Open() {
    auto store = LocalStore::Open(loop_, {.path = directory_ / "store.db"});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  template <typename Condition>
  void RunUntil(Condition condition) {
    while (!condition()) loop_.RunOnce(base::Nanos::max());
  }
  Outcome Send(Signal signal, const base::Bytes& request, uint32_t items) {
    const pipeline::Outgoing outgoing = Outgoing(signal, request, items);
    std::optional<Outcome> outcome;
    store_->Send(outgoing, [&](Outcome told) { outcome = std::move(told); });
    RunUntil([&] { return outcome.has_value(); });
    return *outcome;
  }

  base::Loop loop_;
  fs::path directory_;
  std::unique_ptr<LocalStore> store_;
};

TEST_F(LocalStoreTest, AnswersWithWhatWasSentBefore) {
  const base::Bytes request = ToBytes(FromText<ExportTraceServiceRequest>(
      R"(resource_spans { scope_spans { spans { trace_id: "aaaaaaaaaaaaaaaa" name: "GET /" } } })"));
  const pipeline::Outgoing outgoing = Outgoing(Signal::kTraces, request, 1);
  std::optional<Outcome> outcome;
  std::optional<StoreResult> answer;
  store_->Send(outgoing, [&](Outcome told) { outcome = std::move(told); });
  store_->Ask([](Database& database) { return ReadTraces(database, {}); },
              [&](StoreResult result) { answer = std::move(result); });
  RunUntil([&] { return answer.has_value(); });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, Outcome::Kind::kDelivered);
  ASSERT_TRUE(*answer);
  EXPECT_THAT((*answer)->json, HasSubstr(R"("name":"GET /")"));
}

TEST_F(LocalStoreTest, TellsEveryOutcomeInOrder) {
  std::vector<base::Bytes> requests;
  std::vector<pipeline::Outgoing> outgoing;
  for (uint32_t i = 0; i < 20; ++i) requests.push_back(bench::SampleRequest(Signal::kLogs, 10, i));
  for (const base::Bytes& request : requests) outgoing.push_back(Outgoing(Signal::kLogs, request, 10));
  std::vector<size_t> told;
  for (size_t i = 0; i < outgoing.size(); ++i) {
    store_->Send(outgoing[i], [&told, i](const Outcome& outcome) {
      EXPECT_EQ(outcome.kind, Outcome::Kind::kDelivered) << outcome.detail;
      told.push_back(i);
    });
  }
  RunUntil([&] { return told.size() == outgoing.size(); });
  for (size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], i);
}

TEST_F(LocalStoreTest, TellsARetryWhenItIsDestroyedFirst) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, 100, 1);
  const pipeline::Outgoing outgoing = Outgoing(Signal::kTraces, request, 100);
  std::vector<Outcome> told;
  for (int i = 0; i < 3; ++i) store_->Send(outgoing, [&](Outcome outcome) { told.push_back(std::move(outcome)); });
  store_.reset();
  ASSERT_EQ(told.size(), 3);
  for (const Outcome& outcome : told) {
    EXPECT_EQ(outcome.kind, Outcome::Kind::kRetry);
    EXPECT_EQ(outcome.reason, pipeline::Reason::kStorage);
  }
  loop_.RunOnce(base::Nanos(0));
  EXPECT_EQ(told.size(), 3);
}

TEST_F(LocalStoreTest, ReportsItsSize) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, 1000, 1);
  ASSERT_EQ(Send(Signal::kTraces, request, 1000).kind, Outcome::Kind::kDelivered);
  base::MetricsText metrics;
  store_->WriteMetrics("local", metrics);
  const std::string page = metrics.Render();
  EXPECT_THAT(page, HasSubstr("\ntributary_store_bytes{destination=\"local\"} "));
  EXPECT_THAT(page, HasSubstr("\ntributary_store_bytes_max{destination=\"local\"} 536870912\n"));
  EXPECT_THAT(page, HasSubstr("\ntributary_store_evicted_items_total{destination=\"local\",signal=\"logs\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("\ntributary_store_oldest_timestamp_seconds{destination=\"local\"} "));
}

TEST_F(LocalStoreTest, SaysWhyItCannotOpen) {
  const auto store = LocalStore::Open(loop_, {.path = "/nowhere/store.db"});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().message, "/nowhere/store.db: No such file or directory");
}

}  // namespace
}  // namespace tributary::gateway
