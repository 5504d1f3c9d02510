#include "pipeline/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "pipeline/grpc_status.h"

namespace tributary::pipeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Kind = Outcome::Kind;
using End = HttpAnswer::End;

constexpr std::string_view kPeer = "http://gateway:4317";

HttpAnswer GrpcAnswer(GrpcCode code, std::string message = "", std::string details = "") {
  HttpAnswer answer;
  answer.status = 200;
  answer.content_type_untrusted = "application/grpc";
  answer.grpc_status_untrusted = std::to_string(static_cast<int>(code));
  answer.grpc_message_untrusted = PercentEncode(message);
  answer.grpc_status_details_untrusted = std::move(details);
  return answer;
}

HttpAnswer PlainAnswer(int status, std::string content_type = "", std::string_view body = "") {
  HttpAnswer answer;
  answer.status = status;
  answer.content_type_untrusted = std::move(content_type);
  EXPECT_TRUE(answer.TakeBody(base::AsBytes(body)));
  return answer;
}

// A google.rpc.Status with RetryInfo, as libprotobuf writes it.
std::string StatusWithRetryInfo(GrpcCode code, milliseconds delay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(delay / seconds(1));
  info.mutable_retry_delay()->set_nanos(static_cast<int>((delay % seconds(1)) / std::chrono::nanoseconds(1)));
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message("patience");
  status.add_details()->PackFrom(info);
  return status.SerializeAsString();
}

std::string Details(GrpcCode code, milliseconds delay) {
  return Base64Encode(base::AsBytes(StatusWithRetryInfo(code, delay)));
}

std::string GrpcMessage(const std::string& message) {
  const uint32_t n = static_cast<uint32_t>(message.size());
  std::string framed{'\0', static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                     static_cast<char>(n)};
  return framed + message;
}

TEST(GrpcOutcome, ClassifiesEveryStatusAsOtlpSays) {
  const struct {
    GrpcCode code;
    Kind kind;
    Reason reason;
  } kTable[] = {
      {GrpcCode::kOk, Kind::kDelivered, Reason::kNone},
      {GrpcCode::kCancelled, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kUnknown, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kInvalidArgument, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kDeadlineExceeded, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kNotFound, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kAlreadyExists, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kPermissionDenied, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kResourceExhausted, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kFailedPrecondition, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kAborted, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kOutOfRange, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kUnimplemented, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kInternal, Kind::kRefused, Reason::kRefused},
      {GrpcCode::kUnavailable, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kDataLoss, Kind::kRetry, Reason::kUnavailable},
      {GrpcCode::kUnauthenticated, Kind::kRefused, Reason::kRefused},
  };
  for (const auto& row : kTable) {
    const Outcome outcome = GrpcOutcome(GrpcAnswer(row.code, "words"), kPeer);
    EXPECT_EQ(outcome.kind, row.kind) << Name(row.code);
    EXPECT_EQ(outcome.reason, row.reason) << Name(row.code);
    EXPECT_EQ(outcome.retry_after, std::nullopt) << Name(row.code);
    if (row.code == GrpcCode::kOk) continue;
    EXPECT_EQ(outcome.detail, std::string(Name(row.code)) + " from http://gateway:4317: words");
  }
}

TEST(GrpcOutcome, ObeysRetryInfoOnlyWhereARetryMakesSense) {
  for (const GrpcCode code : {GrpcCode::kUnavailable, GrpcCode::kResourceExhausted, GrpcCode::kAborted}) {
    const Outcome outcome = GrpcOutcome(GrpcAnswer(code, "", Details(code, milliseconds(1500))), kPeer);
    EXPECT_EQ(outcome.kind, Kind::kRetry) << Name(code);
    EXPECT_EQ(outcome.reason, Reason::kThrottled) << Name(code);
    EXPECT_EQ(outcome.retry_after, milliseconds(1500)) << Name(code);
  }
  const auto code = GrpcCode::kInvalidArgument;
  EXPECT_EQ(GrpcOutcome(GrpcAnswer(code, "", Details(code, seconds(1))), kPeer).kind, Kind::kRefused);
}

TEST(GrpcOutcome, BoundsHowLongAPeerMayAskToWait) {
  const auto code = GrpcCode::kUnavailable;
  const Outcome outcome = GrpcOutcome(GrpcAnswer(code, "", Details(code, std::chrono::hours(10'000))), kPeer);
  EXPECT_EQ(outcome.retry_after, std::chrono::hours(1));
}

TEST(GrpcOutcome, TellsTooLargeByTheWordsServersUse) {
  for (const char* words : {
           "grpc: received message larger than max (5000000 vs. 4194304)",
           "grpc: received message after decompression larger than max 4194304",
           "Received message larger than max (5000000 vs. 4194304)",
           "gRPC message exceeds maximum size 4194304: 5000000",
           "Received message exceeds the maximum configured message size.",
           "the request is too large",
       }) {
    const Outcome outcome = GrpcOutcome(GrpcAnswer(GrpcCode::kResourceExhausted, words), kPeer);
    EXPECT_EQ(outcome.kind, Kind::kRefused) << words;
    EXPECT_EQ(outcome.reason, Reason::kTooLarge) << words;
  }
  const char* tonic = "Error, message length too large: found 5000000 bytes, the limit is: 4194304 bytes";
  EXPECT_EQ(GrpcOutcome(GrpcAnswer(GrpcCode::kOutOfRange, tonic), kPeer).reason, Reason::kTooLarge);
  const char* memory = "data refused due to high memory usage";
  EXPECT_EQ(GrpcOutcome(GrpcAnswer(GrpcCode::kResourceExhausted, memory), kPeer).reason, Reason::kRefused);
}

TEST(GrpcOutcome, MapsHttpStatusWithoutGrpcStatus) {
  const struct {
    int status;
    Kind kind;
    const char* name;
  } kTable[] = {
      {200, Kind::kRefused, "UNKNOWN"},         {400, Kind::kRefused, "INTERNAL"},
      {401, Kind::kRefused, "UNAUTHENTICATED"}, {403, Kind::kRefused, "PERMISSION_DENIED"},
      {404, Kind::kRefused, "UNIMPLEMENTED"},   {429, Kind::kRetry, "UNAVAILABLE"},
      {502, Kind::kRetry, "UNAVAILABLE"},       {503, Kind::kRetry, "UNAVAILABLE"},
      {504, Kind::kRetry, "UNAVAILABLE"},       {500, Kind::kRefused, "UNKNOWN"},
      {302, Kind::kRefused, "UNKNOWN"},
  };
  for (const auto& row : kTable) {
    const Outcome outcome = GrpcOutcome(PlainAnswer(row.status, "text/html", "<html>"), kPeer);
    EXPECT_EQ(outcome.kind, row.kind) << row.status;
    EXPECT_THAT(outcome.detail, testing::StartsWith(row.name)) << row.status;
  }
}

TEST(GrpcOutcome, TakesAnUnknownOrUnreadableStatusForUnknown) {
  for (const char* text : {"17", "255", "-1", "", "14 ", "ok", "99999999999999999999"}) {
    HttpAnswer answer = GrpcAnswer(GrpcCode::kOk);
    answer.grpc_status_untrusted = text;
    const Outcome outcome = GrpcOutcome(answer, kPeer);
    EXPECT_EQ(outcome.kind, Kind::kRefused) << text;
    EXPECT_THAT(outcome.detail, testing::StartsWith("UNKNOWN")) << text;
  }
}

TEST(GrpcOutcome, IgnoresDetailsThatCannotBeRead) {
  for (const char* details : {"!!!", "AAAA", "CP///////////wE", "GgQKAggB"}) {
    const Outcome outcome = GrpcOutcome(GrpcAnswer(GrpcCode::kUnavailable, "busy", details), kPeer);
    EXPECT_EQ(outcome.kind, Kind::kRetry) << details;
    EXPECT_EQ(outcome.retry_after, std::nullopt) << details;
  }
}

TEST(GrpcOutcome, ReadsPartialSuccessOfEverySignal) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse traces;
  traces.mutable_partial_success()->set_rejected_spans(3);
  traces.mutable_partial_success()->set_error_message("too old");
  opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceResponse metrics;
  metrics.mutable_partial_success()->set_rejected_data_points(4);
  opentelemetry::proto::collector::logs::v1::ExportLogsServiceResponse logs;
  logs.mutable_partial_success()->set_error_message("only a warning");
  const auto outcome_of = [](const std::string& message) {
    HttpAnswer answer = GrpcAnswer(GrpcCode::kOk);
    EXPECT_TRUE(answer.TakeBody(base::AsBytes(GrpcMessage(message))));
    return GrpcOutcome(answer, kPeer);
  };
  const Outcome rejected_spans = outcome_of(traces.SerializeAsString());
  EXPECT_EQ(rejected_spans.kind, Kind::kDelivered);
  EXPECT_EQ(rejected_spans.reason, Reason::kPeerRejected);
  EXPECT_EQ(rejected_spans.rejected_items, 3u);
  EXPECT_EQ(rejected_spans.detail, "3 items rejected by http://gateway:4317: too old");
  EXPECT_EQ(outcome_of(metrics.SerializeAsString()).rejected_items, 4u);
  const Outcome warning = outcome_of(logs.SerializeAsString());
  EXPECT_EQ(warning.kind, Kind::kDelivered);
  EXPECT_EQ(warning.reason, Reason::kNone);
  EXPECT_THAT(warning.detail, HasSubstr("only a warning"));
  const Outcome unset = outcome_of("");
  EXPECT_EQ(unset.kind, Kind::kDelivered);
  EXPECT_THAT(unset.detail, IsEmpty());
}

TEST(GrpcOutcome, ReadsPartialSuccessOfAResponseTooLongToKeep) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse traces;
  traces.mutable_partial_success()->set_rejected_spans(7);
  traces.mutable_partial_success()->set_error_message(std::string(1 << 20, 'x'));
  HttpAnswer answer = GrpcAnswer(GrpcCode::kOk);
  EXPECT_TRUE(answer.TakeBody(base::AsBytes(GrpcMessage(traces.SerializeAsString()))));
  EXPECT_EQ(answer.body_untrusted.size(), HttpAnswer::kBodyBytesKept);
  const Outcome outcome = GrpcOutcome(answer, kPeer);
  EXPECT_EQ(outcome.kind, Kind::kDelivered);
  EXPECT_EQ(outcome.rejected_items, 7u);
  EXPECT_LT(outcome.detail.size(), 500u);
}

TEST(GrpcOutcome, TakesGarbageInAnAcceptedAnswerForNothingSaid) {
  const std::string negative("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13);
  for (const std::string& message :
       {negative, std::string("\x0a\xff"), std::string("\xff\xff\xff"), std::string("<html>"),
        std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}) {
    HttpAnswer answer = GrpcAnswer(GrpcCode::kOk);
    EXPECT_TRUE(answer.TakeBody(base::AsBytes(GrpcMessage(message))));
    const Outcome outcome = GrpcOutcome(answer, kPeer);
    EXPECT_EQ(outcome.kind, Kind::kDelivered);
    EXPECT_EQ(outcome.rejected_items, 0u);
  }
}

TEST(GrpcOutcome, QuotesThePeerShortAndPrintable) {
  const Outcome outcome =
      GrpcOutcome(GrpcAnswer(GrpcCode::kInternal, "a\r\nb\x1b[31m" + std::string(10'000, 'x')), kPeer);
  EXPECT_THAT(outcome.detail, HasSubstr(": a  b [31mxxx"));
  EXPECT_LT(outcome.detail.size(), 400u);
}

TEST(HttpOutcome, ClassifiesEveryStatusAsOtlpSays) {
  for (int status = 400; status < 600; ++status) {
    const Outcome outcome = HttpOutcome(PlainAnswer(status, "text/plain", "words"), kPeer);
    const bool retry = status == 429 || status == 502 || status == 503 || status == 504;
    EXPECT_EQ(outcome.kind, retry ? Kind::kRetry : Kind::kRefused) << status;
    EXPECT_EQ(outcome.detail, std::to_string(status) + " from http://gateway:4317: words");
  }
  EXPECT_EQ(HttpOutcome(PlainAnswer(413), kPeer).reason, Reason::kTooLarge);
  EXPECT_EQ(HttpOutcome(PlainAnswer(429), kPeer).reason, Reason::kThrottled);
  EXPECT_EQ(HttpOutcome(PlainAnswer(503), kPeer).reason, Reason::kUnavailable);
  for (const int status : {200, 201, 202, 204}) {
    EXPECT_EQ(HttpOutcome(PlainAnswer(status, "text/plain", "OK"), kPeer).kind, Kind::kDelivered) << status;
  }
}

TEST(HttpOutcome, DoesNotTakeAWebPageForSuccess) {
  const Outcome outcome = HttpOutcome(PlainAnswer(200, "text/html; charset=utf-8", "<html>"), kPeer);
  EXPECT_EQ(outcome.kind, Kind::kRefused);
  EXPECT_THAT(outcome.detail, HasSubstr("with a web page"));
}

TEST(HttpOutcome, NamesWhereARedirectLeads) {
  HttpAnswer answer = PlainAnswer(308);
  EXPECT_TRUE(answer.TakeField("location", "https://gateway/v1/traces"));
  const Outcome outcome = HttpOutcome(answer, kPeer);
  EXPECT_EQ(outcome.kind, Kind::kRefused);
  EXPECT_THAT(outcome.detail, HasSubstr("not followed; configure the endpoint it names: https://gateway/v1/traces"));
}

TEST(HttpOutcome, ReadsStatusAndPartialSuccessOfAProtobufBody) {
  const Outcome busy = HttpOutcome(
      PlainAnswer(503, "application/x-protobuf", StatusWithRetryInfo(GrpcCode::kUnavailable, seconds(2))), kPeer);
  EXPECT_EQ(busy.retry_after, seconds(2));
  EXPECT_THAT(busy.detail, HasSubstr("patience"));
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse traces;
  traces.mutable_partial_success()->set_rejected_spans(3);
  EXPECT_EQ(HttpOutcome(PlainAnswer(200, "application/x-protobuf", traces.SerializeAsString()), kPeer).rejected_items,
            3u);
}

TEST(HttpOutcome, ObeysRetryAfter) {
  HttpAnswer answer = PlainAnswer(503);
  EXPECT_TRUE(answer.TakeField("retry-after", "17"));
  const Outcome outcome = HttpOutcome(answer, kPeer);
  EXPECT_EQ(outcome.reason, Reason::kThrottled);
  EXPECT_EQ(outcome.retry_after, seconds(17));
}

TEST(RetryAfter, ReadsSecondsAndEveryFormOfDate) {
  const auto now = std::chrono::system_clock::from_time_t(784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(ParseRetryAfter("0", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("120", now), seconds(120));
  EXPECT_EQ(ParseRetryAfter("99999999999999999999999", now), std::chrono::hours(1));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:47 GMT", now), seconds(10));
  EXPECT_EQ(ParseRetryAfter("Sunday, 06-Nov-94 08:49:47 GMT", now), seconds(10));
  EXPECT_EQ(ParseRetryAfter("Sun Nov  6 08:49:47 1994", now), seconds(10));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:27 GMT", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("Fri, 31 Dec 9999 23:59:59 GMT", now), std::chrono::hours(1));
  for (const char* text :
       {"", "-1", "-99999999999999999999999", "1.5", "soon", "12 ", "Sun, 06 Nov 1994 08:49:47 GMT!"}) {
    EXPECT_EQ(ParseRetryAfter(text, now), std::nullopt) << text;
  }
}

TEST(UnfinishedAnswer, IsRetriedUnlessThePeerBrokeTheProtocol) {
  const struct {
    End end;
    uint32_t reset_code;
    Kind kind;
    Reason reason;
  } kTable[] = {
      {End::kBroken, 0, Kind::kRetry, Reason::kConnect},
      {End::kTooLarge, 0, Kind::kRefused, Reason::kRefused},
      {End::kReset, 0x0, Kind::kRetry, Reason::kUnavailable},  // NO_ERROR
      {End::kReset, 0x1, Kind::kRefused, Reason::kRefused},    // PROTOCOL_ERROR
      {End::kReset, 0x2, Kind::kRetry, Reason::kUnavailable},  // INTERNAL_ERROR
      {End::kReset, 0x7, Kind::kRetry, Reason::kUnavailable},  // REFUSED_STREAM
      {End::kReset, 0x8, Kind::kRetry, Reason::kUnavailable},  // CANCEL
      {End::kReset, 0xb, Kind::kRetry, Reason::kThrottled},    // ENHANCE_YOUR_CALM
      {End::kReset, 0xc, Kind::kRefused, Reason::kRefused},    // INADEQUATE_SECURITY
      {End::kReset, 0xffffffff, Kind::kRetry, Reason::kUnavailable},
  };
  for (const auto& row : kTable) {
    HttpAnswer answer;
    answer.end = row.end;
    answer.reset_code = row.reset_code;
    answer.error = "what happened";
    for (const Outcome& outcome : {GrpcOutcome(answer, kPeer), HttpOutcome(answer, kPeer)}) {
      EXPECT_EQ(outcome.kind, row.kind) << row.reset_code;
      EXPECT_EQ(outcome.reason, row.reason) << row.reset_code;
      EXPECT_EQ(outcome.detail, "http://gateway:4317: what happened");
    }
  }
}

TEST(HttpAnswer, BoundsHeadAndBody) {
  HttpAnswer answer;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(answer.TakeField("x-filler", std::string(4000, 'x')));
  EXPECT_FALSE(answer.TakeField("x-filler", std::string(4000, 'x')));
  const base::Bytes chunk(std::string(1 << 20, 'x'));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(answer.TakeBody(chunk));
  EXPECT_FALSE(answer.TakeBody(base::AsBytes("x")));
  EXPECT_EQ(answer.body_untrusted.size(), HttpAnswer::kBodyBytesKept);
}

}  // namespace
}  // namespace tributary::pipeline
