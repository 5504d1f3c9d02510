// Any bytes, as what a server sends to a client with two requests under way: each call is answered at most once, within
// its bounds, and what it means is decided. The first byte chooses the HTTP version, and how the rest is cut into
// reads.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/check.h"
#include "base/loop.h"
#include "pipeline/http1_client.h"
#include "pipeline/http2_client.h"

namespace tributary::pipeline {
namespace {

// SETTINGS and the acknowledgement of the client's, so that calls begin: RFC 9113, section 6.5.
constexpr uint8_t kHttp2Greeting[] = {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0};

std::unique_ptr<HttpClient> MakeClient(bool http2, base::Loop& loop, base::Stream stream) {
  static const HttpPeer peer{"http", "fuzz:4317", {{"content-type", "application/grpc"}, {"te", "trailers"}}};
  constexpr base::Nanos kConnectTimeout = std::chrono::hours(1);
  if (http2) return std::make_unique<Http2Client>(loop, std::move(stream), peer, kConnectTimeout, [] {});
  return std::make_unique<Http1Client>(loop, std::move(stream), peer, kConnectTimeout, [] {});
}

void Check(const HttpAnswer& answer) {
  CHECK(answer.body_untrusted.size() <= HttpAnswer::kBodyBytesKept);
  CHECK(answer.grpc_message_untrusted.size() + answer.content_type_untrusted.size() <= HttpAnswer::kHeadBytesMax);
  for (const Outcome& outcome : {GrpcOutcome(answer, "fuzz"), HttpOutcome(answer, "fuzz")}) {
    CHECK(outcome.detail.size() < 1000);
    CHECK(!outcome.retry_after || *outcome.retry_after >= base::Nanos(0));
  }
}

void Serve(bool http2, size_t chunk_bytes, base::ByteView bytes_untrusted) {
  int sockets[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
  const base::Fd server(sockets[1]);
  base::Loop loop;
  const std::unique_ptr<HttpClient> client = MakeClient(http2, loop, base::Stream(base::Fd(sockets[0])));

  std::string request(3000, 'r');
  const iovec body{request.data(), request.size()};
  std::array<HttpCall, 2> calls;
  std::array<int, 2> answers{};
  size_t started = 0;
  const auto turn = [&] {
    loop.RunOnce(base::Nanos(0));
    while (started < calls.size() && client->room() > 0) {
      HttpCall& call = calls[started];
      call.path = "/v1/traces";
      call.body = {&body, 1};
      call.body_bytes = request.size();
      call.answered = [&answers, started](HttpAnswer answer) {
        CHECK(++answers[started] == 1);
        Check(answer);
      };
      client->Start(calls[started++]);
    }
    uint8_t sent[16384];
    while (recv(server.get(), sent, sizeof sent, 0) > 0) continue;
  };

  if (http2) CHECK(write(server.get(), kHttp2Greeting, sizeof kHttp2Greeting) == sizeof kHttp2Greeting);
  for (int i = 0; i < 3; ++i) turn();
  while (!bytes_untrusted.empty() && client->state() != HttpClient::State::kClosed) {
    const size_t n = std::min(chunk_bytes, bytes_untrusted.size());
    if (send(server.get(), bytes_untrusted.data(), n, MSG_NOSIGNAL) != static_cast<ssize_t>(n)) break;
    bytes_untrusted = bytes_untrusted.subspan(n);
    turn();
  }
  // A call that is still waiting is taken back, or is answered as broken when the server goes.
  if (started > 0 && answers[0] == 0 && client->state() != HttpClient::State::kClosed) {
    client->Cancel(calls[0]);
    answers[0] = 1;
  }
  turn();
  shutdown(server.get(), SHUT_RDWR);
  for (int i = 0; i < 10 && client->state() != HttpClient::State::kClosed; ++i) turn();
  CHECK(client->state() == HttpClient::State::kClosed);
  for (size_t i = 0; i < started; ++i) CHECK(answers[i] == 1);
}

}  // namespace
}  // namespace tributary::pipeline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > (64 << 10)) return 0;
  const bool http2 = data[0] & 1;
  const size_t chunk_bytes = std::max(size_t{1} << (data[0] >> 1) % 16, size / 1024);
  tributary::pipeline::Serve(http2, chunk_bytes, {data + 1, size - 1});
  return 0;
}
