#include "pipeline/http1_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using End = HttpAnswer::End;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Beast's grammar of a response; what is kept of it goes straight into the answer.
class Http1Client::Parser : public http::basic_parser<false> {
 public:
  explicit Parser(HttpAnswer& answer) : answer_(answer) {
    eager(true);
    header_limit(HttpAnswer::kHeadBytesMax);
    body_limit(HttpAnswer::kBodyBytesMax);
  }

 private:
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int, beast::error_code&) override {}
  void on_response_impl(int code, beast::string_view, int, beast::error_code&) override { answer_.status = code; }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& error) override {
    std::string lower(View(name));
    std::ranges::transform(lower, lower.begin(), beast::detail::ascii_tolower);
    if (!answer_.TakeField(lower, View(value))) error = http::error::header_limit;
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, beast::error_code& error) override {
    if (!answer_.TakeBody(base::AsBytes(View(body)))) error = http::error::body_limit;
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code& error) override {
    return on_body_impl(body, error);
  }
  void on_finish_impl(beast::error_code&) override {}

  HttpAnswer& answer_;
};

Http1Client::Http1Client(base::Loop& loop, base::Stream stream, const HttpPeer& peer, base::Nanos connect_timeout,
                         std::move_only_function<void()> changed)
    : HttpClient(loop, std::move(stream), connect_timeout, std::move(changed)), peer_(peer) {}

Http1Client::~Http1Client() = default;

void Http1Client::Start(HttpCall& call) {
  CHECK(room() > 0);
  call_ = &call;
  call.started = loop_.now();
  call.answer = {};
  parser_ = std::make_unique<Parser>(call.answer);
  std::string head = fmt::format("POST {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", call.path, peer_.authority,
                                 call.body_bytes);
  for (const auto& [name, value] : peer_.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (!call.field_name.empty()) head += fmt::format("{}: {}\r\n", call.field_name, call.field_value);
  head += "\r\n";
  outbox_.Copy(base::AsBytes(head));
  for (const iovec& piece : call.body) outbox_.Refer({static_cast<const uint8_t*>(piece.iov_base), piece.iov_len});
  WantToSend();
}

// HTTP/1.1 has no other way to take a request back than to hang up.
void Http1Client::Cancel(HttpCall& call) {
  CHECK(call_ == &call);
  call_ = nullptr;
  Close(alive_since(call.started) ? "" : "the peer is silent");
}

void Http1Client::OnBytes(base::ByteView bytes_untrusted) {
  if (!unparsed_.empty()) {
    unparsed_.Append(bytes_untrusted);
    bytes_untrusted = unparsed_;
  }
  const size_t parsed = Parse(bytes_untrusted);
  if (state() == State::kClosed) return;
  base::Bytes rest(bytes_untrusted.subspan(parsed));
  unparsed_ = std::move(rest);
}

// Parses as much as makes whole elements, and finishes the call when its response is whole. How much that was.
size_t Http1Client::Parse(base::ByteView bytes_untrusted) {
  size_t parsed = 0;
  while (call_ != nullptr && parsed < bytes_untrusted.size()) {
    beast::error_code error;
    parsed += parser_->put(boost::asio::const_buffer(bytes_untrusted.data() + parsed, bytes_untrusted.size() - parsed),
                           error);
    if (error == http::error::need_more) {
      if (bytes_untrusted.size() - parsed <= 2 * HttpAnswer::kHeadBytesMax) return parsed;
      error = http::error::header_limit;
    }
    if (error) {
      const bool too_large = error == http::error::header_limit || error == http::error::body_limit;
      Answer(too_large ? End::kTooLarge : End::kBroken, "HTTP/1.1: " + error.message());
      Close(too_large ? "" : "the peer does not speak HTTP/1.1");
      return parsed;
    }
    if (parser_->is_done()) Finish();
  }
  // Nothing was asked for: some servers say so that they are about to close.
  if (call_ == nullptr && parsed < bytes_untrusted.size()) Close("");
  return parsed;
}

// A whole response came: an informational one, or the answer.
void Http1Client::Finish() {
  if (call_->answer.status < 200) {
    const size_t head_bytes = call_->answer.head_bytes;
    call_->answer = {};
    call_->answer.head_bytes = head_bytes;
    parser_ = std::make_unique<Parser>(call_->answer);
    return;
  }
  const bool reusable = parser_->keep_alive() && outbox_.empty();
  Answer(End::kComplete, "");
  if (!reusable) Close("");
}

void Http1Client::OnEnd() {
  if (call_ == nullptr) return Close("");
  if (parser_->got_some()) {  // maybe a response that ends with the connection
    beast::error_code error;
    parser_->put_eof(error);
    if (!error && parser_->is_done()) Answer(End::kComplete, "");
  }
  Close(call_ == nullptr ? "" : "closed by the peer");
}

void Http1Client::Answer(End end, std::string error) {
  // The call's bytes go with it.
  if (!outbox_.empty()) outbox_.Discard();
  parser_.reset();
  Tell(*std::exchange(call_, nullptr), end, std::move(error));
}

void Http1Client::BreakCalls(const std::string& error) {
  if (call_ != nullptr) Answer(End::kBroken, error);
}

}  // namespace tributary::pipeline
