// HTTP as this project's clients see it: a call (one POST, and the answer to it) and a connection that carries calls.
// Which HTTP version a connection speaks is its own business (http2_client, http1_client); what an answer means for the
// request is http_answer's. Everything here lives on the loop's thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/end_of_turn.h"
#include "base/loop.h"
#include "base/outbox.h"
#include "base/stream.h"
#include "pipeline/http_answer.h"

namespace tributary::pipeline {

// One POST on its way. Its owner keeps it, and the bytes it refers to, in place until it is answered or cancelled.
struct HttpCall {
  std::string_view path;
  std::span<const iovec> body;
  size_t body_bytes = 0;
  // A field of this call alone, or none; the name in lower case.
  std::string_view field_name;
  std::string_view field_value;
  // Called once, unless the call is cancelled first. Must not call the connection, nor destroy it.
  std::move_only_function<void(HttpAnswer)> answered;

  // Whose connection took it: "gateway:4317 (10.0.0.7:4317)". Empty until one did.
  std::string peer;
  class HttpClient* client = nullptr;  // the pool's note: where it is, or nullptr while it waits for a connection

  // The connection's notes.
  base::Time started{};
  int32_t stream_id = 0;    // HTTP/2
  size_t piece = 0;         // HTTP/2: the next byte to send is in body[piece], at `offset`
  size_t offset = 0;        //
  size_t body_left = 0;     // HTTP/2: not yet promised to a frame
  uint64_t outbox_end = 0;  // its bytes have left the outbox when this position is written
  HttpAnswer answer;
};

// What all calls of a connection share.
struct HttpPeer {
  std::string scheme;                                        // "http", "https"
  std::string authority;                                     // "gateway:4317"
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names
};

// A client's connection to one address, from connecting to its end. Owned by the client that spreads calls over its
// connections; a closed one is of no more use.
class HttpClient {
 public:
  enum class State : uint8_t {
    kConnecting,
    kReady,
    kDraining,  // finishes its calls and takes no more
    kClosed,
  };
  struct Totals {
    uint64_t answers = 0;  // whole responses
    uint64_t sent_bytes = 0;
    uint64_t received_bytes = 0;
  };

  // Calls under way are forgotten, not answered.
  virtual ~HttpClient() = default;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  State state() const { return state_; }
  // Why it is closed, in one line; empty when that is no failure of the peer's: it closed an idle connection.
  const std::string& error() const { return error_; }
  Totals totals() const { return {answers_, outbox_.written(), received_bytes_}; }

  // How many more calls may be started now; 0 unless kReady.
  virtual size_t room() const = 0;
  virtual size_t calls() const = 0;
  virtual void Start(HttpCall& call) = 0;
  // Forgets a call that was started and not answered.
  virtual void Cancel(HttpCall& call) = 0;

 protected:
  // `stream` is connecting. `changed` is called when the state or room() changed; it must not call this, nor destroy
  // it.
  HttpClient(base::Loop& loop, base::Stream stream, base::Nanos connect_timeout,
             std::move_only_function<void()> changed);

  // For one protocol: called when connected (which is not yet kReady), with what was read, when the peer sent its last
  // byte, when there is room in the outbox, and when this became closed, to answer every call as broken.
  virtual std::string_view alpn() const = 0;
  virtual void OnConnected() = 0;
  virtual void OnBytes(base::ByteView bytes_untrusted) = 0;
  virtual void OnEnd() = 0;
  virtual void Fill(base::Outbox& outbox) = 0;
  virtual void BreakCalls(const std::string& error) = 0;

  void SetState(State state);
  // Closes. Does nothing when closed already.
  void Close(std::string error);
  // Fill and write at the end of this turn.
  void WantToSend() { flush_.Ask(); }
  // Closes with `error` unless something is read within `patience`. Does nothing while that is expected already.
  void ExpectBytes(base::Nanos patience, std::string error);
  bool alive_since(base::Time time) const { return last_read_ >= time; }
  void Changed() { changed_(); }
  // Hands `call`, which the connection has forgotten, its answer.
  void Tell(HttpCall& call, HttpAnswer::End end, std::string error);

  base::Loop& loop_;
  base::Outbox outbox_;

 private:
  void OnReady(uint32_t events);
  void Handshake();
  void Read();
  void Flush();

  base::Stream stream_;
  std::move_only_function<void()> changed_;
  State state_ = State::kConnecting;
  bool connected_ = false;
  std::string error_;
  uint64_t answers_ = 0;
  uint64_t received_bytes_ = 0;
  base::Time last_read_{};
  base::Loop::Watch watch_;
  base::Loop::Timer expect_;
  base::EndOfTurn flush_;
};

}  // namespace tributary::pipeline
