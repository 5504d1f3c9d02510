#include "tests/pipeline/raw_peer.h"

#include <sys/socket.h>

#include "base/check.h"

namespace tributary::tests {

RawPeer::RawPeer(base::Loop& loop, Script script)
    : loop_(loop),
      script_(std::move(script)),
      listener_(std::move(*base::Listen(*base::Address::Parse("127.0.0.1:0")))) {
  accept_ = loop_.WatchFd(listener_.get(), EPOLLIN, [this](uint32_t) {
    base::Fd socket = base::Accept(listener_.get());
    if (!socket.valid()) return;
    auto& connection = *connections_.emplace_back(std::make_unique<Connection>());
    connection.peer_ = this;
    connection.number = static_cast<int>(connections_.size());
    connection.socket_ = std::move(socket);
    connection.watch_ = loop_.WatchFd(connection.socket_.get(), EPOLLIN,
                                      [&connection](uint32_t events) { connection.OnReady(events); });
    script_(connection);
  });
}

void RawPeer::Connection::Write(std::string_view bytes) {
  if (!open()) return;
  unwritten_ += bytes;
  Flush();
}

void RawPeer::Connection::Flush() {
  while (!unwritten_.empty()) {
    const ssize_t n = send(socket_.get(), unwritten_.data(), unwritten_.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return Close();
    if (n < 0) break;
    written += static_cast<size_t>(n);
    unwritten_.erase(0, static_cast<size_t>(n));
  }
  Want();
}

void RawPeer::Connection::Close() {
  watch_.Reset();
  socket_.Close();
}

void RawPeer::Connection::Want() {
  if (open()) watch_.Want((reading_ ? uint32_t{EPOLLIN} : 0) | (unwritten_.empty() ? 0 : uint32_t{EPOLLOUT}));
}

void RawPeer::Connection::OnReady(uint32_t events) {
  if (events & EPOLLOUT) Flush();
  if (!open() || !(events & ~uint32_t{EPOLLOUT})) return;
  char buffer[16384];
  const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return Close();
  received.append(buffer, static_cast<size_t>(n));
  peer_->script_(*this);
}

std::string BigEndian32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string FrameBytes(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame = BigEndian32(static_cast<uint32_t>(payload.size())).substr(1);
  frame += {static_cast<char>(type), static_cast<char>(flags)};
  return frame + BigEndian32(stream) + std::string(payload);
}

std::string Settings(const std::map<uint16_t, uint32_t>& settings) {
  std::string payload;
  for (const auto& [id, value] : settings) payload += BigEndian32(id).substr(2) + BigEndian32(value);
  return FrameBytes(kSettings, 0, 0, payload);
}

std::string HeaderBlock(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string block;
  const auto put = [&block](const std::string& text) {
    // A length with a seven-bit prefix: RFC 7541, section 5.1.
    size_t length = text.size();
    if (length < 127) {
      block.push_back(static_cast<char>(length));
    } else {
      block.push_back(127);
      for (length -= 127; length >= 128; length /= 128) block.push_back(static_cast<char>(length % 128 + 128));
      block.push_back(static_cast<char>(length));
    }
    block += text;
  };
  for (const auto& [name, value] : fields) {
    block.push_back(0x10);
    put(name);
    put(value);
  }
  return block;
}

std::string GrpcOk(uint32_t stream) {
  return FrameBytes(kHeaders, kEndHeaders, stream,
                    HeaderBlock({{":status", "200"}, {"content-type", "application/grpc"}})) +
         FrameBytes(kData, 0, stream, std::string(5, '\0')) +
         FrameBytes(kHeaders, kEndHeaders | kEndStream, stream, HeaderBlock({{"grpc-status", "0"}}));
}

std::string GrpcTrailersOnly(uint32_t stream, const std::vector<std::pair<std::string, std::string>>& trailers) {
  std::vector<std::pair<std::string, std::string>> fields = {{":status", "200"}, {"content-type", "application/grpc"}};
  fields.insert(fields.end(), trailers.begin(), trailers.end());
  return FrameBytes(kHeaders, kEndHeaders | kEndStream, stream, HeaderBlock(fields));
}

bool FrameReader::Next(std::string& received, Frame& frame) {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (!has_preface_) {
    if (received.size() < kPreface.size()) return false;
    CHECK(received.starts_with(kPreface));
    received.erase(0, kPreface.size());
    has_preface_ = true;
  }
  if (received.size() < 9) return false;
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(received[i])); };
  const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
  if (received.size() < 9 + length) return false;
  frame.type = static_cast<uint8_t>(byte(3));
  frame.flags = static_cast<uint8_t>(byte(4));
  frame.stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
  frame.payload = received.substr(9, length);
  received.erase(0, 9 + length);
  return true;
}

}  // namespace tributary::tests
