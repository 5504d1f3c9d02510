// What senders of OTLP are told, case by case.
#include "pipeline/otlp_service.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/loop.h"
#include "base/slices.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "pipeline/intake.h"
#include "pipeline/log.h"

namespace tributary::pipeline {
namespace {

namespace collector = opentelemetry::proto::collector;
using otlp::Signal;
using BodyFault = HttpService::BodyFault;

constexpr size_t kLogBytes = 1 << 20;
constexpr size_t kRequestBytesMax = 256 << 10;

// One item of each signal.
std::string Request(Signal signal) {
  switch (signal) {
    case Signal::kTraces: {
      collector::trace::v1::ExportTraceServiceRequest request;
      request.add_resource_spans()->add_scope_spans()->add_spans()->set_name("a span");
      return request.SerializeAsString();
    }
    case Signal::kMetrics: {
      collector::metrics::v1::ExportMetricsServiceRequest request;
      request.add_resource_metrics()
          ->add_scope_metrics()
          ->add_metrics()
          ->mutable_gauge()
          ->add_data_points()
          ->set_as_int(1);
      return request.SerializeAsString();
    }
    case Signal::kLogs: {
      collector::logs::v1::ExportLogsServiceRequest request;
      request.add_resource_logs()->add_scope_logs()->add_log_records()->mutable_body()->set_string_value("a log");
      return request.SerializeAsString();
    }
  }
  return {};
}

std::string Compressed(Encoding encoding, std::string_view text) {
  base::Slices in;
  in.Copy(text);
  base::Bytes out;
  Compressor().Compress(encoding, in, 1, out);
  return std::string(base::AsText(out));
}

class Otlp : public testing::Test {
 protected:
  Otlp() {
    for (const Signal signal : otlp::kSignals) cursors_[signal] = log_.OpenCursor(signal);
  }

  static HttpHead GrpcHead(Signal signal) {
    return {.method_untrusted = "POST",
            .path_untrusted = std::string(otlp::GrpcPath(signal)),
            .content_type_untrusted = "application/grpc",
            .is_grpc = true};
  }
  static HttpHead HttpHeadOf(Signal signal, const std::string& content_type = "application/x-protobuf") {
    return {.method_untrusted = "POST",
            .path_untrusted = std::string(otlp::HttpPath(signal)),
            .content_type_untrusted = content_type};
  }

  // As a connection does: admission first, then the body.
  HttpResponse Ask(const HttpHead& head, std::string_view body) {
    HttpService::Admission admission = service_.Admit(head, body.size());
    if (admission.rejection) return *std::move(admission.rejection);
    if (body.size() > admission.body_bytes_max) return service_.OnBodyFault(head, BodyFault::kTooLarge);
    std::optional<HttpResponse> answer;
    service_.OnRequest(head, base::Bytes(body), [&](HttpResponse response) { answer = std::move(response); });
    EXPECT_TRUE(answer);
    return *std::move(answer);
  }

  // The google.rpc.Status an answer carries, in whichever form.
  static google::rpc::Status StatusOf(const HttpResponse& response) {
    google::rpc::Status status;
    if (response.grpc) {
      EXPECT_TRUE(status.ParseFromString(std::string(base::AsText(EncodeRpcStatus(*response.grpc)))));
    } else if (response.content_type == "application/x-protobuf") {
      EXPECT_TRUE(status.ParseFromString(std::string(base::AsText(response.body))));
    } else {
      google::rpc::RetryInfo::descriptor();  // links the details in
      EXPECT_EQ(response.content_type, "application/json");
      EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(std::string(base::AsText(response.body)), &status).ok());
    }
    return status;
  }
  template <typename Detail>
  static std::optional<Detail> DetailOf(const HttpResponse& response) {
    const google::rpc::Status status = StatusOf(response);
    for (const auto& any : status.details()) {
      Detail detail;
      if (any.UnpackTo(&detail)) return detail;
    }
    return std::nullopt;
  }
  static std::string HeaderOf(const HttpResponse& response, std::string_view wanted) {
    for (const auto& [name, value] : response.headers) {
      if (name == wanted) return value;
    }
    return {};
  }
  void FillTheLog() {
    const std::string name(100 << 10, 'x');
    collector::trace::v1::ExportTraceServiceRequest request;
    request.add_resource_spans()->add_scope_spans()->add_spans()->set_name(name);
    const std::string body = request.SerializeAsString();
    while (log_.Admits(body.size())) Ask(GrpcHead(Signal::kTraces), body);
    for (;;) {
      const size_t before = log_.bytes();
      Ask(GrpcHead(Signal::kTraces), Request(Signal::kTraces));
      if (log_.bytes() == before) return;
    }
  }

  base::Loop loop_;
  Log log_{loop_, {.bytes_max = kLogBytes}};
  Intake intake_{log_};
  OtlpService service_{intake_, {.request_bytes_max = kRequestBytesMax}};
  otlp::PerSignal<std::unique_ptr<Cursor>> cursors_;
};

TEST_F(Otlp, TakesEverySignalInEveryForm) {
  for (const Signal signal : otlp::kSignals) {
    const std::string request = Request(signal);
    const HttpResponse grpc = Ask(GrpcHead(signal), request);
    ASSERT_TRUE(grpc.grpc);
    EXPECT_EQ(grpc.grpc->code, GrpcCode::kOk);
    EXPECT_TRUE(grpc.body.empty());  // partial_success is unset

    const HttpResponse protobuf = Ask(HttpHeadOf(signal), request);
    EXPECT_EQ(protobuf.status, 200);
    EXPECT_EQ(protobuf.content_type, "application/x-protobuf");
    EXPECT_TRUE(protobuf.body.empty());
    EXPECT_FALSE(protobuf.grpc);

    const char* const json_requests[] = {
        R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a span"}]}]}]})",
        R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]})",
        R"({"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a log"}}]}]}]})"};
    const HttpResponse json =
        Ask(HttpHeadOf(signal, "application/json; charset=utf-8"), json_requests[static_cast<size_t>(signal)]);
    EXPECT_EQ(json.status, 200);
    EXPECT_EQ(json.content_type, "application/json");
    EXPECT_EQ(base::AsText(json.body), "{}");

    for (int i = 0; i < 3; ++i) {
      const auto frame = cursors_[signal]->Next(Cursor::From::kLive);
      ASSERT_TRUE(frame);
      EXPECT_EQ(base::AsText(frame->bytes()), request);
      EXPECT_EQ(frame->counts().items, 1u);
    }
    EXPECT_FALSE(cursors_[signal]->Next(Cursor::From::kLive));
  }
}

TEST_F(Otlp, TakesAnEmptyRequest) {
  EXPECT_EQ(Ask(GrpcHead(Signal::kTraces), "").grpc->code, GrpcCode::kOk);
  EXPECT_EQ(Ask(HttpHeadOf(Signal::kLogs), "").status, 200);
  EXPECT_EQ(Ask(HttpHeadOf(Signal::kLogs, "application/json"), "{}").status, 200);
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(Otlp, TakesEveryEncoding) {
  const std::string request = Request(Signal::kTraces);
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kZstd}) {
    HttpHead grpc = GrpcHead(Signal::kTraces);
    grpc.content_encoding_untrusted = Name(encoding);
    EXPECT_EQ(Ask(grpc, Compressed(encoding, request)).grpc->code, GrpcCode::kOk);
    HttpHead http = HttpHeadOf(Signal::kTraces);
    http.content_encoding_untrusted = Name(encoding);
    EXPECT_EQ(Ask(http, Compressed(encoding, request)).status, 200);
  }
  HttpHead identity = HttpHeadOf(Signal::kTraces);
  identity.content_encoding_untrusted = "identity";
  EXPECT_EQ(Ask(identity, request).status, 200);
  for (int i = 0; i < 5; ++i) {
    const auto frame = cursors_[Signal::kTraces]->Next(Cursor::From::kLive);
    ASSERT_TRUE(frame);
    EXPECT_EQ(base::AsText(frame->bytes()), request);
  }
}

TEST_F(Otlp, BlamesAMalformedRequest) {
  const std::string bad = "\x0a\x7ftruncated";
  for (const Signal signal : otlp::kSignals) {
    for (const HttpHead& head : {GrpcHead(signal), HttpHeadOf(signal), HttpHeadOf(signal, "application/json")}) {
      const HttpResponse response = Ask(head, bad);
      EXPECT_EQ(StatusOf(response).code(), 3);
      if (!head.is_grpc) {
        EXPECT_EQ(response.status, 400);
        EXPECT_EQ(response.content_type, head.content_type_untrusted);
      }
      const auto detail = DetailOf<google::rpc::BadRequest>(response);
      ASSERT_TRUE(detail);
      EXPECT_FALSE(detail->field_violations(0).description().empty());
      EXPECT_FALSE(DetailOf<google::rpc::RetryInfo>(response));
    }
  }
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(Otlp, BlamesABodyThatIsNotItsEncoding) {
  for (const char* encoding : {"gzip", "deflate", "zstd"}) {
    HttpHead head = HttpHeadOf(Signal::kTraces);
    head.content_encoding_untrusted = encoding;
    const HttpResponse response = Ask(head, "this is not compressed");
    EXPECT_EQ(response.status, 400) << encoding;
    EXPECT_TRUE(DetailOf<google::rpc::BadRequest>(response));
    head = GrpcHead(Signal::kTraces);
    head.content_encoding_untrusted = encoding;
    EXPECT_EQ(Ask(head, "this is not compressed").grpc->code, GrpcCode::kInvalidArgument);
  }
}

TEST_F(Otlp, RefusesForGoodWhatIsTooLarge) {
  const std::string large(kRequestBytesMax + 1, 'x');
  const HttpResponse grpc = Ask(GrpcHead(Signal::kTraces), large);
  EXPECT_EQ(grpc.grpc->code, GrpcCode::kResourceExhausted);
  EXPECT_FALSE(grpc.grpc->retry_delay);  // with it, senders would try again
  const HttpResponse http = Ask(HttpHeadOf(Signal::kTraces), large);
  EXPECT_EQ(http.status, 413);
  EXPECT_EQ(StatusOf(http).code(), 8);
  EXPECT_EQ(HeaderOf(http, "retry-after"), "");
}

TEST_F(Otlp, CountsSizeAfterDecompression) {
  const std::string large(kRequestBytesMax + 1, '\0');
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kZstd}) {
    HttpHead head = GrpcHead(Signal::kTraces);
    head.content_encoding_untrusted = Name(encoding);
    const std::string bomb = Compressed(encoding, large);
    ASSERT_LT(bomb.size(), 2000u);
    EXPECT_EQ(Ask(head, bomb).grpc->code, GrpcCode::kResourceExhausted);
    head = HttpHeadOf(Signal::kTraces);
    head.content_encoding_untrusted = Name(encoding);
    EXPECT_EQ(Ask(head, bomb).status, 413);
  }
}

// What the Log could never take is refused for good, however much the options allow, or senders would try for ever.
TEST_F(Otlp, RefusesForGoodWhatTheLogCouldNeverTake) {
  OtlpService service(intake_, {.request_bytes_max = 16 * kLogBytes});
  const auto ask = [&service](const HttpHead& head, std::string_view body) {
    auto rejection = service.Admit(head, body.size()).rejection;
    if (!rejection) {
      service.OnRequest(head, base::Bytes(body), [&](HttpResponse response) { rejection = std::move(response); });
    }
    return std::move(*rejection);
  };
  const std::string large(kLogBytes, '\0');
  EXPECT_EQ(ask(GrpcHead(Signal::kTraces), large).grpc->code, GrpcCode::kResourceExhausted);
  EXPECT_EQ(ask(HttpHeadOf(Signal::kTraces), large).status, 413);
  HttpHead zstd = HttpHeadOf(Signal::kTraces);
  zstd.content_encoding_untrusted = "zstd";
  EXPECT_EQ(ask(zstd, Compressed(Encoding::kZstd, large)).status, 413);

  // JSON takes several times its size while it is read.
  const HttpHead json = HttpHeadOf(Signal::kTraces, "application/json");
  EXPECT_EQ(ask(json, std::string(kLogBytes / 10, '[')).status, 413);
  EXPECT_EQ(ask(json, "{" + std::string(kLogBytes / 13, ' ') + "}").status, 200);
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(Otlp, AsksForPatienceWhenThereIsNoMemoryToReadJsonNow) {
  const std::string half(kLogBytes / 2, 'x');
  collector::trace::v1::ExportTraceServiceRequest request;
  request.add_resource_spans()->add_scope_spans()->add_spans()->set_name(half);
  OtlpService service(intake_, {.request_bytes_max = kLogBytes});
  service.OnRequest(GrpcHead(Signal::kTraces), base::Bytes(request.SerializeAsString()),
                    [](HttpResponse response) { EXPECT_EQ(response.grpc->code, GrpcCode::kOk); });
  const std::string json = "{" + std::string(kLogBytes / 14, ' ') + "}";
  ASSERT_TRUE(log_.Admits(json.size()));
  const HttpResponse response = Ask(HttpHeadOf(Signal::kTraces, "application/json"), json);
  EXPECT_EQ(response.status, 503);
  EXPECT_GE(std::stoi(HeaderOf(response, "retry-after")), 1);
}

TEST_F(Otlp, RefusesJsonThatGrows) {
  std::string json =
      R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"explicitBounds":[0)";
  while (json.size() < 40'000) json += ",0";
  json += "]}]}}]}]}]}";
  const HttpResponse response = Ask(HttpHeadOf(Signal::kMetrics, "application/json"), json);
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(HeaderOf(response, "retry-after"), "");
  EXPECT_EQ(log_.bytes(), 0u);
}

TEST_F(Otlp, AsksForPatienceUnderPressure) {
  FillTheLog();
  // Both when the request is announced, and when only its body shows how large it is.
  const std::string request = Request(Signal::kTraces);
  const HttpResponse grpc = Ask(GrpcHead(Signal::kTraces), request);
  EXPECT_EQ(grpc.grpc->code, GrpcCode::kUnavailable);
  const auto retry = DetailOf<google::rpc::RetryInfo>(grpc);
  ASSERT_TRUE(retry);
  EXPECT_GE(retry->retry_delay().seconds(), 1);
  const std::pair<const char*, std::string> forms[] = {
      {"application/x-protobuf", request},
      {"application/json", R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a span"}]}]}]})"}};
  for (const auto& [type, body] : forms) {
    const HttpResponse http = Ask(HttpHeadOf(Signal::kTraces, type), body);
    EXPECT_EQ(http.status, 503);
    EXPECT_EQ(http.content_type, type);
    EXPECT_GE(std::stoi(HeaderOf(http, "retry-after")), 1);
    EXPECT_EQ(StatusOf(http).code(), 14);
    EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(http));
  }
  std::optional<HttpResponse> late;
  service_.OnRequest(GrpcHead(Signal::kTraces), base::Bytes(request),
                     [&](HttpResponse response) { late = std::move(response); });
  ASSERT_TRUE(late);
  EXPECT_EQ(late->grpc->code, GrpcCode::kUnavailable);
  EXPECT_TRUE(late->grpc->retry_delay);
}

TEST_F(Otlp, RefusesWhatItDoesNotServe) {
  HttpHead head = HttpHeadOf(Signal::kTraces);
  head.path_untrusted = "/v1/nothing";
  EXPECT_EQ(Ask(head, "").status, 404);
  head = HttpHeadOf(Signal::kTraces);
  head.method_untrusted = "GET";
  const HttpResponse wrong_method = Ask(head, "");
  EXPECT_EQ(wrong_method.status, 405);
  EXPECT_EQ(HeaderOf(wrong_method, "allow"), "POST");
  for (const char* type : {"", "text/plain", "application/protobuf"}) {
    EXPECT_EQ(Ask(HttpHeadOf(Signal::kTraces, type), "").status, 415) << type;
  }
  head = HttpHeadOf(Signal::kTraces);
  head.content_encoding_untrusted = "br";
  const HttpResponse wrong_encoding = Ask(head, "");
  EXPECT_EQ(wrong_encoding.status, 415);
  EXPECT_EQ(HeaderOf(wrong_encoding, "accept-encoding"), "identity, gzip, deflate, zstd");

  head = GrpcHead(Signal::kTraces);
  head.path_untrusted = "/grpc.health.v1.Health/Check";
  EXPECT_EQ(Ask(head, "").grpc->code, GrpcCode::kUnimplemented);
  head = GrpcHead(Signal::kTraces);
  head.method_untrusted = "GET";
  EXPECT_EQ(Ask(head, "").grpc->code, GrpcCode::kUnimplemented);
  head = GrpcHead(Signal::kTraces);
  head.content_encoding_untrusted = "snappy";
  const HttpResponse snappy = Ask(head, "");
  EXPECT_EQ(snappy.grpc->code, GrpcCode::kUnimplemented);
  EXPECT_EQ(HeaderOf(snappy, "grpc-accept-encoding"), "identity, gzip, deflate, zstd");
}

TEST_F(Otlp, AnswersEveryFaultOfABody) {
  const std::pair<BodyFault, std::pair<int, GrpcCode>> faults[] = {
      {BodyFault::kTooLarge, {413, GrpcCode::kResourceExhausted}},
      {BodyFault::kTimeout, {408, GrpcCode::kDeadlineExceeded}},
      {BodyFault::kNoMemory, {503, GrpcCode::kUnavailable}},
      {BodyFault::kMalformed, {400, GrpcCode::kInvalidArgument}}};
  for (const auto& [fault, expected] : faults) {
    EXPECT_EQ(service_.OnBodyFault(HttpHeadOf(Signal::kLogs), fault).status, expected.first);
    EXPECT_EQ(service_.OnBodyFault(GrpcHead(Signal::kLogs), fault).grpc->code, expected.second);
  }
  base::MetricsText metrics;
  intake_.WriteMetrics(metrics);
  const std::string page = metrics.Render();
  for (const char* reason : {"too_large", "timeout", "pressure", "malformed"}) {
    EXPECT_NE(page.find(std::string("signal=\"logs\",reason=\"") + reason + "\"} 2"), std::string::npos) << page;
  }
}

}  // namespace
}  // namespace tributary::pipeline
