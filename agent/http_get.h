// HttpGet: asks an HTTPS server of the cluster, the API server or the kubelet, and waits: for threads that may.
//
// One Run() at a time, on one thread; Stop() on any. Every request reads the token anew, since Kubernetes replaces it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace tributary::agent {

class HttpGet {
 public:
  struct Credentials {
    std::string token_file;          // a bearer token; empty: none is sent
    std::string ca_file;             // PEM; empty: the host's
    bool verify_certificate = true;  // false only for a server on this host

    bool operator==(const Credentials&) const = default;
  };

  explicit HttpGet(Credentials credentials);
  ~HttpGet();
  HttpGet(const HttpGet&) = delete;
  HttpGet& operator=(const HttpGet&) = delete;

  // The HTTP status, or why there is none. `take` is given the body of a 200 in pieces, as they come; once it returns
  // false the rest is left, which is an error. The body of another status is `error_body`, or the beginning of it.
  struct Answer {
    int status = 0;
    std::string error_body;
  };
  using Take = std::function<bool(std::string_view piece_untrusted)>;
  base::Result<Answer> Run(const std::string& url, base::Nanos timeout, const Take& take);

  // Makes the Run() under way, and every later one, return an error soon.
  void Stop();

 private:
  struct Transfer;

  const Credentials credentials_;
  std::atomic<bool> stopped_ = false;
  void* multi_;  // CURLM
};

}  // namespace tributary::agent
