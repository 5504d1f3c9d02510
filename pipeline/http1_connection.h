// Http1Connection: the server's side of one HTTP/1.1 connection, on Boost.Beast's parser: requests one after another,
// pipelined ones too, each answered before the next is looked at. https://www.rfc-editor.org/rfc/rfc9112
//
// A request whose end could be read in two ways (two lengths, an unknown transfer coding) is refused and the connection
// ended. Lives on the loop's thread, owned by its ServerConnection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "pipeline/http.h"
#include "pipeline/request_body.h"
#include "pipeline/server_connection.h"

namespace tributary::pipeline {

class Http1Parser;

class Http1Connection final : public HttpProtocol {
 public:
  explicit Http1Connection(ServerConnection& connection);
  ~Http1Connection() override;

  void Receive(base::ByteView bytes_untrusted) override;
  void PeerClosed() override { peer_closed_ = true; }
  void Answer(uint32_t request, HttpResponse response) override;
  void Produce(base::Bytes& output) override;
  void Tick(base::Time now) override;
  void Drain() override;
  bool finished() const override;
  bool wants_input() const override { return input_.empty() || Parsing(); }
  std::optional<base::Time> idle_since() const override;

 private:
  enum class Phase : uint8_t {
    kHead,
    kBody,
    kDiscarding,  // the request is answered; what is left of its body is thrown away
    kWaiting,     // for the service's answer
    kEnded,       // nothing more is read
  };

  bool Parsing() const;
  size_t Parse(base::ByteView bytes);
  size_t ParseOnce(base::ByteView bytes);
  void OnHead();
  void OnBody(base::ByteView piece);
  void OnRequestEnd();
  void NextRequest();
  void Fault(HttpService::BodyFault fault);
  void Respond(const HttpResponse& response);
  void Refuse(int status);

  ServerConnection& connection_;
  ServerContext& context_;
  std::unique_ptr<Http1Parser> parser_;  // of the request under way
  Phase phase_ = Phase::kHead;
  base::Time since_;  // of the request's first byte; before it, of the last answer
  bool begun_ = false;
  size_t head_bytes_ = 0;
  uint32_t request_ = 0;
  RequestBody body_;
  bool draining_ = false;
  bool peer_closed_ = false;

  base::Bytes input_;  // what came and is not parsed yet
  base::Reservation input_reservation_;
  base::Bytes output_;
};

}  // namespace tributary::pipeline
