#include "pipeline/http_client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

using Kind = base::Stream::Kind;

// A peer that vanished without a word is noticed while bytes to it stay unacknowledged, and when nothing is said at
// all.
constexpr unsigned kUnacknowledgedMillisMax = 30'000;
constexpr int kIdleSecondsBeforeProbe = 60;
constexpr int kSecondsBetweenProbes = 10;
constexpr int kProbes = 3;

void NoticeVanishedPeer(int fd) {
  const int one = 1;
  // Refused by unix sockets, whose peers cannot vanish.
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMillisMax, sizeof kUnacknowledgedMillisMax);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kIdleSecondsBeforeProbe, sizeof kIdleSecondsBeforeProbe);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kSecondsBetweenProbes, sizeof kSecondsBetweenProbes);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

// What is read is parsed before anything else reads: one buffer serves every connection of the thread.
std::span<uint8_t> ReadBuffer() {
  thread_local uint8_t buffer[64 << 10];
  return buffer;
}

}  // namespace

HttpClient::HttpClient(base::Loop& loop, base::Stream stream, base::Nanos connect_timeout,
                       std::move_only_function<void()> changed)
    : loop_(loop), stream_(std::move(stream)), changed_(std::move(changed)), flush_(loop, [this] { Flush(); }) {
  NoticeVanishedPeer(stream_.fd());
  watch_ = loop_.WatchFd(stream_.fd(), EPOLLOUT, [this](uint32_t events) { OnReady(events); });
  ExpectBytes(connect_timeout, fmt::format("no connection in {:.1f} s", base::Seconds(connect_timeout)));
}

void HttpClient::OnReady(uint32_t events) {
  if (!connected_) {
    Handshake();
  } else if (events & ~uint32_t{EPOLLOUT}) {
    Read();
  }
  if (connected_ && state_ != State::kClosed) Flush();
}

void HttpClient::Handshake() {
  switch (stream_.Handshake().kind) {
    case Kind::kOk:
      break;
    case Kind::kWantRead:
      return watch_.Want(EPOLLIN);
    case Kind::kWantWrite:
      return watch_.Want(EPOLLOUT);
    case Kind::kClosed:
      return Close("closed by the peer during the TLS handshake");
    case Kind::kError:
      return Close(stream_.error());
  }
  if (stream_.is_tls() && stream_.alpn() != alpn() && !(stream_.alpn().empty() && alpn() == "http/1.1")) {
    return Close(fmt::format("TLS: the peer did not choose {} (ALPN)", alpn()));
  }
  connected_ = true;
  OnConnected();
}

void HttpClient::Read() {
  // More than a buffer's worth is left for the next turn, except what the kernel does not know of.
  do {
    const std::span<uint8_t> buffer = ReadBuffer();
    const base::Stream::IoResult result = stream_.Read(buffer);
    switch (result.kind) {
      case Kind::kOk:
        last_read_ = loop_.now();
        received_bytes_ += result.bytes;
        OnBytes(buffer.first(result.bytes));
        break;
      case Kind::kWantRead:
      case Kind::kWantWrite:
        return;
      case Kind::kClosed:
        OnEnd();
        return;
      case Kind::kError:
        Close(stream_.error());
        return;
    }
  } while (state_ != State::kClosed && stream_.has_buffered());
}

void HttpClient::Flush() {
  while (connected_ && state_ != State::kClosed) {
    if (outbox_.empty()) {
      Fill(outbox_);
      if (state_ == State::kClosed) return;
      if (outbox_.empty()) return watch_.Want(EPOLLIN);
    }
    switch (outbox_.WriteTo(stream_).kind) {
      case Kind::kOk:
        break;
      case Kind::kWantRead:
        return watch_.Want(EPOLLIN);
      case Kind::kWantWrite:
        return watch_.Want(EPOLLIN | EPOLLOUT);
      case Kind::kClosed:
      case Kind::kError: {
        const std::string error = stream_.error();
        Read();  // the peer may have said why before it closed
        return Close(error);
      }
    }
  }
}

void HttpClient::SetState(State state) {
  CHECK(state > state_);
  state_ = state;
  if (state == State::kReady) expect_.Cancel();
  changed_();
}

void HttpClient::Close(std::string error) {
  if (state_ == State::kClosed) return;
  error_ = std::move(error);
  expect_.Cancel();
  watch_.Reset();
  outbox_.Discard();
  BreakCalls(error_.empty() ? "the peer closed the connection" : error_);
  SetState(State::kClosed);
}

void HttpClient::Tell(HttpCall& call, HttpAnswer::End end, std::string error) {
  if (end == HttpAnswer::End::kComplete) ++answers_;
  call.answer.end = end;
  call.answer.error = std::move(error);
  changed_();
  call.answered(std::move(call.answer));
}

void HttpClient::ExpectBytes(base::Nanos patience, std::string error) {
  if (expect_.pending()) return;
  const base::Time since = loop_.now();
  expect_ = loop_.RunAfter(patience, [this, since, error = std::move(error)] {
    if (!alive_since(since) || state_ == State::kConnecting) Close(error);
  });
}

}  // namespace tributary::pipeline
