// Http2Client: an HTTP/2 connection of a client, with or without TLS (prior knowledge, or ALPN "h2"). Many calls at a
// time; a request's body goes from where it lies to the socket without being copied, in frames as large as the peer
// takes. Older requests go first, so that a slow link delivers some in time rather than all too late; one that flow
// control holds up lets the others pass. Ready once the peer's SETTINGS came, so that something which accepts
// connections and speaks no HTTP/2 is not taken for a server. Lives on the loop's thread. Knows nothing of gRPC.
// https://www.rfc-editor.org/rfc/rfc9113
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/http_client.h"

namespace tributary::pipeline {

class Http2Client : public HttpClient {
 public:
  // `peer` must outlive this.
  Http2Client(base::Loop& loop, base::Stream stream, const HttpPeer& peer, base::Nanos connect_timeout,
              std::move_only_function<void()> changed);

  size_t room() const override;
  size_t calls() const override { return calls_.size(); }
  void Start(HttpCall& call) override;
  void Cancel(HttpCall& call) override;

 private:
  struct FreeSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  struct Callbacks;  // nghttp2's, each handing on to a method here

  std::string_view alpn() const override { return "h2"; }
  void OnConnected() override;
  void OnBytes(base::ByteView bytes_untrusted) override;
  void OnEnd() override;
  void Fill(base::Outbox& outbox) override;
  void BreakCalls(const std::string& error) override;

  HttpCall* Find(int32_t stream_id);
  void OnFrame(const nghttp2_frame& frame);
  bool OnHeader(HttpCall& call, std::string_view name_untrusted, std::string_view value_untrusted);
  void OnGoaway(const nghttp2_goaway& goaway);
  void AppendData(HttpCall& call, const uint8_t* frame_header, size_t length);
  // Takes `call` off this connection: resets its stream unless it is over, and keeps what of its bytes is on the way.
  void Release(HttpCall& call, bool stream_is_over);
  void Answer(HttpCall& call, HttpAnswer::End end, std::string error, bool stream_is_over);

  const HttpPeer& peer_;
  const base::Nanos patience_;  // for an answer to a PING
  std::unique_ptr<nghttp2_session, FreeSession> session_;
  std::vector<nghttp2_nv> headers_;     // of every request; headers_[kPath] is set for each
  std::map<int32_t, HttpCall*> calls_;  // by stream id, so the oldest first
  std::string last_words_;              // of the peer's GOAWAY, or of nghttp2 about the peer
};

}  // namespace tributary::pipeline
