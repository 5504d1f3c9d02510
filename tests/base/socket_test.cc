#include "base/socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/stream.h"

namespace tributary::base {
namespace {

TEST(Address, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:4317", "[::1]:4318", "0.0.0.0:0", "unix:/run/tributary.sock"}) {
    const Result<Address> address = Address::Parse(text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(Address, KnowsLocalhostAndEveryInterface) {
  EXPECT_EQ(Address::Parse("localhost:4317")->ToString(), "127.0.0.1:4317");
  EXPECT_EQ(Address::Parse(":4317")->ToString(), "[::]:4317");
}

TEST(Address, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "4317", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:43x", "::1:4317",
                           "example.com:4317", "unix:", "300.0.0.1:1"}) {
    EXPECT_FALSE(Address::Parse(text)) << text;
  }
  EXPECT_FALSE(Address::Parse("unix:/" + std::string(200, 'x')));
}

TEST(HostPort, KeepsANameAndTakesOffBrackets) {
  const Result<HostPort> name = ParseHostPort("otel.example.com:4317");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->host, "otel.example.com");
  EXPECT_EQ(name->port, 4317);
  EXPECT_EQ(ParseHostPort("[fe80::1]:1")->host, "fe80::1");
}

void ConnectsTo(const std::string& text) {
  const Result<Fd> listener = Listen(*Address::Parse(text));
  ASSERT_TRUE(listener) << listener.error().message;
  Result<Fd> socket = Connect(LocalAddress(listener->get()));
  ASSERT_TRUE(socket) << socket.error().message;
  Stream client(std::move(*socket));
  pollfd writable{.fd = client.fd(), .events = POLLOUT};
  ASSERT_EQ(poll(&writable, 1, -1), 1);
  EXPECT_EQ(client.Handshake().kind, Stream::Kind::kOk);
  const Fd accepted = Accept(listener->get());
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(PeerAddress(accepted.get()).port(), LocalAddress(client.fd()).port());
}

TEST(Socket, ConnectsOverIpv4) { ConnectsTo("127.0.0.1:0"); }
TEST(Socket, ConnectsOverIpv6) { ConnectsTo("[::1]:0"); }

TEST(Socket, ReplacesAUnixSocketNobodyAnswersAtAndNoOther) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("tributary_socket_test_" + std::to_string(getpid()));
  ConnectsTo("unix:" + path);
  ASSERT_TRUE(std::filesystem::exists(path));  // left behind by the listener above
  {
    const Result<Fd> again = Listen(*Address::Parse("unix:" + path));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_FALSE(Listen(*Address::Parse("unix:" + path)));
  }
  std::filesystem::remove(path);
}

TEST(Socket, SaysWhichAddressIsInUse) {
  const Result<Fd> listener = Listen(*Address::Parse("127.0.0.1:0"));
  ASSERT_TRUE(listener);
  const Address taken = LocalAddress(listener->get());
  const Result<Fd> second = Listen(taken);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, "listen on " + taken.ToString() + ": Address already in use");
}

}  // namespace
}  // namespace tributary::base
