// RawPeer: a server on loopback that says exactly what a test wants it to, on the test's own loop; and enough of
// HTTP/2's framing (RFC 9113, section 4) to say it in HTTP/2. No part of it is shared with the code under test.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/socket.h"

namespace tributary::tests {

class RawPeer {
 public:
  class Connection {
   public:
    // Sends what fits now and the rest as it can.
    void Write(std::string_view bytes);
    void Close();  // at once, with a reset when bytes are unread
    void StopReading() { reading_ = false, Want(); }
    void Read() { reading_ = true, Want(); }
    bool open() const { return socket_.valid(); }

    std::string received;  // what the test has not taken out
    int number = 0;        // the how-manieth connection
    size_t written = 0;    // by the kernel taken

   private:
    friend class RawPeer;
    void Want();
    void OnReady(uint32_t events);
    void Flush();
    RawPeer* peer_ = nullptr;
    base::Fd socket_;
    std::string unwritten_;
    bool reading_ = true;
    base::Loop::Watch watch_;
  };
  // Called when something was received, and once when a connection was accepted, with nothing received yet.
  using Script = std::function<void(Connection&)>;

  RawPeer(base::Loop& loop, Script script);

  std::string endpoint() const { return base::LocalAddress(listener_.get()).ToString(); }
  // Every connection there was.
  const std::vector<std::unique_ptr<Connection>>& connections() const { return connections_; }

 private:
  base::Loop& loop_;
  Script script_;
  base::Fd listener_;
  base::Loop::Watch accept_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// HTTP/2.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
enum FrameFlag : uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4 };
enum SettingId : uint16_t { kMaxConcurrentStreams = 3, kInitialWindowSize = 4, kMaxFrameSize = 5 };

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
};
std::string FrameBytes(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload = "");
std::string Settings(const std::map<uint16_t, uint32_t>& settings = {});
std::string BigEndian32(uint32_t value);
// A header block of literal fields, never indexed: RFC 7541, section 6.2.3.
std::string HeaderBlock(const std::vector<std::pair<std::string, std::string>>& fields);
// A gRPC answer of one empty message, whole.
std::string GrpcOk(uint32_t stream);
std::string GrpcTrailersOnly(uint32_t stream, const std::vector<std::pair<std::string, std::string>>& trailers);

// Takes the client's preface, and then whole frames, off `received`.
class FrameReader {
 public:
  bool Next(std::string& received, Frame& frame);

 private:
  bool has_preface_ = false;
};

}  // namespace tributary::tests
