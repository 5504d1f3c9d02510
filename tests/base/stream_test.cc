#include "base/stream.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/socket.h"
#include "base/tls.h"
#include "tests/base/certificates.h"

namespace tributary::base {
namespace {

using Kind = Stream::Kind;

struct Pair {
  Stream client, server;
};

std::pair<Fd, Fd> ConnectedSockets() {
  const Result<Fd> listener = Listen(*Address::Parse("127.0.0.1:0"));
  Result<Fd> client = Connect(LocalAddress(listener->get()));
  pollfd readable{.fd = listener->get(), .events = POLLIN};
  poll(&readable, 1, -1);
  return {std::move(*client), Accept(listener->get())};
}

Pair PlainPair() {
  auto [client, server] = ConnectedSockets();
  return {Stream(std::move(client)), Stream(std::move(server))};
}

// Turns both handshakes until each is done or failed.
std::pair<Kind, Kind> Shake(Pair& pair) {
  Kind client = Kind::kWantWrite, server = Kind::kWantRead;
  const auto over = [](Kind kind) { return kind != Kind::kWantRead && kind != Kind::kWantWrite; };
  for (int i = 0; i < 10'000 && !(over(client) && over(server)); ++i) {
    if (!over(client)) client = pair.client.Handshake().kind;
    if (!over(server)) server = pair.server.Handshake().kind;
  }
  return {client, server};
}

class TlsStream : public testing::Test {
 protected:
  Pair MakePair(const TlsFiles& server, const TlsFiles& client, const std::string& name = "localhost",
                const std::vector<std::string>& client_alpn = {"h2"}) {
    const Result<TlsContext> server_context = TlsContext::Server(server, {"h2", "http/1.1"});
    EXPECT_TRUE(server_context) << server_context.error().message;
    const Result<TlsContext> client_context = TlsContext::Client(client, client_alpn);
    EXPECT_TRUE(client_context) << client_context.error().message;
    auto [client_socket, server_socket] = ConnectedSockets();
    return {Stream::TlsClient(std::move(client_socket), *client_context, name),
            Stream::TlsServer(std::move(server_socket), *server_context)};
  }
  TlsFiles Trusting() { return {.ca_file = authority_.ca_file()}; }

  tests::CertificateAuthority authority_;
  TlsFiles server_files_ = authority_.Issue("DNS:localhost,IP:127.0.0.1");
};

// Sends `bytes` pieces of uneven sizes through `pair` in both directions of readiness, and expects them whole.
void CarriesBytes(Pair& pair, size_t bytes) {
  std::vector<uint8_t> sent(bytes);
  std::iota(sent.begin(), sent.end(), 0);
  std::vector<uint8_t> received, buffer(100'000);
  size_t written = 0;
  int blocked = 0;
  while (received.size() < bytes) {
    // Until the socket is full, so that would-blocks happen.
    while (written < bytes) {
      std::vector<iovec> pieces;
      for (size_t at = written, n = 1; at < bytes && pieces.size() < 40; at += n, n = n * 2 + 1) {
        n = std::min(n, bytes - at);
        pieces.push_back({sent.data() + at, n});
      }
      const Stream::IoResult result = pair.client.Write(pieces);
      if (result.kind != Kind::kOk) {
        ASSERT_EQ(result.kind, Kind::kWantWrite) << pair.client.error();
        ++blocked;
        break;
      }
      ASSERT_GT(result.bytes, 0u);
      written += result.bytes;
    }
    pollfd readable{.fd = pair.server.fd(), .events = POLLIN};
    ASSERT_EQ(poll(&readable, 1, -1), 1);
    do {
      const Stream::IoResult result = pair.server.Read(buffer);
      if (result.kind == Kind::kWantRead) break;  // part of a record
      ASSERT_EQ(result.kind, Kind::kOk) << pair.server.error();
      received.insert(received.end(), buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(result.bytes));
    } while (pair.server.has_buffered());
  }
  EXPECT_GT(blocked, 0);
  EXPECT_EQ(received, sent);
}

TEST(Stream, CarriesMoreThanTheSocketHolds) {
  Pair pair = PlainPair();
  CarriesBytes(pair, 20'000'000);
}

TEST(Stream, TellsWouldBlockFromClosed) {
  Pair pair = PlainPair();
  ASSERT_EQ(Shake(pair), std::pair(Kind::kOk, Kind::kOk));
  uint8_t buffer[16];
  EXPECT_EQ(pair.server.Read(buffer).kind, Kind::kWantRead);
  pair.client.ShutdownWrite();
  pollfd readable{.fd = pair.server.fd(), .events = POLLIN};
  poll(&readable, 1, -1);
  EXPECT_EQ(pair.server.Read(buffer).kind, Kind::kClosed);
}

TEST(Stream, ReportsARefusedConnection) {
  Address address;
  {
    const Result<Fd> listener = Listen(*Address::Parse("127.0.0.1:0"));
    address = LocalAddress(listener->get());
  }
  Result<Fd> socket = Connect(address);
  ASSERT_TRUE(socket);
  Stream client(std::move(*socket));
  pollfd writable{.fd = client.fd(), .events = POLLOUT};
  poll(&writable, 1, -1);
  EXPECT_EQ(client.Handshake().kind, Kind::kError);
  EXPECT_EQ(client.error(), "connect: Connection refused");
}

TEST(Stream, ReportsAReset) {
  Pair pair = PlainPair();
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(pair.client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  pair.client = Stream();
  pollfd readable{.fd = pair.server.fd(), .events = POLLIN};
  poll(&readable, 1, -1);
  uint8_t buffer[16];
  EXPECT_EQ(pair.server.Read(buffer).kind, Kind::kError);
  EXPECT_EQ(pair.server.error(), "read: Connection reset by peer");
}

TEST_F(TlsStream, AgreesOnAProtocolAndCarriesBytes) {
  Pair pair = MakePair(server_files_, Trusting());
  ASSERT_EQ(Shake(pair), std::pair(Kind::kOk, Kind::kOk)) << pair.client.error() << pair.server.error();
  EXPECT_EQ(pair.client.alpn(), "h2");
  EXPECT_EQ(pair.server.alpn(), "h2");
  CarriesBytes(pair, 20'000'000);
}

TEST_F(TlsStream, AcceptsAnAddressInTheCertificate) {
  Pair pair = MakePair(server_files_, Trusting(), "127.0.0.1");
  EXPECT_EQ(Shake(pair), std::pair(Kind::kOk, Kind::kOk)) << pair.client.error();
}

TEST_F(TlsStream, RefusesAnotherName) {
  Pair pair = MakePair(server_files_, Trusting(), "example.com");
  EXPECT_EQ(Shake(pair).first, Kind::kError);
  EXPECT_EQ(pair.client.error(), "TLS: certificate verify failed (hostname mismatch)");
}

TEST_F(TlsStream, RefusesAnotherAddress) {
  Pair pair = MakePair(server_files_, Trusting(), "127.0.0.2");
  EXPECT_EQ(Shake(pair).first, Kind::kError);
  EXPECT_EQ(pair.client.error(), "TLS: certificate verify failed (IP address mismatch)");
}

TEST_F(TlsStream, RefusesAnUnknownAuthority) {
  const tests::CertificateAuthority other;
  Pair pair = MakePair(server_files_, {.ca_file = other.ca_file()});
  EXPECT_EQ(Shake(pair).first, Kind::kError);
}

TEST_F(TlsStream, ServerDemandsACertificateWhenItHasAuthorities) {
  server_files_.ca_file = authority_.ca_file();
  Pair without = MakePair(server_files_, Trusting());
  EXPECT_EQ(Shake(without).second, Kind::kError);
  EXPECT_EQ(without.server.error(), "TLS: peer did not return a certificate");

  TlsFiles known = authority_.Issue("DNS:client");
  known.ca_file = authority_.ca_file();
  Pair with = MakePair(server_files_, known);
  EXPECT_EQ(Shake(with), std::pair(Kind::kOk, Kind::kOk)) << with.server.error();

  tests::CertificateAuthority stranger;
  TlsFiles unknown = stranger.Issue("DNS:client");
  unknown.ca_file = authority_.ca_file();
  Pair foreign = MakePair(server_files_, unknown);
  EXPECT_EQ(Shake(foreign).second, Kind::kError);
}

TEST_F(TlsStream, RefusesAClientThatSpeaksNoneOfTheProtocols) {
  Pair pair = MakePair(server_files_, Trusting(), "localhost", {"spdy/3"});
  EXPECT_EQ(Shake(pair).second, Kind::kError);
  Pair silent = MakePair(server_files_, Trusting(), "localhost", {});
  EXPECT_EQ(Shake(silent), std::pair(Kind::kOk, Kind::kOk));
  EXPECT_EQ(silent.server.alpn(), "");
}

TEST_F(TlsStream, RefusesPlainText) {
  Pair pair = MakePair(server_files_, Trusting());
  Stream plain(std::move(pair.client));
  const char text[] = "GET / HTTP/1.1\r\n\r\n";
  ASSERT_EQ(send(plain.fd(), text, sizeof text, 0), static_cast<ssize_t>(sizeof text));
  pollfd readable{.fd = pair.server.fd(), .events = POLLIN};
  poll(&readable, 1, -1);
  EXPECT_EQ(pair.server.Handshake().kind, Kind::kError);
  EXPECT_EQ(pair.server.error(), "TLS: http request");
}

TEST_F(TlsStream, TellsTheEndAfterTheBytesBeforeIt) {
  Pair pair = MakePair(server_files_, Trusting());
  ASSERT_EQ(Shake(pair), std::pair(Kind::kOk, Kind::kOk));
  char hello[] = "hello";
  const iovec piece{hello, 5};
  ASSERT_EQ(pair.client.Write({&piece, 1}).bytes, 5u);
  pair.client.ShutdownWrite();
  uint8_t buffer[64];
  // Both records may arrive in one turn: the end must then be told without waiting for more to arrive.
  Stream::IoResult result{Kind::kWantRead};
  while (result.kind == Kind::kWantRead) result = pair.server.Read(buffer);
  ASSERT_EQ(result.kind, Kind::kOk);
  EXPECT_EQ(std::string(buffer, buffer + result.bytes), "hello");
  while ((result = pair.server.Read(buffer)).kind == Kind::kWantRead) {
  }
  EXPECT_EQ(result.kind, Kind::kClosed);
}

TEST_F(TlsStream, NamesTheFileItCannotRead) {
  TlsFiles missing = server_files_;
  missing.cert_file = "/nonexistent/cert.pem";
  const Result<TlsContext> no_cert = TlsContext::Server(missing, {});
  ASSERT_FALSE(no_cert);
  EXPECT_NE(no_cert.error().message.find("/nonexistent/cert.pem"), std::string::npos) << no_cert.error().message;

  TlsFiles mismatched = server_files_;
  mismatched.key_file = authority_.Issue("DNS:other").key_file;
  EXPECT_FALSE(TlsContext::Server(mismatched, {}));
  EXPECT_FALSE(TlsContext::Server({}, {}));
  EXPECT_FALSE(TlsContext::Client({.cert_file = server_files_.cert_file}, {}));
}

}  // namespace
}  // namespace tributary::base
