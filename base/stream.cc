#include "base/stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace tributary::base {
namespace {

constexpr size_t kTlsRecordBytesMax = 16 << 10;
constexpr size_t kIovecsMax = 64;  // per sendmsg: with pieces of 16 KiB and more, further ones save nothing

std::string TlsReason(SSL* ssl) {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  std::string text = reason != nullptr ? reason : "connection broke";
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) text += fmt::format(" ({})", X509_verify_cert_error_string(verified));
  return text;
}

}  // namespace

void Stream::FreeSsl::operator()(SSL* ssl) const { SSL_free(ssl); }

Stream Stream::TlsServer(Fd socket, const TlsContext& context) {
  Stream stream(std::move(socket));
  stream.ssl_.reset(SSL_new(context.get()));
  CHECK(stream.ssl_ != nullptr && SSL_set_fd(stream.ssl_.get(), stream.fd()) == 1);
  SSL_set_accept_state(stream.ssl_.get());
  return stream;
}

Stream Stream::TlsClient(Fd socket, const TlsContext& context, const std::string& server_name) {
  Stream stream(std::move(socket));
  stream.ssl_.reset(SSL_new(context.get()));
  SSL* ssl = stream.ssl_.get();
  CHECK(ssl != nullptr && SSL_set_fd(ssl, stream.fd()) == 1);
  SSL_set_connect_state(ssl);
  // An address is matched against the certificate's addresses, and has no place in SNI (RFC 6066, section 3).
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) != 1) {
    SSL_set_tlsext_host_name(ssl, server_name.c_str());
    CHECK(SSL_set1_host(ssl, server_name.c_str()) == 1);
  }
  return stream;
}

Stream::IoResult Stream::FailedErrno(int error, std::string_view operation) {
  char text[256];
  error_ = fmt::format("{}: {}", operation, strerror_r(error, text, sizeof text));
  return {Kind::kError};
}

Stream::IoResult Stream::FailedTls(int result) {
  const int saved_errno = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {Kind::kWantRead};
    case SSL_ERROR_WANT_WRITE:
      return {Kind::kWantWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {Kind::kClosed};
    case SSL_ERROR_SYSCALL:
      if (saved_errno != 0) return FailedErrno(saved_errno, "TLS");
      [[fallthrough]];
    default:
      error_ = "TLS: " + TlsReason(ssl_.get());
      return {Kind::kError};
  }
}

Stream::IoResult Stream::Handshake() {
  if (!connected_) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return FailedErrno(error, "connect");
    sockaddr_storage peer;
    length = sizeof peer;
    if (getpeername(fd(), reinterpret_cast<sockaddr*>(&peer), &length) != 0) {
      if (errno == ENOTCONN) return {Kind::kWantWrite};
      return FailedErrno(errno, "connect");
    }
    connected_ = true;
  }
  if (!is_tls()) return {Kind::kOk};
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? IoResult{Kind::kOk} : FailedTls(result);
}

Stream::IoResult Stream::Read(std::span<uint8_t> buffer) {
  if (is_tls()) return ReadTls(buffer);
  const ssize_t n = recv(fd(), buffer.data(), buffer.size(), 0);
  if (n > 0) return {Kind::kOk, static_cast<size_t>(n)};
  if (n == 0) return {Kind::kClosed};
  if (errno == EAGAIN || errno == EINTR) return {Kind::kWantRead};
  return FailedErrno(errno, "read");
}

// A call to OpenSSL yields at most one record: several make the caller's turn worth its cost. Further ones are read only
// when they fit whole, so that with any buffer of a record or more nothing stays behind in OpenSSL.
Stream::IoResult Stream::ReadTls(std::span<uint8_t> buffer) {
  if (has_deferred_) return deferred_;
  size_t filled = 0;
  while (filled == 0 || buffer.size() - filled >= kTlsRecordBytesMax) {
    ERR_clear_error();
    errno = 0;
    size_t n = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data() + filled, buffer.size() - filled, &n);
    if (result == 1) {
      filled += n;
      continue;
    }
    const IoResult stopped = FailedTls(result);
    if (filled == 0) return stopped;
    if (stopped.kind == Kind::kClosed || stopped.kind == Kind::kError) {
      has_deferred_ = true;
      deferred_ = stopped;
    }
    break;
  }
  return {Kind::kOk, filled};
}

bool Stream::has_buffered() const { return is_tls() && (has_deferred_ || SSL_pending(ssl_.get()) > 0); }

Stream::IoResult Stream::Write(std::span<const iovec> pieces) {
  if (is_tls()) return WriteTls(pieces);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = std::min(pieces.size(), kIovecsMax);
  const ssize_t n = sendmsg(fd(), &message, MSG_NOSIGNAL);
  if (n > 0) return {Kind::kOk, static_cast<size_t>(n)};
  if (n == 0 || errno == EAGAIN || errno == EINTR) return {Kind::kWantWrite};
  return FailedErrno(errno, "write");
}

// Short pieces are gathered into whole records, which saves both sides the cost of many small ones; long pieces are
// encrypted from where they lie.
Stream::IoResult Stream::WriteTls(std::span<const iovec> pieces) {
  uint8_t gathered[kTlsRecordBytesMax];
  size_t piece = 0, offset = 0, written = 0;
  while (piece < pieces.size()) {
    const uint8_t* data = static_cast<const uint8_t*>(pieces[piece].iov_base) + offset;
    size_t length = pieces[piece].iov_len - offset;
    if (length < kTlsRecordBytesMax) {
      size_t filled = 0;
      for (size_t i = piece, from = offset; i < pieces.size() && filled < sizeof gathered; ++i, from = 0) {
        const size_t n = std::min(pieces[i].iov_len - from, sizeof gathered - filled);
        std::memcpy(gathered + filled, static_cast<const uint8_t*>(pieces[i].iov_base) + from, n);
        filled += n;
      }
      if (filled == 0) break;
      data = gathered;
      length = filled;
    }
    ERR_clear_error();
    errno = 0;
    size_t n = 0;
    const int result = SSL_write_ex(ssl_.get(), data, length, &n);
    if (result != 1) {
      const IoResult stopped = FailedTls(result);
      // What was written before it broke is no use to anyone; what was before it blocked must be told.
      return written > 0 && stopped.kind != Kind::kError ? IoResult{Kind::kOk, written} : stopped;
    }
    written += n;
    while (n > 0) {
      const size_t left = pieces[piece].iov_len - offset;
      const size_t step = std::min(n, left);
      n -= step;
      offset += step;
      if (offset == pieces[piece].iov_len) {
        ++piece;
        offset = 0;
      }
    }
  }
  return {Kind::kOk, written};
}

void Stream::ShutdownWrite() {
  if (is_tls() && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  if (fd_.valid()) shutdown(fd(), SHUT_WR);
}

std::string_view Stream::alpn() const {
  if (!is_tls()) return {};
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &length);
  return {reinterpret_cast<const char*>(protocol), length};
}

}  // namespace tributary::base
