// Sockets: addresses as people write them, and listening and connecting stream sockets. All are non-blocking and
// close-on-exec; TCP ones send without delay. Names are not resolved here, except "localhost". Any thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace tributary::base {

// "otel.example.com:4317" or "[::1]:4317", taken apart; the host without its brackets, and possibly empty.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
Result<HostPort> ParseHostPort(std::string_view text);

// The address of a socket.
struct Address {
  // "127.0.0.1:4317", "[::1]:4317", "localhost:4317" (127.0.0.1), ":4317" (every interface, IPv4 and IPv6) or
  // "unix:/run/tributary.sock". Port 0 lets the kernel choose.
  static Result<Address> Parse(std::string_view text);
  // Of a numeric host without brackets.
  static Result<Address> FromNumeric(const std::string& host, uint16_t port);

  std::string ToString() const;  // as Parse reads it
  uint16_t port() const;         // 0 for unix
  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }

  sockaddr_storage storage{};
  socklen_t length = 0;
};

Address LocalAddress(int fd);
Address PeerAddress(int fd);

// A socket left at a unix path by a process that is gone is replaced.
Result<Fd> Listen(const Address& address);
// Invalid with errno set when nothing is waiting or the process is out of descriptors.
Fd Accept(int listener);
// Begins to connect; Stream::Handshake tells when it is done.
Result<Fd> Connect(const Address& address);

}  // namespace tributary::base
