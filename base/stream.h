// Stream: one connected, non-blocking byte stream over a socket, plain or TLS, driven by readiness.
//
// Whoever owns it watches fd() and calls in when it is ready: Handshake until it is done, then Read and Write. Nothing
// here blocks, buffers on its own account (but for what a TLS record holds) or knows the loop. Any thread, one at a
// time.
#pragma once

#include <openssl/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/tls.h"

namespace tributary::base {

class Stream {
 public:
  enum class Kind : uint8_t {
    kOk,
    kWantRead,   // would block: again when the descriptor is readable
    kWantWrite,  // would block: again when it is writable
    kClosed,     // the peer ended the stream properly
    kError,      // it broke; error() says how
  };
  struct IoResult {
    Kind kind;
    size_t bytes = 0;  // with kOk: how many were read or written, at least one
  };

  Stream() = default;
  // Plain, over a socket that is connected or connecting.
  explicit Stream(Fd socket) : fd_(std::move(socket)) {}
  static Stream TlsServer(Fd socket, const TlsContext& context);
  // `server_name`, a DNS name or an IP address, is asked for (SNI) and is what the certificate must be for.
  static Stream TlsClient(Fd socket, const TlsContext& context, const std::string& server_name);

  int fd() const { return fd_.get(); }
  bool is_tls() const { return ssl_ != nullptr; }

  // Finishes connecting, and the TLS handshake when there is one. kOk (with no bytes) once it is done.
  IoResult Handshake();

  // Reads into `buffer`. When has_buffered() after kOk, Read must be called again without waiting for readiness.
  IoResult Read(std::span<uint8_t> buffer);
  bool has_buffered() const;

  // Writes from the front of `pieces`, as much as goes. After a would-block the next Write must begin with the same
  // bytes; more may follow them.
  IoResult Write(std::span<const iovec> pieces);

  // Tells the peer that nothing more comes. Reading goes on.
  void ShutdownWrite();

  // The protocol both sides chose in the TLS handshake: "h2"; empty when none.
  std::string_view alpn() const;
  // After kError: one line for people, "TLS: certificate verify failed (unable to get local issuer certificate)".
  const std::string& error() const { return error_; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };

  IoResult FailedErrno(int error, std::string_view operation);
  IoResult FailedTls(int result);
  IoResult ReadTls(std::span<uint8_t> buffer);
  IoResult WriteTls(std::span<const iovec> pieces);

  Fd fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;  // uses fd_, does not own it
  bool connected_ = false;
  // What ReadTls found after bytes it had to return first.
  bool has_deferred_ = false;
  IoResult deferred_{Kind::kOk};
  std::string error_;
};

}  // namespace tributary::base
