// Endpoint: where a destination is, taken apart from what people write: a URL, or only host:port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary::pipeline {

struct Endpoint {
  // "http://host:4317", "https://host/base/path", "host:4317", "[::1]:4317", "unix:/run/collector.sock". Without a
  // scheme there is no TLS. Without a port it is the scheme's, or `port_default` when there is no scheme either.
  static base::Result<Endpoint> Parse(std::string_view text, uint16_t port_default);

  bool tls = false;
  std::string host;  // without brackets; "unix:/path" whole
  uint16_t port = 0;
  std::string path;  // empty, or "/base/path" without a slash at the end

  std::string_view scheme() const { return tls ? "https" : "http"; }
  // "host:4317", "[::1]:4317"; for the authority of requests and for people.
  std::string authority() const;
};

}  // namespace tributary::pipeline
