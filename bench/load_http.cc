// OTLP/HTTP with protobuf bodies over HTTP/1.1, keep-alive, one request at a time.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <utility>

#include "bench/load_connection.h"

namespace tributary::bench {
namespace {

constexpr size_t kHeadBytesMax = 16 << 10;

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}
std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}
template <typename Number>
bool Parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

class HttpConnection final : public LoadConnection {
 public:
  HttpConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint, const Events& events)
      : LoadConnection(loop, endpoint, events),
        head_(fmt::format("POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: tributary-load\r\n"
                          "content-type: application/x-protobuf\r\ncontent-length: ",
                          otlp::HttpPath(signal), endpoint.authority)) {}

  void Send(LoadRequest& request) override {
    CHECK(request_ == nullptr);
    request_ = &request;
    submitted_ = true;
    FlushSoon();
  }
  void Abandon(LoadRequest&) override {
    abandoned_ = true;
    Close();
  }

 private:
  struct Response {
    int status = 0;
    size_t content_length = 0;
    bool has_length = false;
    bool closes = false;
    std::optional<base::Nanos> retry_after;
  };

  void OnConnected() override { set_ready(true); }

  void FillOutput() override {
    if (!std::exchange(submitted_, false)) return;
    const base::ByteView body = request_->body.view().subspan(LoadRequest::kPrefix);
    out_.Copy(head_);
    out_.Copy(fmt::format("{}\r\n\r\n", body.size()));
    out_.Refer(body);
  }

  bool OnBytes(base::ByteView bytes) override {
    received_ += base::AsText(bytes);
    const size_t head_end = received_.find("\r\n\r\n");
    if (head_end == received_.npos) return received_.size() < kHeadBytesMax;
    Response response;
    if (request_ == nullptr || !ParseHead(std::string_view(received_).substr(0, head_end), response)) return false;
    const std::string_view body = std::string_view(received_).substr(head_end + 4);
    if (body.size() < response.content_length) return true;

    Reply reply = ReplyOf(response, body.substr(0, response.content_length));
    received_.clear();
    if (response.closes) set_ready(false);
    events_.on_reply(*std::exchange(request_, nullptr), std::move(reply));
    return !response.closes;
  }

  void OnClosed() override {
    received_.clear();
    submitted_ = false;
    const char* code = std::exchange(abandoned_, false) ? "timeout" : "connection closed";
    if (request_ != nullptr) {
      events_.on_reply(*std::exchange(request_, nullptr), {.kind = Reply::Kind::kLost, .code = code});
    }
  }

  // False for what this client does not understand: chunked bodies, for one, which no OTLP server needs.
  static bool ParseHead(std::string_view head, Response& response) {
    size_t line_end = head.find("\r\n");
    const std::string_view status_line = head.substr(0, line_end);
    if (!status_line.starts_with("HTTP/1.1 ") || !Parse(status_line.substr(9, 3), response.status)) return false;
    while (line_end != head.npos) {
      head.remove_prefix(line_end + 2);
      line_end = head.find("\r\n");
      if (!ParseHeader(head.substr(0, line_end), response)) return false;
    }
    return response.has_length;
  }
  static bool ParseHeader(std::string_view line, Response& response) {
    const size_t colon = line.find(':');
    if (colon == line.npos) return false;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = Trim(line.substr(colon + 1));
    if (EqualIgnoringCase(name, "content-length")) {
      response.has_length = Parse(value, response.content_length);
      return response.has_length;
    }
    if (EqualIgnoringCase(name, "connection")) response.closes = EqualIgnoringCase(value, "close");
    if (int64_t seconds = 0; EqualIgnoringCase(name, "retry-after") && Parse(value, seconds)) {
      response.retry_after = std::chrono::seconds(seconds);
    }
    return true;
  }

  static Reply ReplyOf(const Response& response, std::string_view body) {
    if (response.status == 200) return {.rejected_items = RejectedItems(base::AsBytes(body))};
    constexpr std::array kRetryable = {429, 502, 503, 504};
    return {.kind = Reply::Kind::kRefused,
            .code = fmt::format("{}", response.status),
            .retryable = std::ranges::find(kRetryable, response.status) != kRetryable.end(),
            .retry_after = response.retry_after};
  }

  const std::string head_;          // as far as the value of content-length
  LoadRequest* request_ = nullptr;  // in flight
  bool submitted_ = false;          // and not yet in out_
  bool abandoned_ = false;
  std::string received_;
};

}  // namespace

std::unique_ptr<LoadConnection> MakeHttpConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint,
                                                   const LoadConnection::Events& events) {
  return std::make_unique<HttpConnection>(signal, loop, endpoint, events);
}

}  // namespace tributary::bench
