#include "gateway/store_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "tests/gateway/otlp_text.h"

namespace tributary::gateway {
namespace {

namespace fs = std::filesystem;
using pipeline::HttpHead;
using pipeline::HttpResponse;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

class StorePagesTest : public ::testing::Test {
 protected:
  StorePagesTest() {
    std::string pattern = (fs::temp_directory_path() / "store_pages.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    auto store = LocalStore::Open(loop_, {.path = directory_ / "store.db"});
    EXPECT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    pages_.emplace(*store_);
  }
  ~StorePagesTest() override {
    pages_.reset();
    store_.reset();
    fs::remove_all(directory_);
  }

  static HttpHead Head(const std::string& path_and_query, const std::string& method = "GET") {
    const size_t mark = path_and_query.find('?');
    HttpHead head{.method_untrusted = method, .path_untrusted = path_and_query.substr(0, mark)};
    if (mark != std::string::npos) head.query_untrusted = path_and_query.substr(mark + 1);
    return head;
  }
  // What a browser gets.
  HttpResponse Get(const std::string& path_and_query) {
    const HttpHead head = Head(path_and_query);
    if (auto rejection = pages_->Admit(head, 0).rejection) return std::move(*rejection);
    std::optional<HttpResponse> response;
    pages_->OnRequest(head, {}, [&](HttpResponse answer) { response = std::move(answer); });
    while (!response) loop_.RunOnce(base::Nanos::max());
    return std::move(*response);
  }
  std::string Body(const std::string& path_and_query) {
    const HttpResponse response = Get(path_and_query);
    EXPECT_EQ(response.status, 200) << path_and_query << ": " << base::AsText(response.body);
    return std::string(base::AsText(response.body));
  }
  std::string Error(const std::string& path_and_query) {
    const HttpResponse response = Get(path_and_query);
    EXPECT_EQ(response.status, 400) << path_and_query;
    return std::string(base::AsText(response.body));
  }

  template <typename Request>
  void Write(const std::string& text) {
    const base::Bytes request = ToBytes(FromText<Request>(text));
    pipeline::Outgoing outgoing{.signal = SignalOf(Request()), .items = 10};
    outgoing.request.Refer(request);
    std::optional<pipeline::Outcome> outcome;
    store_->Send(outgoing, [&](pipeline::Outcome told) { outcome = std::move(told); });
    while (!outcome) loop_.RunOnce(base::Nanos::max());
    ASSERT_EQ(outcome->kind, pipeline::Outcome::Kind::kDelivered) << outcome->detail;
  }
  void WriteSome() {
    Write<ExportTraceServiceRequest>(R"(
        resource_spans {
          resource { attributes { key: "service.name" value { string_value: "a&b c" } } }
          scope_spans {
            spans { trace_id: "aaaaaaaaaaaaaaaa" name: "slow" end_time_unix_nano: 2000000000 start_time_unix_nano: 1 }
            spans { trace_id: "bbbbbbbbbbbbbbbb" name: "<b>" status { code: STATUS_CODE_ERROR } } } })");
    Write<ExportLogsServiceRequest>(R"(
        resource_logs { scope_logs {
          log_records { severity_number: SEVERITY_NUMBER_WARN body { string_value: "50% off" } trace_id: "aaaaaaaaaaaaaaaa" }
          log_records { body { string_value: "plain" } } } })");
    Write<ExportMetricsServiceRequest>(R"(
        resource_metrics { scope_metrics { metrics { name: "queue/length" gauge {
          data_points { as_int: 1 } data_points { as_int: 2 } } } } })");
  }

  base::Loop loop_;
  fs::path directory_;
  std::unique_ptr<LocalStore> store_;
  std::optional<StorePages> pages_;
};

TEST_F(StorePagesTest, ServesThePageAndItsParts) {
  const HttpResponse page = Get("/");
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(std::string(base::AsText(page.body)), StartsWith("<!doctype html>"));
  EXPECT_EQ(Get("/app.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(Get("/style.css").content_type, "text/css; charset=utf-8");
  EXPECT_THAT(Body("/app.js"), HasSubstr("'use strict';"));
}

TEST_F(StorePagesTest, ThePageLoadsNothingFromElsewhereAndMakesNoMarkupOfTelemetry) {
  for (const char* path : {"/", "/app.js", "/style.css"}) {
    const std::string body = Body(path);
    for (const char* forbidden :
         {"https://", "//cdn", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("}) {
      EXPECT_THAT(body, Not(HasSubstr(forbidden))) << path;
    }
  }
  EXPECT_THAT(Get("/").headers,
              Contains(Pair("content-security-policy", StartsWith("default-src 'none'; script-src 'self'"))));
  EXPECT_THAT(Get("/api/services").headers, Contains(Pair("x-content-type-options", "nosniff")));
}

TEST_F(StorePagesTest, AnswersEveryQuestionOfTheApi) {
  WriteSome();
  EXPECT_THAT(Body("/api/services"), HasSubstr(R"({"name":"a&b c","spans":2,"errors":1,)"));
  EXPECT_THAT(Body("/api/traces"), HasSubstr(R"("name":"<b>")"));
  EXPECT_THAT(Body("/api/traces/61616161616161616161616161616161"), HasSubstr(R"("name":"slow")"));
  EXPECT_THAT(Body("/api/logs"), HasSubstr(R"("stringValue":"50% off")"));
  EXPECT_THAT(Body("/api/metrics"), HasSubstr(R"({"name":"queue/length","type":"gauge")"));
  EXPECT_THAT(Body("/api/metrics?name=queue%2Flength"), HasSubstr(R"("asInt":"2")"));
}

TEST_F(StorePagesTest, UnderstandsParameters) {
  WriteSome();
  EXPECT_THAT(Body("/api/traces?service=a%26b+c"), HasSubstr("slow"));
  EXPECT_EQ(Body("/api/traces?service=other"), R"({"traces":[]})");
  EXPECT_THAT(Body("/api/traces?min_duration=1s&limit=10&errors=false"), HasSubstr("slow"));
  EXPECT_THAT(Body("/api/traces?min_duration=1s"), Not(HasSubstr("<b>")));
  EXPECT_THAT(Body("/api/traces?errors=true"), Not(HasSubstr("slow")));
  EXPECT_THAT(Body("/api/logs?text=50%25"), Not(HasSubstr("plain")));
  EXPECT_THAT(Body("/api/logs?severity=13"), Not(HasSubstr("plain")));
  EXPECT_THAT(Body("/api/logs?trace_id=61616161616161616161616161616161"), Not(HasSubstr("plain")));
  EXPECT_THAT(Body("/api/logs?service=&text="), HasSubstr("plain")) << "an empty parameter is none";
  EXPECT_THAT(Body("/api/metrics?name=queue/length&limit=1"), Not(HasSubstr(R"("asInt":"1")")));
}

TEST_F(StorePagesTest, SaysWhatIsWrongWithAQuestion) {
  EXPECT_EQ(Error("/api/traces?limit=1001"), "{\"error\":\"limit must be a number up to 1000\"}\n");
  EXPECT_THAT(Error("/api/traces?limit=-1"), HasSubstr("limit must be"));
  EXPECT_THAT(Error("/api/traces?limit=1x"), HasSubstr("limit must be"));
  EXPECT_THAT(Error("/api/traces?min_duration=soon"), HasSubstr("min_duration must be a duration"));
  EXPECT_THAT(Error("/api/traces?errors=yes"), HasSubstr("errors must be true or false"));
  EXPECT_THAT(Error("/api/traces?colour=red"), HasSubstr("a parameter that this page does not have"));
  EXPECT_THAT(Error("/api/traces/61"), HasSubstr("32 hexadecimal digits"));
  EXPECT_THAT(Error("/api/traces/6161616161616161616161616161616z"), HasSubstr("32 hexadecimal digits"));
  EXPECT_THAT(Error("/api/logs?trace_id=61"), HasSubstr("32 hexadecimal digits"));
  EXPECT_THAT(Error("/api/logs?severity=25"), HasSubstr("severity must be"));
  for (const char* text : {"%", "%4", "%zz", "a%2"}) {
    EXPECT_THAT(Error(std::string("/api/logs?text=") + text), HasSubstr("not URL-encoded")) << text;
  }
}

TEST_F(StorePagesTest, SaysWhatIsNotThere) {
  EXPECT_EQ(Get("/nothing").status, 404);
  EXPECT_EQ(Get("/api/").status, 404);
  EXPECT_EQ(Get("/api/traces/61616161616161616161616161616161").status, 404);
  EXPECT_EQ(Get("/api/metrics?name=none").status, 404);
}

TEST_F(StorePagesTest, SaysWhenAnAnswerIsNotComplete) {
  WriteSome();
  EXPECT_THAT(Get("/api/traces?limit=1").headers, Contains(Pair("tributary-complete", "false")));
  EXPECT_THAT(Get("/api/traces").headers, Not(Contains(Pair("tributary-complete", "false"))));
}

TEST_F(StorePagesTest, ChangesNothingAndSpeaksNoGrpc) {
  const auto post = pages_->Admit(Head("/api/traces", "POST"), 10);
  ASSERT_TRUE(post.rejection);
  EXPECT_EQ(post.rejection->status, 405);
  EXPECT_THAT(post.rejection->headers, Contains(Pair("allow", "GET, HEAD")));
  HttpHead grpc = Head("/", "POST");
  grpc.is_grpc = true;
  ASSERT_TRUE(pages_->Admit(grpc, {}).rejection->grpc);
  EXPECT_EQ(pages_->Admit(Head("/"), {}).body_bytes_max, 0);
}

TEST_F(StorePagesTest, AnswersOnlySoManyQuestionsAtOnce) {
  std::vector<int> statuses;
  for (int i = 0; i < 6; ++i) {
    pages_->OnRequest(Head("/api/services"), {},
                      [&](const HttpResponse& answer) { statuses.push_back(answer.status); });
  }
  EXPECT_EQ(statuses, (std::vector<int>{503, 503}));
  while (statuses.size() < 6) loop_.RunOnce(base::Nanos::max());
  EXPECT_EQ(statuses, (std::vector<int>{503, 503, 200, 200, 200, 200}));
  EXPECT_EQ(Get("/api/services").status, 200);
}

}  // namespace
}  // namespace tributary::gateway
