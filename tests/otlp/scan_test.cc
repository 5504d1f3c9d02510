#include "otlp/scan.h"

#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "bench/otlp_sample.h"
#include "otlp/wire.h"
#include "tests/otlp/oracle.h"

namespace tributary::otlp {
namespace {

using base::Bytes;
using Kind = ScanError::Kind;

Bytes Nested(uint32_t field, base::ByteView inner) {
  Bytes out;
  AppendLengthDelimited(out, field, inner);
  return out;
}
Bytes Text(uint32_t field, std::string_view text) { return Nested(field, base::AsBytes(text)); }
Bytes VarintField(uint32_t field, uint64_t value) {
  Bytes out;
  AppendTag(out, field, WireType::kVarint);
  AppendVarint(out, value);
  return out;
}
// A request of one resource, scope and item with this body. Works for all signals.
Bytes RequestOf(base::ByteView item) { return Nested(1, Nested(2, Nested(2, item))); }
// A span attribute whose value has this body.
Bytes RequestWithValue(base::ByteView any_value) { return RequestOf(Nested(9, Nested(2, any_value))); }

ScanError ErrorOf(Signal signal, const Bytes& request) {
  EXPECT_EQ(ScanDisagreement(signal, request), "");
  const auto scanned = Scan(signal, request);
  return scanned.has_value() ? ScanError{} : scanned.error();
}
ScanError SpanErrorOf(std::string_view span) { return ErrorOf(Signal::kTraces, RequestOf(base::AsBytes(span))); }
bool AcceptsSpan(std::string_view span) {
  const Bytes request = RequestOf(base::AsBytes(span));
  EXPECT_EQ(ScanDisagreement(Signal::kTraces, request), "");
  return Scan(Signal::kTraces, request).has_value();
}

TEST(Scan, AcceptsAnEmptyRequest) {
  for (const Signal signal : kSignals) EXPECT_EQ(Scan(signal, Bytes()).value(), (Counts{.items = 0, .resources = 0}));
}

TEST(Scan, CountsItemsAndResources) {
  for (const Signal signal : kSignals) {
    Bytes request = bench::SampleRequest(signal, 25, 1);
    request.Append(bench::SampleRequest(signal, 3, 2, 8));  // requests concatenate
    EXPECT_EQ(Scan(signal, request).value(), (Counts{.items = 28, .resources = 2})) << Name(signal);
    EXPECT_EQ(ScanDisagreement(signal, request), "");
  }
}

TEST(Scan, RefusesEveryTruncationOfARequest) {
  for (const Signal signal : kSignals) {
    const Bytes request = bench::SampleRequest(signal, 2, 1);
    for (size_t size = 1; size < request.size(); ++size) {
      const Bytes cut(request.view().first(size));
      EXPECT_FALSE(Scan(signal, cut).has_value()) << size;
      EXPECT_EQ(ScanDisagreement(signal, cut), "") << size;
    }
  }
}

TEST(Scan, CountsOnlyThePointsOfAMetricsLastKindOfData) {
  const Bytes two_points = [] {
    Bytes points = Nested(1, {});
    points.Append(Nested(1, {}));
    return points;
  }();
  Bytes metric = Nested(5, two_points);     // Gauge
  metric.Append(Nested(7, two_points));     // Sum, instead
  metric.Append(Nested(7, Nested(1, {})));  // more of the Sum
  const Bytes request = RequestOf(metric);
  EXPECT_EQ(Scan(Signal::kMetrics, request).value().items, 3u);
  EXPECT_EQ(ScanDisagreement(Signal::kMetrics, request), "");
}

TEST(Scan, SaysWhereAndWhyARequestIsMalformed) {
  Bytes span = Text(5, "name");
  span.Append(Text(5, "caf\xe9"));
  const ScanError error = ErrorOf(Signal::kTraces, RequestOf(span));
  EXPECT_EQ(error.kind, Kind::kBadUtf8);
  EXPECT_STREQ(error.message_type, "Span");
  EXPECT_EQ(error.field, 5u);
  EXPECT_EQ(error.offset, 6u + 6u);  // three tags and lengths, then the first name
  EXPECT_EQ(error.Describe(), "Span, field 5 at byte 12: string is not valid UTF-8");
}

TEST(Scan, NamesTheInnermostMessageOfAnError) {
  const ScanError error = ErrorOf(Signal::kTraces, RequestWithValue(Nested(6, Nested(1, Text(1, "\xff")))));
  EXPECT_STREQ(error.message_type, "KeyValue");
  EXPECT_EQ(error.field, 1u);
  const ScanError in_scope = ErrorOf(Signal::kLogs, Nested(1, Nested(2, Nested(1, Text(2, "\xff")))));
  EXPECT_STREQ(in_scope.message_type, "InstrumentationScope");
  const ScanError in_container = ErrorOf(Signal::kMetrics, Nested(1, Text(3, "\xff")));
  EXPECT_STREQ(in_container.message_type, "ResourceMetrics");
}

TEST(Scan, RefusesALengthThatLeavesItsParent) {
  EXPECT_EQ(SpanErrorOf("\x2a\x05name").kind, Kind::kBadLength);
  EXPECT_EQ(SpanErrorOf("\x2a").kind, Kind::kBadLength);
}

TEST(Scan, RefusesHugeLengths) {
  EXPECT_EQ(SpanErrorOf("\x2a\xff\xff\xff\xff\x07").kind, Kind::kBadLength);  // 2^31 - 1
  EXPECT_EQ(SpanErrorOf("\x2a\xff\xff\xff\xff\x0f").kind, Kind::kBadLength);  // 2^32 - 1
  EXPECT_EQ(SpanErrorOf("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").kind, Kind::kBadLength);
}

TEST(Scan, ReadsLengthsOfUpToFiveBytes) {
  EXPECT_TRUE(AcceptsSpan(std::string_view("\x2a\x84\x80\x80\x80\x00name", 10)));
  EXPECT_EQ(SpanErrorOf(std::string_view("\x2a\x84\x80\x80\x80\x80\x00name", 11)).kind, Kind::kBadLength);
}

TEST(Scan, ReadsVarintsOfUpToTenBytes) {
  EXPECT_TRUE(AcceptsSpan(std::string_view("\x30\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11)));
  EXPECT_TRUE(AcceptsSpan("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
  EXPECT_EQ(SpanErrorOf(std::string_view("\x30\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12)).kind,
            Kind::kBadVarint);
}

TEST(Scan, ReadsTagsOfUpToFiveBytes) {
  EXPECT_TRUE(AcceptsSpan(std::string_view("\xaa\x80\x80\x80\x00\x04name", 10)));
  EXPECT_TRUE(AcceptsSpan(std::string_view("\x85\x01\x01\x00\x00\x00", 6)));  // flags
  const ScanError error = SpanErrorOf(std::string_view("\xaa\x80\x80\x80\x80\x00\x04name", 11));
  EXPECT_EQ(error.kind, Kind::kBadTag);
  EXPECT_EQ(error.field, 0u);
}

TEST(Scan, RefusesTagsThatAreNone) {
  EXPECT_EQ(SpanErrorOf(std::string_view("\x00\x00", 2)).kind, Kind::kBadTag);  // field 0
  EXPECT_EQ(SpanErrorOf(std::string_view("\x2e\x00", 2)).kind, Kind::kBadTag);  // wire type 6
  EXPECT_EQ(SpanErrorOf(std::string_view("\x2f\x00", 2)).kind, Kind::kBadTag);  // wire type 7
  EXPECT_EQ(SpanErrorOf("\x2c").kind, Kind::kBadTag);                           // the end of a group that never began
}

TEST(Scan, PassesOverUnknownFieldsOfAllWireTypes) {
  EXPECT_TRUE(
      AcceptsSpan(std::string_view("\x98\x01\x05"  // varint
                                   "\x99\x01"
                                   "12345678"                  // fixed64
                                   "\x9a\x01\x02\xff\xff"      // bytes, not UTF-8
                                   "\x9b\x01\x08\x01\x9c\x01"  // group
                                   "\x9d\x01"
                                   "1234",  // fixed32
                                   10 + 3 + 5 + 6 + 6)));
}

TEST(Scan, MatchesTheEndsOfGroupsToTheirStarts) {
  EXPECT_TRUE(AcceptsSpan("\xa3\x01\xab\x01\xac\x01\xa4\x01"));
  EXPECT_EQ(SpanErrorOf("\xa3\x01\xab\x01\xa4\x01\xac\x01").kind, Kind::kBadTag);
  EXPECT_EQ(SpanErrorOf("\xa3\x01").kind, Kind::kTruncated);
}

TEST(Scan, RefusesAKnownFieldWithAWrongWireType) {
  EXPECT_EQ(SpanErrorOf("\x28\x01").kind, Kind::kWrongWireType);                        // name as a varint
  EXPECT_EQ(SpanErrorOf("\x3a\x01x").kind, Kind::kWrongWireType);                       // start time as a string
  EXPECT_EQ(SpanErrorOf("\x2b\x2c").kind, Kind::kWrongWireType);                        // name as a group
  EXPECT_EQ(SpanErrorOf(std::string_view("\x80\x01\x01")).kind, Kind::kWrongWireType);  // flags as a varint
}

TEST(Scan, ReadsStringsOfEveryLengthAndFindsTheOneBadByte) {
  for (size_t size = 0; size < 200; ++size) {
    std::string name(size, 'n');
    EXPECT_TRUE(Scan(Signal::kTraces, RequestOf(Text(5, name))).has_value()) << size;
    for (size_t bad = 0; bad < size; ++bad) {
      name[bad] = '\x80';
      EXPECT_FALSE(Scan(Signal::kTraces, RequestOf(Text(5, name))).has_value()) << bad << " of " << size;
      EXPECT_FALSE(Scan(Signal::kTraces, RequestWithValue(Text(1, name))).has_value()) << bad << " of " << size;
      name[bad] = 'n';
    }
  }
}

TEST(Scan, DoesNotMindWhatFollowsAString) {
  for (size_t size = 0; size < 70; ++size) {
    Bytes span = Text(5, std::string(size, 'n'));
    span.Append(Text(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));  // the trace id
    EXPECT_TRUE(Scan(Signal::kTraces, RequestOf(span)).has_value()) << size;
  }
}

TEST(Scan, KnowsUtf8) {
  for (const std::string_view good : {"é", "日本語", "\U0001F600", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(Scan(Signal::kTraces, RequestOf(Text(5, good))).has_value()) << good;
  }
  // Overlong, surrogate, beyond Unicode, cut short.
  for (const std::string_view bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe6\x97"}) {
    const Bytes request = RequestOf(Text(5, bad));
    EXPECT_EQ(ErrorOf(Signal::kTraces, request).kind, Kind::kBadUtf8);
  }
}

TEST(Scan, WalksAttributesThatOnlyBeginLikePlainOnes) {
  // A string value, and something else behind it: a field that is fine, or none at all.
  Bytes plain = Text(1, "text");
  for (const auto& [behind, fine] : {std::pair{"\x10\x01", true}, {"\x0f\x01", false}, {"\x0a\x7f", false}}) {
    Bytes value(plain.view());
    value.Append(std::string_view(behind));
    Bytes key_value = Text(1, "key");
    key_value.Append(Nested(2, value));
    const Bytes span_attribute = RequestOf(Nested(9, key_value));
    EXPECT_EQ(Scan(Signal::kTraces, span_attribute).has_value(), fine);
    EXPECT_EQ(ScanDisagreement(Signal::kTraces, span_attribute), "");
    const Bytes log_body = RequestOf(Nested(5, value));
    EXPECT_EQ(Scan(Signal::kLogs, log_body).has_value(), fine);
    EXPECT_EQ(ScanDisagreement(Signal::kLogs, log_body), "");
  }
}

TEST(Scan, ReadsRepeatedScalarsPackedAndUnpacked) {
  Bytes point = Nested(6, base::AsBytes("1234567812345678"));  // HistogramDataPoint.bucket_counts
  AppendFixed64(point, 6, 1);
  AppendFixed64(point, 7, 1);
  EXPECT_TRUE(Scan(Signal::kMetrics, RequestOf(Nested(9, Nested(1, point)))).has_value());
  Bytes buckets = Nested(2, base::AsBytes("\x01\x80\x01"));  // Buckets.bucket_counts
  buckets.Append(VarintField(2, 300));
  EXPECT_TRUE(Scan(Signal::kMetrics, RequestOf(Nested(10, Nested(1, Nested(8, buckets))))).has_value());
}

TEST(Scan, RefusesPackedScalarsThatDoNotAddUp) {
  const Bytes half_a_number = RequestOf(Nested(9, Nested(1, Text(6, "123456781234"))));
  EXPECT_EQ(ErrorOf(Signal::kMetrics, half_a_number).kind, Kind::kBadLength);
  const Bytes half_a_varint = RequestOf(Nested(10, Nested(1, Nested(8, Text(2, "\x01\x80")))));
  EXPECT_STREQ(ErrorOf(Signal::kMetrics, half_a_varint).message_type, "Buckets");
}

// `depth` AnyValues, each the only element of an array in the one before; the innermost is empty.
Bytes NestedValue(int depth) {
  std::string reversed;  // written from the inside out
  for (int i = 1; i < depth; ++i) {
    for (const uint32_t field : {1, 5}) {  // ArrayValue.values, AnyValue.array_value
      uint8_t head[1 + kVarintBytesMax] = {TagByte(field, WireType::kLength)};
      const uint8_t* const end = WriteVarint(head + 1, reversed.size());
      reversed.append(std::reverse_iterator(end), std::reverse_iterator<const uint8_t*>(head));
    }
  }
  return Bytes(std::string(reversed.rbegin(), reversed.rend()));
}

TEST(Scan, LimitsTheNestingOfValuesAsLibprotobufDoes) {
  int deepest = 0;
  for (int depth = 1; depth < 60; ++depth) {
    const Bytes request = RequestWithValue(NestedValue(depth));
    EXPECT_EQ(ScanDisagreement(Signal::kTraces, request), "") << depth;
    const auto scanned = Scan(Signal::kTraces, request);
    if (scanned.has_value()) {
      EXPECT_EQ(deepest, depth - 1);
      deepest = depth;
    } else {
      EXPECT_EQ(scanned.error().kind, Kind::kTooDeep);
    }
  }
  // Container, scope, span and KeyValue stand around the first AnyValue, and each further one takes two levels.
  EXPECT_EQ(deepest, 1 + (kDepthMax - 5) / 2);
}

TEST(Scan, SurvivesAbsurdNesting) {
  for (const int depth : {100, 1000, 100000}) {
    EXPECT_EQ(ErrorOf(Signal::kTraces, RequestWithValue(NestedValue(depth))).kind, Kind::kTooDeep) << depth;
  }
}

TEST(Scan, LimitsTheNestingOfGroupsAsLibprotobufDoes) {
  for (const int depth : {1, 60, 61, 62, 100, 100000}) {
    std::string groups;
    for (int i = 0; i < depth; ++i) groups += "\xa3\x01";
    for (int i = 0; i < depth; ++i) groups += "\xa4\x01";
    const bool fits = depth <= kDepthMax - 3;  // below container, scope and span
    EXPECT_EQ(AcceptsSpan(groups), fits) << depth;
    EXPECT_EQ(SpanErrorOf(groups).kind == Kind::kTooDeep, !fits) << depth;
  }
}

TEST(ScanSpans, ReadsIdsOfAWrongLengthAsZero) {
  Bytes span = Text(1, "0123456789abcdef");
  span.Append(Text(2, "12345678"));
  span.Append(Text(1, "short"));
  span.Append(Text(4, ""));
  const Bytes request = RequestOf(span);
  std::vector<SpanRef> index;
  ASSERT_TRUE(ScanSpans(request, index).has_value());
  EXPECT_EQ(index.at(0).trace_id, TraceId{});
  EXPECT_EQ(index.at(0).span_id, (SpanId{'1', '2', '3', '4', '5', '6', '7', '8'}));
  EXPECT_EQ(index.at(0).parent_span_id, SpanId{});
}

TEST(ScanSpans, KeepsWhatCameBeforeAnError) {
  Bytes request = RequestOf(Text(5, "good"));
  request.Append(RequestOf(Text(5, "bad\xff")));
  std::vector<SpanRef> index;
  EXPECT_FALSE(ScanSpans(request, index).has_value());
  EXPECT_EQ(index.size(), 1u);
}

TEST(ScanSpans, AppendsToWhatIsThere) {
  std::vector<SpanRef> index;
  const Bytes request = bench::SampleRequest(Signal::kTraces, 3, 1);
  ASSERT_TRUE(ScanSpans(request, index).has_value());
  ASSERT_TRUE(ScanSpans(request, index).has_value());
  EXPECT_EQ(index.size(), 6u);
}

}  // namespace
}  // namespace tributary::otlp
