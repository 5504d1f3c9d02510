// A Tributary that sends to another, whose answers are lost: what was taken is recognised, whoever begins anew
// meanwhile, and everything arrives once.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "base/io.h"
#include "pipeline/destination.h"
#include "pipeline/http_server.h"
#include "pipeline/intake.h"
#include "pipeline/otlp_client.h"
#include "pipeline/otlp_service.h"
#include "tests/pipeline/delivery_rig.h"
#include "tests/pipeline/items.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;
using Kind = Intake::Verdict::Kind;
using Protocol = OtlpClient::Protocol;

class Directory {
 public:
  Directory() : path_(testing::TempDir() + "/resend_test.XXXXXX") { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::unique_ptr<Log> OpenLog(base::Loop& loop, base::FileSystem& file_system, const std::string& directory) {
  auto io = base::OpenIo(loop, file_system, base::IoKind::kThread);
  auto log = Log::Open(loop, file_system, std::move(*io),
                       {.mode = Log::Mode::kProcess,
                        .bytes_max = 16 << 20,
                        .directory = directory,
                        .memory_bytes_max = 4 << 20,
                        .segment_bytes = 1 << 20});
  EXPECT_TRUE(log) << log.error().message;
  return std::move(*log);
}

// An Intake behind a port, which hangs up instead of answering when it is told to.
class Receiver final : public HttpService {
 public:
  Receiver(base::Loop& loop, const std::string& directory) : loop_(loop), directory_(directory) { Live(); }

  std::string address() const { return address_.ToString(); }
  void LoseAnswers(int answers) { to_lose_ = answers; }
  int lost() const { return lost_; }

  // One turn of the loop, in which connections may end.
  void Turn() {
    loop_.RunOnce(std::chrono::milliseconds(10));
    if (!std::exchange(cut_, false)) return;
    server_.reset();
    Listen();
  }
  void Restart() {
    server_.reset();
    cursor_.reset();
    log_.reset();
    Live();
  }

  // How often each item is there.
  std::map<uint64_t, int> Items() {
    std::map<uint64_t, int> items;
    for (;;) {
      if (!cursor_->Prepare(Cursor::From::kBacklog, 1 << 20) || !cursor_->Prepare(Cursor::From::kLive, 1 << 20)) {
        loop_.RunOnce(std::chrono::milliseconds(10));
        continue;
      }
      auto frame = cursor_->Next(Cursor::From::kBacklog);
      if (!frame) frame = cursor_->Next(Cursor::From::kLive);
      if (!frame) return items;
      for (const uint64_t item : test::ItemsOf(Signal::kTraces, frame->bytes())) ++items[item];
    }
  }
  uint64_t Metric(const std::string& name) const {
    base::MetricsText metrics;
    intake_->WriteMetrics(metrics);
    const std::string page = metrics.Render();
    const size_t line = page.find("\n" + name);
    EXPECT_NE(line, std::string::npos) << name;
    return std::stoull(page.substr(page.find(' ', line + 1 + name.size() - 1)));
  }

  Admission Admit(const HttpHead& head, std::optional<size_t> body_bytes) override {
    return service_->Admit(head, body_bytes);
  }
  HttpResponse OnBodyFault(const HttpHead& head, BodyFault fault) override {
    return service_->OnBodyFault(head, fault);
  }
  void OnRequest(const HttpHead& head, base::Bytes body, Reply reply) override {
    service_->OnRequest(head, std::move(body), [this, reply = std::move(reply)](HttpResponse response) mutable {
      if (to_lose_ == 0) return reply(std::move(response));
      --to_lose_;
      ++lost_;
      cut_ = true;
    });
  }

 private:
  void Live() {
    log_ = OpenLog(loop_, file_system_, directory_);
    cursor_ = log_->OpenCursor(Signal::kTraces, "backend");
    log_->Start();
    intake_.emplace(*log_);
    service_.emplace(*intake_, OtlpService::Options{});
    Listen();
  }
  void Listen() {
    server_.emplace(loop_, budget_, *this);
    const auto bound = server_->Listen(address_);
    ASSERT_TRUE(bound) << bound.error().message;
    address_ = *bound;
  }

  base::Loop& loop_;
  std::string directory_;
  base::FileSystem file_system_;
  base::Budget budget_{64 << 20};
  base::Address address_ = base::Address::Parse("127.0.0.1:0").value();
  std::unique_ptr<Log> log_;
  std::unique_ptr<Cursor> cursor_;
  std::optional<Intake> intake_;
  std::optional<OtlpService> service_;
  std::optional<HttpServer> server_;
  int to_lose_ = 0;
  int lost_ = 0;
  bool cut_ = false;
};

// A Log and the Destination that sends it on.
class Sender {
 public:
  Sender(base::Loop& loop, const std::string& directory, const std::string& endpoint, Protocol protocol,
         uint32_t batch_items_max)
      : log_(OpenLog(loop, file_system_, directory)) {
    auto client = OtlpClient::Create(loop, {.endpoints = {"http://" + endpoint}, .protocol = protocol});
    EXPECT_TRUE(client);
    const Delivery::Options options{
        .batch_items_max = batch_items_max,
        .flush_after = base::Nanos(0),
        .retry = {.initial = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(5)}};
    destination_ = std::make_unique<Destination>(loop, *log_, "gateway", otlp::SignalSet::All(), std::move(*client),
                                                 Delivery::View(), options);
    log_->Start();
  }

  void Append(uint64_t item) {
    log_->Append({Signal::kTraces, {.items = 1, .resources = 1}, test::MakeRequest(Signal::kTraces, {{"a", {item}}})},
                 [](Log::Taken taken) { EXPECT_EQ(taken, Log::Taken::kYes); });
  }
  uint64_t held_items() const { return destination_->held_items(); }

 private:
  base::FileSystem file_system_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Destination> destination_;
};

class Resend : public testing::TestWithParam<Protocol> {
 protected:
  static constexpr uint64_t kItems = 200;

  std::unique_ptr<Sender> NewSender(uint32_t batch_items_max) {
    return std::make_unique<Sender>(loop_, directory_.path() + "/sender", receiver_.address(), GetParam(),
                                    batch_items_max);
  }
  // Each in a frame of its own.
  static void AppendAll(Sender& sender) {
    for (uint64_t item = 1; item <= kItems; ++item) sender.Append(item);
  }
  template <typename Done>
  void TurnUntil(Done done) {
    while (!done()) receiver_.Turn();
  }
  void ExpectEverythingOnce() {
    const std::map<uint64_t, int> items = receiver_.Items();
    EXPECT_EQ(items.size(), kItems);
    for (const auto& [item, times] : items) EXPECT_EQ(times, 1) << "item " << item;
  }

  base::Loop loop_;
  Directory directory_;
  Receiver receiver_{loop_, directory_.path() + "/receiver"};
};

TEST_P(Resend, OfWhatWasTakenIsNotTakenTwice) {
  const auto sender = NewSender(10);
  receiver_.LoseAnswers(8);
  AppendAll(*sender);
  TurnUntil([&] { return receiver_.lost() == 8 && sender->held_items() == 0; });
  ExpectEverythingOnce();
  EXPECT_GE(receiver_.Metric("tributary_intake_resent_items_total{signal=\"traces\"}"), 1u);
  EXPECT_EQ(receiver_.Metric("tributary_intake_items_total{signal=\"traces\"}"), kItems);
  EXPECT_EQ(receiver_.Metric("tributary_intake_malformed_batch_ids_total"), 0u);
}

TEST_P(Resend, ByASenderThatBeganAnewAndCutsOtherwiseIsTakenOnce) {
  auto sender = NewSender(10);
  receiver_.LoseAnswers(1'000'000);
  AppendAll(*sender);
  TurnUntil([&] { return receiver_.lost() >= 3; });
  EXPECT_EQ(sender->held_items(), kItems);
  sender.reset();
  receiver_.LoseAnswers(0);

  sender = NewSender(7);
  TurnUntil([&] { return sender->held_items() == 0; });
  ExpectEverythingOnce();
  EXPECT_GE(receiver_.Metric("tributary_refused_requests_total{signal=\"traces\",reason=\"partly_taken\"}"), 1u);
}

TEST_P(Resend, IsRecognisedByAReceiverThatBeganAnew) {
  auto sender = NewSender(10);
  receiver_.LoseAnswers(1'000'000);
  AppendAll(*sender);
  TurnUntil([&] { return receiver_.lost() >= 3; });
  receiver_.Restart();
  receiver_.LoseAnswers(0);
  TurnUntil([&] { return sender->held_items() == 0; });
  ExpectEverythingOnce();
  EXPECT_GE(receiver_.Metric("tributary_intake_resent_items_total{signal=\"traces\"}"), 1u);
}

TEST_P(Resend, OfSeveralLivesBehindEachOtherIsRecognised) {
  receiver_.LoseAnswers(1'000'000);
  for (uint64_t life = 0; life < 4; ++life) {
    const auto sender = NewSender(static_cast<uint32_t>(5 + life));
    for (uint64_t item = 1; item <= kItems / 4; ++item) sender->Append(life * kItems / 4 + item);
    const int lost = receiver_.lost();
    TurnUntil([&] { return receiver_.lost() > lost + 2; });
  }
  receiver_.LoseAnswers(0);
  const auto sender = NewSender(16);
  TurnUntil([&] { return sender->held_items() == 0; });
  ExpectEverythingOnce();
}

INSTANTIATE_TEST_SUITE_P(Over, Resend, testing::Values(Protocol::kGrpc, Protocol::kHttpProtobuf),
                         [](const auto& tested) { return tested.param == Protocol::kGrpc ? "Grpc" : "Http"; });

TEST(ResendToTheIntake, WhileTheDiskHasNotAnsweredIsToComeLater) {
  base::Loop loop;
  Directory directory;
  base::FileSystem file_system;
  const auto log = OpenLog(loop, file_system, directory.path() + "/log");
  const auto cursor = log->OpenCursor(Signal::kTraces, "backend");
  log->Start();
  Intake intake(*log);
  std::vector<Kind> verdicts;
  const auto submit = [&] {
    intake.Submit(Signal::kTraces, test::MakeRequest(Signal::kTraces, {{"a", {1}}}),
                  {.source = nullptr, .batch = {.stream = 1, .below = 1, .ranges = {{1, 2}}}},
                  [&](Intake::Verdict verdict) { verdicts.push_back(verdict.kind); });
  };
  submit();
  EXPECT_TRUE(verdicts.empty());
  submit();
  EXPECT_EQ(verdicts, std::vector{Kind::kUnderWay});
  while (verdicts.size() < 2) loop.RunOnce(std::chrono::milliseconds(10));
  submit();
  EXPECT_EQ(verdicts, (std::vector{Kind::kUnderWay, Kind::kTaken, Kind::kTaken}));
  EXPECT_EQ(cursor->totals().appended_items, 1u);
}

// --- The sender's side ----------------------------------------------------------------------------------------------

Delivery::Options InBatchesOf(uint32_t items) {
  return {.batch_items_max = items,
          .flush_after = base::Nanos(0),
          .concurrency_max = 1,
          .retry = {.initial = std::chrono::milliseconds(1), .max = std::chrono::milliseconds(1)}};
}

TEST(ResendOfTheRest, LeavesOutWhatThePeerHas) {
  test::DeliveryRig rig(InBatchesOf(10));
  std::vector<BatchId> batches;
  rig.ReplaceSink([&](const test::ScriptedSink::Request& request) {
    batches.push_back(request.batch);
    if (batches.size() > 1) return Outcome::Delivered();
    const uint64_t first = request.batch.ranges.front().begin;
    return Outcome::PartlyTaken({{first, first + 2}, {first + 5, first + 6}}, "");
  });
  for (uint64_t item = 1; item <= 10; ++item) ASSERT_TRUE(rig.Append(Signal::kTraces, {{"a", {item}}}));
  rig.RunUntil([&] { return rig.account(Signal::kTraces).held == 0; });
  ASSERT_EQ(batches.size(), 2u);
  ASSERT_EQ(batches[0].ranges.size(), 1u);
  const uint64_t first = batches[0].ranges[0].begin;
  EXPECT_EQ(batches[0].ranges[0].end, first + 10);
  EXPECT_EQ(batches[1].ranges, (std::vector<AckSet::Range>{{first + 2, first + 5}, {first + 6, first + 10}}));
  EXPECT_EQ(batches[1].stream, batches[0].stream);
  EXPECT_EQ(batches[1].below, first + 2);
  EXPECT_EQ(rig.account(Signal::kTraces).delivered, 10u);
}

TEST(ResendOfTheRest, IsAPlainRetryWhenThePeerNamesOthersFrames) {
  test::DeliveryRig rig(InBatchesOf(10));
  int requests = 0;
  rig.ReplaceSink([&](const test::ScriptedSink::Request& request) {
    if (++requests > 3) return Outcome::Delivered();
    return Outcome::PartlyTaken({{request.batch.ranges.back().end, UINT64_MAX}}, "");
  });
  for (uint64_t item = 1; item <= 10; ++item) ASSERT_TRUE(rig.Append(Signal::kTraces, {{"a", {item}}}));
  rig.RunUntil([&] { return rig.account(Signal::kTraces).held == 0; });
  EXPECT_EQ(requests, 4);
  EXPECT_EQ(rig.account(Signal::kTraces).delivered, 10u);
}

TEST(ABatch, HasNoNameWhenItIsAPieceOfAFrameOrASelection) {
  std::vector<BatchId> batches;
  const auto note = [&](const test::ScriptedSink::Request& request) {
    batches.push_back(request.batch);
    return Outcome::Delivered();
  };
  {
    test::DeliveryRig rig(InBatchesOf(2));
    rig.ReplaceSink(note);
    ASSERT_TRUE(rig.Append(Signal::kTraces, {{"a", {1, 2, 3, 4}}}));
    rig.RunUntil([&] { return rig.account(Signal::kTraces).held == 0; });
    EXPECT_EQ(batches, std::vector<BatchId>(2));
  }
  batches.clear();
  test::DeliveryRig rig(InBatchesOf(10), {.edit = {}, .select = [](base::ByteView) { return true; }});
  rig.ReplaceSink(note);
  ASSERT_TRUE(rig.Append(Signal::kTraces, {{"a", {1}}}));
  rig.RunUntil([&] { return rig.account(Signal::kTraces).held == 0; });
  EXPECT_EQ(batches, std::vector<BatchId>(1));
}

TEST(ABatch, IsNamedByItsReaderAndItsLife) {
  base::Loop loop;
  Log a(loop, {});
  Log b(loop, {});
  const auto name_in = [](Log& log, std::string_view reader) {
    const auto cursor = log.OpenCursor(Signal::kTraces, reader);
    log.Append({Signal::kTraces, {.items = 1, .resources = 1}, test::MakeRequest(Signal::kTraces, {{"a", {1}}})},
               [](Log::Taken) {});
    const Frame frame = cursor->Next(Cursor::From::kLive).value();
    const BatchId batch = cursor->IdOf({frame});
    cursor->Acknowledge(frame);
    return batch.stream;
  };
  const uint64_t stream = name_in(a, "x");
  EXPECT_EQ(name_in(a, "x"), stream);
  EXPECT_NE(name_in(a, "y"), stream);
  EXPECT_NE(name_in(b, "x"), stream);
}

}  // namespace
}  // namespace tributary::pipeline
