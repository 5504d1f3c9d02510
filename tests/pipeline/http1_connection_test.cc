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

TEST_F(Http1, TakesARequestByteByByte) {
  const std::string request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
  tests::RawClient client(loop_, *server_);
  for (const char byte : request) {
    client.Send({&byte, 1});
    client.Settle();
  }
  client.UntilReceived("done");
  EXPECT_EQ(service_.received.at(0).body, "hello");
}

TEST_F(Http1, TakesChunks) {
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                     "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nContent-Type: x\r\nX-Trailer: 1\r\n\r\n"),
            "200");
  EXPECT_EQ(service_.received.at(0).body, "hello world");
  EXPECT_EQ(service_.received.at(0).head.content_type_untrusted, "");  // trailers change nothing
}

TEST_F(Http1, TakesAWholeUrlForATarget) {
  EXPECT_EQ(StatusOf("GET http://example.com/a/b?c HTTP/1.1\r\nHost: example.com\r\n\r\n"), "200");
  EXPECT_EQ(StatusOf("GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n"), "200");
  EXPECT_EQ(service_.received.at(0).head.path_untrusted, "/a/b");
  EXPECT_EQ(service_.received.at(0).head.query_untrusted, "c");
  EXPECT_EQ(service_.received.at(1).head.path_untrusted, "/");
}

TEST_F(Http1, KeepsTheConnection) {
  tests::RawClient client(loop_, *server_);
  for (int i = 0; i < 3; ++i) {
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    client.UntilReceived("done");
    client.received().clear();
  }
  EXPECT_FALSE(client.closed());
  EXPECT_EQ(server_->counters().accepted, 1u);
}

TEST_F(Http1, AnswersPipelinedRequestsInOrderAndOneAtATime) {
  service_.keep_replies = true;
  tests::RawClient client(loop_, *server_);
  client.Send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HT");
  for (size_t i = 0; i < 2; ++i) {
    client.Until([&] { return service_.replies.size() == i + 1; });
    client.Settle();
    EXPECT_EQ(service_.replies.size(), i + 1);
    service_.response_body = "answer " + std::to_string(i + 1);
    service_.replies[i](service_.Success(false));
    client.UntilReceived(service_.response_body);
  }
  client.Send("TP/1.1\r\nHost: a\r\n\r\n");
  client.Until([&] { return service_.replies.size() == 3; });
  EXPECT_EQ(service_.received[1].body, "abc");
  EXPECT_EQ(service_.received[2].head.path_untrusted, "/3");
}

TEST_F(Http1, HoldsABoundedAmountForAPeerThatOnlySends) {
  HttpServerOptions options;
  options.tick = 1ms;
  options.write_timeout = 20ms;
  Serve(options, 2 << 20);
  service_.response_body = std::string(100'000, 'x');
  service_.keep_requests = false;
  tests::RawClient client(loop_, *server_);
  client.StopReading();
  std::string requests;
  for (int i = 0; i < 5000; ++i) requests += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  client.Send(requests.substr(0, 100'000));  // more would wait for ever
  client.Until([&] { return server_->connections() == 0; });
  EXPECT_LT(service_.requests, 100u);
  EXPECT_EQ(server_->counters().timed_out, 1u);
  EXPECT_EQ(budget_->bytes(), 0u);
}

TEST_F(Http1, EndsTheConnectionWhenAsked) {
  for (const char* request : {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
                              "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}) {
    tests::RawClient client(loop_, *server_);
    client.Send(request);
    client.UntilClosed();
    EXPECT_NE(client.received().find("connection: close"), std::string::npos);
    EXPECT_NE(client.received().find("done"), std::string::npos);
  }
}

TEST_F(Http1, AnswersAPeerThatHasFinishedSending) {
  service_.keep_replies = true;
  tests::RawClient client(loop_, *server_);
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.EndSending();
  client.Until([&] { return service_.replies.size() == 1; });
  client.Settle();
  service_.replies[0](service_.Success(false));
  client.UntilClosed();
  EXPECT_NE(client.received().find("done"), std::string::npos);
}

TEST_F(Http1, RepliesAreHarmlessOnceNobodyWaits) {
  service_.keep_replies = true;
  tests::RawClient client(loop_, *server_);
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.Until([&] { return service_.replies.size() == 1; });
  client.Close();
  client.Settle();
  service_.replies[0](service_.Success(false));
  server_.reset();
  service_.replies[0](service_.Success(false));
  loop_.RunOnce(0ms);
}

TEST_F(Http1, SendsNoBodyToHead) {
  const std::string answer = AnswerTo("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(answer.find("content-length: 4\r\n"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(Http1, SaysContinueOnlyToWhatItWants) {
  tests::RawClient wanted(loop_, *server_);
  wanted.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  wanted.UntilReceived("HTTP/1.1 100 Continue\r\n\r\n");
  wanted.Send("hello");
  wanted.UntilReceived("done");
  EXPECT_EQ(service_.received.at(0).body, "hello");

  service_.rejection = HttpResponse{.status = 503};
  tests::RawClient refused(loop_, *server_);
  refused.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  refused.UntilClosed();
  EXPECT_TRUE(refused.received().starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << refused.received();

  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: miracles\r\n\r\n"), "417");
}

TEST_F(Http1, KeepsTheConnectionOfARefusedRequestWithAShortBody) {
  service_.rejection = HttpResponse{.status = 503, .headers = {{"retry-after", "3"}}};
  tests::RawClient client(loop_, *server_);
  for (int i = 0; i < 3; ++i) {
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.UntilReceived("retry-after: 3\r\n");  // before the body has come
    client.received().clear();
    client.Send(std::string(100'000, 'x'));
  }
  EXPECT_FALSE(client.closed());
  service_.rejection.reset();
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.UntilReceived("done");
}

TEST_F(Http1, EndsTheConnectionOfARefusedRequestWithALongBody) {
  service_.rejection = HttpResponse{.status = 503};
  tests::RawClient client(loop_, *server_);
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
  client.Send(std::string(10'000'000, 'x'));  // thrown away, so that the answer is not lost to a reset
  client.UntilReceived("connection: close\r\n");
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 503 "));
  client.Close();
  while (server_->connections() > 0) loop_.RunOnce(10ms);
}

TEST_F(Http1, RefusesBodiesThatAreTooLong) {
  service_.body_bytes_max = 10;
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), "413");
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n"), "413");
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"),
            "413");
  EXPECT_EQ(service_.faults, (std::vector<std::string>{"too large", "too large", "too large"}));
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http1, HoldsNoMoreThanTheBudget) {
  Serve({}, 1 << 20);
  tests::RawClient client(loop_, *server_);
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (int i = 0; i < 30 && client.received().empty(); ++i) {
    client.Send(chunk);
    client.Settle();
    EXPECT_LE(budget_->bytes(), size_t{1} << 20);
  }
  client.UntilReceived("HTTP/1.1 503 ");
  EXPECT_EQ(service_.faults, std::vector<std::string>{"no memory"});
}

// Requests whose end a proxy in front of us may see elsewhere.
TEST_F(Http1, RefusesAmbiguousLengths) {
  const char* const requests[] = {
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello!",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "POST / HTTP/1.1\r\n\r\n",
  };
  for (const char* request : requests) {
    EXPECT_EQ(StatusOf(request), "400") << request;
  }
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http1, RefusesWhatIsNoRequest) {
  using namespace std::string_literals;
  const std::string requests[] = {"\r\n\r\n\r\n",
                                  "GET /\r\n\r\n",
                                  "GET / HTTP/2.0\r\n\r\n",
                                  "GET / HTTP/1.1\nHost: a\n\n",
                                  "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
                                  "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
                                  "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: 1\r\n\r\n"s,
                                  "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"s};
  for (const std::string& request : requests) {
    EXPECT_EQ(AnswerTo(request).substr(0, 13), "HTTP/1.1 400 ") << request;
  }
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http1, RefusesMalformedChunks) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body : {"x\r\nhello\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-5\r\nhello\r\n", "ffffffffffffffffff\r\n",
                           "5 5\r\nhello\r\n0\r\n\r\n"}) {
    service_.faults.clear();
    EXPECT_EQ(StatusOf(head + body), "400") << body;
    EXPECT_EQ(service_.faults, std::vector<std::string>{"malformed"}) << body;
  }
  service_.faults.clear();
  EXPECT_EQ(StatusOf(head + "5;" + std::string(10'000, 'x')), "400");  // an extension without end
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http1, LimitsTheHead) {
  EXPECT_EQ(StatusOf("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"), "431");
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), "431");
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 2000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(StatusOf(many + "\r\n"), "431");
  // Also when it comes in pieces, each of which is short.
  tests::RawClient client(loop_, *server_);
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 2000 && client.received().empty() && !client.closed(); ++i) {
    client.Send("X-" + std::to_string(i) + ": y\r\n");
    if (i % 100 == 0) client.Settle();
  }
  client.UntilReceived("HTTP/1.1 431 ");
}

TEST_F(Http1, GivesUpOnSlowHeadsAndBodies) {
  HttpServerOptions options;
  options.tick = 1ms;
  options.head_timeout = 5ms;
  options.body_timeout = 10ms;
  Serve(options);
  tests::RawClient slow_head(loop_, *server_);
  slow_head.Send("POST / HTTP/1.1\r\nHost:");
  slow_head.UntilReceived("HTTP/1.1 408 ");
  tests::RawClient slow_body(loop_, *server_);
  slow_body.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
  slow_body.UntilReceived("HTTP/1.1 408 ");
  EXPECT_EQ(service_.faults, std::vector<std::string>{"timeout"});
  EXPECT_EQ(server_->counters().timed_out, 2u);
}

TEST_F(Http1, EndsIdleAndOldConnections) {
  HttpServerOptions options;
  options.tick = 1ms;
  options.idle_max = 10ms;
  Serve(options);
  tests::RawClient idle(loop_, *server_);
  idle.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  idle.UntilClosed();
  EXPECT_EQ(server_->counters().idled, 1u);

  options.idle_max = std::chrono::hours(1);
  options.age_max = 10ms;
  Serve(options);
  service_.keep_replies = true;
  tests::RawClient old(loop_, *server_);
  old.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  old.Until([&] { return server_->counters().aged == 1; });
  EXPECT_FALSE(old.closed());
  service_.replies.at(0)(service_.Success(false));
  old.UntilClosed();
  EXPECT_NE(old.received().find("connection: close"), std::string::npos);
}

}  // namespace
}  // namespace tributary::pipeline
