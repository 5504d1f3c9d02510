#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/json.h"
#include "otlp/wire.h"

namespace tributary::otlp {
namespace {

using opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;

std::string Write(Signal signal, std::string_view request) {
  std::string json;
  ProtoToJson(signal, base::AsBytes(request), json);
  return json;
}

// Of the request that `text` describes in protobuf's text format.
template <typename Request>
std::string WriteText(Signal signal, const std::string& text) {
  Request request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return Write(signal, request.SerializeAsString());
}

// Members of the JSON of one span, given in text format or as wire bytes.
std::string Inner(const std::string& json) {
  const std::string head = R"({"resourceSpans":[{"scopeSpans":[{"spans":[{)";
  const std::string tail = "}]}]}]}";
  EXPECT_TRUE(json.starts_with(head) && json.ends_with(tail)) << json;
  return json.substr(head.size(), json.size() - head.size() - tail.size());
}
std::string Span(const std::string& text) {
  return Inner(WriteText<ExportTraceServiceRequest>(Signal::kTraces,
                                                    "resource_spans { scope_spans { spans { " + text + " } } }"));
}
std::string SpanOfBytes(std::string_view span) {
  base::Bytes scope_spans;
  AppendLengthDelimited(scope_spans, 2, span);
  base::Bytes resource_spans;
  AppendLengthDelimited(resource_spans, 2, scope_spans);
  base::Bytes request;
  AppendLengthDelimited(request, 1, resource_spans);
  return Inner(Write(Signal::kTraces, base::AsText(request)));
}

std::string LengthDelimited(uint32_t number, std::string_view content) {
  base::Bytes field;
  AppendLengthDelimited(field, number, content);
  return std::string(base::AsText(field));
}
std::string Varint(uint32_t number, uint64_t value) {
  base::Bytes field;
  AppendTag(field, number, WireType::kVarint);
  AppendVarint(field, value);
  return std::string(base::AsText(field));
}

TEST(ProtoToJson, WritesATrace) {
  EXPECT_EQ(WriteText<ExportTraceServiceRequest>(Signal::kTraces, R"(
      resource_spans {
        resource { attributes { key: 'service.name' value { string_value: 'shop' } } dropped_attributes_count: 1 }
        scope_spans {
          scope { name: 'lib' version: '1' }
          spans {
            trace_id: '\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c'
            span_id: '\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74'
            name: 'GET /'
            kind: SPAN_KIND_SERVER
            start_time_unix_nano: 1544712660000000000
            end_time_unix_nano: 18446744073709551615
            events { time_unix_nano: 1 name: 'e' }
            links { trace_id: 'x' flags: 4294967295 }
            status { message: 'bad' code: STATUS_CODE_ERROR }
            flags: 257
          }
          schema_url: 's'
        }
      }
      resource_spans {})"),
            R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],)"
            R"("droppedAttributesCount":1},"scopeSpans":[{"scope":{"name":"lib","version":"1"},"spans":[)"
            R"({"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET /","kind":2,)"
            R"("startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"18446744073709551615",)"
            R"("events":[{"timeUnixNano":"1","name":"e"}],"links":[{"traceId":"78","flags":4294967295}],)"
            R"("status":{"message":"bad","code":2},"flags":257}],"schemaUrl":"s"}]},{}]})");
}

TEST(ProtoToJson, WritesMetrics) {
  EXPECT_EQ(
      WriteText<ExportMetricsServiceRequest>(Signal::kMetrics, R"(
      resource_metrics { scope_metrics {
        metrics { name: 'a' sum { data_points { as_int: -5 time_unix_nano: 3 } is_monotonic: true
                                  aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE } }
        metrics { name: 'b' histogram { data_points {
            count: 3 sum: 0 bucket_counts: 1 bucket_counts: 0 explicit_bounds: 0.1 explicit_bounds: 1e300 min: -0.0
            exemplars { as_double: 1 span_id: '\x00\x11' } } } }
        metrics { exponential_histogram { data_points { scale: -3 positive { offset: -1 bucket_counts: 300 } negative {} } } }
        metrics { gauge {} }
        metrics { summary { data_points { quantile_values { quantile: 0.5 } } } }
      } })"),
      R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[)"
      R"({"name":"a","sum":{"dataPoints":[{"timeUnixNano":"3","asInt":"-5"}],"aggregationTemporality":2,"isMonotonic":true}},)"
      R"({"name":"b","histogram":{"dataPoints":[{"count":"3","sum":0,"bucketCounts":["1","0"],"explicitBounds":[0.1,1e+300],)"
      R"("exemplars":[{"asDouble":1,"spanId":"0011"}],"min":-0}]}},)"
      R"({"exponentialHistogram":{"dataPoints":[{"scale":-3,"positive":{"offset":-1,"bucketCounts":["300"]},"negative":{}}]}},)"
      R"({"gauge":{}},{"summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5}]}]}}]}]}]})");
}

TEST(ProtoToJson, WritesLogs) {
  EXPECT_EQ(
      WriteText<ExportLogsServiceRequest>(Signal::kLogs, R"(
      resource_logs {
        resource { entity_refs { type: 'k8s.pod' id_keys: 'k8s.pod.uid' id_keys: '' } }
        scope_logs { log_records {
          observed_time_unix_nano: 7 severity_number: SEVERITY_NUMBER_INFO trace_id: '' event_name: 'n'
          body { kvlist_value { values { key: 'k' value { array_value { values { bytes_value: '\xff' } values {} } } } } }
        } }
      })"),
      R"({"resourceLogs":[{"resource":{"entityRefs":[{"type":"k8s.pod","idKeys":["k8s.pod.uid",""]}]},)"
      R"("scopeLogs":[{"logRecords":[{"severityNumber":9,)"
      R"("body":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"bytesValue":"/w=="},{}]}}}]}},)"
      R"("observedTimeUnixNano":"7","eventName":"n"}]}]}]})");
}

TEST(ProtoToJson, AppendsToWhatIsThere) {
  std::string json = "x";
  ProtoToJson(Signal::kLogs, {}, json);
  EXPECT_EQ(json, "x{}");
}

TEST(ProtoToJson, WritesAlternativesWithTheirDefaults) {
  const auto value = [](const std::string& text) { return Span("attributes { value { " + text + " } }"); };
  EXPECT_EQ(value("string_value: ''"), R"("attributes":[{"value":{"stringValue":""}}])");
  EXPECT_EQ(value("bool_value: false"), R"("attributes":[{"value":{"boolValue":false}}])");
  EXPECT_EQ(value("int_value: 0"), R"("attributes":[{"value":{"intValue":"0"}}])");
  EXPECT_EQ(value("double_value: 0"), R"("attributes":[{"value":{"doubleValue":0}}])");
  EXPECT_EQ(value("bytes_value: ''"), R"("attributes":[{"value":{"bytesValue":""}}])");
  EXPECT_EQ(value("array_value {}"), R"("attributes":[{"value":{"arrayValue":{}}}])");
  EXPECT_EQ(value(""), R"("attributes":[{"value":{}}])");
}

TEST(ProtoToJson, WritesTheShortestDoubleThatReadsBack) {
  const auto number = [](const std::string& text) {
    const std::string json = Span("attributes { value { double_value: " + text + " } }");
    const std::string head = R"("attributes":[{"value":{"doubleValue":)";
    EXPECT_TRUE(json.starts_with(head)) << json;
    return json.substr(head.size(), json.size() - head.size() - 3);
  };
  EXPECT_EQ(number("0.1"), "0.1");
  EXPECT_EQ(number("0.30000000000000004"), "0.30000000000000004");
  EXPECT_EQ(number("5"), "5");
  EXPECT_EQ(number("1e21"), "1e+21");
  EXPECT_EQ(number("5e-324"), "5e-324");
  EXPECT_EQ(number("1.7976931348623157e308"), "1.7976931348623157e+308");
  EXPECT_EQ(number("nan"), "\"NaN\"");
  EXPECT_EQ(number("inf"), "\"Infinity\"");
  EXPECT_EQ(number("-inf"), "\"-Infinity\"");
}

TEST(ProtoToJson, EscapesWhatJsonMustNotHoldBare) {
  EXPECT_EQ(Span(R"(name: "q\" b\\ s/ \x08\x0c\n\r\t \x00 \x1f \x7f \xc3\xa9 \xf0\x9f\x98\x80")"),
            "\"name\":\"q\\\" b\\\\ s/ \\u0008\\u000c\\n\\r\\t \\u0000 \\u001f \x7f \xc3\xa9 \xf0\x9f\x98\x80\"");
}

TEST(ProtoToJson, OfASingularScalarGivenTwiceTheLastWins) {
  EXPECT_EQ(SpanOfBytes(LengthDelimited(5, "a") + Varint(6, 1) + LengthDelimited(5, "b")), R"("name":"b","kind":1)");
  EXPECT_EQ(SpanOfBytes(LengthDelimited(5, "a") + LengthDelimited(5, "")), "");
}

TEST(ProtoToJson, PiecesOfAMessageMerge) {
  EXPECT_EQ(SpanOfBytes(LengthDelimited(15, Varint(3, 1)) + LengthDelimited(5, "n") +
                        LengthDelimited(15, LengthDelimited(2, "m") + Varint(3, 2))),
            R"("name":"n","status":{"message":"m","code":2})");
}

TEST(ProtoToJson, OfAOneofTheLastMemberWins) {
  const auto value = [](const std::string& any_value) {
    return SpanOfBytes(LengthDelimited(9, LengthDelimited(2, any_value)));
  };
  const std::string array_of_true = LengthDelimited(5, LengthDelimited(1, Varint(2, 1)));
  const std::string array_of_seven = LengthDelimited(5, LengthDelimited(1, Varint(3, 7)));
  EXPECT_EQ(value(Varint(3, 1) + LengthDelimited(1, "s")), R"("attributes":[{"value":{"stringValue":"s"}}])");
  EXPECT_EQ(value(LengthDelimited(1, "s") + Varint(3, 1)), R"("attributes":[{"value":{"intValue":"1"}}])");
  EXPECT_EQ(value(array_of_true + array_of_seven),
            R"("attributes":[{"value":{"arrayValue":{"values":[{"boolValue":true},{"intValue":"7"}]}}}])");
  // Another member between them unset the first array.
  EXPECT_EQ(value(array_of_true + Varint(3, 1) + array_of_seven),
            R"("attributes":[{"value":{"arrayValue":{"values":[{"intValue":"7"}]}}}])");
}

TEST(ProtoToJson, RepeatedFieldsAreCollectedFromWhereverTheyAre) {
  EXPECT_EQ(SpanOfBytes(LengthDelimited(9, LengthDelimited(1, "a")) + LengthDelimited(5, "n") +
                        LengthDelimited(9, LengthDelimited(1, "b"))),
            R"("name":"n","attributes":[{"key":"a"},{"key":"b"}])");
}

TEST(ProtoToJson, PackedAndUnpackedElementsMix) {
  // Buckets.bucket_counts within an exponential histogram's data point.
  base::Bytes request;
  const std::string counts = LengthDelimited(2, std::string("\x01\xac\x02", 3)) + Varint(2, 5) + LengthDelimited(2, "");
  const std::string point = LengthDelimited(8, counts) + LengthDelimited(9, LengthDelimited(2, ""));
  AppendLengthDelimited(request, 1,
                        LengthDelimited(2, LengthDelimited(2, LengthDelimited(10, LengthDelimited(1, point)))));
  EXPECT_EQ(Write(Signal::kMetrics, base::AsText(request)),
            R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[)"
            R"({"positive":{"bucketCounts":["1","300","5"]},"negative":{}}]}}]}]}]})");
}

TEST(ProtoToJson, SkipsUnknownFields) {
  const std::string group = std::string("\xfb\x01", 2) + Varint(1, 5) + std::string("\xfc\x01", 2);  // field 31
  EXPECT_EQ(SpanOfBytes(Varint(100, 1) + LengthDelimited(5, "n") + group + LengthDelimited(17, "x")), R"("name":"n")");
}

TEST(ProtoToJson, KeepsTheLowBitsOfVarintsThatAreTooLong) {
  EXPECT_EQ(SpanOfBytes(Varint(6, 0x1'0000'0002) + Varint(10, 0x7'0000'0001)),
            R"("kind":2,"droppedAttributesCount":1)");
  EXPECT_EQ(SpanOfBytes(Varint(6, 0x1'0000'0000)), "");
  EXPECT_EQ(SpanOfBytes(Varint(6, std::numeric_limits<uint64_t>::max())), R"("kind":-1)");
}

}  // namespace
}  // namespace tributary::otlp
