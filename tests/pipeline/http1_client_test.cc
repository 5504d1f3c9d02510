// Http1Client, through OtlpClient, against peers that keep to HTTP/1.1's letter and peers that do not.
#include "pipeline/http1_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/base/certificates.h"
#include "tests/pipeline/client_fixture.h"
#include "tests/pipeline/raw_peer.h"

namespace tributary::pipeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using tests::RawPeer;
using Kind = Outcome::Kind;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

// Takes one whole request (head and content-length's body) off `received`; empty when it is not whole yet.
std::string TakeRequest(std::string& received) {
  const size_t head_end = received.find("\r\n\r\n");
  if (head_end == std::string::npos) return "";
  const size_t field = received.find("content-length: ");
  const size_t length = head_end + 4 + std::stoul(received.substr(field + 16, 20));
  if (received.size() < length) return "";
  std::string request = received.substr(0, length);
  received.erase(0, length);
  return request;
}

class Http1ClientTest : public tests::ClientFixture {
 protected:
  using OnRequest = std::function<void(RawPeer::Connection&, const std::string& request)>;

  std::unique_ptr<RawPeer> Peer(OnRequest on_request) {
    return std::make_unique<RawPeer>(loop_, [=](RawPeer::Connection& connection) {
      for (std::string request; !(request = TakeRequest(connection.received)).empty();) on_request(connection, request);
    });
  }
  std::unique_ptr<RawPeer> Answering(std::string_view response, bool closes = false) {
    return Peer([=, text = std::string(response)](RawPeer::Connection& connection, const std::string&) {
      connection.Write(text);
      if (closes) connection.Close();
    });
  }
  std::unique_ptr<OtlpClient> ConnectTo(const RawPeer& peer, OtlpClient::Options options = {}) {
    options.protocol = OtlpClient::Protocol::kHttpProtobuf;
    if (options.endpoints.empty()) options.endpoints = {"http://" + peer.endpoint()};
    return Connect(std::move(options));
  }
  Outcome OutcomeOf(std::string_view response, bool closes = false) {
    auto peer = Answering(response, closes);
    auto client = ConnectTo(*peer);
    return Exchange(*client, "a request");
  }
};

TEST_F(Http1ClientTest, SendsARequestAsOtlpDefinesIt) {
  std::vector<std::string> requests;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string& request) {
    requests.push_back(request);
    connection.Write(kOk);
  });
  auto client = ConnectTo(*peer, {.endpoints = {"http://" + peer->endpoint() + "/otlp/"},
                                  .headers = {{"X-Scope-OrgID", "acme"}, {"User-Agent", "mine"}}});
  for (const auto signal : otlp::kSignals) EXPECT_EQ(Exchange(*client, "body", signal).kind, Kind::kDelivered);
  const std::string rest = " HTTP/1.1\r\nhost: " + peer->endpoint() +
                           "\r\ncontent-length: 4\r\ncontent-type: application/x-protobuf\r\n"
                           "x-scope-orgid: acme\r\nuser-agent: mine\r\n\r\nbody";
  EXPECT_THAT(requests,
              ElementsAre("POST /otlp/v1/traces" + rest, "POST /otlp/v1/metrics" + rest, "POST /otlp/v1/logs" + rest));
  EXPECT_EQ(peer->connections().size(), 1u);
}

TEST_F(Http1ClientTest, UsesThePathItIsGivenForASignal) {
  std::string request;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string& r) {
    request = r;
    connection.Write(kOk);
  });
  OtlpClient::Options options;
  options.paths[otlp::Signal::kMetrics] = "/api/v1/otlp/v1/metrics";
  auto client = ConnectTo(*peer, std::move(options));
  EXPECT_EQ(Exchange(*client, "body", otlp::Signal::kMetrics).kind, Kind::kDelivered);
  EXPECT_THAT(request, StartsWith("POST /api/v1/otlp/v1/metrics HTTP/1.1\r\n"));
}

TEST_F(Http1ClientTest, Compresses) {
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kZstd}) {
    std::string request;
    auto peer = Peer([&](RawPeer::Connection& connection, const std::string& r) {
      request = r;
      connection.Write(kOk);
    });
    auto client = ConnectTo(*peer, {.compression = encoding});
    const std::string body(100'000, 'b');
    EXPECT_EQ(Exchange(*client, body).kind, Kind::kDelivered);
    EXPECT_THAT(request, HasSubstr("content-encoding: " + std::string(Name(encoding)) + "\r\n"));
    Decompressor decompressor;
    base::Bytes plain;
    const std::string_view compressed = std::string_view(request).substr(request.find("\r\n\r\n") + 4);
    ASSERT_TRUE(decompressor.Decompress(encoding, base::AsBytes(compressed), {.ratio_max = 100'000}, plain));
    EXPECT_EQ(base::AsText(plain), body);
  }
}

TEST_F(Http1ClientTest, SendsALargeBodyWhole) {
  std::string received;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string& request) {
    received = request.substr(request.find("\r\n\r\n") + 4);
    connection.Write(kOk);
  });
  auto client = ConnectTo(*peer);
  std::string body(5 << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 / 7);
  EXPECT_EQ(Exchange(*client, body).kind, Kind::kDelivered);
  EXPECT_TRUE(received == body);
}

TEST_F(Http1ClientTest, OpensMoreConnectionsForMoreRequestsAndKeepsThem) {
  std::vector<RawPeer::Connection*> asking;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string&) { asking.push_back(&connection); });
  auto client = ConnectTo(*peer);
  for (int round = 0; round < 3; ++round) {
    outcomes_.clear();
    asking.clear();
    for (int i = 0; i < 100; ++i) Post(*client, "a request");
    RunUntil([&] { return asking.size() == 64; });
    while (outcomes_.size() < 100) {
      for (RawPeer::Connection* connection : std::exchange(asking, {})) connection->Write(kOk);
      loop_.RunOnce(seconds(1));
    }
    for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kDelivered);
  }
  EXPECT_EQ(peer->connections().size(), 64u);
}

TEST_F(Http1ClientTest, ReadsEveryFormOfABody) {
  const std::string partial("\x0a\x02\x08\x05", 4);  // partial_success: five items rejected
  const std::string type = "content-type: application/x-protobuf\r\n";
  const struct {
    std::string response;
    bool closes;
  } kForms[] = {
      {"HTTP/1.1 200 OK\r\n" + type + "content-length: 4\r\n\r\n" + partial, false},
      {"HTTP/1.1 200 OK\r\n" + type + "transfer-encoding: chunked\r\n\r\n1\r\n\x0a\r\n3;ext=1\r\n" + partial.substr(1) +
           "\r\n0\r\ntrailer: x\r\n\r\n",
       false},
      {"HTTP/1.1 200 OK\r\n" + type + "connection: close\r\n\r\n" + partial, true},
      {"HTTP/1.0 200 OK\r\n" + type + "\r\n" + partial, true},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n" + type +
           "content-length: 4\r\n\r\n" + partial,
       false},
  };
  for (const auto& form : kForms) {
    const Outcome outcome = OutcomeOf(form.response, form.closes);
    EXPECT_EQ(outcome.kind, Kind::kDelivered) << form.response << outcome.detail;
    EXPECT_EQ(outcome.rejected_items, 5u) << form.response;
  }
}

TEST_F(Http1ClientTest, ReadsAResponseThatComesByteByByte) {
  const std::string response =
      "HTTP/1.1 503 Busy\r\nretry-after: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlater\r\n0\r\n\r\n";
  RawPeer::Connection* asking = nullptr;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string&) { asking = &connection; });
  auto client = ConnectTo(*peer);
  Post(*client, "a request");
  RunUntil([&] { return asking != nullptr; });
  for (const char c : response) {
    EXPECT_TRUE(outcomes_.empty());
    asking->Write(std::string_view(&c, 1));
    while (loop_.RunOnce(milliseconds(0)), asking->written == 0) continue;
  }
  RunUntilOutcomes(1);
  EXPECT_EQ(outcomes_[0].retry_after, seconds(3));
  EXPECT_THAT(outcomes_[0].detail, HasSubstr("later"));
}

TEST_F(Http1ClientTest, AcceptsSuccessWithoutABody) {
  for (const char* response : {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                               "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok"}) {
    auto peer = Answering(response);
    auto client = ConnectTo(*peer);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kDelivered) << response;
    EXPECT_EQ(peer->connections().size(), 1u) << response;
  }
}

TEST_F(Http1ClientTest, ClassifiesFailures) {
  EXPECT_EQ(OutcomeOf("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").kind, Kind::kRetry);
  EXPECT_EQ(OutcomeOf("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").kind, Kind::kRefused);
  EXPECT_EQ(OutcomeOf("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").reason, Reason::kTooLarge);
  const Outcome redirect = OutcomeOf("HTTP/1.1 301 Moved\r\nLocation: https://there/\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(redirect.kind, Kind::kRefused);
  EXPECT_THAT(redirect.detail, HasSubstr("https://there/"));
}

TEST_F(Http1ClientTest, ReplacesAConnectionThatThePeerClosedWhenIdle) {
  auto peer = Answering(kOk, /*closes=*/true);
  auto client = ConnectTo(*peer);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kDelivered);
    // The close has been noticed by now, or will be when the next request finds out.
    for (int turn = 0; turn < 3; ++turn) loop_.RunOnce(milliseconds(1));
  }
  EXPECT_EQ(peer->connections().size(), 5u);
  EXPECT_THAT(Metrics(*client), HasSubstr("tributary_client_connection_failures_total{destination=\"test\"} 0"));
}

TEST_F(Http1ClientTest, RetriesWhenTheConnectionClosesWithoutAnAnswer) {
  for (const std::string_view begun : {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
                                       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"}) {
    const Outcome outcome = OutcomeOf(begun, true);
    EXPECT_EQ(outcome.kind, Kind::kRetry) << begun;
    EXPECT_EQ(outcome.reason, Reason::kConnect) << begun;
  }
}

TEST_F(Http1ClientTest, TakesAnAnswerThatComesBeforeTheRequestIsSent) {
  RawPeer peer(loop_, [](RawPeer::Connection& connection) {
    if (connection.received.empty()) return;
    connection.StopReading();
    connection.Write("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n");
  });
  auto client = ConnectTo(peer);
  EXPECT_EQ(Exchange(*client, std::string(32 << 20, 'r')).reason, Reason::kTooLarge);
  EXPECT_EQ(Exchange(*client, std::string(32 << 20, 'r')).reason, Reason::kTooLarge);
  EXPECT_EQ(peer.connections().size(), 2u);  // the first was in the middle of a request
}

TEST_F(Http1ClientTest, RefusesAnEndlessResponse) {
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (const bool chunked : {true, false}) {
    std::string endless;
    while (endless.size() < 6 << 20) endless += chunk;
    const Outcome outcome = OutcomeOf("HTTP/1.1 200 OK\r\n" +
                                      std::string(chunked ? "transfer-encoding: chunked\r\n" : "") + "\r\n" + endless);
    EXPECT_EQ(outcome.kind, Kind::kRefused) << outcome.detail;
    EXPECT_THAT(outcome.detail, HasSubstr("limit"));
  }
  EXPECT_EQ(OutcomeOf("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n").kind, Kind::kRefused);
}

TEST_F(Http1ClientTest, RefusesGiantHeaders) {
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 10'000; ++i) many += "x: y\r\n";
  for (const std::string& response :
       {"HTTP/1.1 200 OK\r\nx: " + std::string(1 << 20, 'x'), many,
        std::string("HTTP/1.1 200 ") + std::string(1 << 20, 'x'),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + std::string(1 << 20, 'x')}) {
    const Outcome outcome = OutcomeOf(response);
    EXPECT_EQ(outcome.kind, Kind::kRefused) << response.substr(0, 70) << outcome.detail;
  }
}

TEST_F(Http1ClientTest, RetriesWhereNobodySpeaksHttp) {
  for (const std::string_view noise : {"SSH-2.0-OpenSSH_9.2\r\n", "\x15\x03\x01\x02\x02 and more\r\n\r\n",
                                       "HTTP/2 200\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n", "\0\0\6\4\0\0\0\0\0\0\0"}) {
    const Outcome outcome = OutcomeOf(noise, true);
    EXPECT_EQ(outcome.kind, Kind::kRetry) << noise << outcome.detail;
    EXPECT_EQ(outcome.reason, Reason::kConnect) << noise;
  }
}

TEST_F(Http1ClientTest, HangsUpOnWhoeverTalksUnasked) {
  bool talked = false;
  auto peer = Peer([&](RawPeer::Connection& connection, const std::string&) {
    connection.Write(kOk);
    if (!std::exchange(talked, true)) connection.Write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  });
  auto client = ConnectTo(*peer);
  EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kDelivered);
  RunUntil([&] { return !peer->connections()[0]->open(); });
  // Least of all is it taken for the answer to the next request.
  EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kDelivered);
  EXPECT_EQ(peer->connections().size(), 2u);
}

TEST_F(Http1ClientTest, DoesNotWaitForAnAnswerLongerThanItsDeadline) {
  for (const std::string_view begun : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"}) {
    auto peer = Answering(begun);
    auto client = ConnectTo(*peer, {.timeout = milliseconds(50)});
    const Outcome outcome = Exchange(*client, "a request");
    EXPECT_EQ(outcome.kind, Kind::kRetry);
    EXPECT_EQ(outcome.reason, Reason::kTimeout);
    RunUntil([&] { return !peer->connections()[0]->open(); });
  }
}

TEST_F(Http1ClientTest, ToleratesHeadersInAnyCase) {
  const Outcome outcome = OutcomeOf("HTTP/1.1 429 Slow\r\nRETRY-AFTER:  7 \r\nContent-Length:0\r\n\r\n");
  EXPECT_EQ(outcome.retry_after, seconds(7));
}

TEST_F(Http1ClientTest, SpeaksTls) {
  // A minimal server: handshake and one answer, turned by hand.
  tests::CertificateAuthority authority;
  const auto context = base::TlsContext::Server(authority.Issue("IP:127.0.0.1"), {"http/1.1"});
  ASSERT_TRUE(context);
  const base::Fd listener = std::move(*base::Listen(*base::Address::Parse("127.0.0.1:0")));
  std::optional<base::Stream> stream;
  base::Loop::Watch watch;
  bool shaken = false;
  std::string received;
  const auto serve = [&](uint32_t) {
    if (!shaken) {
      const auto result = stream->Handshake();
      if (result.kind == base::Stream::Kind::kWantWrite) return watch.Want(EPOLLOUT);
      watch.Want(EPOLLIN);
      if (result.kind != base::Stream::Kind::kOk) return;
      shaken = true;
    }
    uint8_t buffer[4096];
    while (true) {
      const auto result = stream->Read(buffer);
      if (result.kind != base::Stream::Kind::kOk) break;
      received.append(reinterpret_cast<char*>(buffer), result.bytes);
    }
    if (TakeRequest(received).empty()) return;
    const iovec piece{const_cast<char*>(kOk.data()), kOk.size()};
    EXPECT_EQ(stream->Write({&piece, 1}).bytes, kOk.size());
  };
  base::Loop::Watch accept = loop_.WatchFd(listener.get(), EPOLLIN, [&](uint32_t) {
    stream = base::Stream::TlsServer(base::Accept(listener.get()), *context);
    watch = loop_.WatchFd(stream->fd(), EPOLLIN, serve);
  });
  auto client = Connect({.endpoints = {"https://" + base::LocalAddress(listener.get()).ToString()},
                         .protocol = OtlpClient::Protocol::kHttpProtobuf,
                         .tls = {.ca_file = authority.ca_file()}});
  EXPECT_EQ(Exchange(*client, std::string(100'000, 'r')).kind, Kind::kDelivered);
  EXPECT_EQ(Exchange(*client, "again").kind, Kind::kDelivered);
  watch.Reset();
}

}  // namespace
}  // namespace tributary::pipeline
