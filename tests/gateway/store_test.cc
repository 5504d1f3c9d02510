#include "gateway/store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench/otlp_sample.h"
#include "gateway/store_reader.h"
#include "otlp/scan.h"
#include "tests/gateway/otlp_text.h"

namespace tributary::gateway {
namespace {

namespace fs = std::filesystem;
using otlp::Signal;
using pipeline::Outcome;
using pipeline::Reason;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kNow = 1'700'000'000 * kSecond;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = (fs::temp_directory_path() / "store.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    Reopen({});
  }
  ~StoreTest() override { fs::remove_all(directory_); }

  std::string path() const { return directory_ / "store.db"; }
  void Reopen(Store::Options options) {
    store_.reset();
    options.path = path();
    auto store = Store::Open(options);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  Outcome WriteBytes(Signal signal, const base::Bytes& request, uint64_t now = kNow) {
    const auto counts = otlp::Scan(signal, request);
    EXPECT_TRUE(counts) << counts.error().Describe();
    return store_->Write(signal, request, counts->items, now);
  }
  template <typename Request>
  void Write(const std::string& text, uint64_t now = kNow) {
    const Outcome outcome = WriteBytes(SignalOf(Request()), ToBytes(FromText<Request>(text)), now);
    EXPECT_EQ(outcome.kind, Outcome::Kind::kDelivered) << outcome.detail;
  }
  // One span; `trace` is a letter.
  void WriteSpan(char trace, const std::string& service, const std::string& fields, uint64_t now = kNow) {
    Write<ExportTraceServiceRequest>(
        fmt::format(
            R"(resource_spans {{ resource {{ attributes {{ key: "service.name" value {{ string_value: "{}" }} }} }}
                       scope_spans {{ spans {{ trace_id: "{}" span_id: "12345678" {} }} }} }})",
            service, std::string(16, trace), fields),
        now);
  }
  void WriteLog(const std::string& service, const std::string& fields, uint64_t now = kNow) {
    Write<ExportLogsServiceRequest>(
        fmt::format(
            R"(resource_logs {{ resource {{ attributes {{ key: "service.name" value {{ string_value: "{}" }} }} }}
                       scope_logs {{ log_records {{ {} }} }} }})",
            service, fields),
        now);
  }
  static otlp::TraceId Trace(char letter) {
    otlp::TraceId id;
    id.fill(static_cast<uint8_t>(letter));
    return id;
  }

  static std::string Json(StoreResult result) {
    EXPECT_TRUE(result) << result.error().message;
    return result ? result->json : std::string();
  }
  // "root name" of every trace found, newest first.
  std::vector<std::string> TraceNames(const TraceFilter& filter = {}) {
    const std::string json = Json(ReadTraces(store_->database(), filter));
    simdjson::dom::parser parser;
    std::vector<std::string> names;
    for (auto trace : parser.parse(json)["traces"]) names.emplace_back(std::string_view(trace["name"]));
    return names;
  }
  // The string body of every log record found, newest first.
  std::vector<std::string> Bodies(const LogFilter& filter = {}) {
    std::vector<std::string> bodies;
    const auto logs = FromJson<ExportLogsServiceRequest>(Json(ReadLogs(store_->database(), filter)));
    for (const auto& container : logs.resource_logs()) {
      for (const auto& scope : container.scope_logs()) {
        for (const auto& log : scope.log_records()) bodies.push_back(log.body().string_value());
      }
    }
    return bodies;
  }
  int64_t Count(const std::string& table) {
    return store_->database().Number(("SELECT count(*) FROM " + table).c_str());
  }

  fs::path directory_;
  std::unique_ptr<Store> store_;
};

constexpr char kCheckout[] = R"(
    resource_spans {
      resource { attributes { key: "service.name" value { string_value: "gw" } } }
      scope_spans {
        scope { name: "http" version: "2" }
        spans { trace_id: "aaaaaaaaaaaaaaaa" span_id: "00000001" name: "POST /checkout" kind: SPAN_KIND_SERVER
                start_time_unix_nano: 1000 end_time_unix_nano: 9000 }
        spans { trace_id: "bbbbbbbbbbbbbbbb" span_id: "00000009" name: "GET /" start_time_unix_nano: 20 }
      }
      schema_url: "https://opentelemetry.io/schemas/1.26.0"
    }
    resource_spans {
      resource { attributes { key: "service.name" value { string_value: "cart" } } }
      scope_spans {
        spans { trace_id: "aaaaaaaaaaaaaaaa" span_id: "00000002" parent_span_id: "00000001" name: "load"
                start_time_unix_nano: 2000 end_time_unix_nano: 3000 status { code: STATUS_CODE_ERROR message: "gone" }
                attributes { key: "db.rows" value { int_value: 3 } }
                events { time_unix_nano: 2500 name: "exception" }
                links { trace_id: "bbbbbbbbbbbbbbbb" span_id: "00000009" } }
      }
    })";

TEST_F(StoreTest, GivesBackATraceAsItCame) {
  Write<ExportTraceServiceRequest>(kCheckout);
  const auto trace = FromJson<ExportTraceServiceRequest>(Json(ReadTrace(store_->database(), Trace('a'))));
  auto expected = FromText<ExportTraceServiceRequest>(kCheckout);
  expected.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans()->RemoveLast();  // of trace b
  EXPECT_EQ(trace.DebugString(), expected.DebugString());
}

TEST_F(StoreTest, HasNoAnswerForATraceItDoesNotKnow) {
  Write<ExportTraceServiceRequest>(kCheckout);
  EXPECT_EQ(Json(ReadTrace(store_->database(), Trace('z'))), "");
}

TEST_F(StoreTest, ListsTracesWithWhatIsKnownOfThem) {
  Write<ExportTraceServiceRequest>(kCheckout);
  EXPECT_EQ(Json(ReadTraces(store_->database(), {})),
            R"({"traces":[{"traceId":"62626262626262626262626262626262","service":"gw","name":"GET /",)"
            R"("startTimeUnixNano":"20","durationNano":"0","spans":1,"errors":0,)"
            R"("services":[{"name":"gw","spans":1,"errors":0}]},)"
            R"({"traceId":"61616161616161616161616161616161","service":"gw","name":"POST /checkout",)"
            R"("startTimeUnixNano":"1000","durationNano":"8000","spans":2,"errors":1,)"
            R"("services":[{"name":"cart","spans":1,"errors":1},{"name":"gw","spans":1,"errors":0}]}]})");
}

TEST_F(StoreTest, AddsUpATraceThatComesInParts) {
  WriteSpan('a', "cart", R"(parent_span_id: "11111111" name: "child" start_time_unix_nano: 50 end_time_unix_nano: 70)");
  EXPECT_THAT(TraceNames(), ElementsAre("child"));
  WriteSpan('a', "cart", R"(parent_span_id: "11111111" name: "earlier" start_time_unix_nano: 40)");
  EXPECT_THAT(TraceNames(), ElementsAre("earlier"));
  WriteSpan('a', "gw",
            R"(name: "root" start_time_unix_nano: 60 end_time_unix_nano: 90 status { code: STATUS_CODE_ERROR })");
  EXPECT_THAT(TraceNames(), ElementsAre("root"));
  WriteSpan('a', "cart", R"(parent_span_id: "11111111" name: "late" start_time_unix_nano: 10)");
  EXPECT_THAT(TraceNames(), ElementsAre("root"));
  EXPECT_THAT(
      Json(ReadTraces(store_->database(), {})),
      HasSubstr(R"("service":"gw","name":"root","startTimeUnixNano":"10","durationNano":"80","spans":4,"errors":1)"));
}

TEST_F(StoreTest, FindsTracesByServiceDurationAndErrors) {
  WriteSpan('a', "gw", R"(name: "slow" start_time_unix_nano: 0 end_time_unix_nano: 5000)");
  WriteSpan('a', "cart",
            R"(parent_span_id: "11111111" name: "child" start_time_unix_nano: 1000 end_time_unix_nano: 6000)");
  WriteSpan('b', "gw",
            R"(name: "failed" start_time_unix_nano: 100 end_time_unix_nano: 200 status { code: STATUS_CODE_ERROR })");
  WriteSpan('c', "mail",
            R"(name: "ok" start_time_unix_nano: 100 end_time_unix_nano: 300 status { code: STATUS_CODE_OK })");
  EXPECT_THAT(TraceNames(), ElementsAre("ok", "failed", "slow"));
  EXPECT_THAT(TraceNames({.service = "gw"}), ElementsAre("failed", "slow"));
  EXPECT_THAT(TraceNames({.service = "cart"}), ElementsAre("slow"));
  EXPECT_THAT(TraceNames({.service = "nobody"}), IsEmpty());
  EXPECT_THAT(TraceNames({.duration_min = base::Nanos(200)}), ElementsAre("ok", "slow"));
  EXPECT_THAT(TraceNames({.errors_only = true}), ElementsAre("failed"));
  EXPECT_THAT(TraceNames({.service = "cart", .errors_only = true}), IsEmpty());
  EXPECT_THAT(TraceNames({.traces_max = 2}), ElementsAre("ok", "failed"));
  EXPECT_THAT(TraceNames({.service = "gw", .traces_max = 1}), ElementsAre("failed"));
}

TEST_F(StoreTest, SaysWhenALimitCutTheAnswer) {
  WriteSpan('a', "gw", "");
  WriteSpan('b', "gw", "");
  EXPECT_FALSE(ReadTraces(store_->database(), {.traces_max = 1})->complete);
  EXPECT_TRUE(ReadTraces(store_->database(), {.traces_max = 3})->complete);
}

TEST_F(StoreTest, ListsServices) {
  Write<ExportTraceServiceRequest>(kCheckout, kNow);
  WriteLog("mail", "", kNow + 1);
  EXPECT_EQ(Json(ReadServices(store_->database())),
            fmt::format(R"({{"services":[{{"name":"cart","spans":1,"errors":1,"lastSeenUnixNano":"{}"}},)"
                        R"({{"name":"gw","spans":2,"errors":0,"lastSeenUnixNano":"{}"}},)"
                        R"({{"name":"mail","spans":0,"errors":0,"lastSeenUnixNano":"{}"}}]}})",
                        kNow, kNow, kNow + 1));
}

TEST_F(StoreTest, GivesBackLogsNewestFirst) {
  constexpr char kLogs[] = R"(
      resource_logs {
        resource { attributes { key: "service.name" value { string_value: "mail" } } dropped_attributes_count: 2 }
        scope_logs {
          scope { name: "smtp" }
          log_records { time_unix_nano: 5 severity_number: SEVERITY_NUMBER_WARN severity_text: "WARN"
                        body { string_value: "greylisted" } trace_id: "aaaaaaaaaaaaaaaa" span_id: "00000001"
                        attributes { key: "to" value { array_value { values { string_value: "x" } } } } }
          schema_url: "s"
        }
      })";
  Write<ExportLogsServiceRequest>(kLogs);
  EXPECT_EQ(FromJson<ExportLogsServiceRequest>(Json(ReadLogs(store_->database(), {}))).DebugString(),
            FromText<ExportLogsServiceRequest>(kLogs).DebugString());
  WriteLog("mail", R"(body { string_value: "sent" })");
  WriteLog("cart", R"(body { string_value: "full" })");
  EXPECT_THAT(Bodies(), ElementsAre("full", "sent", "greylisted"));
}

TEST_F(StoreTest, FindsLogs) {
  WriteLog("mail", R"(body { string_value: "Mail sent" } severity_number: SEVERITY_NUMBER_INFO)");
  WriteLog(
      "mail",
      R"(body { string_value: "mailbox full" } severity_number: SEVERITY_NUMBER_ERROR trace_id: "aaaaaaaaaaaaaaaa")");
  WriteLog(
      "cart",
      R"(body { string_value: "full of apples" } severity_number: SEVERITY_NUMBER_DEBUG trace_id: "aaaaaaaaaaaaaaaa")");
  WriteLog("cart", R"(body { kvlist_value { values { key: "k" value { string_value: "deep apple" } } } })");
  EXPECT_THAT(Bodies({.service = "mail"}), ElementsAre("mailbox full", "Mail sent"));
  EXPECT_THAT(Bodies({.severity_min = 9}), ElementsAre("mailbox full", "Mail sent"));
  EXPECT_THAT(Bodies({.text = "MAIL"}), ElementsAre("mailbox full", "Mail sent"));
  EXPECT_THAT(Bodies({.text = "full"}), ElementsAre("full of apples", "mailbox full"));
  EXPECT_THAT(Bodies({.text = "apple"}), ElementsAre("", "full of apples"));
  EXPECT_THAT(Bodies({.text = "%"}), IsEmpty());
  EXPECT_THAT(Bodies({.trace_id = Trace('a')}), ElementsAre("full of apples", "mailbox full"));
  EXPECT_THAT(Bodies({.service = "mail", .severity_min = 17, .text = "x", .trace_id = Trace('a')}),
              ElementsAre("mailbox full"));
  EXPECT_THAT(Bodies({.text = "full", .records_max = 1}), ElementsAre("full of apples"));
}

constexpr char kMetrics[] = R"(
    resource_metrics {
      resource { attributes { key: "service.name" value { string_value: "cart" } } }
      scope_metrics {
        scope { name: "meter" }
        metrics { name: "orders" description: "Orders taken." unit: "1" metadata { key: "m" value { int_value: 1 } }
                  sum { aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE is_monotonic: true
                        data_points { attributes { key: "paid" value { bool_value: true } } time_unix_nano: 10 as_int: 7 } } }
      }
    }
    resource_metrics {
      resource { attributes { key: "service.name" value { string_value: "cart" } } }
      scope_metrics {
        scope { name: "meter" }
        metrics { name: "latency" unit: "ms"
                  histogram { aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
                              data_points { attributes { key: "path" value { string_value: "/" } } time_unix_nano: 10
                                            count: 3 sum: 4.5 bucket_counts: [ 1, 2 ] explicit_bounds: [ 1.5 ] min: 1
                                            exemplars { as_double: 1 time_unix_nano: 9 } } } }
      }
    }
    resource_metrics {
      resource { attributes { key: "service.name" value { string_value: "cart" } } }
      scope_metrics {
        scope { name: "meter" }
        metrics { name: "sizes" exponential_histogram {
                    data_points { attributes { key: "a" value { int_value: 1 } } count: 2 scale: 3 zero_count: 1
                                  positive { offset: 1 bucket_counts: [ 1 ] } } } }
      }
    }
    resource_metrics {
      resource { attributes { key: "service.name" value { string_value: "cart" } } }
      scope_metrics {
        scope { name: "meter" }
        metrics { name: "quantiles" summary { data_points { attributes { key: "a" value { int_value: 1 } } count: 2 sum: 3
                                              quantile_values { quantile: 0.5 value: 1 } } } }
      }
    }
    resource_metrics {
      resource { attributes { key: "service.name" value { string_value: "mail" } } }
      scope_metrics { metrics { name: "queue" gauge { data_points { as_double: 0.5 time_unix_nano: 10 } } } }
    })";

TEST_F(StoreTest, GivesBackMetricPointsOfEveryKind) {
  Write<ExportMetricsServiceRequest>(kMetrics);
  const auto expected = FromText<ExportMetricsServiceRequest>(kMetrics);
  for (const auto& container : expected.resource_metrics()) {
    const std::string& name = container.scope_metrics(0).metrics(0).name();
    const auto points = FromJson<ExportMetricsServiceRequest>(Json(ReadPoints(store_->database(), {.metric = name})));
    ASSERT_EQ(points.resource_metrics_size(), 1) << name;
    EXPECT_EQ(points.resource_metrics(0).DebugString(), container.DebugString());
  }
}

TEST_F(StoreTest, ListsMetrics) {
  Write<ExportMetricsServiceRequest>(kMetrics, 1);
  Write<ExportMetricsServiceRequest>(R"(
      resource_metrics {
        resource { attributes { key: "service.name" value { string_value: "mail" } } }
        scope_metrics { metrics { name: "orders" unit: "1" gauge { data_points { as_int: 1 } } } }
      })",
                                     2);
  const std::string json = Json(ReadMetrics(store_->database()));
  EXPECT_THAT(json,
              HasSubstr(R"({"name":"latency","type":"histogram","unit":"ms","description":"","series":1,)"
                        R"("lastSeenUnixNano":"1","services":["cart"]},{"name":"orders","type":"gauge","unit":"1",)"
                        R"("description":"","series":2,"lastSeenUnixNano":"2","services":["cart","mail"]},)"));
}

TEST_F(StoreTest, KeepsTheLatestPointsOfEachSeries) {
  for (int i = 0; i < 5; ++i) {
    Write<ExportMetricsServiceRequest>(fmt::format(R"(
        resource_metrics {{ scope_metrics {{ metrics {{ name: "m" gauge {{
          data_points {{ attributes {{ key: "k" value {{ int_value: 1 }} }} as_int: {} }}
          data_points {{ attributes {{ key: "k" value {{ int_value: 2 }} }} as_int: {} }} }} }} }} }})",
                                                   i, 10 * i));
  }
  EXPECT_EQ(Count("series"), 2);
  EXPECT_EQ(Count("metric"), 1);
  const auto points =
      FromJson<ExportMetricsServiceRequest>(Json(ReadPoints(store_->database(), {.metric = "m", .points_max = 2})));
  std::vector<std::string> found;
  for (const auto& container : points.resource_metrics()) {
    const auto& gauge = container.scope_metrics(0).metrics(0).gauge();
    for (const auto& point : gauge.data_points()) {
      found.push_back(fmt::format("{}: {}", point.attributes(0).value().int_value(), point.as_int()));
    }
  }
  EXPECT_THAT(found, ElementsAre("2: 30", "2: 40", "1: 3", "1: 4"));
  EXPECT_EQ(Json(ReadPoints(store_->database(), {.metric = "other"})), "");
  EXPECT_EQ(Json(ReadPoints(store_->database(), {.metric = "m", .service = "other"})), "");
}

TEST_F(StoreTest, KeepsWhatItHasWhenItIsOpenedAgain) {
  Write<ExportTraceServiceRequest>(kCheckout);
  Reopen({});
  EXPECT_THAT(TraceNames(), ElementsAre("GET /", "POST /checkout"));
  WriteSpan('c', "gw", R"(name: "new")");
  EXPECT_THAT(TraceNames(), ElementsAre("new", "GET /", "POST /checkout"));
}

TEST_F(StoreTest, ForgetsWhatIsOld) {
  Reopen({.age_max = std::chrono::hours(1)});
  const uint64_t hour = 3600 * kSecond;
  WriteSpan('a', "old", R"(name: "old")", kNow);
  WriteLog("old", R"(body { string_value: "old" })", kNow);
  Write<ExportMetricsServiceRequest>(kMetrics, kNow);
  WriteSpan('b', "gw", R"(name: "young")", kNow + hour);
  WriteLog("gw", R"(body { string_value: "young" })", kNow + hour);
  EXPECT_FALSE(store_->EvictOld(kNow + hour));
  EXPECT_EQ(Count("span"), 2);
  EXPECT_EQ(Count("point"), 5);
  while (store_->EvictOld(kNow + hour + 1)) {
  }
  EXPECT_THAT(TraceNames(), ElementsAre("young"));
  EXPECT_THAT(Bodies(), ElementsAre("young"));
  for (const char* table : {"point", "series", "metric"}) EXPECT_EQ(Count(table), 0) << table;
  for (const char* table : {"trace", "span", "log"}) EXPECT_EQ(Count(table), 1) << table;
  EXPECT_EQ(Count("origin"), 1) << "the same Resource and no scope, for a span and a log record";
  const Store::Usage usage = store_->usage();
  EXPECT_EQ(usage.evicted_items[Signal::kTraces], 1);
  EXPECT_EQ(usage.evicted_items[Signal::kLogs], 1);
  EXPECT_EQ(usage.evicted_items[Signal::kMetrics], 5);
  EXPECT_EQ(usage.oldest_unix_ns, kNow + hour);
}

TEST_F(StoreTest, AClockThatGoesBackTakesNothingAway) {
  WriteLog("a", R"(body { string_value: "first" })", kNow);
  WriteLog("b", R"(body { string_value: "second" })", kNow - 3600 * kSecond);
  Reopen({});
  WriteLog("c", R"(body { string_value: "third" })", kNow - 7200 * kSecond);
  while (store_->EvictOld(kNow)) {
  }
  EXPECT_THAT(Bodies(), ElementsAre("third", "second", "first"));
}

TEST_F(StoreTest, StaysWithinItsBytesByForgettingTheOldest) {
  const uint64_t bytes_max = Store::kBytesMaxMin;
  Reopen({.bytes_max = bytes_max});
  uint64_t written = 0;
  uint64_t now = kNow;
  for (uint64_t seed = 0; written < 2 * bytes_max; ++seed) {
    for (const Signal signal : otlp::kSignals) {
      const base::Bytes request = bench::SampleRequest(signal, 500, seed);
      const Outcome outcome = WriteBytes(signal, request, ++now);
      ASSERT_EQ(outcome.kind, Outcome::Kind::kDelivered) << outcome.detail;
      written += request.size();
    }
    // What counts is what is on disk.
    uint64_t on_disk = 0;
    for (const auto& entry : fs::directory_iterator(directory_)) on_disk += entry.file_size();
    ASSERT_LE(on_disk, bytes_max) << written;
    ASSERT_GE(store_->usage().bytes, on_disk);
  }
  const Store::Usage usage = store_->usage();
  EXPECT_LE(usage.bytes, bytes_max);
  EXPECT_GT(usage.bytes, bytes_max / 2);
  EXPECT_EQ(Count("span"),
            Count("(SELECT 1 FROM span JOIN trace ON trace.id = span.trace JOIN origin ON origin.id = origin)"));
  EXPECT_EQ(Count("point"),
            Count("(SELECT 1 FROM point JOIN series ON series.id = series JOIN metric ON metric.id = metric "
                  "JOIN origin ON origin.id = origin)"));
  EXPECT_EQ(Count("log"), Count("(SELECT 1 FROM log JOIN origin ON origin.id = origin)"));
  EXPECT_EQ(store_->database().Number("SELECT sum(spans) FROM trace"), Count("span"));
  for (const Signal signal : otlp::kSignals) EXPECT_GT(usage.evicted_items[signal], 0) << otlp::Name(signal);
  EXPECT_FALSE(store_->database().failed());
}

TEST_F(StoreTest, ForgetsATraceOfManySpansInSteps) {
  base::Bytes request;
  {
    ExportTraceServiceRequest message;
    auto* scope = message.add_resource_spans()->add_scope_spans();
    for (int i = 0; i < 2500; ++i) scope->add_spans()->set_trace_id(std::string(16, 'a'));
    scope->add_spans()->set_trace_id(std::string(16, 'b'));
    request = ToBytes(message);
  }
  ASSERT_EQ(WriteBytes(Signal::kTraces, request).kind, Outcome::Kind::kDelivered);
  const uint64_t later = kNow + 25 * 3600 * kSecond;
  EXPECT_TRUE(store_->EvictOld(later));
  EXPECT_EQ(Count("span"), 1501);
  EXPECT_EQ(Count("trace"), 2);
  while (store_->EvictOld(later)) {
  }
  EXPECT_EQ(Count("span"), 0);
  EXPECT_EQ(Count("trace"), 0);
  EXPECT_EQ(Count("origin"), 0);
  EXPECT_EQ(store_->usage().evicted_items[Signal::kTraces], 2501);
}

TEST_F(StoreTest, ShrinksToASmallerBound) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    ASSERT_EQ(WriteBytes(Signal::kTraces, bench::SampleRequest(Signal::kTraces, 2000, seed)).kind,
              Outcome::Kind::kDelivered);
  }
  ASSERT_GT(store_->usage().bytes, Store::kBytesMaxMin * 3 / 2);
  const int64_t before = Count("span");
  Reopen({.bytes_max = Store::kBytesMaxMin});
  EXPECT_LE(store_->usage().bytes, Store::kBytesMaxMin);
  EXPECT_LT(Count("span"), before);
  EXPECT_GT(Count("span"), before / 8);
}

TEST_F(StoreTest, RefusesARequestTooLargeForItsBound) {
  Reopen({.bytes_max = Store::kBytesMaxMin});
  const Outcome outcome = WriteBytes(Signal::kTraces, bench::SampleRequest(Signal::kTraces, 5000, 1));
  EXPECT_EQ(outcome.kind, Outcome::Kind::kRefused);
  EXPECT_EQ(outcome.reason, Reason::kTooLarge);
  EXPECT_EQ(Count("span"), 0);
}

TEST_F(StoreTest, CutsServiceNamesAtACharacter) {
  WriteLog(std::string(99, 'x') + "é", "");
  EXPECT_THAT(Json(ReadServices(store_->database())), HasSubstr(fmt::format("\"{}\"", std::string(99, 'x'))));
  WriteLog(std::string(98, 'y') + "é", "");
  EXPECT_THAT(Json(ReadServices(store_->database())), HasSubstr(fmt::format("\"{}é\"", std::string(98, 'y'))));
}

TEST_F(StoreTest, TakesIdsAndTimesThatMakeNoSense) {
  Write<ExportTraceServiceRequest>(R"(
      resource_spans { scope_spans {
        spans { trace_id: "short" span_id: "" start_time_unix_nano: 18446744073709551615 end_time_unix_nano: 1 }
        spans { name: "no trace" end_time_unix_nano: 18446744073709551615 } } })");
  EXPECT_THAT(Json(ReadTrace(store_->database(), otlp::TraceId())), HasSubstr(R"("name":"no trace")"));
  WriteLog("x", R"(trace_id: "odd" severity_number: 2147483647 body { string_value: "odd" })");
  EXPECT_THAT(Json(ReadLogs(store_->database(), {.severity_min = 24})), HasSubstr(R"("stringValue":"odd")"));
}

TEST_F(StoreTest, RefusesFilesThatAreNotItsOwn) {
  auto no_directory = Store::Open({.path = directory_ / "missing" / "store.db"});
  ASSERT_FALSE(no_directory);
  EXPECT_THAT(no_directory.error().message, HasSubstr("missing/store.db: No such file or directory"));

  const std::string text = directory_ / "text";
  std::ofstream(text) << std::string(10'000, 'x');
  auto no_database = Store::Open({.path = text});
  ASSERT_FALSE(no_database);
  EXPECT_EQ(no_database.error().message, text + ": file is not a database");

  const std::string foreign = directory_ / "foreign.db";
  (*Database::Open(foreign))->Execute("CREATE TABLE t(x)");
  auto of_something_else = Store::Open({.path = foreign});
  ASSERT_FALSE(of_something_else);
  EXPECT_THAT(of_something_else.error().message, HasSubstr("is a database of something else"));

  store_->database().Execute("PRAGMA user_version = 7");
  store_.reset();
  auto of_the_future = Store::Open({.path = path()});
  ASSERT_FALSE(of_the_future);
  EXPECT_THAT(of_the_future.error().message, HasSubstr("has format 7, this program reads 1"));
}

TEST_F(StoreTest, HasItsFileToItself) {
  auto second = Store::Open({.path = path()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, path() + ": another process has it open");
}

TEST_F(StoreTest, AFailedWriteLeavesNothingAndCanBeRepeated) {
  store_->database().Execute("PRAGMA query_only = ON");
  const base::Bytes request = ToBytes(FromText<ExportTraceServiceRequest>(kCheckout));
  const Outcome outcome = WriteBytes(Signal::kTraces, request);
  EXPECT_EQ(outcome.kind, Outcome::Kind::kRetry);
  EXPECT_EQ(outcome.reason, Reason::kStorage);
  EXPECT_THAT(outcome.detail, HasSubstr("readonly"));
  store_->database().Execute("PRAGMA query_only = OFF");
  EXPECT_EQ(Count("span"), 0);
  EXPECT_EQ(WriteBytes(Signal::kTraces, request).kind, Outcome::Kind::kDelivered);
  EXPECT_EQ(Count("span"), 3);
}

TEST_F(StoreTest, AQuestionGetsOnlyItsTime) {
  Statement endless(store_->database(),
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n");
  store_->database().SetDeadline(base::Clock::now());
  EXPECT_FALSE(endless.Start().Next());
  const auto error = store_->database().TakeError();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, SQLITE_INTERRUPT);
}

}  // namespace
}  // namespace tributary::gateway
