#include "gateway/file_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

class FileSinkTest : public ::testing::Test {
 protected:
  FileSinkTest() {
    std::string pattern = (fs::temp_directory_path() / "file_sink.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    auto sink = FileSink::Open(loop_, {.path = path()});
    EXPECT_TRUE(sink) << sink.error().message;
    sink_ = std::move(*sink);
  }
  ~FileSinkTest() override {
    sink_.reset();
    fs::remove_all(directory_);
  }

  std::string path() const { return directory_ / "telemetry.jsonl"; }
  std::vector<std::string> Lines() const {
    std::ifstream in(path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  Outcome Send(Signal signal, const base::Bytes& request) {
    pipeline::Outgoing outgoing{.signal = signal, .items = 1};
    outgoing.request.Refer(request);
    std::optional<Outcome> outcome;
    sink_->Send(outgoing, [&](Outcome told) { outcome = std::move(told); });
    while (!outcome) loop_.RunOnce(base::Nanos::max());
    return *outcome;
  }

  base::Loop loop_;
  fs::path directory_;
  std::unique_ptr<FileSink> sink_;
};

TEST_F(FileSinkTest, WritesOneRequestALine) {
  const auto traces = FromText<ExportTraceServiceRequest>(R"(
      resource_spans { scope_spans { spans {
        trace_id: "aaaaaaaaaaaaaaaa" span_id: "12345678" name: "two\nlines" end_time_unix_nano: 18446744073709551615
        attributes { key: "b" value { bytes_value: "\000\001" } } } } })");
  const auto metrics = FromText<ExportMetricsServiceRequest>(R"(
      resource_metrics { scope_metrics { metrics { name: "m" gauge { data_points { as_double: -0.5 } } } } })");
  const auto logs = FromText<ExportLogsServiceRequest>(R"(
      resource_logs { scope_logs { log_records { body { string_value: "hello" } } } })");
  EXPECT_EQ(Send(Signal::kTraces, ToBytes(traces)).kind, Outcome::Kind::kDelivered);
  EXPECT_EQ(Send(Signal::kMetrics, ToBytes(metrics)).kind, Outcome::Kind::kDelivered);
  EXPECT_EQ(Send(Signal::kLogs, ToBytes(logs)).kind, Outcome::Kind::kDelivered);
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 3);
  EXPECT_EQ(FromJson<ExportTraceServiceRequest>(lines[0]).DebugString(), traces.DebugString());
  EXPECT_EQ(FromJson<ExportMetricsServiceRequest>(lines[1]).DebugString(), metrics.DebugString());
  EXPECT_EQ(FromJson<ExportLogsServiceRequest>(lines[2]).DebugString(), logs.DebugString());
}

TEST_F(FileSinkTest, AFileThatCannotBeWrittenIsToBeTriedAgain) {
  fs::remove_all(directory_);
  const base::Bytes request = bench::SampleRequest(Signal::kLogs, 3, 1);
  const Outcome failed = Send(Signal::kLogs, request);
  EXPECT_EQ(failed.kind, Outcome::Kind::kRetry);
  EXPECT_EQ(failed.reason, pipeline::Reason::kStorage);
  EXPECT_THAT(failed.detail, HasSubstr(path() + ": No such file or directory"));
  fs::create_directory(directory_);
  EXPECT_EQ(Send(Signal::kLogs, request).kind, Outcome::Kind::kDelivered);
  EXPECT_EQ(Lines().size(), 1);
}

TEST_F(FileSinkTest, DestroyedFirstTellsWhatIsInTheFileAndWhatIsNot) {
  const base::Bytes request = bench::SampleRequest(Signal::kTraces, 1000, 1);
  pipeline::Outgoing outgoing{.signal = Signal::kTraces, .items = 1000};
  outgoing.request.Refer(request);
  std::vector<Outcome> told;
  for (int i = 0; i < 3; ++i) sink_->Send(outgoing, [&](Outcome outcome) { told.push_back(std::move(outcome)); });
  sink_.reset();
  ASSERT_EQ(told.size(), 3);
  size_t written = 0;
  for (const Outcome& outcome : told) {
    written += outcome.kind == Outcome::Kind::kDelivered;
    EXPECT_NE(outcome.kind, Outcome::Kind::kRefused);
  }
  EXPECT_EQ(Lines().size(), written);
  loop_.RunOnce(base::Nanos(0));
  EXPECT_EQ(told.size(), 3);
  for (const std::string& line : Lines()) FromJson<ExportTraceServiceRequest>(line);  // whole lines only
}

TEST_F(FileSinkTest, CountsWhatItWrote) {
  const base::Bytes request = bench::SampleRequest(Signal::kLogs, 3, 1);
  ASSERT_EQ(Send(Signal::kLogs, request).kind, Outcome::Kind::kDelivered);
  base::MetricsText metrics;
  sink_->WriteMetrics("archive", metrics);
  EXPECT_THAT(metrics.Render(), HasSubstr("\ntributary_file_written_bytes_total{destination=\"archive\"} " +
                                          std::to_string(fs::file_size(path())) + "\n"));
  EXPECT_THAT(metrics.Render(), HasSubstr("\ntributary_file_rotations_total{destination=\"archive\"} 0\n"));
}

TEST_F(FileSinkTest, SaysWhyItCannotOpen) {
  const auto sink = FileSink::Open(loop_, {.path = "/nowhere/telemetry.jsonl"});
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().message, "open /nowhere/telemetry.jsonl: No such file or directory");
}

}  // namespace
}  // namespace tributary::gateway
