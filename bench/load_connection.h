// LoadConnection: one client connection of tributary-load, OTLP/gRPC (nghttp2) or OTLP/HTTP (HTTP/1.1), without TLS.
//
// It is a client of its own, not the one in pipeline/, so that what is measured is not also what measures, and so that
// it costs next to nothing: bodies are sent from where they lie, and everything submitted in a turn of the loop leaves
// in one write. It connects again by itself, without end. Lives on the loop's thread; owned by LoadRun.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/slices.h"
#include "base/socket.h"
#include "otlp/signal.h"

namespace tributary::bench {

// Where the server is, resolved once.
struct Endpoint {
  std::string authority;  // "localhost:4317"
  base::Address address;
};
base::Result<Endpoint> ResolveEndpoint(const std::string& host_port);

// One export request. LoadRun owns it and writes new ids into the same body again and again.
struct LoadRequest {
  static constexpr size_t kPrefix = 5;  // of a gRPC message: not compressed, length; in front of every body

  base::Bytes body;       // prefix and Export*ServiceRequest
  size_t sample = 0;      // which of the samples the body is a copy of
  size_t lane = 0;        // the connection it belongs to until it is answered for good
  int32_t stream = 0;     // and its stream there
  base::Time intended{};  // when the schedule wanted it sent: what latency is measured from
  base::Time sent{};      // when it was last sent
  bool in_flight = false;
  base::Loop::Timer resend;
};

struct Reply {
  enum class Kind : uint8_t {
    kOk,
    kRefused,      // the server answered, and not OK
    kUnprocessed,  // the server surely did not look at it (GOAWAY, REFUSED_STREAM): to be sent again at once
    kLost,         // the connection broke or timed out before an answer: nobody knows
  };
  Kind kind = Kind::kOk;
  std::string code;  // kRefused: "UNAVAILABLE", "503"; kLost: "timeout", "stream reset", "connection closed"
  bool retryable = false;
  std::optional<base::Nanos> retry_after;
  uint64_t rejected_items = 0;  // kOk: of a partial success
};

class LoadConnection {
 public:
  // `on_reply` is called once per Send; `on_ready` each time the connection can take requests again.
  struct Events {
    std::function<void(LoadRequest&, Reply)> on_reply;
    std::function<void()> on_ready;
  };

  virtual ~LoadConnection() = default;
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;

  void Start() { Connect(); }
  bool ready() const { return ready_; }
  uint64_t connects() const { return connects_; }

  // Only while ready(). `request` and its body stay as they are until the reply.
  virtual void Send(LoadRequest& request) = 0;
  // Gives up waiting: the reply, now or soon, is kLost. While there is none it may be called again, and then insists.
  virtual void Abandon(LoadRequest& request) = 0;

 protected:
  LoadConnection(base::Loop& loop, const Endpoint& endpoint, const Events& events)
      : endpoint_(endpoint), events_(events), loop_(loop) {}

  virtual void OnConnected() = 0;
  // Bytes from the server; false when they make no sense, which closes the connection.
  virtual bool OnBytes(base::ByteView bytes) = 0;
  // Puts what there is to send into `out_`.
  virtual void FillOutput() = 0;
  // The connection is gone: everything in flight is to be answered.
  virtual void OnClosed() = 0;

  void set_ready(bool ready);
  void FlushSoon();
  void Close();

  const Endpoint& endpoint_;
  const Events& events_;
  base::Slices out_;

 private:
  void Connect();
  void OnReady(uint32_t events);
  void Read();
  void Flush();

  base::Loop& loop_;
  base::Fd socket_;
  base::Loop::Watch watch_;
  base::Loop::Timer reconnect_;
  base::Time connect_began_{};
  bool connected_ = false;
  bool ready_ = false;
  bool flush_queued_ = false;
  size_t out_written_ = 0;  // bytes of out_
  uint64_t connects_ = 0;
};

// Any number of requests at once.
std::unique_ptr<LoadConnection> MakeGrpcConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint,
                                                   const LoadConnection::Events& events);
// One request at a time.
std::unique_ptr<LoadConnection> MakeHttpConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint,
                                                   const LoadConnection::Events& events);

// Items that the server says it rejected: `response_untrusted` is an Export*ServiceResponse.
uint64_t RejectedItems(base::ByteView response_untrusted);

}  // namespace tributary::bench
