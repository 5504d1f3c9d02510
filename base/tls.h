// TLS contexts: what a server or a client presents, whom it trusts, and which protocols it offers, read from PEM files.
// TLS 1.2 and newer. Streams made from a context keep what they need of it, so that it may be replaced at any time by
// one with fresh certificates. Any thread.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace tributary::base {

struct TlsFiles {
  std::string cert_file;  // certificate chain, PEM; a client may have none
  std::string key_file;   // its private key, PEM
  // Servers: the authorities whose clients are let in; empty lets in anyone. Clients: the authorities a server's
  // certificate must come from; empty trusts those of the system.
  std::string ca_file;

  bool operator==(const TlsFiles&) const = default;
};

class TlsContext {
 public:
  // `alpn` is what is spoken, most wanted first: {"h2", "http/1.1"}. A client that offers none of it is refused; one
  // that offers no list is let in, and has chosen nothing.
  static Result<TlsContext> Server(const TlsFiles& files, const std::vector<std::string>& alpn);
  // Without `verify` whoever answers is believed to be the server: for trying things out.
  static Result<TlsContext> Client(const TlsFiles& files, const std::vector<std::string>& alpn, bool verify = true);

  SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  TlsContext() = default;
  Status Load(const TlsFiles& files);

  std::unique_ptr<SSL_CTX, Free> context_;
};

}  // namespace tributary::base
