// HTTP/2 frames written and read by hand, for tests that send what no library would. RFC 9113, sections 4 and 6.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tributary::tests {

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string BigEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

inline std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload = {}) {
  return BigEndian(payload.size(), 3) + BigEndian(type, 1) + BigEndian(flags, 1) + BigEndian(stream, 4) +
         std::string(payload);
}

inline std::string Settings(std::initializer_list<std::pair<uint16_t, uint32_t>> settings = {}) {
  std::string payload;
  for (const auto& [id, value] : settings) payload += BigEndian(id, 2) + BigEndian(value, 4);
  return Frame(NGHTTP2_SETTINGS, 0, 0, payload);
}
inline std::string SettingsAck() { return Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0); }

// HPACK without compression or tables: RFC 7541, section 6.2.2. Lengths below 127.
inline std::string HeaderBlock(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    block += '\0';
    block += static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
  }
  return block;
}

inline std::vector<std::pair<std::string, std::string>> GrpcFields() {
  return {{":method", "POST"},         {":scheme", "http"}, {":path", "/test.Service/Method"},
          {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

inline std::string Headers(uint32_t stream, const std::vector<std::pair<std::string, std::string>>& fields,
                           uint8_t flags = NGHTTP2_FLAG_END_HEADERS) {
  return Frame(NGHTTP2_HEADERS, flags, stream, HeaderBlock(fields));
}
inline std::string Data(uint32_t stream, std::string_view payload, uint8_t flags = NGHTTP2_FLAG_END_STREAM) {
  return Frame(NGHTTP2_DATA, flags, stream, payload);
}
inline std::string GrpcMessage(std::string_view message) {
  return '\0' + BigEndian(message.size(), 4) + std::string(message);
}
inline std::string Ping(std::string_view opaque = "opaque!!") { return Frame(NGHTTP2_PING, 0, 0, opaque); }
inline std::string Reset(uint32_t stream, uint32_t error = NGHTTP2_CANCEL) {
  return Frame(NGHTTP2_RST_STREAM, 0, stream, BigEndian(error, 4));
}
inline std::string WindowUpdate(uint32_t stream, uint32_t increment) {
  return Frame(NGHTTP2_WINDOW_UPDATE, 0, stream, BigEndian(increment, 4));
}

struct ReadFrame {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;

  // RST_STREAM's, or GOAWAY's.
  uint32_t error() const {
    const size_t at = type == NGHTTP2_GOAWAY ? 4 : 0;
    uint32_t code = 0;
    for (size_t i = 0; i < 4; ++i) code = code << 8 | static_cast<uint8_t>(payload[at + i]);
    return code;
  }
};

// The whole frames at the front of `bytes`.
inline std::vector<ReadFrame> ReadFrames(std::string_view bytes) {
  std::vector<ReadFrame> frames;
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  while (bytes.size() >= 9) {
    const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (bytes.size() < 9 + length) break;
    frames.push_back({.type = static_cast<uint8_t>(byte(3)),
                      .flags = static_cast<uint8_t>(byte(4)),
                      .stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
                      .payload = std::string(bytes.substr(9, length))});
    bytes.remove_prefix(9 + length);
  }
  return frames;
}

}  // namespace tributary::tests
