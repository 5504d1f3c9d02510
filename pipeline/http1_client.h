// Http1Client: an HTTP/1.1 connection of a client, kept alive from one call to the next. One call at a time. A call
// whose connection the peer closes before any answer is answered as broken: whether to send it again is not decided
// here. Lives on the loop's thread. https://www.rfc-editor.org/rfc/rfc9112
#pragma once

#include <memory>

#include "pipeline/http_client.h"

namespace tributary::pipeline {

class Http1Client : public HttpClient {
 public:
  // `peer` must outlive this.
  Http1Client(base::Loop& loop, base::Stream stream, const HttpPeer& peer, base::Nanos connect_timeout,
              std::move_only_function<void()> changed);
  ~Http1Client() override;

  size_t room() const override { return state() == State::kReady && call_ == nullptr ? 1 : 0; }
  size_t calls() const override { return call_ != nullptr ? 1 : 0; }
  void Start(HttpCall& call) override;
  void Cancel(HttpCall& call) override;

 private:
  class Parser;

  std::string_view alpn() const override { return "http/1.1"; }
  void OnConnected() override { SetState(State::kReady); }
  void OnBytes(base::ByteView bytes_untrusted) override;
  void OnEnd() override;
  void Fill(base::Outbox&) override {}  // a call is put there whole
  void BreakCalls(const std::string& error) override;

  size_t Parse(base::ByteView bytes_untrusted);
  void Finish();
  void Answer(HttpAnswer::End end, std::string error);

  const HttpPeer& peer_;
  HttpCall* call_ = nullptr;
  std::unique_ptr<Parser> parser_;  // of call_'s response
  base::Bytes unparsed_;            // the beginning of a head that has not come whole
};

}  // namespace tributary::pipeline
