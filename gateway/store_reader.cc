#include "gateway/store_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string_view>
#include <vector>

#include "gateway/otlp_fields.h"
#include "otlp/items.h"
#include "otlp/json.h"
#include "otlp/json_text.h"
#include "otlp/signal.h"

namespace tributary::gateway {
namespace {

using base::ByteView;
using otlp::Field;
using otlp::FieldReader;
using otlp::Signal;

constexpr int64_t kServicesMax = 1000;
constexpr int64_t kMetricNamesMax = 5000;
constexpr uint32_t kSpansOfTraceMax = 20'000;

// One question: gives it its time, and turns the database's error, if any, into the answer's.
class Question {
 public:
  explicit Question(Database& database) : database_(database) {
    database_.SetDeadline(base::Clock::now() + kStoreReadTimeMax);
  }
  ~Question() { database_.SetDeadline(std::nullopt); }

  StoreResult Answer(std::string json, bool complete) {
    const auto error = database_.TakeError();
    if (error && error->code != SQLITE_INTERRUPT) return base::Fail("{}", error->message);
    return StoreAnswer{.json = std::move(json), .complete = complete && !error};
  }

 private:
  Database& database_;
};

void AppendMember(std::string_view key, std::string_view text, std::string& json) {
  fmt::format_to(std::back_inserter(json), "\"{}\":", key);
  otlp::AppendQuoted(text, json);
  json += ',';
}
void AppendNumber(std::string_view key, int64_t number, std::string& json) {
  fmt::format_to(std::back_inserter(json), "\"{}\":{},", key, number);
}
// 64-bit integers are strings in OTLP/JSON, since JavaScript's numbers cannot hold them.
void AppendInt64(std::string_view key, int64_t number, std::string& json) {
  fmt::format_to(std::back_inserter(json), "\"{}\":\"{}\",", key, number);
}
// Every member and element was followed by a comma; the last must not be.
void Close(char bracket, std::string& json) {
  if (json.back() == ',') json.pop_back();
  json += bracket;
}

// {"name": "cart", "spans": 3, "errors": 1, and open for more.
void AppendService(std::string_view name, int64_t spans, int64_t errors, std::string& json) {
  json += '{';
  AppendMember("name", name, json);
  AppendNumber("spans", spans, json);
  AppendNumber("errors", errors, json);
}

bool ContainsIgnoringCase(std::string_view text, std::string_view part) {
  const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

// A string body is searched as text, a structured one as its bytes, in which its strings lie as they are.
bool BodyContains(ByteView log_record, std::string_view text) {
  constexpr uint32_t kStringValue = 1;  // AnyValue.string_value
  Field field;
  for (FieldReader fields(log_record); fields.Next(field);) {
    if (field.number != log_field::kBody) continue;
    Field value;
    FieldReader body(field.content);
    const bool is_string = body.Next(value) && value.number == kStringValue;
    if (ContainsIgnoringCase(base::AsText(is_string ? value.content : field.content), text)) return true;
  }
  return false;
}

std::string_view TypeName(int64_t kind) {
  switch (kind) {
    case metric_field::kGauge:
      return "gauge";
    case metric_field::kSum:
      return "sum";
    case metric_field::kHistogram:
      return "histogram";
    case metric_field::kExponentialHistogram:
      return "exponential histogram";
    case metric_field::kSummary:
      return "summary";
    default:
      return "unknown";
  }
}

std::string_view TextField(ByteView message, uint32_t number) {
  std::string_view text;
  Field field;
  for (FieldReader fields(message); fields.Next(field);) {
    if (field.number == number) text = base::AsText(field.content);
  }
  return text;
}

std::string ToJson(Signal signal, const base::Bytes& request) {
  std::string json;
  otlp::ProtoToJson(signal, request, json);
  return json;
}

}  // namespace

StoreResult ReadServices(Database& database) {
  Question question(database);
  Statement services(database, "SELECT service, max(used_ns) FROM origin GROUP BY service ORDER BY service LIMIT ?");
  Statement spans(database, "SELECT count(*), sum(error) FROM span WHERE service = ?");
  std::string json = R"({"services":[)";
  int64_t count = 0;
  for (services.Start(kServicesMax); services.Next(); ++count) {
    const std::string_view name = services.Text(0);
    spans.Start(name).Next();
    AppendService(name, spans.Int(0), spans.Int(1), json);
    spans.Reset();
    AppendInt64("lastSeenUnixNano", services.Int(1), json);
    Close('}', json);
    json += ',';
  }
  Close(']', json);
  return question.Answer(json + '}', count < kServicesMax);
}

StoreResult ReadTraces(Database& database, const TraceFilter& filter) {
  Question question(database);
  // What is not asked for is always true, so that every statement has the same parameters.
  Statement traces(
      database,
      fmt::format(R"sql(
      SELECT id, trace_id, service, name, start_ns, end_ns - start_ns AS duration_ns, spans, errors FROM trace
      WHERE duration_ns >= ?1 AND errors >= ?2 AND {} ORDER BY id DESC LIMIT ?4)sql",
                  filter.service ? "EXISTS (SELECT 1 FROM span WHERE span.service = ?3 AND span.trace = trace.id)"
                                 : "?3 NOTNULL"));
  Statement services(
      database, "SELECT service, count(*), sum(error) FROM span WHERE trace = ? GROUP BY service ORDER BY service");
  const std::string service = filter.service.value_or("");
  const int64_t errors_min = filter.errors_only ? 1 : 0;
  traces.Start(filter.duration_min.count(), errors_min, service, filter.traces_max);
  std::string json = R"({"traces":[)";
  uint32_t count = 0;
  for (; traces.Next(); ++count) {
    json += R"({"traceId":)";
    otlp::AppendHex(traces.Blob(1), json);
    json += ',';
    AppendMember("service", traces.Text(2), json);
    AppendMember("name", traces.Text(3), json);
    AppendInt64("startTimeUnixNano", traces.Int(4), json);
    AppendInt64("durationNano", traces.Int(5), json);
    AppendNumber("spans", traces.Int(6), json);
    AppendNumber("errors", traces.Int(7), json);
    json += R"("services":[)";
    for (services.Start(traces.Int(0)); services.Next();) {
      AppendService(services.Text(0), services.Int(1), services.Int(2), json);
      Close('}', json);
      json += ',';
    }
    Close(']', json);
    json += "},";
  }
  Close(']', json);
  return question.Answer(json + '}', count < filter.traces_max);
}

StoreResult ReadTrace(Database& database, const otlp::TraceId& trace_id) {
  Question question(database);
  Statement spans(database, R"sql(
      SELECT span.bytes, origin.id, origin.container, origin.scope
      FROM trace JOIN span ON span.trace = trace.id JOIN origin ON origin.id = span.origin
      WHERE trace_id = ? ORDER BY origin.id, span.id LIMIT ?)sql");
  otlp::RequestBuilder request;
  uint32_t count = 0;
  int64_t origin = 0;
  for (spans.Start(ByteView(trace_id), kSpansOfTraceMax); spans.Next(); ++count) {
    if (spans.Int(1) != origin) request.BeginScope(spans.Blob(2), spans.Blob(3));
    origin = spans.Int(1);
    request.AddItem(spans.Blob(0));
  }
  if (count == 0) return question.Answer({}, true);
  return question.Answer(ToJson(Signal::kTraces, request.Finish()), count < kSpansOfTraceMax);
}

StoreResult ReadLogs(Database& database, const LogFilter& filter) {
  Question question(database);
  // What is not asked for is always true, so that every statement has the same parameters.
  Statement logs(database, fmt::format(R"sql(
      SELECT log.bytes, origin.id, container, scope FROM log CROSS JOIN origin ON origin.id = log.origin
      WHERE severity >= ?1 AND {} AND {} ORDER BY log.id DESC)sql",
                                       filter.service ? "log.service = ?2" : "?2 NOTNULL",
                                       filter.trace_id ? "trace_id = ?3" : "?3 NOTNULL"));
  const std::string service = filter.service.value_or("");
  const otlp::TraceId trace_id = filter.trace_id.value_or(otlp::TraceId());
  logs.Start(filter.severity_min, service, ByteView(trace_id));
  otlp::RequestBuilder request;
  uint32_t count = 0;
  int64_t origin = 0;
  while (count < filter.records_max && logs.Next()) {
    if (!filter.text.empty() && !BodyContains(logs.Blob(0), filter.text)) continue;
    if (logs.Int(1) != origin) request.BeginScope(logs.Blob(2), logs.Blob(3));
    origin = logs.Int(1);
    request.AddItem(logs.Blob(0));
    ++count;
  }
  logs.Reset();
  return question.Answer(ToJson(Signal::kLogs, request.Finish()), count < filter.records_max);
}

StoreResult ReadMetrics(Database& database) {
  Question question(database);
  Statement metrics(database, R"sql(
      SELECT name, kind, head, max(used_ns), sum((SELECT count(*) FROM series WHERE series.metric = metric.id))
      FROM metric GROUP BY name ORDER BY name LIMIT ?)sql");
  Statement services(database, "SELECT DISTINCT service FROM metric WHERE name = ? ORDER BY service");
  std::string json = R"({"metrics":[)";
  int64_t count = 0;
  for (metrics.Start(kMetricNamesMax); metrics.Next(); ++count) {
    json += '{';
    AppendMember("name", metrics.Text(0), json);
    AppendMember("type", TypeName(metrics.Int(1)), json);
    AppendMember("unit", TextField(metrics.Blob(2), metric_field::kUnit), json);
    AppendMember("description", TextField(metrics.Blob(2), metric_field::kDescription), json);
    AppendNumber("series", metrics.Int(4), json);
    AppendInt64("lastSeenUnixNano", metrics.Int(3), json);
    json += R"("services":[)";
    for (services.Start(metrics.Text(0)); services.Next();) {
      otlp::AppendQuoted(services.Text(0), json);
      json += ',';
    }
    Close(']', json);
    json += "},";
  }
  Close(']', json);
  return question.Answer(json + '}', count < kMetricNamesMax);
}

StoreResult ReadPoints(Database& database, const PointFilter& filter) {
  Question question(database);
  Statement series(database, fmt::format(R"sql(
      SELECT series.id, attributes, kind, head, data, container, scope
      FROM metric CROSS JOIN series ON series.metric = metric.id CROSS JOIN origin ON origin.id = metric.origin
      WHERE name = ?1 AND {} ORDER BY series.id DESC LIMIT ?3)sql",
                                         filter.service ? "metric.service = ?2" : "?2 NOTNULL"));
  Statement points(database, "SELECT bytes FROM point WHERE series = ? ORDER BY id DESC LIMIT ?");
  const std::string service = filter.service.value_or("");
  otlp::RequestBuilder request;
  uint32_t count = 0;
  for (series.Start(filter.metric, service, filter.series_max); series.Next(); ++count) {
    std::vector<base::Bytes> newest_first;
    for (points.Start(series.Int(0), filter.points_max); points.Next();) newest_first.emplace_back(points.Blob(0));
    base::Bytes data(series.Blob(4));
    for (auto point = newest_first.rbegin(); point != newest_first.rend(); ++point) {
      point->Append(series.Blob(1));
      otlp::AppendLengthDelimited(data, data_field::kPoints, *point);
    }
    base::Bytes metric(series.Blob(3));
    otlp::AppendLengthDelimited(metric, static_cast<uint32_t>(series.Int(2)), data);
    request.BeginScope(series.Blob(5), series.Blob(6));
    request.AddItem(metric);
  }
  if (count == 0) return question.Answer({}, true);
  return question.Answer(ToJson(Signal::kMetrics, request.Finish()), count < filter.series_max);
}

}  // namespace tributary::gateway
