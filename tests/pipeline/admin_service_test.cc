#include "pipeline/admin_service.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

namespace tributary::pipeline {
namespace {

class Admin : public testing::Test {
 protected:
  Admin() {
    service_.Add("/metrics", [](const std::string& query) {
      return HttpResponse{.content_type = "text/plain; version=0.0.4", .body = base::Bytes("asked: " + query)};
    });
  }

  HttpResponse Ask(const std::string& method, const std::string& path, const std::string& query = "") {
    const HttpHead head{.method_untrusted = method, .path_untrusted = path, .query_untrusted = query};
    HttpService::Admission admission = service_.Admit(head, 0);
    if (admission.rejection) return *std::move(admission.rejection);
    std::optional<HttpResponse> answer;
    service_.OnRequest(head, {}, [&](HttpResponse response) { answer = std::move(response); });
    return *std::move(answer);
  }

  AdminService service_;
};

TEST_F(Admin, MakesPagesOnRequest) {
  const HttpResponse page = Ask("GET", "/metrics", "a=b");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/plain; version=0.0.4");
  EXPECT_EQ(base::AsText(page.body), "asked: a=b");
  EXPECT_EQ(Ask("HEAD", "/metrics").status, 200);
}

TEST_F(Admin, SaysWhichPagesThereAre) {
  const HttpResponse response = Ask("GET", "/nothing");
  EXPECT_EQ(response.status, 404);
  EXPECT_NE(base::AsText(response.body).find("/metrics"), std::string::npos);
}

TEST_F(Admin, TakesNothing) {
  const HttpResponse response = Ask("POST", "/metrics");
  EXPECT_EQ(response.status, 405);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].first, "allow");
  const HttpHead get{.method_untrusted = "GET", .path_untrusted = "/metrics"};
  EXPECT_EQ(service_.Admit(get, std::nullopt).body_bytes_max, 0u);
  const HttpHead grpc{.method_untrusted = "POST", .path_untrusted = "/metrics", .is_grpc = true};
  EXPECT_EQ(service_.Admit(grpc, std::nullopt).rejection->grpc->code, GrpcCode::kUnimplemented);
}

}  // namespace
}  // namespace tributary::pipeline
