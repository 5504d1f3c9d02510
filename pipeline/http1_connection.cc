#include "pipeline/http1_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/batch_header.h"

namespace tributary::pipeline {
namespace {

namespace http = boost::beast::http;
using base::ByteView;
using boost::beast::iequals;

constexpr size_t kOutputBytesMax = 64 << 10;      // queued before the next request is looked at
constexpr size_t kDiscardBytesMax = 1 << 20;      // of a refused request's body, read to keep the connection
constexpr size_t kChunkHeaderBytesMax = 4 << 10;  // of a chunk's size, its extensions, or all trailers

std::string_view Text(boost::beast::string_view text) { return {text.data(), text.size()}; }

// The path of a request target, which may be a whole URL (RFC 9112, section 3.2.2).
std::string_view PathOf(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const size_t path = target.find('/', scheme.size());
    return path == std::string_view::npos ? "/" : target.substr(path);
  }
  return target;
}

}  // namespace

// Beast's parser, keeping of the head what services look at, and handing out the body piece by piece.
class Http1Parser final : public http::basic_parser<true> {
 public:
  explicit Http1Parser(size_t head_bytes_max) {
    header_limit(static_cast<uint32_t>(head_bytes_max));
    body_limit(UINT64_MAX);  // Admit knows it
    eager(false);            // stop after the head, and after every piece of the body
  }

  HttpHead head;
  int version = 11;
  int hosts = 0;
  bool expects_continue = false;
  bool unknown_expectation = false;
  bool unknown_coding = false;
  ByteView piece;  // of the body, found by the last put()

 private:
  using Verb = http::verb;
  using StringView = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;
  static constexpr StringView kBatch{kBatchField.data(), kBatchField.size()};

  void on_request_impl(Verb, StringView method, StringView target, int http_version, ErrorCode&) override {
    version = http_version;
    head.method_untrusted = Text(method);
    const std::string_view path = PathOf(Text(target));
    const size_t question = path.find('?');
    head.path_untrusted = path.substr(0, question);
    if (question != std::string_view::npos) head.query_untrusted = path.substr(question + 1);
  }
  void on_response_impl(int, StringView, int, ErrorCode&) override {}
  void on_field_impl(http::field field, StringView name, StringView value, ErrorCode&) override {
    if (in_trailers_) return;
    switch (field) {
      case http::field::host:
        ++hosts;
        break;
      case http::field::content_type:
        head.content_type_untrusted = Text(value);
        break;
      case http::field::content_encoding:
        head.content_encoding_untrusted = Text(value);
        break;
      case http::field::transfer_encoding:
        unknown_coding |= !iequals(value, "chunked");
        break;
      case http::field::expect:
        (iequals(value, "100-continue") ? expects_continue : unknown_expectation) = true;
        break;
      default:
        if (iequals(name, kBatch)) head.batch_untrusted = Text(value);
        break;
    }
  }
  void on_header_impl(ErrorCode&) override { in_trailers_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(StringView body, ErrorCode&) override {
    piece = base::AsBytes(Text(body));
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, StringView, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, StringView body, ErrorCode&) override {
    piece = base::AsBytes(Text(body));
    return body.size();
  }
  void on_finish_impl(ErrorCode&) override {}

  bool in_trailers_ = false;
};

Http1Connection::Http1Connection(ServerConnection& connection)
    : connection_(connection),
      context_(connection.context()),
      since_(connection.now()),
      body_(context_.budget),
      input_reservation_(context_.budget) {
  NextRequest();
}

Http1Connection::~Http1Connection() = default;

void Http1Connection::NextRequest() {
  parser_ = std::make_unique<Http1Parser>(context_.options.head_bytes_max);
  phase_ = Phase::kHead;
  since_ = connection_.now();
  begun_ = false;
  head_bytes_ = 0;
  ++request_;
}

// --- Requests
// -----------------------------------------------------------------------------------------------------------

bool Http1Connection::Parsing() const {
  return phase_ != Phase::kWaiting && phase_ != Phase::kEnded && output_.size() < kOutputBytesMax;
}

void Http1Connection::Receive(ByteView bytes_untrusted) {
  if (phase_ == Phase::kEnded) return;
  ByteView bytes = bytes_untrusted;
  base::Bytes joined;
  if (!input_.empty()) {
    joined = std::exchange(input_, base::Bytes());
    joined.Append(bytes);
    bytes = joined;
  }
  bytes = bytes.subspan(Parse(bytes));
  if (phase_ == Phase::kEnded) bytes = {};
  if (!input_reservation_.GrowTo(bytes.size())) return connection_.CloseAtEndOfTurn();
  input_reservation_.ShrinkTo(bytes.size());
  input_.Append(bytes);
}

// Parses until more bytes, an answer, or room for output is needed; tells how many bytes are done with.
size_t Http1Connection::Parse(ByteView bytes) {
  size_t done = 0;
  while (Parsing() && done < bytes.size()) {
    if (!begun_) {
      begun_ = true;
      since_ = connection_.now();
    }
    const size_t n = ParseOnce(bytes.subspan(done));
    done += n;
    if (n == 0 && Parsing()) break;
  }
  return done;
}

size_t Http1Connection::ParseOnce(ByteView bytes) {
  boost::beast::error_code error;
  parser_->piece = {};
  const uint32_t request = request_;
  const size_t n = parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  const bool in_head = phase_ == Phase::kHead;
  if (in_head) head_bytes_ += n;
  if (error == http::error::header_limit || (in_head && head_bytes_ > context_.options.head_bytes_max)) {
    Refuse(431);
  } else if (error == http::error::need_more) {
    if (!in_head && bytes.size() - n > kChunkHeaderBytesMax) Fault(HttpService::BodyFault::kMalformed);
  } else if (error) {
    in_head ? Refuse(400) : Fault(HttpService::BodyFault::kMalformed);
  } else {
    if (in_head && parser_->is_header_done()) OnHead();
    if (!parser_->piece.empty()) OnBody(parser_->piece);
    if (request == request_ && parser_->is_done()) OnRequestEnd();
  }
  return n;
}

void Http1Connection::OnHead() {
  const Http1Parser& parser = *parser_;
  const bool ambiguous = parser.unknown_coding || (parser.chunked() && parser.version < 11);
  if (ambiguous || parser.hosts > 1 || (parser.hosts == 0 && parser.version >= 11)) return Refuse(400);
  if (parser.unknown_expectation) return Refuse(417);

  std::optional<size_t> declared;
  if (!parser.chunked()) declared = parser.content_length() ? *parser.content_length() : 0;
  HttpService::Admission admission = context_.service.Admit(parser.head, declared);
  if (!admission.rejection && declared && *declared > admission.body_bytes_max) {
    admission.rejection = context_.service.OnBodyFault(parser.head, HttpService::BodyFault::kTooLarge);
  }
  if (!admission.rejection) {
    phase_ = Phase::kBody;
    body_.Begin(admission.body_bytes_max, declared.value_or(SIZE_MAX));
    if (parser.expects_continue && parser.version >= 11) output_.Append("HTTP/1.1 100 Continue\r\n\r\n");
    return;
  }
  // A refused body that is short is cheaper to read than a new connection; one that was to wait for our word may never
  // come.
  if (declared && *declared <= kDiscardBytesMax && !parser.expects_continue) {
    phase_ = Phase::kDiscarding;
  } else {
    draining_ = true;
  }
  Respond(*admission.rejection);
}

void Http1Connection::OnBody(ByteView piece) {
  if (phase_ != Phase::kBody) return;
  if (const auto fault = body_.Append(piece)) Fault(*fault);
}

void Http1Connection::OnRequestEnd() {
  if (phase_ == Phase::kDiscarding) return NextRequest();
  if (phase_ != Phase::kBody) return;
  phase_ = Phase::kWaiting;
  parser_->head.source = connection_.source();
  context_.service.OnRequest(parser_->head, body_.Take(), connection_.ReplyTo(request_));
}

// --- Responses
// ----------------------------------------------------------------------------------------------------------

void Http1Connection::Answer(uint32_t request, HttpResponse response) {
  if (request == request_ && phase_ == Phase::kWaiting) Respond(response);
}

// Ends the connection: where the next request would begin is not known.
void Http1Connection::Fault(HttpService::BodyFault fault) {
  if (phase_ == Phase::kDiscarding) {
    phase_ = Phase::kEnded;
    return;
  }
  draining_ = true;
  Respond(context_.service.OnBodyFault(parser_->head, fault));
}

// The same, for a request that is not worth showing to the service.
void Http1Connection::Refuse(int status) {
  draining_ = true;
  Respond({.status = status});
}

void Http1Connection::Respond(const HttpResponse& response) {
  const bool keep = !draining_ && parser_->is_header_done() && parser_->keep_alive() && parser_->version >= 11;
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\ncontent-length: {}\r\n", response.status,
                  Text(http::obsolete_reason(static_cast<http::status>(response.status))), response.body.size());
  if (!response.content_type.empty()) head += fmt::format("content-type: {}\r\n", response.content_type);
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (!keep) head += "connection: close\r\n";
  head += "\r\n";
  output_.Append(head);
  if (parser_->head.method_untrusted != "HEAD") output_.Append(response.body.view());
  body_.Take();
  if (!keep) {
    phase_ = Phase::kEnded;
  } else if (phase_ != Phase::kDiscarding) {
    NextRequest();
  }
}

void Http1Connection::Produce(base::Bytes& output) {
  output.Append(output_.view());
  output_ = base::Bytes();
  if (!input_.empty() && Parsing()) Receive({});  // what waited for an answer, or for room
}

// --- Time
// ---------------------------------------------------------------------------------------------------------------

bool Http1Connection::finished() const {
  return output_.empty() && (phase_ == Phase::kEnded || (peer_closed_ && phase_ != Phase::kWaiting));
}

std::optional<base::Time> Http1Connection::idle_since() const {
  if (phase_ != Phase::kHead || begun_) return std::nullopt;
  return since_;
}

void Http1Connection::Drain() {
  draining_ = true;
  if (phase_ == Phase::kHead && !begun_) phase_ = Phase::kEnded;
}

void Http1Connection::Tick(base::Time now) {
  const base::Nanos waited = now - since_;
  const bool head_late = phase_ == Phase::kHead && begun_ && waited > context_.options.head_timeout;
  const bool body_late =
      (phase_ == Phase::kBody || phase_ == Phase::kDiscarding) && waited > context_.options.body_timeout;
  if (!head_late && !body_late) return;
  ++context_.counters.timed_out;
  head_late ? Refuse(408) : Fault(HttpService::BodyFault::kTimeout);
  connection_.FlushAtEndOfTurn();
}

}  // namespace tributary::pipeline
