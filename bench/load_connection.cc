#include "bench/load_connection.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "otlp/wire.h"

namespace tributary::bench {
namespace {

constexpr base::Nanos kConnectInterval = std::chrono::milliseconds(100);
constexpr size_t kPiecesPerWriteMax = 256;

// What is left of `pieces` after `skip` bytes, as far as `left` has room.
size_t Remaining(std::span<const iovec> pieces, size_t skip, std::span<iovec> left) {
  size_t n = 0;
  for (const iovec& piece : pieces) {
    if (skip >= piece.iov_len) {
      skip -= piece.iov_len;
      continue;
    }
    if (n == left.size()) break;
    left[n++] = {static_cast<uint8_t*>(piece.iov_base) + skip, piece.iov_len - skip};
    skip = 0;
  }
  return n;
}

}  // namespace

uint64_t RejectedItems(base::ByteView response_untrusted) {
  uint64_t rejected = 0;
  otlp::FieldReader response(response_untrusted);
  for (otlp::Field field; response.Next(field);) {
    if (field.number != 1 || field.type != otlp::WireType::kLength) continue;
    otlp::FieldReader partial_success(field.content);
    for (otlp::Field inner; partial_success.Next(inner);) {
      if (inner.number == 1 && inner.type == otlp::WireType::kVarint) rejected = inner.value;
    }
  }
  return rejected;
}

base::Result<Endpoint> ResolveEndpoint(const std::string& host_port) {
  const base::Result<base::HostPort> parsed = base::ParseHostPort(host_port);
  if (!parsed) return std::unexpected(parsed.error());
  const addrinfo hints{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const std::string port = std::to_string(parsed->port);
  if (const int error = getaddrinfo(parsed->host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return base::Fail("endpoint '{}': {}", host_port, gai_strerror(error));
  }
  Endpoint endpoint{.authority = host_port};
  std::memcpy(&endpoint.address.storage, found->ai_addr, found->ai_addrlen);
  endpoint.address.length = found->ai_addrlen;
  freeaddrinfo(found);
  return endpoint;
}

void LoadConnection::Connect() {
  ++connects_;
  connect_began_ = loop_.now();
  base::Result<base::Fd> socket = base::Connect(endpoint_.address);
  if (!socket) return Close();
  socket_ = std::move(*socket);
  watch_ = loop_.WatchFd(socket_.get(), EPOLLIN | EPOLLOUT, [this](uint32_t events) { OnReady(events); });
}

void LoadConnection::Close() {
  watch_.Reset();
  socket_.Close();
  connected_ = ready_ = false;
  out_.Clear();
  out_written_ = 0;
  reconnect_ = loop_.RunAt(connect_began_ + kConnectInterval, [this] { Connect(); });
  OnClosed();
}

void LoadConnection::set_ready(bool ready) {
  ready_ = ready;
  if (ready) events_.on_ready();
}

void LoadConnection::OnReady(uint32_t events) {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Close();
    connected_ = true;
    OnConnected();
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) Read();
  if (socket_.valid()) Flush();
}

void LoadConnection::Read() {
  static thread_local std::array<uint8_t, 256 << 10> buffer;
  const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || !OnBytes({buffer.data(), static_cast<size_t>(n)})) Close();
}

void LoadConnection::FlushSoon() {
  if (flush_queued_) return;
  flush_queued_ = true;
  loop_.AtEndOfTurn([this] {
    flush_queued_ = false;
    if (connected_) Flush();
  });
}

void LoadConnection::Flush() {
  for (;;) {
    if (out_written_ == out_.size()) {
      out_.Clear();
      out_written_ = 0;
      FillOutput();
      if (out_.empty()) return watch_.Want(EPOLLIN);
    }
    std::array<iovec, kPiecesPerWriteMax> left;
    msghdr message{.msg_iov = left.data(), .msg_iovlen = Remaining(out_.pieces(), out_written_, left)};
    const ssize_t n = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return watch_.Want(EPOLLIN | EPOLLOUT);
    if (n < 0) return Close();
    out_written_ += static_cast<size_t>(n);
  }
}

}  // namespace tributary::bench
