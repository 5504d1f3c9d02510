#include "pipeline/http_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/stream.h"
#include "tests/base/certificates.h"
#include "tests/pipeline/test_service.h"

namespace tributary::pipeline {
namespace {

using namespace std::chrono_literals;
using Kind = base::Stream::Kind;

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

class Server : public testing::Test {
 protected:
  void Serve(HttpServerOptions options = {}, size_t budget_bytes = 1 << 20) {
    options.tick = 1ms;
    service_.response_body = "done";
    budget_ = std::make_unique<base::Budget>(budget_bytes);
    server_ = std::make_unique<HttpServer>(loop_, *budget_, service_, options);
  }
  base::Address Listen(const std::string& address, std::shared_ptr<const base::TlsContext> tls = nullptr) {
    const auto bound = server_->Listen(*base::Address::Parse(address), std::move(tls));
    EXPECT_TRUE(bound) << bound.error().message;
    return *bound;
  }
  static base::Stream Connect(const base::Address& address) { return base::Stream(*base::Connect(address)); }

  // Turns the loop until the stream's handshake is over.
  Kind Shake(base::Stream& stream) {
    Kind kind;
    while ((kind = stream.Handshake().kind) == Kind::kWantRead || kind == Kind::kWantWrite) loop_.RunOnce(1ms);
    return kind;
  }
  void Send(base::Stream& stream, std::string_view text) {
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    ASSERT_EQ(stream.Write({&piece, 1}).bytes, text.size());
  }
  // Everything until the server closes the stream.
  std::string ReadAll(base::Stream& stream) {
    std::string text;
    std::vector<uint8_t> buffer(64 << 10);
    for (;;) {
      const base::Stream::IoResult result = stream.Read(buffer);
      if (result.kind == Kind::kClosed || result.kind == Kind::kError) return text;
      if (result.kind == Kind::kOk) {
        text.append(reinterpret_cast<char*>(buffer.data()), result.bytes);
      } else {
        loop_.RunOnce(1ms);
      }
    }
  }
  std::string Ask(const base::Address& address) {
    base::Stream stream = Connect(address);
    EXPECT_EQ(Shake(stream), Kind::kOk);
    Send(stream, kRequest);
    return ReadAll(stream);
  }
  void Turn(int times) {
    for (int i = 0; i < times; ++i) loop_.RunOnce(1ms);
  }

  base::Loop loop_;
  tests::TestService service_;
  std::unique_ptr<base::Budget> budget_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Server, ListensOnManyAddresses) {
  Serve();
  const std::string path =
      std::filesystem::temp_directory_path() / ("tributary_server_test_" + std::to_string(getpid()));
  for (const std::string& address : {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + path}) {
    EXPECT_TRUE(Ask(Listen(address)).ends_with("done")) << address;
  }
  std::filesystem::remove(path);
  EXPECT_EQ(server_->counters().accepted, 3u);
}

TEST_F(Server, AsksOncePerConnectionWhoItIsAndTellsTheService) {
  Serve();
  std::vector<base::Address> asked;
  server_->set_source_of([&asked](int socket) {
    asked.push_back(base::LocalAddress(socket));
    return std::make_shared<const std::string>("sender " + std::to_string(asked.size()));
  });
  const base::Address address = Listen("127.0.0.1:0");
  base::Stream twice = Connect(address);
  ASSERT_EQ(Shake(twice), Kind::kOk);
  Send(twice, "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(kRequest));
  EXPECT_TRUE(ReadAll(twice).ends_with("done"));
  Ask(address);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].ToString(), address.ToString());
  std::vector<std::string> told;
  for (const auto& received : service_.received) told.push_back(*received.head.source);
  EXPECT_EQ(told, (std::vector<std::string>{"sender 1", "sender 1", "sender 2"}));
}

TEST_F(Server, SaysWhatItCannotListenOn) {
  Serve();
  const base::Address taken = Listen("127.0.0.1:0");
  const auto again = server_->Listen(taken);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, "listen on " + taken.ToString() + ": Address already in use");
}

TEST_F(Server, LetsConnectionsWaitWhileAsManyAsAllowedAreOpen) {
  Serve({.connections_max = 2});
  const base::Address address = Listen("127.0.0.1:0");
  std::vector<base::Stream> open;
  for (int i = 0; i < 2; ++i) open.push_back(Connect(address));
  base::Stream waiting = Connect(address);
  Turn(10);
  EXPECT_EQ(server_->counters().accepted, 2u);
  EXPECT_GT(server_->counters().accept_pauses, 0u);
  Send(waiting, kRequest);
  open.pop_back();
  EXPECT_TRUE(ReadAll(waiting).ends_with("done"));
}

TEST_F(Server, LetsConnectionsWaitWhileTheBudgetIsSpent) {
  Serve({}, 2 * ServerConnection::kPlainBytes + 8'000);
  const base::Address address = Listen("127.0.0.1:0");
  std::vector<base::Stream> open;
  for (int i = 0; i < 2; ++i) open.push_back(Connect(address));
  base::Stream waiting = Connect(address);
  Turn(10);
  EXPECT_EQ(server_->counters().accepted, 2u);
  Send(waiting, kRequest);
  open.clear();
  EXPECT_TRUE(ReadAll(waiting).ends_with("done"));
  while (server_->connections() > 0) Turn(1);
  EXPECT_EQ(budget_->bytes(), 0u);
}

// Whoever connects and then does nothing, or stops in the middle of a request, must not shut the others out.
TEST_F(Server, EndsConnectionsThatStallWhenMemoryIsShort) {
  Serve({.stall_max = 5ms}, 1 << 20);
  const base::Address address = Listen("127.0.0.1:0");
  constexpr std::string_view kStarts[] = {"", "GET / HT",
                                          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"};
  for (const std::string_view start : kStarts) {
    std::vector<base::Stream> stalled;
    for (int i = 0; i < 100; ++i) {
      stalled.push_back(Connect(address));
      Send(stalled.back(), start);
    }
    EXPECT_TRUE(Ask(address).ends_with("done")) << start;
    EXPECT_LE(budget_->bytes(), budget_->bytes_max());
  }
  EXPECT_GT(server_->counters().evicted, 0u);
}

TEST_F(Server, EndsTheOneThatStalledLongestAndNoneThatGetsOn) {
  Serve({.stall_max = 5ms}, 5 * ServerConnection::kPlainBytes);
  const base::Address address = Listen("127.0.0.1:0");
  base::Stream first = Connect(address), second = Connect(address);
  Turn(20);
  // Every byte is progress.
  constexpr std::string_view kSlow = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  std::vector<base::Stream> others;
  for (const char byte : kSlow) {
    if (others.size() < 4) others.push_back(Connect(address));
    Send(second, {&byte, 1});
    Turn(2);
  }
  EXPECT_EQ(ReadAll(first), "");
  EXPECT_TRUE(ReadAll(second).ends_with("done"));
}

TEST_F(Server, EndsNoneForStallingWhileThereIsMemory) {
  Serve({.stall_max = 1ms}, 1 << 20);
  const base::Address address = Listen("127.0.0.1:0");
  std::vector<base::Stream> idle;
  for (int i = 0; i < 10; ++i) idle.push_back(Connect(address));
  Turn(30);
  EXPECT_TRUE(Ask(address).ends_with("done"));
  EXPECT_EQ(server_->counters().evicted, 0u);
}

TEST_F(Server, ChoosesTheProtocolByAlpnOrByTheFirstBytes) {
  Serve();
  tests::CertificateAuthority authority;
  const auto tls = std::make_shared<base::TlsContext>(
      *base::TlsContext::Server(authority.Issue("DNS:localhost"), HttpServer::Alpn()));
  const base::Address address = Listen("127.0.0.1:0", tls);
  for (const std::vector<std::string>& alpn : {std::vector<std::string>{"http/1.1"}, {}}) {
    const auto context = base::TlsContext::Client({.ca_file = authority.ca_file()}, alpn);
    base::Stream stream = base::Stream::TlsClient(*base::Connect(address), *context, "localhost");
    ASSERT_EQ(Shake(stream), Kind::kOk) << stream.error();
    Send(stream, kRequest);
    EXPECT_TRUE(ReadAll(stream).ends_with("done"));
  }
  const auto context = base::TlsContext::Client({.ca_file = authority.ca_file()}, {"h2", "http/1.1"});
  base::Stream stream = base::Stream::TlsClient(*base::Connect(address), *context, "localhost");
  ASSERT_EQ(Shake(stream), Kind::kOk) << stream.error();
  EXPECT_EQ(stream.alpn(), "h2");
  // Having chosen HTTP/2 it speaks nothing else.
  Send(stream, kRequest);
  EXPECT_EQ(ReadAll(stream).find("HTTP/1.1"), std::string::npos);
  EXPECT_EQ(service_.requests, 2u);
}

TEST_F(Server, EndsHandshakesThatDoNotEnd) {
  Serve({.head_timeout = 5ms});
  tests::CertificateAuthority authority;
  const auto tls = std::make_shared<base::TlsContext>(
      *base::TlsContext::Server(authority.Issue("DNS:localhost"), HttpServer::Alpn()));
  base::Stream silent = Connect(Listen("127.0.0.1:0", tls));
  EXPECT_EQ(ReadAll(silent), "");
  base::Stream plain_silent = Connect(Listen("127.0.0.1:0"));
  EXPECT_EQ(ReadAll(plain_silent), "");
  EXPECT_EQ(server_->counters().timed_out, 2u);
  while (server_->connections() > 0) Turn(1);
  EXPECT_EQ(budget_->bytes(), 0u);
}

TEST_F(Server, SurvivesPlainTextWhereTlsIsSpoken) {
  Serve();
  tests::CertificateAuthority authority;
  const auto tls = std::make_shared<base::TlsContext>(
      *base::TlsContext::Server(authority.Issue("DNS:localhost"), HttpServer::Alpn()));
  EXPECT_EQ(Ask(Listen("127.0.0.1:0", tls)).find("HTTP/1.1 200"), std::string::npos);
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Server, StopsListeningWhenItDrains) {
  Serve();
  const base::Address address = Listen("127.0.0.1:0");
  EXPECT_TRUE(Ask(address).ends_with("done"));
  server_->Drain();
  base::Stream late = Connect(address);
  EXPECT_EQ(Shake(late), Kind::kError);
  while (server_->connections() > 0) Turn(1);
}

TEST_F(Server, WritesItsMetrics) {
  Serve();
  const base::Address address = Listen("127.0.0.1:0");
  base::Stream open = Connect(address);
  Turn(5);
  base::MetricsText metrics;
  server_->WriteMetrics("otlp", metrics);
  const std::string page = metrics.Render();
  EXPECT_NE(page.find("tributary_server_connections{server=\"otlp\"} 1"), std::string::npos) << page;
  EXPECT_NE(page.find("tributary_server_accepted_total{server=\"otlp\"} 1"), std::string::npos) << page;
  EXPECT_NE(page.find("tributary_server_ended_total{server=\"otlp\",reason=\"flood\"} 0"), std::string::npos) << page;
}

}  // namespace
}  // namespace tributary::pipeline
