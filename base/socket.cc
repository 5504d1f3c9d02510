#include "base/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace tributary::base {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr int kBacklog = 1024;

Result<Address> UnixAddress(std::string_view path) {
  Address address;
  auto& to = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.empty() || path.size() >= sizeof to.sun_path)
    return Fail("unix socket path \"{}\" is empty or too long", path);
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.data(), path.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

void SendWithoutDelay(int fd, int family) {
  const int one = 1;
  if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

Fd NewSocket(int family) { return Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

// Whether a process still answers at a unix address.
bool Answers(const Address& address) {
  const Fd probe = NewSocket(AF_UNIX);
  return probe.valid() && (connect(probe.get(), address.get(), address.length) == 0 || errno == EAGAIN);
}

}  // namespace

Result<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Fail("\"{}\" is not host:port", text);
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return Fail("\"{}\" is not host:port (an IPv6 address goes in brackets)", text);
  }
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) {
    return Fail("\"{}\": the port is not a number from 0 to 65535", text);
  }
  return HostPort{std::string(host), port};
}

Result<Address> Address::FromNumeric(const std::string& host, uint16_t port) {
  Address address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.length = sizeof v4;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.length = sizeof v6;
  } else {
    return Fail("\"{}\" is not an IP address", host);
  }
  return address;
}

Result<Address> Address::Parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return UnixAddress(text.substr(kUnixPrefix.size()));
  Result<HostPort> parts = ParseHostPort(text);
  if (!parts) return std::unexpected(parts.error());
  if (parts->host.empty()) parts->host = "::";
  if (parts->host == "localhost") parts->host = "127.0.0.1";
  return FromNumeric(parts->host, parts->port);
}

std::string Address::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (family()) {
    case AF_INET:
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
      return fmt::format("{}:{}", text, port());
    case AF_INET6:
      inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, text, sizeof text);
      return fmt::format("[{}]:{}", text, port());
    case AF_UNIX:
      // An unbound socket's address has no path.
      return std::string(kUnixPrefix) +
             (length > offsetof(sockaddr_un, sun_path) ? reinterpret_cast<const sockaddr_un&>(storage).sun_path : "");
    default:
      return "unknown";
  }
}

uint16_t Address::port() const {
  switch (family()) {
    case AF_INET:
      return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
    case AF_INET6:
      return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
    default:
      return 0;
  }
}

Address LocalAddress(int fd) {
  Address address;
  address.length = sizeof address.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) return {};
  return address;
}

Address PeerAddress(int fd) {
  Address address;
  address.length = sizeof address.storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) return {};
  return address;
}

Result<Fd> Listen(const Address& address) {
  const std::string operation = "listen on " + address.ToString();
  Fd fd = NewSocket(address.family());
  if (!fd.valid()) return FailErrno(errno, operation);
  const int one = 1, zero = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address.family() == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  if (address.family() == AF_UNIX && !Answers(address)) {
    unlink(reinterpret_cast<const sockaddr_un&>(address.storage).sun_path);
  }
  if (bind(fd.get(), address.get(), address.length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return FailErrno(errno, operation);
  }
  return fd;
}

Fd Accept(int listener) {
  Address peer;
  peer.length = sizeof peer.storage;
  Fd fd(accept4(listener, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid()) SendWithoutDelay(fd.get(), peer.family());
  return fd;
}

Result<Fd> Connect(const Address& address) {
  Fd fd = NewSocket(address.family());
  if (!fd.valid()) return FailErrno(errno, "socket");
  SendWithoutDelay(fd.get(), address.family());
  if (connect(fd.get(), address.get(), address.length) != 0 && errno != EINPROGRESS) {
    return FailErrno(errno, "connect to " + address.ToString());
  }
  return fd;
}

}  // namespace tributary::base
