#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <csignal>

namespace tributary::base {
namespace {

std::unexpected<Error> FailTls(std::string_view what, const std::string& file) {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return Fail("TLS {} {}: {}", what, file, reason != nullptr ? reason : "cannot be read");
}

// Each protocol's length, then its name: RFC 7301.
std::string AlpnWireForm(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    wire.push_back(static_cast<char>(protocol.size()));
    wire += protocol;
  }
  return wire;
}

// The slot of an SSL_CTX where a server's protocols are: they live as long as the last stream made from it.
int AlpnSlot() {
  static const int slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* alpn, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<std::string*>(alpn); });
  return slot;
}

int SelectAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
               unsigned int offered_length, void*) {
  const auto& spoken = *static_cast<const std::string*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), AlpnSlot()));
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_length, reinterpret_cast<const unsigned char*>(spoken.data()),
                                          static_cast<unsigned int>(spoken.size()), offered, offered_length);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

void TlsContext::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

Status TlsContext::Load(const TlsFiles& files) {
  if (files.cert_file.empty() != files.key_file.empty()) {
    return Fail("TLS: cert_file and key_file come together or not at all");
  }
  SSL_CTX* context = context_.get();
  ERR_clear_error();
  if (!files.cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, files.cert_file.c_str()) != 1) {
      return FailTls("certificate", files.cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      return FailTls("private key", files.key_file);
    }
    if (SSL_CTX_check_private_key(context) != 1)
      return FailTls("private key does not fit the certificate:", files.key_file);
  }
  if (!files.ca_file.empty() && SSL_CTX_load_verify_locations(context, files.ca_file.c_str(), nullptr) != 1) {
    return FailTls("authorities", files.ca_file);
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Idle connections give their record buffers back, 34 KiB each.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // OpenSSL writes to sockets with write(), which raises SIGPIPE when the peer is gone.
  std::signal(SIGPIPE, SIG_IGN);
  return {};
}

Result<TlsContext> TlsContext::Server(const TlsFiles& files, const std::vector<std::string>& alpn) {
  if (files.cert_file.empty()) return Fail("TLS: a server needs cert_file and key_file");
  TlsContext context;
  context.context_.reset(SSL_CTX_new(TLS_server_method()));
  if (Status loaded = context.Load(files); !loaded) return std::unexpected(loaded.error());
  if (!files.ca_file.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(files.ca_file.c_str());
    if (names == nullptr) return FailTls("authorities", files.ca_file);
    SSL_CTX_set_client_CA_list(context.get(), names);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  // Session tickets resume without asking for the client's certificate again.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(context.get(), 0);
  if (!alpn.empty()) {
    SSL_CTX_set_ex_data(context.get(), AlpnSlot(), new std::string(AlpnWireForm(alpn)));
    SSL_CTX_set_alpn_select_cb(context.get(), SelectAlpn, nullptr);
  }
  return context;
}

Result<TlsContext> TlsContext::Client(const TlsFiles& files, const std::vector<std::string>& alpn, bool verify) {
  TlsContext context;
  context.context_.reset(SSL_CTX_new(TLS_client_method()));
  if (Status loaded = context.Load(files); !loaded) return std::unexpected(loaded.error());
  if (files.ca_file.empty() && SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    return FailTls("authorities", "of the system");
  }
  SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  const std::string wire = AlpnWireForm(alpn);
  if (!wire.empty()) {
    SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned int>(wire.size()));
  }
  return context;
}

}  // namespace tributary::base
