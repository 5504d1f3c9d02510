#include "gateway/store_writer.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <map>
#include <vector>

#include "gateway/otlp_fields.h"
#include "gateway/store_schema.h"
#include "otlp/scan.h"
#include "otlp/splice.h"

namespace tributary::gateway {
namespace {

using base::ByteView;
using otlp::Field;
using otlp::FieldReader;

constexpr int64_t kUsedLagNs = std::chrono::nanoseconds(kStoreUsedLag).count();

// SQLite's integers are signed. A time beyond the year 2262 is none.
int64_t Signed(uint64_t unix_ns) { return static_cast<int64_t>(std::min<uint64_t>(unix_ns, INT64_MAX)); }

std::string CutService(std::string_view name) {
  if (name.size() > kStoreServiceBytesMax) {
    name = name.substr(0, kStoreServiceBytesMax);
    // Not within a character: continuation bytes are 10xxxxxx, and what precedes them has its top bit set too.
    while (!name.empty() && (name.back() & 0xc0) == 0x80) name.remove_suffix(1);
    if (!name.empty() && (name.back() & 0x80) != 0) name.remove_suffix(1);
  }
  return std::string(name);
}

// Only finds rows: another library's hash would cost a second row of the same content, no more.
int64_t Hash(std::initializer_list<ByteView> parts) {
  size_t hash = 0;
  for (const ByteView part : parts) hash = hash * 31 + std::hash<std::string_view>()(base::AsText(part));
  return static_cast<int64_t>(hash);
}

otlp::TraceId ToTraceId(ByteView bytes) {
  otlp::TraceId id{};
  if (bytes.size() == id.size()) std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

// What the store needs of a Span.
struct SpanFields {
  otlp::TraceId trace_id{};
  bool has_parent = false;
  std::string_view name;
  uint64_t start_unix_ns = 0;
  uint64_t end_unix_ns = 0;
  bool error = false;

  explicit SpanFields(ByteView span) {
    FieldReader reader(span);
    Field field;
    while (reader.Next(field)) {
      switch (field.number) {
        case span_field::kTraceId:
          trace_id = ToTraceId(field.content);
          break;
        case span_field::kParentSpanId:
          has_parent = !field.content.empty();
          break;
        case span_field::kName:
          name = base::AsText(field.content);
          break;
        case span_field::kStart:
          start_unix_ns = field.value;
          break;
        case span_field::kEnd:
          end_unix_ns = field.value;
          break;
        case span_field::kStatus:
          ReadStatus(field.content);
          break;
        default:
          break;
      }
    }
  }

  void ReadStatus(ByteView status) {
    FieldReader reader(status);
    Field field;
    while (reader.Next(field)) {
      if (field.number == status_field::kCode) error = field.value == status_field::kCodeError;
    }
  }
};

// What one request says of a trace.
struct TraceSummary {
  otlp::TraceId trace_id{};
  int64_t row = 0;
  int64_t start_ns = INT64_MAX;
  int64_t end_ns = 0;
  int64_t spans = 0;
  int64_t errors = 0;
  bool rooted = false;
  std::string service;
  std::string_view name;

  void Add(const SpanFields& span, std::string_view span_service) {
    const int64_t end = Signed(std::max(span.start_unix_ns, span.end_unix_ns));
    const int64_t start = span.start_unix_ns == 0 ? end : Signed(span.start_unix_ns);
    const bool root = !span.has_parent;
    if ((root && !rooted) || (root == rooted && start < start_ns)) {
      service = span_service;
      name = span.name;
    }
    rooted |= root;
    start_ns = std::min(start_ns, start);
    end_ns = std::max(end_ns, end);
    ++spans;
    errors += span.error ? 1 : 0;
  }
};

// The attributes of a metric's data point are field 7, but for two kinds.
uint32_t AttributesField(uint32_t kind) {
  if (kind == metric_field::kHistogram) return 9;
  if (kind == metric_field::kExponentialHistogram) return 1;
  return 7;
}

bool IsData(uint32_t field) {
  using namespace metric_field;
  return field == kGauge || field == kSum || field == kHistogram || field == kExponentialHistogram || field == kSummary;
}

}  // namespace

StoreWriter::StoreWriter(Database& database)
    : find_origin_(database, "SELECT id, used_ns FROM origin WHERE hash = ? AND container = ? AND scope = ?"),
      touch_origin_(database, "UPDATE origin SET used_ns = ? WHERE id = ?"),
      insert_origin_(database, R"sql(
        INSERT INTO origin(hash, used_ns, service, container, scope) VALUES(?, ?, ?, ?, ?))sql"),
      upsert_trace_(database, R"sql(
        INSERT INTO trace(trace_id, arrived_ns, start_ns, end_ns, spans, errors, rooted, service, name)
        VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT(trace_id) DO UPDATE SET
          service = iif((excluded.rooted, -excluded.start_ns) > (rooted, -start_ns), excluded.service, service),
          name = iif((excluded.rooted, -excluded.start_ns) > (rooted, -start_ns), excluded.name, name),
          rooted = max(rooted, excluded.rooted),
          start_ns = min(start_ns, excluded.start_ns),
          end_ns = max(end_ns, excluded.end_ns),
          spans = spans + excluded.spans,
          errors = errors + excluded.errors
        RETURNING id)sql"),
      insert_span_(database, "INSERT INTO span(trace, origin, service, error, bytes) VALUES(?, ?, ?, ?, ?)"),
      insert_log_(database, R"sql(
        INSERT INTO log(arrived_ns, origin, service, severity, trace_id, bytes)
        VALUES(?, ?, ?, ?, nullif(?, x''), ?))sql"),
      find_metric_(database, R"sql(
        SELECT id, used_ns FROM metric WHERE hash = ? AND origin = ? AND kind = ? AND head = ? AND data = ?)sql"),
      touch_metric_(database, "UPDATE metric SET used_ns = ? WHERE id = ?"),
      insert_metric_(database, R"sql(
        INSERT INTO metric(hash, used_ns, origin, service, name, kind, head, data)
        VALUES(?, ?, ?, ?, ?, ?, ?, ?))sql"),
      find_series_(database, "SELECT id, used_ns FROM series WHERE hash = ? AND metric = ? AND attributes = ?"),
      touch_series_(database, "UPDATE series SET used_ns = ? WHERE id = ?"),
      insert_series_(database, "INSERT INTO series(hash, used_ns, metric, attributes) VALUES(?, ?, ?, ?)"),
      insert_point_(database, "INSERT INTO point(arrived_ns, series, bytes) VALUES(?, ?, ?)") {}

void StoreWriter::Write(otlp::Signal signal, ByteView request, uint64_t now_unix_ns) {
  now_ns_ = Signed(now_unix_ns);
  switch (signal) {
    case otlp::Signal::kTraces:
      return WriteTraces(request);
    case otlp::Signal::kMetrics:
      return WriteMetrics(request);
    case otlp::Signal::kLogs:
      return WriteLogs(request);
  }
}

// Twice over the spans: their traces' rows are wanted before their own.
void StoreWriter::WriteTraces(ByteView request) {
  std::vector<TraceSummary> traces;  // in order of first mention
  std::map<otlp::TraceId, size_t> index;
  Origin origin;
  for (otlp::ItemReader reader(request); reader.Next();) {
    if (reader.first_of_scope()) origin = FindOrigin(reader);
    const SpanFields span(reader.item());
    const auto [place, added] = index.try_emplace(span.trace_id, traces.size());
    if (added) traces.emplace_back().trace_id = span.trace_id;
    traces[place->second].Add(span, origin.service);
  }
  for (TraceSummary& trace : traces) {
    upsert_trace_.Start(ByteView(trace.trace_id), now_ns_, trace.start_ns, trace.end_ns, trace.spans, trace.errors,
                        trace.rooted, trace.service, trace.name);
    if (upsert_trace_.Next()) trace.row = upsert_trace_.Int(0);
    upsert_trace_.Reset();
  }
  for (otlp::ItemReader reader(request); reader.Next();) {
    if (reader.first_of_scope()) origin = FindOrigin(reader);
    const SpanFields span(reader.item());
    const int64_t trace = traces[index.at(span.trace_id)].row;
    insert_span_.Start(trace, origin.id, origin.service, span.error, reader.item()).Run();
  }
}

void StoreWriter::WriteLogs(ByteView request) {
  Origin origin;
  for (otlp::ItemReader reader(request); reader.Next();) {
    if (reader.first_of_scope()) origin = FindOrigin(reader);
    int64_t severity = 0;
    ByteView trace_id;
    FieldReader fields(reader.item());
    Field field;
    while (fields.Next(field)) {
      if (field.number == log_field::kSeverityNumber) severity = static_cast<int32_t>(field.value);
      if (field.number == log_field::kTraceId) trace_id = field.content;
    }
    insert_log_.Start(now_ns_, origin.id, origin.service, severity, trace_id, reader.item()).Run();
  }
}

void StoreWriter::WriteMetrics(ByteView request) {
  Origin origin;
  for (otlp::ItemReader reader(request); reader.Next();) {
    if (reader.first_of_scope()) origin = FindOrigin(reader);
    WriteMetric(origin, reader.item());
  }
}

void StoreWriter::WriteMetric(const Origin& origin, ByteView metric) {
  // A Metric has data of one kind; should several be there, the last kind is meant, as in every oneof.
  uint32_t kind = 0;
  std::string_view name;
  base::Bytes head;
  Field field;
  for (FieldReader fields(metric); fields.Next(field);) {
    if (IsData(field.number)) {
      kind = field.number;
      continue;
    }
    if (field.number == metric_field::kName) name = base::AsText(field.content);
    head.Append(field.whole);
  }
  base::Bytes data_head;
  base::Bytes attributes;
  base::Bytes point;
  for (FieldReader fields(metric); fields.Next(field);) {
    if (field.number != kind) continue;
    data_head.Clear();
    otlp::CopyFieldsExcept(field.content, data_field::kPoints, data_head);
    const int64_t metric_row = FindMetric(origin, name, kind, head, data_head);
    Field of_data;
    for (FieldReader data(field.content); data.Next(of_data);) {
      if (of_data.number != data_field::kPoints) continue;
      attributes.Clear();
      point.Clear();
      Field of_point;
      for (FieldReader points(of_data.content); points.Next(of_point);) {
        (of_point.number == AttributesField(kind) ? attributes : point).Append(of_point.whole);
      }
      insert_point_.Start(now_ns_, FindSeries(metric_row, attributes), point).Run();
    }
  }
}

StoreWriter::Origin StoreWriter::FindOrigin(const otlp::ItemReader& reader) {
  const ByteView container = reader.container_head();
  const ByteView scope = reader.scope_head();
  Origin origin;
  origin.service = CutService(otlp::ResourceStringAttribute(container, "service.name").value_or(""));
  const int64_t hash = Hash({container, scope});
  const auto found = Use(find_origin_.Start(hash, container, scope), touch_origin_);
  origin.id = found ? *found : insert_origin_.Start(hash, now_ns_, origin.service, container, scope).Insert();
  return origin;
}

int64_t StoreWriter::FindMetric(const Origin& origin, std::string_view name, uint32_t kind, ByteView head,
                                ByteView data) {
  const int64_t hash = Hash({head, data}) + origin.id;
  if (auto id = Use(find_metric_.Start(hash, origin.id, kind, head, data), touch_metric_)) return *id;
  return insert_metric_.Start(hash, now_ns_, origin.id, origin.service, name, kind, head, data).Insert();
}

int64_t StoreWriter::FindSeries(int64_t metric, ByteView attributes) {
  const int64_t hash = Hash({attributes}) + metric;
  if (auto id = Use(find_series_.Start(hash, metric, attributes), touch_series_)) return *id;
  return insert_series_.Start(hash, now_ns_, metric, attributes).Insert();
}

std::optional<int64_t> StoreWriter::Use(Statement& find, Statement& touch) {
  if (!find.Next()) return std::nullopt;
  const int64_t id = find.Int(0);
  const bool stale = now_ns_ - find.Int(1) > kUsedLagNs;
  find.Reset();
  if (stale) touch.Start(now_ns_, id).Run();
  return id;
}

}  // namespace tributary::gateway
