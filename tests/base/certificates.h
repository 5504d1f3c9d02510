// Certificates made on the spot for tests: authorities, and leaf certificates they sign, as PEM files in a folder of
// their own that goes with this object.
#pragma once

#include <openssl/types.h>

#include <string>

#include "base/tls.h"

namespace tributary::tests {

class CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  const std::string& ca_file() const { return ca_file_; }
  // A new key and its certificate for `names` ("DNS:localhost,IP:127.0.0.1"), trusting nobody: set ca_file as needed.
  base::TlsFiles Issue(const std::string& names);

 private:
  std::string folder_;
  std::string ca_file_;
  EVP_PKEY* key_;
  X509* certificate_;
  int issued_ = 0;
};

}  // namespace tributary::tests
