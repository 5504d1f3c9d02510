// Http2Client, through OtlpClient, against peers that keep to HTTP/2's letter and peers that do not.
#include "pipeline/http2_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/pipeline/client_fixture.h"
#include "tests/pipeline/raw_peer.h"

namespace tributary::pipeline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = Outcome::Kind;
using namespace tests;  // NOLINT: frames read better without their room

const std::string kOpenWindow = FrameBytes(kWindowUpdate, 0, 0, BigEndian32(1 << 30));

class Http2ClientTest : public ClientFixture {
 protected:
  using OnFrame = std::function<void(RawPeer::Connection&, const Frame&)>;

  // A peer that sends `settings` and opens the connection's window, acknowledges the client's settings, and leaves all
  // else to `on_frame`.
  std::unique_ptr<RawPeer> Peer(OnFrame on_frame, std::map<uint16_t, uint32_t> settings = {}) {
    auto readers = std::make_shared<std::map<int, FrameReader>>();
    return std::make_unique<RawPeer>(loop_, [=](RawPeer::Connection& connection) {
      if (!readers->contains(connection.number)) connection.Write(Settings(settings) + kOpenWindow);
      FrameReader& reader = (*readers)[connection.number];
      Frame frame;
      while (reader.Next(connection.received, frame)) {
        if (frame.type == kSettings && !(frame.flags & kAck)) {
          connection.Write(FrameBytes(kSettings, kAck, 0));
        } else {
          on_frame(connection, frame);
        }
      }
    });
  }
  // A peer that answers each request, once it is whole, with what `answer` makes of its stream id.
  std::unique_ptr<RawPeer> Answering(std::function<std::string(uint32_t stream)> answer) {
    return Peer([=](RawPeer::Connection& connection, const Frame& frame) {
      if (frame.type == kData && frame.flags & kEndStream) connection.Write(answer(frame.stream));
    });
  }
  std::unique_ptr<OtlpClient> ConnectTo(const RawPeer& peer, base::Nanos timeout = seconds(60)) {
    return Connect({.endpoints = {peer.endpoint()}, .timeout = timeout});
  }
  Outcome OutcomeOf(std::function<std::string(uint32_t stream)> answer) {
    auto peer = Answering(std::move(answer));
    auto client = ConnectTo(*peer);
    return Exchange(*client, "a request");
  }
};

TEST_F(Http2ClientTest, SendsARequestAsGrpcDefinesIt) {
  std::vector<Frame> frames;
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    frames.push_back(frame);
    if (frame.flags & kEndStream && frame.type == kData) connection.Write(GrpcOk(frame.stream));
  });
  auto client = ConnectTo(*peer);
  EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kDelivered);
  std::erase_if(frames, [](const Frame& frame) { return frame.type != kHeaders && frame.type != kData; });
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, kHeaders);
  EXPECT_EQ(frames[0].stream, 1u);
  EXPECT_EQ(frames[1].payload, std::string("\0\0\0\0\x09"
                                           "a request",
                                           14));
}

TEST_F(Http2ClientTest, ResumesWhenAStalledWindowOpens) {
  // A window of seven bytes for each stream, opened seven bytes at a time.
  std::string body;
  size_t frames = 0;
  auto peer = Peer(
      [&](RawPeer::Connection& connection, const Frame& frame) {
        if (frame.type != kData) return;
        body += frame.payload;
        ++frames;
        EXPECT_LE(frame.payload.size(), 7u);
        if (frame.flags & kEndStream) return connection.Write(GrpcOk(frame.stream));
        connection.Write(FrameBytes(kWindowUpdate, 0, frame.stream, BigEndian32(7)));
      },
      {{kInitialWindowSize, 7}});
  auto client = ConnectTo(*peer);
  const std::string request(20'000, 'r');
  EXPECT_EQ(Exchange(*client, request).kind, Kind::kDelivered);
  EXPECT_EQ(body.substr(5), request);
  EXPECT_GE(frames, 20'000u / 7);
}

TEST_F(Http2ClientTest, SendsFramesAsLargeAsThePeerTakes) {
  for (const uint32_t frame_max : {16u << 10, 100'000u, 1u << 20}) {
    std::vector<size_t> sizes;
    std::string body;
    auto peer = Peer(
        [&](RawPeer::Connection& connection, const Frame& frame) {
          if (frame.type != kData) return;
          sizes.push_back(frame.payload.size());
          body += frame.payload;
          if (frame.flags & kEndStream) connection.Write(GrpcOk(frame.stream));
        },
        {{kInitialWindowSize, 1 << 30}, {kMaxFrameSize, frame_max}});
    auto client = ConnectTo(*peer);
    std::string request(1'000'000, 'r');
    for (size_t i = 0; i < request.size(); ++i) request[i] = static_cast<char>(i * 7 / 3);
    EXPECT_EQ(Exchange(*client, request).kind, Kind::kDelivered);
    EXPECT_EQ(body.substr(5), request);
    EXPECT_EQ(*std::ranges::max_element(sizes), std::min(frame_max, 256u << 10));
  }
}

TEST_F(Http2ClientTest, SendsOlderRequestsFirst) {
  std::vector<uint32_t> order;
  auto peer = Peer(
      [&](RawPeer::Connection& connection, const Frame& frame) {
        if (frame.type != kData) return;
        if (order.empty() || order.back() != frame.stream) order.push_back(frame.stream);
        if (frame.flags & kEndStream) connection.Write(GrpcOk(frame.stream));
      },
      {{kInitialWindowSize, 1 << 30}});
  auto client = ConnectTo(*peer);
  for (int i = 0; i < 4; ++i) Post(*client, std::string(1 << 20, 'r'));
  RunUntilOutcomes(4);
  EXPECT_THAT(order, ElementsAre(1, 3, 5, 7));
}

TEST_F(Http2ClientTest, LetsOthersPassARequestThatIsStalled) {
  // The window of the oldest stream stays shut until the others are through.
  std::vector<uint32_t> ended;
  auto peer = Peer(
      [&](RawPeer::Connection& connection, const Frame& frame) {
        if (frame.type != kHeaders && frame.type != kData) return;
        if (frame.type == kHeaders && frame.stream != 1) {
          connection.Write(FrameBytes(kWindowUpdate, 0, frame.stream, BigEndian32(1 << 30)));
        }
        if (!(frame.flags & kEndStream)) return;
        ended.push_back(frame.stream);
        connection.Write(GrpcOk(frame.stream));
        if (ended.size() == 2) connection.Write(FrameBytes(kWindowUpdate, 0, 1, BigEndian32(1 << 30)));
      },
      {{kInitialWindowSize, 100}});
  auto client = ConnectTo(*peer);
  for (int i = 0; i < 3; ++i) Post(*client, std::string(100'000, 'r'));
  RunUntilOutcomes(3);
  EXPECT_THAT(ended, ElementsAre(3, 5, 1));
}

TEST_F(Http2ClientTest, RetriesAtOnceWhatAGoawayExcludes) {
  // The peer takes stream 1, and says goodbye when stream 5 has begun.
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type != kData || !(frame.flags & kEndStream)) return;
    if (connection.number > 1) return connection.Write(GrpcOk(frame.stream));
    if (frame.stream != 5) return;
    connection.Write(FrameBytes(kGoaway, 0, 0, BigEndian32(1) + BigEndian32(0) + "restarting"));
  });
  auto client = ConnectTo(*peer);
  for (int i = 0; i < 3; ++i) Post(*client, "a request");
  RunUntilOutcomes(2);
  for (const Outcome& outcome : outcomes_) {
    EXPECT_EQ(outcome.kind, Kind::kRetry);
    EXPECT_THAT(outcome.detail, HasSubstr("REFUSED_STREAM"));
  }
  // New ones go to a new connection, while the first finishes what it had.
  EXPECT_EQ(Exchange(*client, "again").kind, Kind::kDelivered);
  EXPECT_EQ(peer->connections().size(), 2u);
  EXPECT_TRUE(peer->connections()[0]->open());
  peer->connections()[0]->Write(GrpcOk(1));
  RunUntilOutcomes(3);
  EXPECT_EQ(outcomes_[2].kind, Kind::kDelivered);
  RunUntil([&] { return !peer->connections()[0]->open(); });
}

TEST_F(Http2ClientTest, SaysWhatAGoawayComplainsOf) {
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type != kData) return;
    connection.Write(FrameBytes(kGoaway, 0, 0, BigEndian32(1) + BigEndian32(11) + "too_many_pings"));
    connection.Close();
  });
  auto client = ConnectTo(*peer);
  const Outcome outcome = Exchange(*client, "a request");
  EXPECT_EQ(outcome.kind, Kind::kRetry);
  EXPECT_EQ(outcome.reason, Reason::kConnect);
  EXPECT_THAT(outcome.detail, HasSubstr("ENHANCE_YOUR_CALM: too_many_pings"));
}

TEST_F(Http2ClientTest, MapsStreamResets) {
  const struct {
    uint32_t code;
    Kind kind;
  } kTable[] = {{1, Kind::kRefused}, {2, Kind::kRetry}, {7, Kind::kRetry}, {8, Kind::kRetry}, {11, Kind::kRetry}};
  for (const auto& row : kTable) {
    const Outcome outcome =
        OutcomeOf([&](uint32_t stream) { return FrameBytes(kRstStream, 0, stream, BigEndian32(row.code)); });
    EXPECT_EQ(outcome.kind, row.kind) << row.code;
  }
}

TEST_F(Http2ClientTest, TakesAnAnswerThatComesBeforeTheRequestIsSent) {
  std::vector<Frame> frames;
  auto peer = Peer(
      [&](RawPeer::Connection& connection, const Frame& frame) {
        frames.push_back(frame);
        if (frame.type == kHeaders) connection.Write(GrpcTrailersOnly(frame.stream, {{"grpc-status", "14"}}));
      },
      {{kInitialWindowSize, 100}});
  auto client = ConnectTo(*peer);
  EXPECT_EQ(Exchange(*client, std::string(1 << 20, 'r')).kind, Kind::kRetry);
  RunUntil([&] { return !frames.empty() && frames.back().type == kRstStream; });
  EXPECT_EQ(Exchange(*client, "next").kind, Kind::kRetry);
  EXPECT_EQ(peer->connections().size(), 1u);
}

TEST_F(Http2ClientTest, KeepsTheBytesOfARequestThatIsTakenBackWhileTheyAreBeingSent) {
  // The peer reads nothing for a while: frames that refer to the request's bytes wait in the client.
  std::string body;
  bool stopped_reading = false, was_reset = false;
  auto peer = Peer(
      [&](RawPeer::Connection& connection, const Frame& frame) {
        if (frame.stream == 1 && frame.flags & kEndStream) return connection.Write(GrpcOk(1));
        if (frame.type == kHeaders && frame.stream == 3) {
          connection.StopReading();
          stopped_reading = true;
        }
        if (frame.type == kData && frame.stream == 3) body += frame.payload;
        if (frame.type == kRstStream) was_reset = true;
      },
      {{kInitialWindowSize, 1 << 30}});
  const milliseconds timeout(60'000);
  auto client = ConnectTo(*peer, timeout);
  ASSERT_EQ(Exchange(*client, "connects").kind, Kind::kDelivered);
  Post(*client, std::string(32 << 20, 'r'));
  RunUntil([&] { return stopped_reading; });
  loop_.Advance(timeout);
  RunUntilOutcomes(1);
  ASSERT_EQ(outcomes_[0].reason, Reason::kTimeout);
  peer->connections()[0]->Read();
  RunUntil([&] { return was_reset; });
  EXPECT_GT(body.size(), 100'000u);
  EXPECT_LT(body.size(), 32u << 20);
  EXPECT_EQ(body.find_first_not_of('r', 5), std::string::npos);
}

TEST_F(Http2ClientTest, RefusesAnEndlessResponse) {
  const std::string chunk(16 << 10, 'x');
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type == kHeaders) {
      connection.Write(FrameBytes(kHeaders, kEndHeaders, frame.stream,
                                  HeaderBlock({{":status", "200"}, {"content-type", "application/grpc"}})));
    }
    if (frame.type == kData || (frame.type == kWindowUpdate && frame.stream != 0)) {
      connection.Write(FrameBytes(kData, 0, 1, chunk) + FrameBytes(kData, 0, 1, chunk));
    }
  });
  auto client = ConnectTo(*peer);
  const Outcome outcome = Exchange(*client, "a request");
  EXPECT_EQ(outcome.kind, Kind::kRefused);
  EXPECT_THAT(outcome.detail, HasSubstr("longer than 4 MiB"));
  EXPECT_LT(peer->connections()[0]->written, 5u << 20);
}

TEST_F(Http2ClientTest, RefusesGiantHeaders) {
  const std::string giant(17'000, 'x');
  const Outcome outcome = OutcomeOf([&](uint32_t stream) {
    const std::string block = HeaderBlock({{":status", "200"}, {"x-giant", giant}});
    return FrameBytes(kHeaders, 0, stream, std::string_view(block).substr(0, 16'000)) +
           FrameBytes(kContinuation, kEndHeaders, stream, std::string_view(block).substr(16'000));
  });
  EXPECT_EQ(outcome.kind, Kind::kRefused);
  EXPECT_THAT(outcome.detail, HasSubstr("header fields are longer than 16 KiB"));
}

TEST_F(Http2ClientTest, RefusesManyHeaders) {
  const Outcome outcome = OutcomeOf([&](uint32_t stream) {
    std::vector<std::pair<std::string, std::string>> fields = {{":status", "200"}};
    for (int i = 0; i < 600; ++i) fields.emplace_back("x", "");
    return FrameBytes(kHeaders, kEndHeaders, stream, HeaderBlock(fields));
  });
  EXPECT_EQ(outcome.kind, Kind::kRefused);
}

TEST_F(Http2ClientTest, SurvivesAFloodOfContinuations) {
  const Outcome outcome = OutcomeOf([&](uint32_t stream) {
    std::string flood = FrameBytes(kHeaders, 0, stream, HeaderBlock({{":status", "200"}}));
    for (int i = 0; i < 10'000; ++i) flood += FrameBytes(kContinuation, 0, stream, HeaderBlock({{"x", "y"}}));
    return flood;
  });
  EXPECT_NE(outcome.kind, Kind::kDelivered);
}

TEST_F(Http2ClientTest, SurvivesAFloodOfPingsAndSettings) {
  std::string flood;
  for (int i = 0; i < 20'000; ++i) flood += FrameBytes(kPing, 0, 0, "12345678") + Settings();
  const Outcome outcome = OutcomeOf([&](uint32_t stream) { return flood + GrpcOk(stream); });
  EXPECT_THAT(outcome.kind, testing::AnyOf(Kind::kDelivered, Kind::kRetry));
}

TEST_F(Http2ClientTest, ReadsGarbageTrailersForWhatTheyAre) {
  const std::vector<std::vector<std::pair<std::string, std::string>>> kTrailers = {
      {{"grpc-status", "banana"}},
      {{"grpc-status", "-1"}},
      {{"grpc-status", "99999999999999999999999999"}},
      {{"grpc-status", "13"}, {"grpc-message", "%"}},
      {{"grpc-status", "13"}, {"grpc-message", "%GG%0"}},
      {{"grpc-status", "13"}, {"grpc-status-details-bin", "CP///////////wEaBv////8P"}},
      {{"grpc-status", "13"}, {"grpc-status-details-bin", std::string(10'000, '/')}},
      {{"x-nothing", "else"}},
  };
  for (const auto& trailers : kTrailers) {
    const Outcome outcome = OutcomeOf([&](uint32_t stream) { return GrpcTrailersOnly(stream, trailers); });
    EXPECT_EQ(outcome.kind, Kind::kRefused) << trailers[0].second;
  }
}

TEST_F(Http2ClientTest, LooksPastInformationalResponses) {
  const Outcome outcome = OutcomeOf([](uint32_t stream) {
    return FrameBytes(kHeaders, kEndHeaders, stream, HeaderBlock({{":status", "103"}, {"grpc-status", "13"}})) +
           GrpcOk(stream);
  });
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.detail;
}

TEST_F(Http2ClientTest, DoesNotWaitForAnAnswerLongerThanItsDeadline) {
  // A reply that trickles: one byte of it per PING acknowledged, and never whole.
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type == kHeaders) {
      connection.Write(FrameBytes(kHeaders, kEndHeaders, frame.stream,
                                  HeaderBlock({{":status", "200"}, {"content-type", "application/grpc"}})));
    }
    if (frame.type == kData || frame.type == kPing) {
      connection.Write(FrameBytes(kData, 0, 1, "x") + FrameBytes(kPing, 0, 0, "12345678"));
    }
  });
  auto client = ConnectTo(*peer, milliseconds(50));
  const Outcome outcome = Exchange(*client, "a request");
  EXPECT_EQ(outcome.kind, Kind::kRetry);
  EXPECT_EQ(outcome.reason, Reason::kTimeout);
  EXPECT_THAT(outcome.detail, HasSubstr("no answer in 0.1 s"));
}

TEST_F(Http2ClientTest, PingsAPeerThatIsSilentAndReplacesItWhenItStaysSo) {
  bool acknowledges = true;
  int pings = 0;
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type != kPing || frame.flags & kAck) return;
    ++pings;
    if (acknowledges) connection.Write(FrameBytes(kPing, kAck, 0, frame.payload));
  });
  auto client =
      Connect({.endpoints = {peer->endpoint()}, .timeout = milliseconds(100), .connect_timeout = milliseconds(50)});
  while (pings == 0) EXPECT_EQ(Exchange(*client, "not answered").reason, Reason::kTimeout);
  EXPECT_EQ(Exchange(*client, "not answered").reason, Reason::kTimeout);
  EXPECT_EQ(peer->connections().size(), 1u);
  acknowledges = false;
  while (peer->connections()[0]->open()) EXPECT_EQ(Exchange(*client, "not answered").kind, Kind::kRetry);
  EXPECT_GE(pings, 2);
  RunUntil([&] {
    EXPECT_EQ(Exchange(*client, "not answered").kind, Kind::kRetry);
    return peer->connections().size() == 2;
  });
}

TEST_F(Http2ClientTest, DoesNotTakeAnythingThatAcceptsConnectionsForAServer) {
  const std::vector<std::string> kGreetings = {
      "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n",
      std::string("\x15\x03\x01\x00\x02\x02\x46", 7),  // a TLS alert
      FrameBytes(kPing, 0, 0, "12345678"),             // HTTP/2, but SETTINGS must come first
      std::string(100'000, '\0'),
  };
  for (const std::string& greeting : kGreetings) {
    RawPeer peer(loop_, [&](RawPeer::Connection& connection) {
      if (!connection.received.empty()) connection.Write(greeting);
      connection.received.clear();
    });
    auto client = Connect({.endpoints = {peer.endpoint()}, .connect_timeout = milliseconds(100)});
    const Outcome outcome = Exchange(*client, "a request");
    EXPECT_EQ(outcome.kind, Kind::kRetry) << greeting.substr(0, 20);
    EXPECT_EQ(outcome.reason, Reason::kConnect) << greeting.substr(0, 20);
  }
}

TEST_F(Http2ClientTest, GivesUpOnAPeerThatNeverSpeaks) {
  RawPeer peer(loop_, [](RawPeer::Connection&) {});
  auto client = Connect({.endpoints = {peer.endpoint()}, .connect_timeout = milliseconds(20)});
  const Outcome outcome = Exchange(*client, "a request");
  EXPECT_EQ(outcome.reason, Reason::kConnect);
  EXPECT_THAT(outcome.detail, HasSubstr("no connection in"));
}

TEST_F(Http2ClientTest, DoesNotReconnectInCircles) {
  // Whoever ends every connection at once, however politely, is left alone until the next request.
  const std::vector<std::string> kGoodbyes = {"", Settings(),
                                              Settings() + FrameBytes(kGoaway, 0, 0, BigEndian32(0) + BigEndian32(0))};
  for (const std::string& goodbye : kGoodbyes) {
    RawPeer peer(loop_, [&](RawPeer::Connection& connection) {
      connection.Write(goodbye);
      connection.Close();
    });
    auto client = ConnectTo(peer);
    EXPECT_EQ(Exchange(*client, "a request").kind, Kind::kRetry);
    for (int i = 0; i < 20; ++i) loop_.RunOnce(milliseconds(1));
    EXPECT_LE(peer.connections().size(), 2u);
  }
}

TEST_F(Http2ClientTest, RefusesAPush) {
  auto peer = Peer([&](RawPeer::Connection& connection, const Frame& frame) {
    if (frame.type != kHeaders) return;
    constexpr uint8_t kPushPromise = 5;
    connection.Write(FrameBytes(kPushPromise, kEndHeaders, 1, BigEndian32(2) + HeaderBlock({{":method", "GET"}})));
  });
  auto client = ConnectTo(*peer);
  const Outcome outcome = Exchange(*client, "a request");
  EXPECT_EQ(outcome.kind, Kind::kRetry);
  EXPECT_EQ(outcome.reason, Reason::kConnect);
}

}  // namespace
}  // namespace tributary::pipeline
