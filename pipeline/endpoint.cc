#include "pipeline/endpoint.h"

#include <algorithm>

#include "base/socket.h"

namespace tributary::pipeline {

base::Result<Endpoint> Endpoint::Parse(std::string_view text, uint16_t port_default) {
  Endpoint endpoint;
  const auto fail = [text](std::string_view why) { return base::Fail("endpoint \"{}\": {}", text, why); };
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; })) {
    return fail("holds a character that no URL has");
  }
  if (text.starts_with("unix:")) {
    endpoint.host = text;
    return endpoint;
  }
  std::string_view rest = text;
  if (const size_t scheme_end = rest.find("://"); scheme_end != std::string_view::npos) {
    const std::string_view scheme = rest.substr(0, scheme_end);
    if (scheme != "http" && scheme != "https") return fail("the scheme is neither http nor https");
    endpoint.tls = scheme == "https";
    port_default = endpoint.tls ? 443 : 80;
    rest.remove_prefix(scheme_end + 3);
  }
  if (rest.find_first_of("?#@") != std::string_view::npos) return fail("takes no user, query or fragment");
  std::string_view host_port = rest.substr(0, rest.find('/'));
  endpoint.path = rest.substr(host_port.size());
  while (endpoint.path.ends_with('/')) endpoint.path.pop_back();

  const bool has_port =
      host_port.find(':', host_port.starts_with('[') ? host_port.find(']') : 0) != std::string_view::npos;
  const std::string whole = has_port ? std::string(host_port) : fmt::format("{}:{}", host_port, port_default);
  base::Result<base::HostPort> parts = base::ParseHostPort(whole);
  if (!parts) return fail(parts.error().message);
  if (parts->host.empty() || parts->port == 0) return fail("needs a host and a port above 0");
  endpoint.host = std::move(parts->host);
  endpoint.port = parts->port;
  return endpoint;
}

std::string Endpoint::authority() const {
  if (host.starts_with("unix:")) return "localhost";
  return host.find(':') != std::string::npos ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace tributary::pipeline
