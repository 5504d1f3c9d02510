#include "pipeline/grpc_status.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tributary::pipeline {
namespace {

using base::Nanos;
using namespace std::chrono_literals;

// libprotobuf reads what EncodeRpcStatus wrote.
google::rpc::Status Parsed(const GrpcStatus& status) {
  const base::Bytes encoded = EncodeRpcStatus(status);
  google::rpc::Status parsed;
  EXPECT_TRUE(parsed.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())));
  return parsed;
}

TEST(RpcStatus, CarriesCodeAndMessage) {
  const google::rpc::Status parsed = Parsed({.code = GrpcCode::kInternal, .message = "broken"});
  EXPECT_EQ(parsed.code(), 13);
  EXPECT_EQ(parsed.message(), "broken");
  EXPECT_EQ(parsed.details_size(), 0);
}

TEST(RpcStatus, CarriesARetryDelay) {
  const google::rpc::Status parsed = Parsed({.code = GrpcCode::kUnavailable, .message = "full", .retry_delay = 1500ms});
  ASSERT_EQ(parsed.details_size(), 1);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(parsed.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(RpcStatus, CarriesABadRequest) {
  const google::rpc::Status parsed =
      Parsed({.code = GrpcCode::kInvalidArgument, .message = "not UTF-8", .bad_request_field = "Span.name"});
  ASSERT_EQ(parsed.details_size(), 1);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(parsed.details(0).UnpackTo(&bad));
  ASSERT_EQ(bad.field_violations_size(), 1);
  EXPECT_EQ(bad.field_violations(0).field(), "Span.name");
  EXPECT_EQ(bad.field_violations(0).description(), "not UTF-8");
}

TEST(RpcStatus, StaysReadableWhenItQuotesBytesThatAreNotUtf8) {
  EXPECT_EQ(Parsed({.code = GrpcCode::kInvalidArgument, .message = "bad \xff here"}).message(), "bad ? here");
  EXPECT_EQ(Parsed({.code = GrpcCode::kInvalidArgument, .message = "gr\xc3\xbc\xc3\x9f"}).message(), "grüß");
}

TEST(RpcStatus, JsonMeansTheSameAsProtobuf) {
  const GrpcStatus statuses[] = {
      {.code = GrpcCode::kOk},
      {.code = GrpcCode::kUnavailable, .message = "full", .retry_delay = 12'345'678us},
      {.code = GrpcCode::kInvalidArgument, .message = "a \"quoted\"\n\\ \x01 name", .bad_request_field = "x"},
      {.code = GrpcCode::kUnavailable,
       .message = "both",
       .retry_delay = 2001ms,
       .bad_request_field = "resourceSpans[0]"}};
  // Both detail types must be linked in for the JSON parser to know them.
  google::rpc::RetryInfo::descriptor();
  for (const GrpcStatus& status : statuses) {
    const std::string json = RpcStatusToJson(status);
    google::rpc::Status parsed;
    const auto result = google::protobuf::util::JsonStringToMessage(json, &parsed);
    ASSERT_TRUE(result.ok()) << json << ": " << result.ToString();
    EXPECT_EQ(parsed.SerializeAsString(), Parsed(status).SerializeAsString()) << json;
  }
}

TEST(RpcStatus, ReadsWhatLibprotobufWrites) {
  google::rpc::Status written;
  written.set_code(14);
  written.set_message("later");
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("x");
  written.add_details()->PackFrom(bad);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(3);
  retry.mutable_retry_delay()->set_nanos(7);
  written.add_details()->PackFrom(retry);
  const std::string bytes = written.SerializeAsString();
  const std::optional<GrpcStatus> read = DecodeRpcStatus(base::AsBytes(bytes));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->code, GrpcCode::kUnavailable);
  EXPECT_EQ(read->message, "later");
  EXPECT_EQ(read->retry_delay, 3s + 7ns);

  for (size_t length = 1; length < bytes.size(); ++length) {
    DecodeRpcStatus(base::AsBytes(std::string_view(bytes).substr(0, length)));  // must not read past the end
  }
  EXPECT_FALSE(DecodeRpcStatus(base::AsBytes(std::string_view(bytes).substr(0, bytes.size() - 1))));
}

std::optional<Nanos> DelayOf(int64_t seconds, int32_t nanos) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(seconds);
  retry.mutable_retry_delay()->set_nanos(nanos);
  google::rpc::Status status;
  status.add_details()->PackFrom(retry);
  const std::optional<GrpcStatus> read = DecodeRpcStatus(base::AsBytes(status.SerializeAsString()));
  return read ? read->retry_delay : std::nullopt;
}

TEST(RpcStatus, BoundsTheDelayAPeerMayAskFor) {
  EXPECT_EQ(DelayOf(-1, 0), 0s);
  EXPECT_EQ(DelayOf(0, -5), 0s);
  EXPECT_EQ(DelayOf(INT64_MAX, 0), 365 * 24h);
  EXPECT_EQ(DelayOf(1, INT32_MAX), 1s + 999'999'999ns);
}

TEST(RpcStatus, FilesUnknownCodesUnderUnknown) {
  google::rpc::Status status;
  status.set_code(4711);
  EXPECT_EQ(DecodeRpcStatus(base::AsBytes(status.SerializeAsString()))->code, GrpcCode::kUnknown);
  status.set_code(-1);
  EXPECT_EQ(DecodeRpcStatus(base::AsBytes(status.SerializeAsString()))->code, GrpcCode::kUnknown);
}

TEST(PercentEncoding, RoundTripsAnyBytes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  const std::string encoded = PercentEncode(all);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  EXPECT_EQ(PercentDecode(encoded), all);
  EXPECT_EQ(PercentEncode("100 % grün"), "100 %25 gr%C3%BCn");
}

TEST(PercentEncoding, LeavesInvalidEscapesAsTheyAre) {
  EXPECT_EQ(PercentDecode("50% of %4"), "50% of %4");
  EXPECT_EQ(PercentDecode("%zz%41%"), "%zzA%");
}

TEST(Base64, FollowsTheStandardsVectors) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(Base64Encode(base::AsBytes(plain)), encoded);
    std::string padded = encoded;
    for (const std::string& text : {padded, padded + std::string((4 - padded.size() % 4) % 4, '=')}) {
      const std::optional<base::Bytes> decoded = Base64Decode(text);
      ASSERT_TRUE(decoded) << text;
      EXPECT_EQ(base::AsText(*decoded), plain);
    }
  }
}

TEST(Base64, RefusesWhatIsNot) {
  for (const char* text : {"A", "Zg=", "Zg===", "====", "Z g=", "Zm9v!", "Zg==Zg=="})
    EXPECT_FALSE(Base64Decode(text)) << text;
}

TEST(GrpcTimeout, ReadsEveryUnit) {
  EXPECT_EQ(ParseGrpcTimeout("100m"), 100ms);
  EXPECT_EQ(ParseGrpcTimeout("1H"), 1h);
  EXPECT_EQ(ParseGrpcTimeout("2M"), 2min);
  EXPECT_EQ(ParseGrpcTimeout("3S"), 3s);
  EXPECT_EQ(ParseGrpcTimeout("4u"), 4us);
  EXPECT_EQ(ParseGrpcTimeout("0n"), 0ns);
  EXPECT_EQ(ParseGrpcTimeout("99999999H"), Nanos::max());
}

TEST(GrpcTimeout, RefusesWhatIsNot) {
  for (const char* text : {"", "1", "m", "123456789m", "-1m", "+1m", "1s", "1x", " 1m", "1 m", "1.5S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(text)) << text;
  }
}

TEST(GrpcTimeout, WritesTheFinestUnitThatFits) {
  EXPECT_EQ(FormatGrpcTimeout(10s), "10000000u");
  EXPECT_EQ(FormatGrpcTimeout(10ms), "10000000n");
  EXPECT_EQ(FormatGrpcTimeout(-1s), "0n");
  EXPECT_EQ(FormatGrpcTimeout(Nanos::max()), "2562047H");
  for (const Nanos timeout : {Nanos(1), Nanos(999'999'999), Nanos(5s), Nanos(100h)}) {
    const Nanos read = *ParseGrpcTimeout(FormatGrpcTimeout(timeout));
    EXPECT_LE(read, timeout);
    EXPECT_GE(read, timeout - timeout / 1'000'000);
  }
}

TEST(GrpcCode, HasTheStandardsNames) {
  EXPECT_EQ(Name(GrpcCode::kOk), "OK");
  EXPECT_EQ(Name(GrpcCode::kUnavailable), "UNAVAILABLE");
  EXPECT_EQ(Name(GrpcCode::kUnauthenticated), "UNAUTHENTICATED");
}

}  // namespace
}  // namespace tributary::pipeline
