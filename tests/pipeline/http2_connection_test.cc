// What a server does with frames no well-behaved client sends, and with peers that are slow or stop.
#include "pipeline/http2_connection.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "pipeline/http_server.h"
#include "tests/pipeline/http2_frames.h"
#include "tests/pipeline/raw_client.h"
#include "tests/pipeline/test_service.h"

namespace tributary::pipeline {
namespace {

using namespace std::chrono_literals;
using namespace tributary::tests;

// A hand-made client, greeted: both sides' SETTINGS are acknowledged.
class Client : public RawClient {
 public:
  Client(base::Loop& loop, HttpServer& server, const std::string& settings = Settings()) : RawClient(loop, server) {
    Send(std::string(kPreface) + settings);
    Until([this] { return closed() || Count(NGHTTP2_SETTINGS) == 2; });
    Send(SettingsAck());
  }

  std::vector<ReadFrame> frames() { return ReadFrames(received()); }
  int Count(uint8_t type) {
    int count = 0;
    for (const ReadFrame& frame : frames()) count += frame.type == type;
    return count;
  }
  // The first frame of `type` (on `stream`, when given), waited for.
  ReadFrame Await(uint8_t type, std::optional<uint32_t> stream = std::nullopt) {
    std::optional<ReadFrame> found;
    Until([&] {
      for (const ReadFrame& frame : frames()) {
        if (frame.type == type && (!stream || frame.stream == *stream)) {
          found = frame;
          return true;
        }
      }
      return closed();
    });
    EXPECT_TRUE(found) << "closed before a frame of type " << int{type} << " came";
    return found.value_or(ReadFrame{.type = 0xff, .flags = 0, .stream = 0, .payload = std::string(8, '\0')});
  }
  // Whether an answer on `stream` has ended.
  bool Ended(uint32_t stream) {
    for (const ReadFrame& frame : frames()) {
      if (frame.stream == stream && frame.type <= NGHTTP2_HEADERS && frame.flags & NGHTTP2_FLAG_END_STREAM) return true;
    }
    return false;
  }
  void AwaitEnd(uint32_t stream) {
    Until([&] { return closed() || Ended(stream); });
    EXPECT_TRUE(Ended(stream));
  }
  // The fields of every header block received on `stream`: the value of `name` in the last that has it.
  std::string Field(uint32_t stream, const std::string& name) {
    nghttp2_hd_inflater* inflater = nullptr;
    EXPECT_EQ(nghttp2_hd_inflate_new(&inflater), 0);
    std::string value;
    for (const ReadFrame& frame : frames()) {
      if (frame.type != NGHTTP2_HEADERS) continue;
      const auto* in = reinterpret_cast<const uint8_t*>(frame.payload.data());
      size_t left = frame.payload.size();
      for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
        nghttp2_nv field;
        const ssize_t n = nghttp2_hd_inflate_hd2(inflater, &field, &flags, in, left, 1);
        if (n < 0) break;
        in += n;
        left -= static_cast<size_t>(n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT && frame.stream == stream &&
            name == std::string_view(reinterpret_cast<char*>(field.name), field.namelen)) {
          value.assign(reinterpret_cast<char*>(field.value), field.valuelen);
        }
      }
      nghttp2_hd_inflate_end_headers(inflater);
    }
    nghttp2_hd_inflate_del(inflater);
    return value;
  }
};

class Http2 : public testing::Test {
 protected:
  void Serve(const HttpServerOptions& options = {}, size_t budget_bytes = 64 << 20) {
    server_.reset();
    budget_ = std::make_unique<base::Budget>(budget_bytes);
    server_ = std::make_unique<HttpServer>(loop_, *budget_, service_, options);
  }
  void SetUp() override { Serve(); }
  void TearDown() override {
    server_.reset();
    EXPECT_EQ(budget_->bytes(), 0u);
  }

  // `bytes` must end the connection with GOAWAY(`error`).
  void EndsWith(uint32_t error, const std::string& bytes) {
    Client client(loop_, *server_);
    client.Send(bytes);
    EXPECT_EQ(client.Await(NGHTTP2_GOAWAY).error(), error);
    client.UntilClosed();
  }
  // `bytes` must reset `stream` with `error`, and leave the connection in order.
  void Resets(uint32_t stream, uint32_t error, const std::string& bytes) {
    Client client(loop_, *server_);
    client.Send(bytes);
    EXPECT_EQ(client.Await(NGHTTP2_RST_STREAM, stream).error(), error);
    client.Send(Headers(101, GrpcFields()) + Data(101, GrpcMessage("x")));
    client.AwaitEnd(101);
  }

  base::Loop loop_;
  TestService service_;
  std::unique_ptr<base::Budget> budget_;
  std::unique_ptr<HttpServer> server_;
};

HttpServerOptions Hasty() { return {.tick = 1ms}; }

// --- Requests
// -----------------------------------------------------------------------------------------------------------

TEST_F(Http2, AnswersAUnaryCall) {
  service_.response_body = "pong";
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("ping")));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Await(NGHTTP2_DATA, 1).payload, GrpcMessage("pong"));
  EXPECT_EQ(client.Field(1, ":status"), "200");
  EXPECT_EQ(client.Field(1, "content-type"), "application/grpc");
  EXPECT_EQ(client.Field(1, "grpc-status"), "0");
  ASSERT_EQ(service_.received.size(), 1u);
  EXPECT_EQ(service_.received[0].body, "ping");
}

TEST_F(Http2, TakesAMessageByteByByte) {
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()));
  const std::string message = GrpcMessage("hello");
  for (size_t i = 0; i < message.size(); ++i) {
    client.Send(Data(1, message.substr(i, 1), i + 1 == message.size() ? NGHTTP2_FLAG_END_STREAM : 0));
    client.Settle();
  }
  client.AwaitEnd(1);
  EXPECT_EQ(service_.received.at(0).body, "hello");
}

TEST_F(Http2, TakesEveryByteOfTheConnectionAlone) {
  RawClient client(loop_, *server_);
  const std::string bytes =
      std::string(kPreface) + Settings() + Headers(1, GrpcFields()) + Data(1, GrpcMessage("hello"));
  for (const char byte : bytes) {
    client.Send({&byte, 1});
    client.Settle();
  }
  client.Until([&] { return client.closed() || service_.received.size() == 1; });
  EXPECT_EQ(service_.received.at(0).body, "hello");
}

TEST_F(Http2, TakesPaddedFrames) {
  Client client(loop_, *server_);
  const std::string head = HeaderBlock(GrpcFields());
  client.Send(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_PADDED, 1, '\3' + head + "ppp") +
              Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PADDED, 1, '\2' + GrpcMessage("x") + "pp"));
  client.AwaitEnd(1);
  EXPECT_EQ(service_.received.at(0).body, "x");
}

TEST_F(Http2, EndsARequestByItsTrailersToo) {
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x"), 0) +
              Headers(1, {{"x-trailer", "1"}}, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM));
  client.AwaitEnd(1);
  EXPECT_EQ(service_.received.at(0).body, "x");
}

TEST_F(Http2, ServesPlainHttpAsWell) {
  service_.response_body = "a page";
  Client client(loop_, *server_);
  client.Send(Headers(1, {{":method", "GET"}, {":scheme", "http"}, {":path", "/metrics?x=1"}, {":authority", "a"}},
                      NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, ":status"), "200");
  EXPECT_EQ(client.Field(1, "content-length"), "6");
  EXPECT_EQ(client.Await(NGHTTP2_DATA, 1).payload, "a page");
  EXPECT_EQ(service_.received.at(0).head.path_untrusted, "/metrics");
  EXPECT_EQ(service_.received.at(0).head.query_untrusted, "x=1");

  client.Send(Headers(3, {{":method", "HEAD"}, {":scheme", "http"}, {":path", "/metrics"}, {":authority", "a"}},
                      NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM));
  client.AwaitEnd(3);
  EXPECT_EQ(client.Field(3, "content-length"), "6");
  EXPECT_EQ(client.Count(NGHTTP2_DATA), 1);
}

TEST_F(Http2, LimitsAPlainBodyByItsDeclaredAndByItsRealLength) {
  service_.body_bytes_max = 10;
  const std::vector<std::pair<std::string, std::string>> post = {
      {":method", "POST"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}};
  auto declared = post;
  declared.emplace_back("content-length", "11");
  Client client(loop_, *server_);
  client.Send(Headers(1, declared) + Headers(3, post) + Data(3, std::string(11, 'x')));
  client.AwaitEnd(1);
  client.AwaitEnd(3);
  EXPECT_EQ(client.Field(1, ":status"), "413");
  EXPECT_EQ(client.Field(3, ":status"), "413");
  EXPECT_TRUE(service_.received.empty());
}

TEST_F(Http2, AnswersInTheOrderOfTheService) {
  service_.keep_replies = true;
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("a")) + Headers(3, GrpcFields()) +
              Data(3, GrpcMessage("b")));
  client.Until([&] { return service_.replies.size() == 2; });
  service_.replies[1](service_.Success(true));
  client.AwaitEnd(3);
  EXPECT_FALSE(client.Ended(1));
  service_.replies[0](service_.Success(true));
  client.AwaitEnd(1);
}

TEST_F(Http2, RepliesAreHarmlessOnceNobodyWaits) {
  service_.keep_replies = true;
  {
    Client client(loop_, *server_);
    for (const uint32_t id : {1u, 3u, 5u}) client.Send(Headers(id, GrpcFields()) + Data(id, GrpcMessage("a")));
    client.Until([&] { return service_.replies.size() == 3; });
    client.Send(Reset(1));
    client.Settle();
    service_.replies[0](service_.Success(true));
    client.Settle();
    EXPECT_EQ(client.Count(NGHTTP2_HEADERS), 0);
    client.Close();
    client.Settle();
    service_.replies[1](service_.Success(true));
    client.Settle();
  }
  server_.reset();
  service_.replies[2](service_.Success(true));
  loop_.RunOnce(0ms);
}

// --- gRPC's rules
// -------------------------------------------------------------------------------------------------------

TEST_F(Http2, RefusesMessagesThatAreNotOne) {
  const std::pair<const char*, std::string> cases[] = {
      {"none", ""},
      {"part of a prefix", std::string(3, '\0')},
      {"less than the prefix says", '\0' + BigEndian(10, 4) + "short"},
      {"more than the prefix says", GrpcMessage("x") + "y"},
      {"two", GrpcMessage("x") + GrpcMessage("y")},
      {"an unknown flag", '\2' + BigEndian(1, 4) + "x"},
      {"compressed without an encoding", '\1' + BigEndian(1, 4) + "x"}};
  for (const auto& [what, body] : cases) {
    service_.faults.clear();
    Client client(loop_, *server_);
    client.Send(Headers(1, GrpcFields()) + Data(1, body));
    client.AwaitEnd(1);
    EXPECT_EQ(client.Field(1, "grpc-status"), "3") << what;
    EXPECT_EQ(service_.faults, std::vector<std::string>{"malformed"}) << what;
    EXPECT_TRUE(service_.received.empty()) << what;
  }
}

TEST_F(Http2, TellsACompressedMessageFromOneThatOnlyCouldBe) {
  auto fields = GrpcFields();
  fields.emplace_back("grpc-encoding", "gzip");
  Client client(loop_, *server_);
  client.Send(Headers(1, fields) + Data(1, '\1' + BigEndian(1, 4) + "x"));
  client.Send(Headers(3, fields) + Data(3, GrpcMessage("y")));
  client.AwaitEnd(1);
  client.AwaitEnd(3);
  ASSERT_EQ(service_.received.size(), 2u);
  EXPECT_EQ(service_.received[0].head.content_encoding_untrusted, "gzip");
  EXPECT_EQ(service_.received[1].head.content_encoding_untrusted, "");
}

TEST_F(Http2, KnowsGrpcByItsContentType) {
  const std::pair<const char*, bool> types[] = {{"application/grpc", true},     {"application/grpc+proto", true},
                                                {"application/grpc;v=1", true}, {"application/grpc-web", false},
                                                {"application/grpcfoo", false}, {"application/x-protobuf", false}};
  for (const auto& [type, is_grpc] : types) {
    service_.received.clear();
    Client client(loop_, *server_);
    auto fields = GrpcFields();
    fields.back().second = type;
    client.Send(Headers(1, fields) + Data(1, GrpcMessage("x")));
    client.AwaitEnd(1);
    EXPECT_EQ(service_.received.at(0).head.is_grpc, is_grpc) << type;
    EXPECT_EQ(client.Field(1, "grpc-status"), is_grpc ? "0" : "") << type;
  }
}

TEST_F(Http2, RefusesAtOnceAndStopsTheRequest) {
  service_.rejection =
      HttpResponse{.status = 503,
                   .grpc = GrpcStatus{.code = GrpcCode::kUnavailable, .message = "voll 100 %", .retry_delay = 1500ms}};
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()));
  EXPECT_EQ(client.Await(NGHTTP2_RST_STREAM, 1).error(), uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_TRUE(client.Ended(1));
  EXPECT_EQ(client.Field(1, "grpc-status"), "14");
  EXPECT_EQ(client.Field(1, "grpc-message"), "voll 100 %25");
  const std::optional<base::Bytes> details = Base64Decode(client.Field(1, "grpc-status-details-bin"));
  ASSERT_TRUE(details);
  EXPECT_EQ(DecodeRpcStatus(*details)->retry_delay, 1500ms);
}

TEST_F(Http2, GivesBackTheWindowOfWhatItThrowsAway) {
  service_.rejection = HttpResponse{.status = 503, .grpc = GrpcStatus{.code = GrpcCode::kUnavailable}};
  Client client(loop_, *server_);
  // More than the connection's window, in requests that are all refused: what is not sent on one of them stays unsent.
  const std::string piece(16'000, 'x');
  for (uint32_t id = 1; id < 2000; id += 2) {
    client.Send(Headers(id, GrpcFields()) + Data(id, piece, 0));
    if (id % 50 == 1) client.Settle();
    if (client.closed()) break;
  }
  ASSERT_FALSE(client.closed());
  EXPECT_EQ(client.Count(NGHTTP2_GOAWAY), 0);
  uint64_t returned = 0;
  for (const ReadFrame& frame : client.frames()) {
    if (frame.type != NGHTTP2_WINDOW_UPDATE || frame.stream != 0) continue;
    for (int i = 0; i < 4; ++i)
      returned += static_cast<uint64_t>(static_cast<uint8_t>(frame.payload[i])) << (24 - 8 * i);
  }
  EXPECT_GT(returned, 8'000'000u);
}

TEST_F(Http2, ADeclaredLengthCostsNothing) {
  service_.body_bytes_max = SIZE_MAX;
  Client client(loop_, *server_);
  client.Settle();
  const size_t before = budget_->bytes();
  for (uint32_t id = 1; id < 200; id += 2) {
    client.Send(Headers(id, GrpcFields()) + Data(id, '\0' + BigEndian(0xffffffff, 4) + "x", 0));
  }
  client.Settle();
  EXPECT_LT(budget_->bytes() - before, 100u * (300 << 10));
  EXPECT_EQ(client.Count(NGHTTP2_RST_STREAM), 0);
}

TEST_F(Http2, ADeclaredLengthPastTheLimitIsRefusedBeforeItComes) {
  service_.body_bytes_max = 64 << 20;
  Client client(loop_, *server_);
  client.Settle();
  const size_t before = budget_->bytes();
  client.Send(Headers(1, GrpcFields()) + Data(1, '\0' + BigEndian(0x80000000, 4), 0));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, "grpc-status"), "8");
  client.Await(NGHTTP2_RST_STREAM, 1);
  client.Settle();
  EXPECT_EQ(budget_->bytes(), before);
}

TEST_F(Http2, HoldsNoMoreThanTheBudget) {
  constexpr size_t kBudget = 2 << 20;
  Serve({}, kBudget);
  Client client(loop_, *server_);
  const std::string piece(16'000, 'x');
  uint32_t refused = 0;
  for (uint32_t id = 1; id < 100; id += 2) {
    client.Send(Headers(id, GrpcFields()) + Data(id, '\0' + BigEndian(1 << 20, 4), 0));
    for (int i = 0; i < 10; ++i) client.Send(Data(id, piece, 0));
    client.Settle();
    EXPECT_LE(budget_->bytes(), kBudget);
    refused += client.Ended(id);
  }
  EXPECT_GT(refused, 30u);
  EXPECT_LT(refused, 50u);
  EXPECT_EQ(service_.faults.at(0), "no memory");
  EXPECT_EQ(client.Field(99, "grpc-status"), "14");
}

TEST_F(Http2, AccountsForWhatItsParserHolds) {
  constexpr size_t kBudget = 1 << 20;
  Serve({}, kBudget);
  // Each peer begins a header field of 60,000 bytes, or the debug text of a GOAWAY, and does not end it.
  const std::string field = std::string("\0\1x\x7f\xe1\xd3\3", 7) + std::string(50'000, 'v');
  const std::string halves[] = {
      Frame(NGHTTP2_HEADERS, 0, 1, field.substr(0, 16'384)) +
          Frame(NGHTTP2_CONTINUATION, 0, 1, field.substr(16'384, 16'384)),
      BigEndian(1 << 20, 3) + Frame(NGHTTP2_GOAWAY, 0, 0, std::string(50'000, 'd')).substr(3)};
  for (const std::string& half : halves) {
    const uint64_t starved_before = server_->counters().starved;
    Client bystander(loop_, *server_);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(loop_, *server_));
    size_t ended = 0;
    for (const auto& client : clients) {
      client->Send(half);
      client->Settle();
      EXPECT_LE(budget_->bytes(), kBudget);
      ended += client->closed();
    }
    EXPECT_GT(ended, 5u);
    EXPECT_EQ(server_->counters().starved - starved_before, ended);
    bystander.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("ping")));
    bystander.AwaitEnd(1);
    EXPECT_EQ(bystander.Field(1, "grpc-status"), "0");
    clients.clear();
    bystander.Close();
    while (server_->connections() > 0) loop_.RunOnce(1ms);
    EXPECT_EQ(budget_->bytes(), 0u);
  }
}

TEST_F(Http2, ObeysADeadlineWhileTheServiceWorks) {
  Serve(Hasty());
  service_.keep_replies = true;
  auto fields = GrpcFields();
  fields.emplace_back("grpc-timeout", "5m");
  Client client(loop_, *server_);
  client.Send(Headers(1, fields) + Data(1, GrpcMessage("x")));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, "grpc-status"), "4");
  service_.replies.at(0)(service_.Success(true));  // too late, and harmless
  client.Settle();
  EXPECT_EQ(client.Count(NGHTTP2_HEADERS), 1);
}

// --- Connections that break the rules
// -----------------------------------------------------------------------------------

TEST_F(Http2, RefusesABadPreface) {
  RawClient client(loop_, *server_);
  client.Send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + Settings());
  client.UntilClosed();
  RawClient without_settings(loop_, *server_);
  without_settings.Send(std::string(kPreface) + Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  without_settings.UntilClosed();
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http2, RefusesFramesOnTheWrongStream) {
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Data(0, "x"));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Headers(0, GrpcFields()));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Headers(2, GrpcFields()));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_SETTINGS, 0, 1));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_PING, 0, 1, "12345678"));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_GOAWAY, 0, 1, std::string(8, '\0')));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, BigEndian(2, 4)));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Reset(0));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Reset(7));            // idle
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Data(7, "x"));        // idle
  EndsWith(NGHTTP2_PROTOCOL_ERROR, WindowUpdate(7, 1));  // idle
}

TEST_F(Http2, RefusesFramesOfTheWrongSize) {
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Frame(NGHTTP2_PING, 0, 0, "1234567"));
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Frame(NGHTTP2_SETTINGS, 0, 0, "12345"));
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "123456"));
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Headers(1, GrpcFields()) + Frame(NGHTTP2_RST_STREAM, 0, 1, "123"));
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, "123"));
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Frame(NGHTTP2_GOAWAY, 0, 0, "1234567"));
  // Longer than SETTINGS_MAX_FRAME_SIZE: the head is enough.
  EndsWith(NGHTTP2_FRAME_SIZE_ERROR, Headers(1, GrpcFields()) + BigEndian((1 << 20) + 1, 3) + Data(1, "").substr(3));
}

TEST_F(Http2, RefusesBadSettings) {
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Settings({{NGHTTP2_SETTINGS_ENABLE_PUSH, 2}}));
  EndsWith(NGHTTP2_FLOW_CONTROL_ERROR, Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000}}));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Settings({{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 100}}));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Settings({{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 24}}));
}

TEST_F(Http2, RefusesPaddingLongerThanTheFrame) {
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Headers(1, GrpcFields()) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\x05pad"));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED, 1, "\xffx"));
}

TEST_F(Http2, RefusesFramesBetweenAHeaderBlock) {
  const std::string open = Headers(1, GrpcFields(), 0);
  EndsWith(NGHTTP2_PROTOCOL_ERROR, open + Ping());
  EndsWith(NGHTTP2_PROTOCOL_ERROR, open + Headers(3, GrpcFields()));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, open + Frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, Frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1));
}

TEST_F(Http2, TakesAHeaderBlockInPieces) {
  const std::string block = HeaderBlock(GrpcFields());
  Client client(loop_, *server_);
  client.Send(Frame(NGHTTP2_HEADERS, 0, 1, block.substr(0, 10)) +
              Frame(NGHTTP2_CONTINUATION, 0, 1, block.substr(10, 20)) +
              Frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block.substr(30)) + Data(1, GrpcMessage("x")));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, "grpc-status"), "0");
}

TEST_F(Http2, RefusesBadHpack) {
  EndsWith(NGHTTP2_COMPRESSION_ERROR, Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xff\xff\xff\xff\xff"));
  EndsWith(NGHTTP2_COMPRESSION_ERROR, Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\xfe"));  // no such entry
}

TEST_F(Http2, ThrowsAwayWhatComesOnAClosedStream) {
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  client.AwaitEnd(1);
  client.Send(Data(1, "more") + Headers(1, GrpcFields()) + Data(1, GrpcMessage("again")));
  client.Send(Headers(3, GrpcFields()) + Data(3, GrpcMessage("y")));
  client.AwaitEnd(3);
  EXPECT_EQ(service_.requests, 2u);
}

TEST_F(Http2, NeverGoesBackToASmallerStream) {
  Client client(loop_, *server_);
  client.Send(Headers(5, GrpcFields()) + Data(5, GrpcMessage("x")));
  client.AwaitEnd(5);
  client.Send(Headers(3, GrpcFields()) + Data(3, GrpcMessage("y")));
  client.Settle();
  EXPECT_EQ(service_.requests, 1u);
  EXPECT_FALSE(client.Ended(3));
}

TEST_F(Http2, RefusesMoreAfterTheEndOfARequest) {
  service_.keep_replies = true;
  for (const std::string& more : {Data(1, "more"), Headers(1, GrpcFields())}) {
    EndsWith(NGHTTP2_STREAM_CLOSED, Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")) + more);
  }
}

TEST_F(Http2, RefusesOverfullWindows) {
  EndsWith(NGHTTP2_FLOW_CONTROL_ERROR, WindowUpdate(0, 0x7fffffff));
  EndsWith(NGHTTP2_PROTOCOL_ERROR, WindowUpdate(0, 0));
  Resets(1, NGHTTP2_FLOW_CONTROL_ERROR, Headers(1, GrpcFields()) + WindowUpdate(1, 0x7fffffff));
  // By a setting that raises every window. RFC 9113 asks for the end of the connection, nghttp2 1.52 ends the stream.
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + WindowUpdate(1, 0x7fffffff - 65'535) +
              Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65'536}}));
  client.Until([&] { return client.closed() || client.Count(NGHTTP2_RST_STREAM) + client.Count(NGHTTP2_GOAWAY) > 0; });
  const uint8_t end = client.Count(NGHTTP2_GOAWAY) > 0 ? NGHTTP2_GOAWAY : NGHTTP2_RST_STREAM;
  EXPECT_EQ(client.Await(end).error(), uint32_t{NGHTTP2_FLOW_CONTROL_ERROR});
}

TEST_F(Http2, RefusesMoreThanTheWindowItGave) {
  HttpServerOptions options;
  options.stream_window_bytes = 20'000;
  options.connection_window_bytes = 100'000;
  Serve(options);
  service_.keep_replies = true;
  // Nothing is read by the server while all of this is on its way.
  const std::string piece(16'384, 'x');
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, '\0' + BigEndian(1 << 20, 4) + piece, 0) +
              Data(1, std::string(100'001, 'x'), 0));
  client.Until([&] { return client.closed() || client.Count(NGHTTP2_RST_STREAM) + client.Count(NGHTTP2_GOAWAY) > 0; });
  EXPECT_GT(client.Count(NGHTTP2_RST_STREAM) + client.Count(NGHTTP2_GOAWAY), 0);
}

TEST_F(Http2, ResetsMalformedRequests) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const auto with = [](const std::string& name, const std::string& value) {
    Fields fields = GrpcFields();
    fields.emplace_back(name, value);
    return fields;
  };
  const auto with_first = [](const std::string& name, const std::string& value) {
    Fields fields = GrpcFields();
    fields.insert(fields.begin(), {name, value});
    return fields;
  };
  const auto without = [](const std::string& name) {
    Fields fields = GrpcFields();
    std::erase_if(fields, [&](const auto& field) { return field.first == name; });
    return fields;
  };
  Fields bad_te = without("te"), empty_path = without(":path");
  bad_te.emplace_back("te", "gzip");
  empty_path.insert(empty_path.begin(), {":path", ""});
  const Fields malformed[] = {
      with("Upper", "x"),
      with("connection", "close"),
      with("keep-alive", "1"),
      with("proxy-connection", "close"),
      with("transfer-encoding", "chunked"),
      with("upgrade", "h2c"),
      with("x-line", "one\r\ntwo: 2"),
      bad_te,
      without(":method"),
      without(":scheme"),
      without(":path"),
      empty_path,
      with_first(":method", "POST"),
      with_first(":scheme", "http"),
      with_first(":path", "/other"),
      with_first(":status", "200"),
      with_first(":unknown", "x"),
      with(":authority", "after the others"),
  };
  for (const Fields& fields : malformed) {
    SCOPED_TRACE(fields.front().first + ", " + fields.back().first);
    Resets(1, NGHTTP2_PROTOCOL_ERROR, Headers(1, fields));
  }
  const Fields lengthy = with("content-length", "3");
  Resets(1, NGHTTP2_PROTOCOL_ERROR, Headers(1, lengthy) + Data(1, "four"));
  Fields two_lengths = lengthy;
  two_lengths.emplace_back("content-length", "4");
  Resets(1, NGHTTP2_PROTOCOL_ERROR, Headers(1, two_lengths));
  // Trailers with a pseudo-header, and such that do not end the request.
  constexpr uint8_t kLast = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
  const std::string begun = Headers(1, GrpcFields()) + Data(1, GrpcMessage("x"), 0);
  Resets(1, NGHTTP2_PROTOCOL_ERROR, begun + Headers(1, {{":method", "POST"}}, kLast));
  Resets(1, NGHTTP2_PROTOCOL_ERROR, begun + Headers(1, {{"x-trailer", "1"}}));
  EXPECT_TRUE(service_.faults.empty());
}

TEST_F(Http2, RefusesHeaderListsThatAreTooLong) {
  auto fields = GrpcFields();
  for (int i = 0; i < 200; ++i) fields.emplace_back("x-filler-" + std::to_string(i), std::string(100, 'x'));
  Client client(loop_, *server_);
  client.Send(Headers(1, fields));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, "grpc-status"), "8");
  auto plain = fields;
  plain[5].second = "text/plain";
  client.Send(Headers(3, plain));
  client.AwaitEnd(3);
  EXPECT_EQ(client.Field(3, ":status"), "431");
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http2, LimitsRequestsUnderWay) {
  HttpServerOptions options;
  options.streams_max = 3;
  Serve(options);
  service_.keep_replies = true;
  Client client(loop_, *server_);
  for (uint32_t id = 1; id <= 5; id += 2) client.Send(Headers(id, GrpcFields()) + Data(id, GrpcMessage("x")));
  client.Until([&] { return service_.replies.size() == 3; });
  // It was told, and has acknowledged.
  client.Send(Headers(7, GrpcFields()) + Data(7, GrpcMessage("x")));
  EXPECT_EQ(client.Await(NGHTTP2_GOAWAY).error(), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(service_.replies.size(), 3u);
}

TEST_F(Http2, AcknowledgesSettingsAndPings) {
  Client client(loop_, *server_);
  client.Send(Ping("12345678"));
  const ReadFrame pong = client.Await(NGHTTP2_PING);
  EXPECT_EQ(pong.flags, NGHTTP2_FLAG_ACK);
  EXPECT_EQ(pong.payload, "12345678");
  client.Send(Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "unasked!"));  // is not answered
  client.Send(Settings({{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0}}));
  client.Until([&] { return client.closed() || client.Count(NGHTTP2_SETTINGS) == 3; });
  EXPECT_EQ(client.frames().back().flags, NGHTTP2_FLAG_ACK);
  EXPECT_EQ(client.Count(NGHTTP2_PING), 1);
}

TEST_F(Http2, IgnoresWhatItDoesNotKnow) {
  Client client(loop_, *server_);
  client.Send(Frame(0xbe, 0xff, 0, "whatever") + Settings({{0x4242, 1}}) +
              Frame(NGHTTP2_PRIORITY, 0, 1, std::string(5, '\1')) + Headers(1, GrpcFields()) +
              Data(1, GrpcMessage("x")));
  client.AwaitEnd(1);
}

// --- Floods
// -------------------------------------------------------------------------------------------------------------

class Http2Flood : public Http2 {
 protected:
  // Sends `frames` again and again until the server has had enough.
  void IsCalmed(const std::function<std::string(uint32_t i)>& frames) {
    Serve({.control_frames_max = 200, .control_frames_per_s = 1});
    Client client(loop_, *server_);
    for (uint32_t i = 0; i < 2000 && !client.closed(); ++i) {
      client.Send(frames(i));
      if (i % 50 == 49) client.Settle();
    }
    EXPECT_EQ(client.Await(NGHTTP2_GOAWAY).error(), uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
    client.UntilClosed();
    EXPECT_EQ(server_->counters().flooded, 1u);
    EXPECT_LT(service_.requests, 300u);
  }
};

TEST_F(Http2Flood, OfResets) {
  IsCalmed([](uint32_t i) { return Headers(2 * i + 1, GrpcFields()) + Reset(2 * i + 1); });
}
TEST_F(Http2Flood, OfResetsTheServerIsMadeToSend) {
  IsCalmed([](uint32_t i) { return Headers(2 * i + 1, GrpcFields()) + WindowUpdate(2 * i + 1, 0x7fffffff); });
}
TEST_F(Http2Flood, OfSettings) {
  IsCalmed([](uint32_t) { return Settings({{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}}); });
}
TEST_F(Http2Flood, OfPings) {
  IsCalmed([](uint32_t) { return Ping(); });
}
TEST_F(Http2Flood, OfWindowUpdates) {
  IsCalmed([](uint32_t) { return WindowUpdate(0, 1); });
}
TEST_F(Http2Flood, OfEmptyData) {
  IsCalmed([](uint32_t i) { return i == 0 ? Headers(1, GrpcFields()) : Data(1, "", 0); });
}
TEST_F(Http2Flood, OfPriorities) {
  IsCalmed([](uint32_t) { return Frame(NGHTTP2_PRIORITY, 0, 1, std::string(5, '\3')); });
}
TEST_F(Http2Flood, OfContinuationsEndsTheConnection) {
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields(), 0));
  for (int i = 0; i < 2000 && !client.closed(); ++i) client.Send(Frame(NGHTTP2_CONTINUATION, 0, 1));
  client.UntilClosed();
  EXPECT_EQ(service_.requests, 0u);
}

TEST_F(Http2Flood, IsNotWhatABusyClientDoes) {
  Serve({.control_frames_max = 100, .control_frames_per_s = 0});
  Client client(loop_, *server_);
  for (uint32_t i = 0; i < 1000; ++i) {
    client.Send(Headers(2 * i + 1, GrpcFields()) + Data(2 * i + 1, GrpcMessage("x")) + WindowUpdate(0, 5));
    if (i % 50 == 0) client.Settle();
  }
  client.AwaitEnd(1999);
  EXPECT_EQ(service_.requests, 1000u);
}

TEST_F(Http2Flood, OfPingsIsToldApartFromMeasuringAConnection) {
  Client client(loop_, *server_);
  // A ping with every request, as gRPC's bandwidth estimation sends, is fine for ever.
  for (uint32_t i = 0; i < 50; ++i) {
    client.Send(Ping() + Headers(2 * i + 1, GrpcFields()) + Data(2 * i + 1, GrpcMessage("x")));
    client.AwaitEnd(2 * i + 1);
  }
  EXPECT_EQ(client.Count(NGHTTP2_GOAWAY), 0);
  for (int i = 0; i < 4; ++i) client.Send(Ping());
  const ReadFrame goaway = client.Await(NGHTTP2_GOAWAY);
  EXPECT_EQ(goaway.error(), uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
  EXPECT_EQ(goaway.payload.substr(8), "too_many_pings");
}

// --- Slow and silent peers
// ----------------------------------------------------------------------------------------------

TEST_F(Http2, GivesUpOnABodyThatDoesNotCome) {
  HttpServerOptions options = Hasty();
  options.body_timeout = 5ms;
  Serve(options);
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, '\0' + BigEndian(100, 4) + "half", 0));
  client.AwaitEnd(1);
  EXPECT_EQ(client.Field(1, "grpc-status"), "4");
  EXPECT_EQ(service_.faults, std::vector<std::string>{"timeout"});
  client.Await(NGHTTP2_RST_STREAM, 1);
}

TEST_F(Http2, GivesUpOnAHeadThatDoesNotEnd) {
  HttpServerOptions options = Hasty();
  options.head_timeout = 5ms;
  Serve(options);
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields(), 0));
  client.UntilClosed();
  EXPECT_EQ(server_->counters().timed_out, 1u);
}

TEST_F(Http2, GivesUpOnAPrefaceThatDoesNotEnd) {
  HttpServerOptions options = Hasty();
  options.head_timeout = 5ms;
  Serve(options);
  for (const size_t length : {size_t{0}, size_t{2}, size_t{10}, kPreface.size()}) {
    RawClient client(loop_, *server_);
    client.Send(kPreface.substr(0, length));
    client.UntilClosed();
  }
  EXPECT_EQ(server_->counters().timed_out, 4u);
}

TEST_F(Http2, ResetsAnAnswerThatIsNotTaken) {
  HttpServerOptions options = Hasty();
  options.write_timeout = 5ms;
  Serve(options);
  service_.response_body = "an answer";
  Client client(loop_, *server_, Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}));
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  EXPECT_EQ(client.Await(NGHTTP2_RST_STREAM, 1).error(), uint32_t{NGHTTP2_CANCEL});
  EXPECT_EQ(client.Count(NGHTTP2_DATA), 0);
}

TEST_F(Http2, SendsWhatTheWindowAllows) {
  service_.response_body = "an answer";
  Client client(loop_, *server_, Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 3}}));
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  EXPECT_EQ(client.Await(NGHTTP2_DATA, 1).payload, GrpcMessage("an answer").substr(0, 3));
  client.Send(WindowUpdate(1, 5));
  client.Until([&] { return client.Count(NGHTTP2_DATA) == 2; });
  client.Send(WindowUpdate(1, 100));
  client.AwaitEnd(1);
  std::string body;
  for (const ReadFrame& frame : client.frames()) {
    if (frame.type == NGHTTP2_DATA) body += frame.payload;
  }
  EXPECT_EQ(body, GrpcMessage("an answer"));
}

TEST_F(Http2, ObeysAWindowThatShrinksBelowZero) {
  service_.response_body = "an answer";
  Client client(loop_, *server_, Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 6}}));
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  EXPECT_EQ(client.Await(NGHTTP2_DATA, 1).payload, GrpcMessage("an answer").substr(0, 6));
  client.Send(Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}}) + WindowUpdate(1, 6));
  client.Settle();
  EXPECT_EQ(client.Count(NGHTTP2_DATA), 1);
  client.Send(WindowUpdate(1, 100));
  client.AwaitEnd(1);
}

TEST_F(Http2, HoldsABoundedAmountForAPeerThatDoesNotRead) {
  HttpServerOptions options = Hasty();
  options.write_timeout = 20ms;
  Serve(options, 4 << 20);
  service_.response_body = std::string(200'000, 'x');
  Client client(loop_, *server_, Settings({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff}}));
  client.Send(WindowUpdate(0, 0x7fffffff - 65535));
  client.StopReading();
  for (uint32_t id = 1; id < 200; id += 2) {
    client.Send(Headers(id, GrpcFields()) + Data(id, GrpcMessage("x")));
    client.Settle();
    EXPECT_LE(budget_->bytes(), size_t{4} << 20);
  }
  client.Until([&] { return server_->connections() == 0; });
  EXPECT_EQ(budget_->bytes(), 0u);
  EXPECT_GE(server_->counters().timed_out, 1u);
}

TEST_F(Http2, PingsASilentPeerAndEndsADeadOne) {
  HttpServerOptions options = Hasty();
  options.ping_after = 5ms;
  options.ping_timeout = 5ms;
  Serve(options);
  Client client(loop_, *server_);
  const ReadFrame ping = client.Await(NGHTTP2_PING);
  EXPECT_EQ(ping.flags, 0);
  client.Send(Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, ping.payload));
  client.Until([&] { return client.closed() || client.Count(NGHTTP2_PING) == 2; });
  EXPECT_EQ(client.Count(NGHTTP2_PING), 2);
  client.UntilClosed();
  EXPECT_EQ(server_->counters().timed_out, 1u);
}

// --- The end of a connection
// --------------------------------------------------------------------------------------------

TEST_F(Http2, SaysGoodbyeToAnOldConnectionAndFinishesItsRequests) {
  HttpServerOptions options = Hasty();
  options.age_max = 10ms;
  Serve(options);
  service_.keep_replies = true;
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  client.Until([&] { return client.Count(NGHTTP2_GOAWAY) == 2; });
  const auto last_stream = [](const ReadFrame& goaway) { return goaway.payload.substr(0, 4); };
  std::vector<ReadFrame> goaways;
  for (const ReadFrame& frame : client.frames()) {
    if (frame.type == NGHTTP2_GOAWAY) goaways.push_back(frame);
  }
  EXPECT_EQ(goaways[0].error(), uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_EQ(last_stream(goaways[0]), BigEndian(0x7fffffff, 4));  // first only a notice
  EXPECT_EQ(last_stream(goaways[1]), BigEndian(1, 4));
  EXPECT_FALSE(client.closed());
  service_.replies.at(0)(service_.Success(true));
  client.UntilClosed();
  EXPECT_EQ(client.Field(1, "grpc-status"), "0");
  EXPECT_EQ(server_->counters().aged, 1u);
}

TEST_F(Http2, EndsAnOldConnectionWhoseRequestsNeverFinish) {
  HttpServerOptions options = Hasty();
  options.age_max = 5ms;
  options.drain_max = 5ms;
  Serve(options);
  service_.keep_replies = true;
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  client.UntilClosed();
  EXPECT_FALSE(client.Ended(1));
}

TEST_F(Http2, EndsAnIdleConnection) {
  HttpServerOptions options = Hasty();
  options.idle_max = 10ms;
  Serve(options);
  Client client(loop_, *server_);
  client.UntilClosed();
  EXPECT_EQ(client.Count(NGHTTP2_GOAWAY), 2);
  EXPECT_EQ(server_->counters().idled, 1u);
}

TEST_F(Http2, DrainsWhenToldTo) {
  Serve(Hasty());
  service_.keep_replies = true;
  Client busy(loop_, *server_);
  busy.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")));
  Client idle(loop_, *server_);
  busy.Until([&] { return service_.replies.size() == 1; });
  server_->Drain();
  idle.UntilClosed();
  EXPECT_FALSE(busy.closed());
  service_.replies.at(0)(service_.Success(true));
  busy.UntilClosed();
  EXPECT_TRUE(busy.Ended(1));
  idle.Close();
  busy.Close();
  busy.Until([&] { return server_->connections() == 0; });
}

TEST_F(Http2, ForgetsAPeerThatVanishes) {
  Serve(Hasty());
  service_.keep_replies = true;
  Client client(loop_, *server_);
  client.Send(Headers(1, GrpcFields()) + Data(1, GrpcMessage("x")) + Headers(3, GrpcFields()) +
              Data(3, '\0' + BigEndian(100'000, 4) + "part", 0));
  client.Until([&] { return service_.replies.size() == 1; });
  client.Close();
  client.Until([&] { return server_->connections() == 0; });
  EXPECT_EQ(budget_->bytes(), 0u);
}

}  // namespace
}  // namespace tributary::pipeline
