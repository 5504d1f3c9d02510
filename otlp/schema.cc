#include "otlp/schema.h"

namespace tributary::otlp {
namespace {

using enum Kind;
using enum Label;

// AnyValue nests by way of these two.
extern const MessageSchema kArrayValue;
extern const MessageSchema kKeyValueList;

constexpr FieldSchema kAnyValueFields[] = {
    {"stringValue", 1, kString, kOneof},
    {"boolValue", 2, kBool, kOneof},
    {"intValue", 3, kInt64, kOneof},
    {"doubleValue", 4, kDouble, kOneof},
    {"arrayValue", 5, kMessage, kOneof, &kArrayValue},
    {"kvlistValue", 6, kMessage, kOneof, &kKeyValueList},
    {"bytesValue", 7, kBytes, kOneof},
};
constexpr MessageSchema kAnyValue(kAnyValueFields);

constexpr FieldSchema kKeyValueFields[] = {
    {"key", 1, kString},
    {"value", 2, kMessage, kSingular, &kAnyValue},
};
constexpr MessageSchema kKeyValue(kKeyValueFields);

constexpr FieldSchema kArrayValueFields[] = {{"values", 1, kMessage, kRepeated, &kAnyValue}};
constexpr MessageSchema kArrayValue(kArrayValueFields);

constexpr FieldSchema kKeyValueListFields[] = {{"values", 1, kMessage, kRepeated, &kKeyValue}};
constexpr MessageSchema kKeyValueList(kKeyValueListFields);

constexpr FieldSchema kEntityRefFields[] = {
    {"schemaUrl", 1, kString},
    {"type", 2, kString},
    {"idKeys", 3, kString, kRepeated},
    {"descriptionKeys", 4, kString, kRepeated},
};
constexpr MessageSchema kEntityRef(kEntityRefFields);

constexpr FieldSchema kResourceFields[] = {
    {"attributes", 1, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 2, kUint32},
    {"entityRefs", 3, kMessage, kRepeated, &kEntityRef},
};
constexpr MessageSchema kResource(kResourceFields);

constexpr FieldSchema kScopeFields[] = {
    {"name", 1, kString},
    {"version", 2, kString},
    {"attributes", 3, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 4, kUint32},
};
constexpr MessageSchema kScope(kScopeFields);

// Traces.

constexpr FieldSchema kSpanEventFields[] = {
    {"timeUnixNano", 1, kFixed64},
    {"name", 2, kString},
    {"attributes", 3, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 4, kUint32},
};
constexpr MessageSchema kSpanEvent(kSpanEventFields);

constexpr FieldSchema kSpanLinkFields[] = {
    {"traceId", 1, kTraceId},
    {"spanId", 2, kSpanId},
    {"traceState", 3, kString},
    {"attributes", 4, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 5, kUint32},
    {"flags", 6, kFixed32},
};
constexpr MessageSchema kSpanLink(kSpanLinkFields);

constexpr FieldSchema kStatusFields[] = {
    {"message", 2, kString},
    {"code", 3, kEnum},
};
constexpr MessageSchema kStatus(kStatusFields);

constexpr FieldSchema kSpanFields[] = {
    {"traceId", 1, kTraceId},
    {"spanId", 2, kSpanId},
    {"traceState", 3, kString},
    {"parentSpanId", 4, kSpanId},
    {"name", 5, kString},
    {"kind", 6, kEnum},
    {"startTimeUnixNano", 7, kFixed64},
    {"endTimeUnixNano", 8, kFixed64},
    {"attributes", 9, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 10, kUint32},
    {"events", 11, kMessage, kRepeated, &kSpanEvent},
    {"droppedEventsCount", 12, kUint32},
    {"links", 13, kMessage, kRepeated, &kSpanLink},
    {"droppedLinksCount", 14, kUint32},
    {"status", 15, kMessage, kSingular, &kStatus},
    {"flags", 16, kFixed32},
};
constexpr MessageSchema kSpan(kSpanFields);

constexpr FieldSchema kScopeSpansFields[] = {
    {"scope", 1, kMessage, kSingular, &kScope},
    {"spans", 2, kMessage, kRepeated, &kSpan},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kScopeSpans(kScopeSpansFields);

constexpr FieldSchema kResourceSpansFields[] = {
    {"resource", 1, kMessage, kSingular, &kResource},
    {"scopeSpans", 2, kMessage, kRepeated, &kScopeSpans},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kResourceSpans(kResourceSpansFields);

constexpr FieldSchema kTraceRequestFields[] = {{"resourceSpans", 1, kMessage, kRepeated, &kResourceSpans}};
constexpr MessageSchema kTraceRequest(kTraceRequestFields);

// Metrics.

constexpr FieldSchema kExemplarFields[] = {
    {"timeUnixNano", 2, kFixed64},   {"asDouble", 3, kDouble, kOneof},
    {"spanId", 4, kSpanId},          {"traceId", 5, kTraceId},
    {"asInt", 6, kSfixed64, kOneof}, {"filteredAttributes", 7, kMessage, kRepeated, &kKeyValue},
};
constexpr MessageSchema kExemplar(kExemplarFields);

constexpr FieldSchema kNumberDataPointFields[] = {
    {"startTimeUnixNano", 2, kFixed64},
    {"timeUnixNano", 3, kFixed64},
    {"asDouble", 4, kDouble, kOneof},
    {"exemplars", 5, kMessage, kRepeated, &kExemplar},
    {"asInt", 6, kSfixed64, kOneof},
    {"attributes", 7, kMessage, kRepeated, &kKeyValue},
    {"flags", 8, kUint32},
};
constexpr MessageSchema kNumberDataPoint(kNumberDataPointFields);

constexpr FieldSchema kHistogramDataPointFields[] = {
    {"startTimeUnixNano", 2, kFixed64},
    {"timeUnixNano", 3, kFixed64},
    {"count", 4, kFixed64},
    {"sum", 5, kDouble, kOptional},
    {"bucketCounts", 6, kFixed64, kRepeated},
    {"explicitBounds", 7, kDouble, kRepeated},
    {"exemplars", 8, kMessage, kRepeated, &kExemplar},
    {"attributes", 9, kMessage, kRepeated, &kKeyValue},
    {"flags", 10, kUint32},
    {"min", 11, kDouble, kOptional},
    {"max", 12, kDouble, kOptional},
};
constexpr MessageSchema kHistogramDataPoint(kHistogramDataPointFields);

constexpr FieldSchema kBucketsFields[] = {
    {"offset", 1, kSint32},
    {"bucketCounts", 2, kUint64, kRepeated},
};
constexpr MessageSchema kBuckets(kBucketsFields);

constexpr FieldSchema kExponentialHistogramDataPointFields[] = {
    {"attributes", 1, kMessage, kRepeated, &kKeyValue},
    {"startTimeUnixNano", 2, kFixed64},
    {"timeUnixNano", 3, kFixed64},
    {"count", 4, kFixed64},
    {"sum", 5, kDouble, kOptional},
    {"scale", 6, kSint32},
    {"zeroCount", 7, kFixed64},
    {"positive", 8, kMessage, kSingular, &kBuckets},
    {"negative", 9, kMessage, kSingular, &kBuckets},
    {"flags", 10, kUint32},
    {"exemplars", 11, kMessage, kRepeated, &kExemplar},
    {"min", 12, kDouble, kOptional},
    {"max", 13, kDouble, kOptional},
    {"zeroThreshold", 14, kDouble},
};
constexpr MessageSchema kExponentialHistogramDataPoint(kExponentialHistogramDataPointFields);

constexpr FieldSchema kValueAtQuantileFields[] = {
    {"quantile", 1, kDouble},
    {"value", 2, kDouble},
};
constexpr MessageSchema kValueAtQuantile(kValueAtQuantileFields);

constexpr FieldSchema kSummaryDataPointFields[] = {
    {"startTimeUnixNano", 2, kFixed64},
    {"timeUnixNano", 3, kFixed64},
    {"count", 4, kFixed64},
    {"sum", 5, kDouble},
    {"quantileValues", 6, kMessage, kRepeated, &kValueAtQuantile},
    {"attributes", 7, kMessage, kRepeated, &kKeyValue},
    {"flags", 8, kUint32},
};
constexpr MessageSchema kSummaryDataPoint(kSummaryDataPointFields);

constexpr FieldSchema kGaugeFields[] = {{"dataPoints", 1, kMessage, kRepeated, &kNumberDataPoint}};
constexpr MessageSchema kGauge(kGaugeFields);

constexpr FieldSchema kSumFields[] = {
    {"dataPoints", 1, kMessage, kRepeated, &kNumberDataPoint},
    {"aggregationTemporality", 2, kEnum},
    {"isMonotonic", 3, kBool},
};
constexpr MessageSchema kSum(kSumFields);

constexpr FieldSchema kHistogramFields[] = {
    {"dataPoints", 1, kMessage, kRepeated, &kHistogramDataPoint},
    {"aggregationTemporality", 2, kEnum},
};
constexpr MessageSchema kHistogram(kHistogramFields);

constexpr FieldSchema kExponentialHistogramFields[] = {
    {"dataPoints", 1, kMessage, kRepeated, &kExponentialHistogramDataPoint},
    {"aggregationTemporality", 2, kEnum},
};
constexpr MessageSchema kExponentialHistogram(kExponentialHistogramFields);

constexpr FieldSchema kSummaryFields[] = {{"dataPoints", 1, kMessage, kRepeated, &kSummaryDataPoint}};
constexpr MessageSchema kSummary(kSummaryFields);

constexpr FieldSchema kMetricFields[] = {
    {"name", 1, kString},
    {"description", 2, kString},
    {"unit", 3, kString},
    {"gauge", 5, kMessage, kOneof, &kGauge},
    {"sum", 7, kMessage, kOneof, &kSum},
    {"histogram", 9, kMessage, kOneof, &kHistogram},
    {"exponentialHistogram", 10, kMessage, kOneof, &kExponentialHistogram},
    {"summary", 11, kMessage, kOneof, &kSummary},
    {"metadata", 12, kMessage, kRepeated, &kKeyValue},
};
constexpr MessageSchema kMetric(kMetricFields);

constexpr FieldSchema kScopeMetricsFields[] = {
    {"scope", 1, kMessage, kSingular, &kScope},
    {"metrics", 2, kMessage, kRepeated, &kMetric},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kScopeMetrics(kScopeMetricsFields);

constexpr FieldSchema kResourceMetricsFields[] = {
    {"resource", 1, kMessage, kSingular, &kResource},
    {"scopeMetrics", 2, kMessage, kRepeated, &kScopeMetrics},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kResourceMetrics(kResourceMetricsFields);

constexpr FieldSchema kMetricsRequestFields[] = {{"resourceMetrics", 1, kMessage, kRepeated, &kResourceMetrics}};
constexpr MessageSchema kMetricsRequest(kMetricsRequestFields);

// Logs.

constexpr FieldSchema kLogRecordFields[] = {
    {"timeUnixNano", 1, kFixed64},
    {"severityNumber", 2, kEnum},
    {"severityText", 3, kString},
    {"body", 5, kMessage, kSingular, &kAnyValue},
    {"attributes", 6, kMessage, kRepeated, &kKeyValue},
    {"droppedAttributesCount", 7, kUint32},
    {"flags", 8, kFixed32},
    {"traceId", 9, kTraceId},
    {"spanId", 10, kSpanId},
    {"observedTimeUnixNano", 11, kFixed64},
    {"eventName", 12, kString},
};
constexpr MessageSchema kLogRecord(kLogRecordFields);

constexpr FieldSchema kScopeLogsFields[] = {
    {"scope", 1, kMessage, kSingular, &kScope},
    {"logRecords", 2, kMessage, kRepeated, &kLogRecord},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kScopeLogs(kScopeLogsFields);

constexpr FieldSchema kResourceLogsFields[] = {
    {"resource", 1, kMessage, kSingular, &kResource},
    {"scopeLogs", 2, kMessage, kRepeated, &kScopeLogs},
    {"schemaUrl", 3, kString},
};
constexpr MessageSchema kResourceLogs(kResourceLogsFields);

constexpr FieldSchema kLogsRequestFields[] = {{"resourceLogs", 1, kMessage, kRepeated, &kResourceLogs}};
constexpr MessageSchema kLogsRequest(kLogsRequestFields);

}  // namespace

const MessageSchema& RequestSchema(Signal signal) {
  switch (signal) {
    case Signal::kTraces:
      return kTraceRequest;
    case Signal::kMetrics:
      return kMetricsRequest;
    case Signal::kLogs:
      break;
  }
  return kLogsRequest;
}

}  // namespace tributary::otlp
