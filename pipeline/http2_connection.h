// Http2Connection: the server's side of one HTTP/2 connection, on nghttp2's session: requests come in as streams, plain
// HTTP or gRPC unary calls, and answers go out. https://www.rfc-editor.org/rfc/rfc9113,
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
//
// A gRPC message is kept without its five-byte prefix, and only as it arrives: a length that is declared and never sent
// costs nothing. A request is refused as soon as it is known that it will be; the rest of it is then thrown away.
// Besides nghttp2's own checks it guards against floods of cheap frames and of pings.
//
// Lives on the loop's thread, owned by its ServerConnection.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "pipeline/http.h"
#include "pipeline/http2_memory.h"
#include "pipeline/request_body.h"
#include "pipeline/server_connection.h"

namespace tributary::pipeline {

// One request and its answer. Reused from request to request for the memory of its strings.
struct Http2Stream {
  explicit Http2Stream(base::Budget& budget) : reservation(budget), body(budget) {}

  enum class Phase : uint8_t {
    kHead,
    kBody,
    kWaiting,     // for the service's answer
    kResponding,  // the answer is handed to nghttp2
  };
  static constexpr size_t kGrpcPrefixBytes = 5;

  int32_t id = 0;
  size_t index = 0;  // among the connection's streams
  Phase phase = Phase::kHead;
  base::Time since{};                       // of the phase
  base::Time deadline = base::Time::max();  // by grpc-timeout

  HttpHead head;
  std::string grpc_encoding;
  std::optional<size_t> content_length;
  size_t head_bytes = 0;
  bool out_of_memory = false;  // while the head was kept

  base::Reservation reservation;  // what the stream costs besides its body

  std::array<uint8_t, kGrpcPrefixBytes> prefix{};  // of the gRPC message
  size_t prefix_bytes = 0;                         // that have arrived
  RequestBody body;
  bool request_ended = false;  // by the peer

  bool grpc_response = false;
  base::Bytes response;
  size_t response_sent = 0;  // of the gRPC prefix, if any, and the response
};

class Http2Connection final : public HttpProtocol {
 public:
  explicit Http2Connection(ServerConnection& connection);

  void Receive(base::ByteView bytes_untrusted) override;
  void PeerClosed() override { peer_closed_ = true; }
  void Answer(uint32_t request, HttpResponse response) override;
  void Produce(base::Bytes& output) override;
  void Tick(base::Time now) override;
  void Drain() override;
  bool finished() const override;
  bool wants_input() const override { return true; }
  std::optional<base::Time> idle_since() const override;

 private:
  struct Callbacks;  // nghttp2's, which call the functions below

  void CoverMemory();
  void Abort();
  void OnFrameBegin(const nghttp2_frame_hd& frame);
  void OnFrame(const nghttp2_frame& frame);
  void OnFrameSent(const nghttp2_frame& frame);
  void OnPing();

  Http2Stream* Find(int32_t id);
  void OpenStream(int32_t id);
  void CloseStream(int32_t id);
  void OnField(Http2Stream& stream, std::string_view name, std::string_view value);
  void OnHead(Http2Stream& stream);
  void OnData(Http2Stream& stream, base::ByteView data);
  void OnRequestEnd(Http2Stream& stream);
  bool TakePrefix(Http2Stream& stream, base::ByteView& data);
  bool Admit(Http2Stream& stream, std::optional<size_t> body_bytes);

  void Fault(Http2Stream& stream, HttpService::BodyFault fault);
  void Respond(Http2Stream& stream, HttpResponse response);
  void RespondGrpc(Http2Stream& stream, const HttpResponse& response);
  void RespondHttp(Http2Stream& stream, const HttpResponse& response);
  ssize_t ReadResponse(Http2Stream& stream, uint8_t* out, size_t length, uint32_t* flags);

  void TickStream(Http2Stream& stream, base::Time now);
  void TickPing(base::Time now);
  void SpendControlFrames(size_t frames);
  void EarnControlFrames(double frames);
  void Calm(std::string_view reason);

  ServerConnection& connection_;
  ServerContext& context_;
  struct DeleteSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  Http2Memory memory_;  // the session's
  std::unique_ptr<nghttp2_session, DeleteSession> session_;
  std::vector<std::unique_ptr<Http2Stream>> streams_;
  Http2Stream* recent_ = nullptr;  // the stream looked up last
  size_t answered_early_ = 0;      // streams whose answer goes out before their request has ended
  bool peer_closed_ = false;
  bool terminating_ = false;  // GOAWAY with an error is queued, or nghttp2 failed: what comes is ignored

  base::Time opened_;
  base::Time idle_since_;
  base::Time received_;   // when anything came last
  bool greeted_ = false;  // the peer's SETTINGS came
  enum class DrainStep : uint8_t { kNone, kNoticed, kSaidGoodbye };
  DrainStep drain_step_ = DrainStep::kNone;

  std::optional<base::Time> ping_sent_;
  base::Time peer_pinged_{};
  int ping_strikes_ = 0;
  double control_frames_left_;
  base::Time control_frames_earned_;
};

}  // namespace tributary::pipeline
