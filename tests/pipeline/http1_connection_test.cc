#include "pipeline/http1_connection.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "pipeline/http_server.h"
#include "tests/pipeline/raw_client.h"
#include "tests/pipeline/test_service.h"

namespace tributary::pipeline {
namespace {

using namespace std::chrono_literals;

class Http1 : public testing::Test {
 protected:
  void Serve(const HttpServerOptions& options = {}, size_t budget_bytes = 64 << 20) {
    server_.reset();
    budget_ = std::make_unique<base::Budget>(budget_bytes);
    server_ = std::make_unique<HttpServer>(loop_, *budget_, service_, options);
  }
  void SetUp() override {
    service_.response_body = "done";
    Serve();
  }

  // What the server answers to `request` before it closes the connection; the peer sends nothing more.
  std::string AnswerTo(const std::string& request) {
    tests::RawClient client(loop_, *server_);
    client.Send(request);
    client.EndSending();
    client.UntilClosed();
    return client.received();
  }
  std::string StatusOf(const std::string& request) { return AnswerTo(request).substr(9, 3); }

  base::Loop loop_;
  tests::TestService service_;
  std::unique_ptr<base::Budget> budget_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Http1, AnswersAPostWithALength) {
  const std::string answer = AnswerTo(
      "POST /v1/traces?x=%20y HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
      "Content-Length: 5\r\n\r\nhello");
  EXPECT_EQ(answer, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-type: text/plain\r\n\r\ndone");
  ASSERT_EQ(service_.received.size(), 1u);
  const HttpHead& head = service_.received[0].head;
  EXPECT_EQ(head.method_untrusted, "POST");
  EXPECT_EQ(head.path_untrusted, "/v1/traces");
  EXPECT_EQ(head.query_untrusted, "x=%20y");
  EXPECT_EQ(head.content_type_untrusted, "application/json");
  EXPECT_EQ(head.content_encoding_untrusted, "gzip");
  EXPECT_FALSE(head.is_grpc);
  EXPECT_EQ(service_.received[0].body, "hello");
}

}  // namespace
}  // namespace tributary::pipeline
