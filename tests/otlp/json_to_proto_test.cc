#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/json.h"
#include "otlp/scan.h"

namespace tributary::otlp {
namespace {

using opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Read(Signal signal, std::string_view json) {
  const auto request = JsonToProto(signal, base::Bytes(json));
  EXPECT_TRUE(request.has_value()) << request.error().message << "\n" << json;
  return request ? std::string(base::AsText(*request)) : std::string();
}

std::string Error(Signal signal, std::string_view json) {
  const auto request = JsonToProto(signal, base::Bytes(json));
  EXPECT_FALSE(request.has_value()) << json;
  return request ? "" : request.error().message;
}

// Bytes of the message that `text` describes in protobuf's text format, as libprotobuf writes them.
template <typename Request>
std::string Encode(const std::string& text) {
  Request request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request.SerializeAsString();
}

// One span of the given JSON members, and its expected fields.
std::string SpanJson(const std::string& members) {
  return R"({"resourceSpans":[{"scopeSpans":[{"spans":[{)" + members + "}]}]}]}";
}
std::string SpanBytes(const std::string& text) {
  return Encode<ExportTraceServiceRequest>("resource_spans { scope_spans { spans { " + text + " } } }");
}
std::string ReadSpan(const std::string& members) { return Read(Signal::kTraces, SpanJson(members)); }
std::string SpanError(const std::string& members) { return Error(Signal::kTraces, SpanJson(members)); }
constexpr std::string_view kSpanPath = "resourceSpans[0].scopeSpans[0].spans[0]";
auto AtSpan(const std::string& rest) { return StartsWith(std::string(kSpanPath) + rest); }

// One attribute value of the given JSON.
std::string ValueJson(const std::string& value) {
  return SpanJson(R"("attributes":[{"key":"k","value":)" + value + "}]");
}
std::string ReadValue(const std::string& value) { return Read(Signal::kTraces, ValueJson(value)); }
std::string ValueError(const std::string& value) { return Error(Signal::kTraces, ValueJson(value)); }
std::string ValueBytes(const std::string& text) { return SpanBytes("attributes { key: 'k' value { " + text + " } }"); }

// One point of a metric of the given kind.
std::string PointJson(const std::string& kind, const std::string& members) {
  return R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{")" + kind + R"(":{"dataPoints":[{)" + members +
         "}]}}]}]}]}";
}
std::string PointBytes(const std::string& kind, const std::string& text) {
  return Encode<ExportMetricsServiceRequest>("resource_metrics { scope_metrics { metrics { " + kind +
                                             " { data_points { " + text + " } } } } }");
}

TEST(JsonToProto, ReadsTheSpecificationsTraceExample) {
  // https://github.com/open-telemetry/opentelemetry-proto/blob/main/examples/trace.json
  const std::string json = R"({
    "resourceSpans": [{
      "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
      "scopeSpans": [{
        "scope": {
          "name": "my.library",
          "version": "1.0.0",
          "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]
        },
        "spans": [{
          "traceId": "5B8EFFF798038103D269B633813FC60C",
          "spanId": "EEE19B7EC3C1B174",
          "parentSpanId": "EEE19B7EC3C1B173",
          "name": "I'm a server span",
          "startTimeUnixNano": "1544712660000000000",
          "endTimeUnixNano": "1544712661000000000",
          "kind": 2,
          "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}]
        }]
      }]
    }]
  })";
  EXPECT_EQ(Read(Signal::kTraces, json), Encode<ExportTraceServiceRequest>(R"(
    resource_spans {
      resource { attributes { key: 'service.name' value { string_value: 'my.service' } } }
      scope_spans {
        scope {
          name: 'my.library'
          version: '1.0.0'
          attributes { key: 'my.scope.attribute' value { string_value: 'some scope attribute' } }
        }
        spans {
          trace_id: '\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c'
          span_id: '\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74'
          parent_span_id: '\xee\xe1\x9b\x7e\xc3\xc1\xb1\x73'
          name: "I'm a server span"
          kind: SPAN_KIND_SERVER
          start_time_unix_nano: 1544712660000000000
          end_time_unix_nano: 1544712661000000000
          attributes { key: 'my.span.attr' value { string_value: 'some value' } }
        }
      }
    })"));
}

TEST(JsonToProto, ReadsEveryKindOfMetric) {
  const std::string json = R"({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
    {"name": "my.counter", "unit": "1", "description": "I am a Counter",
     "sum": {"aggregationTemporality": 1, "isMonotonic": true,
             "dataPoints": [{"asDouble": 5, "startTimeUnixNano": "1544712660300000000",
                             "timeUnixNano": "1544712660300000000", "flags": 1}]}},
    {"name": "my.gauge", "gauge": {"dataPoints": [{"asInt": "-10", "timeUnixNano": 1544712660300000000,
       "exemplars": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "asInt": 3,
                      "filteredAttributes": [{"key": "f"}]}]}]}},
    {"name": "my.histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": [
       {"count": "2", "sum": 2, "bucketCounts": [1, "1", "0"], "explicitBounds": [1, 2.5], "min": 0, "max": 2}]}},
    {"name": "my.exponential.histogram", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [
       {"count": 3, "sum": 10, "scale": -2, "zeroCount": "1", "positive": {"offset": 1, "bucketCounts": ["0", 300]},
        "negative": {"offset": -1}, "zeroThreshold": 0.5}]}},
    {"name": "my.summary", "summary": {"dataPoints": [
       {"count": "4", "sum": 1.5, "quantileValues": [{"quantile": 0.99, "value": "NaN"}, {}]}]},
     "metadata": [{"key": "m", "value": {"boolValue": true}}]}
  ]}]}]})";
  ExportMetricsServiceRequest expected;
  const std::string text = R"(
    metrics {
      name: 'my.counter' unit: '1' description: 'I am a Counter'
      sum {
        aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA is_monotonic: true
        data_points {
          as_double: 5 start_time_unix_nano: 1544712660300000000 time_unix_nano: 1544712660300000000 flags: 1
        }
      }
    }
    metrics {
      name: 'my.gauge'
      gauge {
        data_points {
          as_int: -10 time_unix_nano: 1544712660300000000
          exemplars {
            trace_id: '\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c'
            span_id: '\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74'
            as_int: 3
            filtered_attributes { key: 'f' }
          }
        }
      }
    }
    metrics {
      name: 'my.histogram'
      histogram {
        aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE
        data_points {
          count: 2 sum: 2 bucket_counts: 1 bucket_counts: 1 bucket_counts: 0 explicit_bounds: 1 explicit_bounds: 2.5
          min: 0 max: 2
        }
      }
    }
    metrics {
      name: 'my.exponential.histogram'
      exponential_histogram {
        aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
        data_points {
          count: 3 sum: 10 scale: -2 zero_count: 1 positive { offset: 1 bucket_counts: 0 bucket_counts: 300 }
          negative { offset: -1 } zero_threshold: 0.5
        }
      }
    }
    metrics {
      name: 'my.summary'
      summary { data_points { count: 4 sum: 1.5 quantile_values { quantile: 0.99 value: nan } quantile_values {} } }
      metadata { key: 'm' value { bool_value: true } }
    })";
  EXPECT_EQ(Read(Signal::kMetrics, json),
            Encode<ExportMetricsServiceRequest>("resource_metrics { scope_metrics { " + text + " } }"));
}

TEST(JsonToProto, ReadsALogRecord) {
  const std::string json = R"({"resourceLogs": [{"schemaUrl": "r", "resource": {"droppedAttributesCount": 2,
      "entityRefs": [{"schemaUrl": "s", "type": "k8s.pod", "idKeys": ["k8s.pod.uid", ""], "descriptionKeys": []}]},
    "scopeLogs": [{"schemaUrl": "sc", "logRecords": [{
      "timeUnixNano": "1544712660300000000", "observedTimeUnixNano": "1544712660300000001", "severityNumber": 10,
      "severityText": "Information", "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
      "body": {"stringValue": "Example log record"}, "flags": 4294967295, "eventName": "e",
      "attributes": [{"key": "map.attribute", "value": {"kvlistValue": {"values": [
          {"key": "some.map.key", "value": {"stringValue": "some value"}}]}}},
        {"key": "array", "value": {"arrayValue": {"values": [{"bytesValue": "AQL/"}, {}, {"arrayValue": {}}]}}}]
    }]}]}]})";
  EXPECT_EQ(Read(Signal::kLogs, json), Encode<ExportLogsServiceRequest>(R"(
    resource_logs {
      schema_url: 'r'
      resource {
        dropped_attributes_count: 2
        entity_refs { schema_url: 's' type: 'k8s.pod' id_keys: 'k8s.pod.uid' id_keys: '' }
      }
      scope_logs {
        schema_url: 'sc'
        log_records {
          time_unix_nano: 1544712660300000000 observed_time_unix_nano: 1544712660300000001
          severity_number: SEVERITY_NUMBER_INFO2 severity_text: 'Information'
          trace_id: '\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c'
          span_id: '\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74'
          body { string_value: 'Example log record' } flags: 4294967295 event_name: 'e'
          attributes {
            key: 'map.attribute'
            value { kvlist_value { values { key: 'some.map.key' value { string_value: 'some value' } } } }
          }
          attributes {
            key: 'array'
            value { array_value { values { bytes_value: '\x01\x02\xff' } values {} values { array_value {} } } }
          }
        }
      }
    })"));
}

TEST(JsonToProto, WritesFieldsInNumberOrderWhateverTheOrderOfKeys) {
  EXPECT_EQ(
      ReadSpan(R"("flags":257,"status":{"code":2,"message":"bad"},"links":[{"flags":1,"traceState":"a=b"}],
                        "attributes":[{"value":{"intValue":7},"key":"k"},{"key":"l"}],"name":"n","droppedLinksCount":1)"),
      SpanBytes("flags: 257 status { code: STATUS_CODE_ERROR message: 'bad' } links { flags: 1 trace_state: 'a=b' } "
                "attributes { key: 'k' value { int_value: 7 } } attributes { key: 'l' } name: 'n' "
                "dropped_links_count: 1"));
}

TEST(JsonToProto, WritesMinimalLengthsAtEveryBoundary) {
  for (const size_t size : {0, 1, 60, 63, 64, 123, 124, 125, 126, 127, 128, 129, 16370, 16383, 16384, 16400, 2100000}) {
    const std::string name(size, 'x');
    EXPECT_EQ(ReadSpan(R"("name":")" + name + '"'), SpanBytes("name: '" + name + "'")) << size;
    // The same, and sorted.
    EXPECT_EQ(ReadSpan(R"("name":")" + name + R"(","traceState":"t")"),
              SpanBytes("trace_state: 't' name: '" + name + "'"))
        << size;
  }
}

TEST(JsonToProto, AnEmptyRequestIsEmpty) {
  EXPECT_EQ(Read(Signal::kTraces, "{}"), "");
  EXPECT_EQ(Read(Signal::kMetrics, " \n{ \t}\r\n"), "");
  EXPECT_EQ(Read(Signal::kLogs, R"({"resourceLogs":[]})"), "");
}

TEST(JsonToProto, LeavesOutDefaultsButKeepsMessagesAndAlternatives) {
  EXPECT_EQ(
      ReadSpan(R"("name":"","kind":0,"flags":0,"traceId":"","startTimeUnixNano":"0","attributes":[],"status":{})"),
      SpanBytes("status {}"));
  EXPECT_EQ(ReadValue(R"({"stringValue":""})"), ValueBytes("string_value: ''"));
  EXPECT_EQ(ReadValue(R"({"intValue":"0"})"), ValueBytes("int_value: 0"));
  EXPECT_EQ(ReadValue(R"({"boolValue":false})"), ValueBytes("bool_value: false"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":0})"), ValueBytes("double_value: 0"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":""})"), ValueBytes("bytes_value: ''"));
  EXPECT_EQ(ReadValue(R"({"kvlistValue":{}})"), ValueBytes("kvlist_value {}"));
  EXPECT_EQ(Read(Signal::kMetrics, PointJson("histogram", R"("sum":0,"min":0,"max":-0.0,"count":0)")),
            PointBytes("histogram", "sum: 0 min: 0 max: -0.0"));
}

TEST(JsonToProto, IdsAreHexOfEitherCaseAndOfTheirLengthOrEmpty) {
  EXPECT_EQ(ReadSpan(R"("spanId":"00aAfF1234567890")"), SpanBytes(R"(span_id: '\x00\xaa\xff\x12\x34\x56\x78\x90')"));
  EXPECT_EQ(ReadSpan(R"("spanId":"")"), SpanBytes(""));
  EXPECT_EQ(SpanError(R"("traceId":"zz")"), std::string(kSpanPath) + ".traceId: not hexadecimal: \"zz\"");
  EXPECT_THAT(SpanError(R"("traceId":"5B8EFFF798038103D269B633813FC60")"), AtSpan(".traceId: not hexadecimal"));
  EXPECT_THAT(SpanError(R"("traceId":"5b8efff798038103")"), AtSpan(".traceId: not 16 bytes, nor empty"));
  EXPECT_THAT(SpanError(R"("spanId":"5b8efff7980381")"), AtSpan(".spanId: not 8 bytes, nor empty"));
  EXPECT_THAT(SpanError(R"("parentSpanId":"5b8efff79803810300")"), AtSpan(".parentSpanId: not 8 bytes, nor empty"));
  // What a base64 encoder would have made of a trace id.
  EXPECT_THAT(SpanError(R"("traceId":"W47/95gDgQPSabYzgT/GDA==")"), AtSpan(".traceId: not hexadecimal"));
  EXPECT_THAT(SpanError(R"("links":[{},{"spanId":5}])"), AtSpan(".links[1].spanId: not a string: 5"));
}

TEST(JsonToProto, OtherBytesAreBase64OfEitherAlphabetPaddedOrNot) {
  EXPECT_EQ(ReadValue(R"({"bytesValue":"+/+/"})"), ValueBytes(R"(bytes_value: '\xfb\xff\xbf')"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":"-_-_"})"), ValueBytes(R"(bytes_value: '\xfb\xff\xbf')"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":"AA=="})"), ValueBytes(R"(bytes_value: '\x00')"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":"AA"})"), ValueBytes(R"(bytes_value: '\x00')"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":"AAE="})"), ValueBytes(R"(bytes_value: '\x00\x01')"));
  EXPECT_EQ(ReadValue(R"({"bytesValue":"AAE"})"), ValueBytes(R"(bytes_value: '\x00\x01')"));
  for (const char* bad : {"A", "AAAAA", "AA=", "A===", "====", "AA==AA==", "A A", "AA\\n", "AA=A", "é"}) {
    EXPECT_THAT(ValueError(R"({"bytesValue":")" + std::string(bad) + "\"}"), HasSubstr(".bytesValue: not base64"))
        << bad;
  }
}

TEST(JsonToProto, IntegersAreDecimalStringsOrIntegralNumbers) {
  for (const char* same : {"1000", R"("1000")", "1e3", "1E+3", "1000.0", "10000e-1", R"("1e3")"}) {
    EXPECT_EQ(ReadValue(R"({"intValue":)" + std::string(same) + "}"), ValueBytes("int_value: 1000")) << same;
  }
  EXPECT_EQ(ReadValue(R"({"intValue":"-9223372036854775808"})"), ValueBytes("int_value: -9223372036854775808"));
  EXPECT_EQ(ReadValue(R"({"intValue":9223372036854775807})"), ValueBytes("int_value: 9223372036854775807"));
  EXPECT_EQ(ReadValue(R"({"intValue":-0})"), ValueBytes("int_value: 0"));
  EXPECT_EQ(ReadSpan(R"("endTimeUnixNano":18446744073709551615)"),
            SpanBytes("end_time_unix_nano: 18446744073709551615"));
  for (const char* bad : {"9223372036854775808", R"("-9223372036854775809")", "1.5", "1e30", "1e400", R"("")",
                          R"(" 1")", R"("1 ")", R"("+1")", R"("0x10")", R"("01")", R"("1_000")", R"("NaN")", "true",
                          "[]", "{}", R"("12a")", R"("-")", "1e1000000000"}) {
    EXPECT_THAT(ValueError(R"({"intValue":)" + std::string(bad) + "}"), HasSubstr(".intValue: not a 64-bit integer"))
        << bad;
  }
  EXPECT_THAT(SpanError(R"("endTimeUnixNano":18446744073709551616)"), HasSubstr("not an unsigned 64-bit integer"));
  EXPECT_THAT(SpanError(R"("endTimeUnixNano":-1)"), HasSubstr("not an unsigned 64-bit integer"));
}

TEST(JsonToProto, NarrowIntegersAreRangeChecked) {
  EXPECT_EQ(ReadSpan(R"("droppedLinksCount":"4294967295")"), SpanBytes("dropped_links_count: 4294967295"));
  EXPECT_THAT(SpanError(R"("droppedLinksCount":4294967296)"),
              AtSpan(".droppedLinksCount: not an unsigned 32-bit integer"));
  EXPECT_THAT(SpanError(R"("flags":-1)"), AtSpan(".flags: not an unsigned 32-bit integer: -1"));
  EXPECT_EQ(Read(Signal::kMetrics, PointJson("exponentialHistogram", R"("scale":-2147483648)")),
            PointBytes("exponential_histogram", "scale: -2147483648"));
  EXPECT_THAT(Error(Signal::kMetrics, PointJson("exponentialHistogram", R"("scale":2147483648)")),
              HasSubstr(".dataPoints[0].scale: not a 32-bit integer"));
}

TEST(JsonToProto, EnumsAreIntegersOnly) {
  EXPECT_EQ(ReadSpan(R"("kind":77)"), SpanBytes("kind: 77"));
  EXPECT_EQ(ReadSpan(R"("kind":-1)").size(), SpanBytes("").size() + 1 + 10);
  EXPECT_THAT(SpanError(R"("kind":"SPAN_KIND_SERVER")"), AtSpan(R"(.kind: not an enum's integer: "SPAN_KIND_SERVER")"));
  EXPECT_THAT(SpanError(R"("kind":"2")"), AtSpan(".kind: not an enum's integer"));
  EXPECT_THAT(SpanError(R"("kind":2147483648)"), AtSpan(".kind: not an enum's integer"));
}

TEST(JsonToProto, DoublesAreNumbersOrNumericStrings) {
  EXPECT_EQ(ReadValue(R"({"doubleValue":"1.5e300"})"), ValueBytes("double_value: 1.5e300"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":100000000000000000000})"), ValueBytes("double_value: 1e20"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":-0.0})"), ValueBytes("double_value: -0.0"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":5e-324})"), ValueBytes("double_value: 5e-324"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":1e-400})"), ValueBytes("double_value: 0"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":"NaN"})"), ValueBytes("double_value: nan"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":"Infinity"})"), ValueBytes("double_value: inf"));
  EXPECT_EQ(ReadValue(R"({"doubleValue":"-Infinity"})"), ValueBytes("double_value: -inf"));
  for (const char* bad : {"1e400", "-1e400", "NaN", R"("nan")", R"("inf")", R"("+Infinity")", R"("")", R"("1.")",
                          R"(".5")", R"("0x1p3")", "true", "01", "1.", "+1", "-", "1e", "1e+", R"("1 ")"}) {
    EXPECT_THAT(ValueError(R"({"doubleValue":)" + std::string(bad) + "}"), HasSubstr(".doubleValue: not a double"))
        << bad;
  }
}

TEST(JsonToProto, BooleansAreTrueOrFalseOnly) {
  EXPECT_EQ(ReadValue(R"({"boolValue":true})"), ValueBytes("bool_value: true"));
  for (const char* bad : {"1", "0", R"("true")", "True", "truefalse", "tru", "[]"}) {
    EXPECT_THAT(ValueError(R"({"boolValue":)" + std::string(bad) + "}"), HasSubstr(".boolValue: not true or false"))
        << bad;
  }
}

TEST(JsonToProto, NullIsAbsent) {
  EXPECT_EQ(ReadSpan(R"("name":null,"attributes":null,"status":null,"traceId":null,"kind":null,"flags":1)"),
            SpanBytes("flags: 1"));
  EXPECT_EQ(ReadValue("null"), SpanBytes("attributes { key: 'k' }"));
  EXPECT_EQ(ReadValue(R"({"stringValue":null,"intValue":1})"), ValueBytes("int_value: 1"));
  EXPECT_EQ(ReadSpan(R"("name":"a","name":null)"), SpanBytes("name: 'a'"));
}

TEST(JsonToProto, RefusesNullInAList) {
  EXPECT_THAT(SpanError(R"("attributes":[{"key":"a"},null])"), AtSpan(".attributes[1]: null in a list"));
  EXPECT_THAT(Error(Signal::kMetrics, PointJson("histogram", R"("bucketCounts":[null])")),
              HasSubstr(".bucketCounts[0]: null in a list"));
}

TEST(JsonToProto, OfAScalarGivenTwiceTheLastWins) {
  EXPECT_EQ(ReadSpan(R"("name":"a","kind":1,"name":"b")"), SpanBytes("name: 'b' kind: SPAN_KIND_INTERNAL"));
  EXPECT_EQ(ReadSpan(R"("name":"a","name":"b","name":"")"), SpanBytes(""));
  EXPECT_EQ(ReadValue(R"({"intValue":1,"intValue":"0"})"), ValueBytes("int_value: 0"));
}

TEST(JsonToProto, RefusesAMessageOrListGivenTwice) {
  EXPECT_THAT(SpanError(R"("status":{"code":1},"status":{"message":"m"})"), AtSpan(".status: given twice"));
  EXPECT_THAT(SpanError(R"("attributes":[],"attributes":[{"key":"k"}])"), AtSpan(".attributes: given twice"));
  EXPECT_THAT(Error(Signal::kTraces, R"({"resourceSpans":[],"resourceSpans":[]})"),
              StartsWith("resourceSpans: given twice"));
}

TEST(JsonToProto, RefusesTwoAlternativesOfAOneof) {
  EXPECT_THAT(ValueError(R"({"stringValue":"a","intValue":1})"),
              AtSpan(".attributes[0].value.intValue: only one of the alternatives may be given"));
  EXPECT_THAT(Error(Signal::kMetrics, PointJson("gauge", R"("asInt":1,"asDouble":1)")),
              HasSubstr("asDouble: only one"));
}

TEST(JsonToProto, IgnoresUnknownKeysWhateverTheyHold) {
  EXPECT_EQ(
      ReadSpan(R"("new":{"a":[1,{"b":[]},"s\u00e9\ud83d\ude00",null,true,-1.5e10,{}]},"name":"n","more":"x","":0)"),
      SpanBytes("name: 'n'"));
  EXPECT_EQ(Read(Signal::kTraces, R"({"partialSuccess":{},"resourceSpans":[{"deprecatedScopes":[{}]}]})"),
            Encode<ExportTraceServiceRequest>("resource_spans {}"));
}

TEST(JsonToProto, OriginalFieldNamesAreUnknown) {
  EXPECT_EQ(ReadSpan(R"("trace_id":"5b8efff798038103d269b633813fc60c","TraceId":"zz","name":"n")"),
            SpanBytes("name: 'n'"));
  EXPECT_EQ(Read(Signal::kTraces, R"({"resource_spans":[{}]})"), "");
}

TEST(JsonToProto, KeysAndStringsMayBeEscaped) {
  EXPECT_EQ(ReadSpan(R"("\u006eame":"a\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00z")"),
            SpanBytes(R"(name: 'a\"\\/\x08\x0c\n\r\t\x00\xc3\xa9\xf0\x9f\x98\x80z')"));
  EXPECT_EQ(ReadSpan(R"("spanId":"\u0030011223344556677")"),
            SpanBytes(R"(span_id: '\x00\x11\x22\x33\x44\x55\x66\x77')"));
  EXPECT_EQ(ReadValue(R"({"intValue":"\u0031"})"), ValueBytes("int_value: 1"));
  EXPECT_EQ(ReadSpan("\"name\":\"caf\xc3\xa9 \xed\x95\x9c\""), SpanBytes("name: 'caf\xc3\xa9 \xed\x95\x9c'"));
}

TEST(JsonToProto, RefusesInvalidUtf8AndLoneSurrogatesAlsoWhereIgnored) {
  for (const char* name : {"name", "unknown"}) {
    for (const char* bad : {"\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", R"(\ud800)", R"(\udc00)", R"(\ud800\ud800)",
                            R"(\ud83dx)", R"(\udc00\ud800)", R"(\u12)", R"(\x41)", "\x01", "\n"}) {
      SpanError("\"" + std::string(name) + "\":\"" + bad + "\"");
      SpanError("\"" + std::string(name) + bad + "\":\"\"");
    }
  }
}

TEST(JsonToProto, RefusesWhatIsNotOneJsonObject) {
  for (const char* bad : {"",
                          " ",
                          "null",
                          "1",
                          "\"a\"",
                          "[]",
                          "[{}]",
                          "true",
                          "{",
                          "}",
                          "{}{}",
                          "{} x",
                          "{},",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\" 1}",
                          "{\"a\":1,}",
                          "{,}",
                          "{a:1}",
                          "{'a':1}",
                          "{\"a\":[1,]}",
                          "{\"a\":[1 2]}",
                          "{\"a\":[}",
                          "{\"a\":tru}",
                          "{\"a\":nul}",
                          "{\"a\":truee}",
                          "{\"a\":01}",
                          "{\"a\":1.}",
                          "{\"a\":.5}",
                          "{\"a\":+1}",
                          "{\"a\":NaN}",
                          "{\"a\":0x1}",
                          "{\"a\":\"}",
                          "{\"a\":[{]}",
                          "{\"a\":{]}",
                          "{\"a\":[[}",
                          "{\"a\":1//\n}",
                          "{\"a\":{\"b\":1}",
                          "{\"a\":1}}",
                          "{1:2}",
                          "{\"a\":\"b\"\"c\"}"}) {
    for (const Signal signal : kSignals) {
      const std::string message = Error(signal, bad);
      EXPECT_FALSE(message.empty()) << bad;
    }
  }
}

TEST(JsonToProto, RefusesTheWrongShape) {
  EXPECT_EQ(Error(Signal::kTraces, R"({"resourceSpans":{}})"), "resourceSpans: not a list: {");
  EXPECT_EQ(Error(Signal::kTraces, R"({"resourceSpans":[[]]})"), "resourceSpans[0]: not an object: [");
  EXPECT_EQ(Error(Signal::kTraces, R"({"resourceSpans":["a"]})"), "resourceSpans[0]: not an object: \"a\"");
  EXPECT_THAT(SpanError(R"("name":5)"), AtSpan(".name: not a string: 5"));
  EXPECT_THAT(SpanError(R"("name":[])"), AtSpan(".name: not a string: ["));
  EXPECT_THAT(SpanError(R"("status":1)"), AtSpan(".status: not an object: 1"));
}

TEST(JsonToProto, AnExcerptOfALongValueIsShortAndWholeCharacters) {
  const std::string message =
      SpanError("\"kind\":\"" + std::string(38, 'x') + "\xe2\x82\xac" + std::string(1000, 'y') + "\"");
  EXPECT_THAT(message, ::testing::EndsWith("integer: \"" + std::string(38, 'x') + "..."));
}

// An attribute value that nests `depth` arrays.
std::string NestedValue(int depth, const std::string& innermost = "{}") {
  std::string json;
  for (int i = 0; i < depth; ++i) json += R"({"arrayValue":{"values":[)";
  json += innermost;
  for (int i = 0; i < depth; ++i) json += "]}}";
  return json;
}

TEST(JsonToProto, RefusesMessagesNestedDeeperThanScanDoes) {
  // Request, ResourceSpans, ScopeSpans, Span, KeyValue, and the outermost AnyValue; then two messages a level.
  constexpr int kAround = 5;
  constexpr int kLevels = (kDepthMax - kAround) / 2;
  const std::string deepest = ReadValue(NestedValue(kLevels, R"({"arrayValue":{}})"));
  EXPECT_TRUE(Scan(Signal::kTraces, base::Bytes(deepest)).has_value());
  EXPECT_THAT(ValueError(NestedValue(kLevels + 1)), HasSubstr("nested too deeply"));
  EXPECT_THAT(ValueError(NestedValue(100000)), HasSubstr("nested too deeply"));
}

TEST(JsonToProto, RefusesUnknownKeysNestedTooDeeply) {
  const auto nested = [](int depth) {
    return "{\"unknown\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(Read(Signal::kTraces, nested(100)), "");
  EXPECT_THAT(Error(Signal::kTraces, nested(200)), HasSubstr("nested too deeply"));
  EXPECT_THAT(Error(Signal::kTraces, nested(1000000)), HasSubstr("nested too deeply"));
}

// A receive buffer is used again: what follows a request is what an earlier one left there.
TEST(JsonToProto, DoesNotTakeThePaddingForJson) {
  for (const std::string broken :
       {R"({"a":[{})", R"({"a":{"b":1})", R"({"a":[[{}})", R"({"a":[{"b":[{}})", R"({"a":{"b":{"c":{}}})",
        R"({"resourceSpans":[{"scopeSpans":[{"spans":[{}})", R"({"a":1)", R"({"a)", "{"}) {
    for (const char padding : std::string(",:{}[]\"\\ 019-tfn\n")) {
      base::Bytes buffer(broken + std::string(base::Bytes::kPadding, padding));
      const auto view = base::PaddedView::Promise(buffer.view().first(broken.size()));
      EXPECT_FALSE(JsonToProto(Signal::kTraces, view).has_value()) << broken << " then " << padding;
    }
  }
}

}  // namespace
}  // namespace tributary::otlp
