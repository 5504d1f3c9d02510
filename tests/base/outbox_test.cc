#include "base/outbox.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "base/check.h"

namespace tributary::base {
namespace {

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() {
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
    stream_ = Stream(Fd(sockets[0]));
    CHECK(stream_.Handshake().kind == Stream::Kind::kOk);
    peer_ = Fd(sockets[1]);
  }
  std::string Receive() {
    std::string received;
    char buffer[10'000];
    for (ssize_t n; (n = recv(peer_.get(), buffer, sizeof buffer, 0)) > 0;) received.append(buffer, n);
    return received;
  }

  Stream stream_;
  Fd peer_;
  Outbox outbox_;
};

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 131 / 7);
  return text;
}

TEST_F(OutboxTest, ResumesWhereAWriteStoppedWhateverThePieces) {
  // More than a socket takes at once, in pieces of every size around Slices' and Stream's limits.
  std::string expected;
  const std::string source = Pattern(20'000);
  for (size_t i = 0; i < 2000; ++i) {
    const std::string_view piece = std::string_view(source).substr(i, i * 7 % 3000);
    outbox_.Refer(AsBytes(piece));
    outbox_.Copy(AsBytes("|"));
    expected += std::string(piece) + "|";
  }
  EXPECT_EQ(outbox_.bytes(), expected.size());
  std::string received;
  int stops = 0;
  while (outbox_.WriteTo(stream_).kind == Stream::Kind::kWantWrite) {
    ++stops;
    EXPECT_EQ(outbox_.written() + outbox_.bytes(), expected.size());
    received += Receive();
  }
  received += Receive();
  EXPECT_GT(stops, 3);
  EXPECT_TRUE(received == expected);
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.written(), expected.size());
  EXPECT_EQ(outbox_.end(), expected.size());
}

TEST_F(OutboxTest, NeedsNothingOutsideAfterKeepOwnCopy) {
  const std::string expected = Pattern(3'000'000);
  std::string received;
  {
    const std::string source = expected;
    for (size_t i = 0; i < source.size(); i += 100'000) outbox_.Refer(AsBytes(source).subspan(i, 100'000));
    EXPECT_EQ(outbox_.WriteTo(stream_).kind, Stream::Kind::kWantWrite);
    const uint64_t written = outbox_.written();
    outbox_.KeepOwnCopy();
    EXPECT_EQ(outbox_.written(), written);
    EXPECT_EQ(outbox_.end(), expected.size());
  }
  do {
    received += Receive();
  } while (outbox_.WriteTo(stream_).kind == Stream::Kind::kWantWrite);
  received += Receive();
  EXPECT_TRUE(received == expected);
}

TEST_F(OutboxTest, ForgetsWhatIsDiscardedButNotWhatWasWritten) {
  const std::string source = Pattern(3'000'000);
  outbox_.Refer(AsBytes(source));
  EXPECT_EQ(outbox_.WriteTo(stream_).kind, Stream::Kind::kWantWrite);
  const uint64_t written = outbox_.written();
  EXPECT_GT(written, 0u);
  outbox_.Discard();
  EXPECT_TRUE(outbox_.empty());
  EXPECT_EQ(outbox_.written(), written);
  EXPECT_EQ(outbox_.end(), written);
}

TEST_F(OutboxTest, TellsThatThePeerIsGone) {
  peer_.Close();
  outbox_.Copy(AsBytes("hello"));
  EXPECT_EQ(outbox_.WriteTo(stream_).kind, Stream::Kind::kError);
}

}  // namespace
}  // namespace tributary::base
