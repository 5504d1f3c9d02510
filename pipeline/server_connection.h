// ServerConnection: one accepted socket of an HttpServer. It carries bytes between the socket (plain or TLS) and the
// protocol its peer speaks, HTTP/2 or HTTP/1.1, chosen by ALPN or by the first bytes; gathers everything a turn of the
// loop wants sent into one write; and ends connections that are too old, idle, slow or stuck.
//
// Nothing a peer sends is kept before the Budget was asked. Lives on the loop's thread, owned by its HttpServer and by
// the Replies still out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "base/stream.h"
#include "pipeline/http.h"

namespace tributary::pipeline {

class ServerConnection;
struct Http2Stream;

struct HttpServerOptions {
  size_t connections_max = 10'000;
  size_t streams_max = 128;                   // requests under way on one HTTP/2 connection
  size_t stream_window_bytes = 1 << 20;       // of a body, sent before we say more
  size_t connection_window_bytes = 16 << 20;  // of all bodies of a connection; at most an eighth of the budget
  size_t head_bytes_max = 16 << 10;           // of a request's header fields
  base::Nanos head_timeout = std::chrono::seconds(10);   // for the TLS handshake, and for a request's head
  base::Nanos body_timeout = std::chrono::seconds(60);   // from a request's head to the end of its body
  base::Nanos write_timeout = std::chrono::seconds(60);  // for a peer to take what is sent to it
  base::Nanos idle_max = std::chrono::minutes(10);       // without a request
  base::Nanos stall_max = std::chrono::seconds(1);       // without a byte either way, while memory is short
  base::Nanos age_max = std::chrono::minutes(30);    // give or take a tenth, so that peers do not all return at once
  base::Nanos drain_max = std::chrono::seconds(30);  // to finish requests on a connection that is to end
  // HTTP/2 keepalive: a silent peer is asked for a sign of life, which tells a dead one from an idle one.
  base::Nanos ping_after = std::chrono::minutes(2);
  base::Nanos ping_timeout = std::chrono::seconds(20);
  base::Nanos ping_interval_min =
      std::chrono::seconds(10);  // of peers' pings; the third sooner one ends the connection
  // HTTP/2 frames that carry no request (resets, settings, window updates, continuations, empty ones) a peer may send
  // at once and, after that, per second. Finished requests earn two more each.
  size_t control_frames_max = 1000;
  size_t control_frames_per_s = 100;
  base::Nanos tick = std::chrono::milliseconds(100);  // how often, and so how exactly, the times above are looked at
};

struct HttpServerCounters {
  uint64_t accepted = 0;
  uint64_t accept_pauses = 0;  // no budget, descriptors or connections left
  uint64_t aged = 0;           // connections told to end because of their age
  uint64_t idled = 0;
  uint64_t timed_out = 0;  // handshakes, heads, writes and pings that took too long
  uint64_t flooded = 0;    // peers that sent too many control frames or pings
  uint64_t starved = 0;    // connections that needed more memory than the budget had left
  uint64_t evicted = 0;    // that stalled while memory was short
};

// What the connections of one server share. Connections to be flushed at the end of the turn are kept here.
struct ServerContext : std::enable_shared_from_this<ServerContext> {
  ServerContext(base::Loop& l, base::Budget& b, HttpService& s, const HttpServerOptions& o);
  ~ServerContext();

  void FlushAtEndOfTurn(std::shared_ptr<ServerConnection> connection);

  base::Loop& loop;
  base::Budget& budget;
  HttpService& service;
  const HttpServerOptions options;
  HttpServerCounters counters;
  std::vector<uint8_t> read_buffer;                         // what every read of every connection goes through
  base::Bytes output;                                       // what every turn's output is gathered in
  std::vector<std::unique_ptr<Http2Stream>> spare_streams;  // with the memory of their strings
  std::vector<std::shared_ptr<ServerConnection>> to_flush;
  std::minstd_rand jitter;
  SourceOf source_of;  // may be empty
};

// What a peer speaks. Owned by its ServerConnection, which tells it what happens and when to produce output.
class HttpProtocol {
 public:
  virtual ~HttpProtocol() = default;

  virtual void Receive(base::ByteView bytes_untrusted) = 0;
  // The peer sends nothing more.
  virtual void PeerClosed() = 0;
  // The service's answer to a request; unknown and answered ones are ignored.
  virtual void Answer(uint32_t request, HttpResponse response) = 0;
  // Appends some of what is to be sent; nothing when there is nothing.
  virtual void Produce(base::Bytes& output) = 0;
  virtual void Tick(base::Time now) = 0;
  // Finish what is under way and begin nothing new.
  virtual void Drain() = 0;

  // Nothing is to be received or sent any more.
  virtual bool finished() const = 0;
  virtual bool wants_input() const = 0;
  // Since when no request has been under way.
  virtual std::optional<base::Time> idle_since() const = 0;
};

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  // `reservation` is the connection's fixed share of the budget.
  ServerConnection(std::shared_ptr<ServerContext> context, base::Stream stream, base::Reservation reservation);
  ~ServerConnection();

  // After construction, since it hands out shared pointers to this.
  void Start();
  void Tick(base::Time now);
  void Flush();
  void Drain();
  void Close();
  bool closed() const { return state_ == State::kClosed; }
  // When something was last read or written.
  base::Time progress() const { return std::max(heard_, progress_); }
  // Ends it at once, to make room. An idle peer is told.
  void Evict();

  // For protocols.
  ServerContext& context() { return *context_; }
  base::Time now() const { return context_->loop.now(); }
  const std::shared_ptr<const std::string>& source() const { return source_; }
  HttpService::Reply ReplyTo(uint32_t request);
  void FlushAtEndOfTurn();
  void CloseAtEndOfTurn();  // without saying goodbye

  // The least a connection costs: its socket's and protocol's state, and, with TLS, OpenSSL's.
  static constexpr size_t kPlainBytes = 34 << 10;
  static constexpr size_t kTlsBytes = 82 << 10;

 private:
  enum class State : uint8_t {
    kHandshake,
    kSniffing,  // waiting for the bytes that tell the protocol
    kOpen,
    kLingering,  // everything is sent; what the peer still sends is thrown away, so that it gets to read our last words
    kClosed,
  };

  void OnReady(uint32_t events);
  void Shake();
  void Read();
  void Deliver(base::ByteView bytes);
  void Sniff(base::ByteView bytes);
  void Speak(std::unique_ptr<HttpProtocol> protocol);
  bool WriteUnsent();
  size_t Write(base::ByteView bytes);
  bool KeepUnsent(base::ByteView bytes);
  void Linger();
  void UpdateWatch();
  bool TookTooLong(base::Time now) const;

  std::shared_ptr<ServerContext> context_;
  base::Stream stream_;
  base::Reservation reservation_;
  std::shared_ptr<const std::string> source_;
  base::Loop::Watch watch_;
  State state_ = State::kHandshake;
  std::unique_ptr<HttpProtocol> protocol_;
  base::Bytes sniffed_;

  base::Bytes unsent_;  // what the socket did not take, from unsent_offset_ on
  size_t unsent_offset_ = 0;
  base::Reservation unsent_reservation_;

  base::Time state_since_;  // kHandshake and kSniffing count as one
  base::Time heard_;        // when something was last read
  base::Time progress_;     // when something was last written
  base::Time old_;          // when it has reached its age
  std::optional<base::Time> drain_end_;
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
  bool flush_queued_ = false;
  bool doomed_ = false;
  bool peer_closed_ = false;
};

}  // namespace tributary::pipeline
