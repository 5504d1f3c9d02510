#include "pipeline/http2_connection.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "pipeline/batch_header.h"

namespace tributary::pipeline {
namespace {

using base::ByteView;
using Phase = Http2Stream::Phase;

constexpr size_t kProduceBytes = 64 << 10;
// nghttp2's state of a connection, part of ServerConnection::kPlainBytes, and of a stream with its answer.
constexpr size_t kSessionBytes = 30 << 10;
constexpr size_t kSessionStreamBytes = 1536;
constexpr size_t kStreamBytes = kSessionStreamBytes + 512;  // and ours
constexpr size_t kSpareStreamsMax = 256;                    // kept by a server for reuse
constexpr size_t kSpareStringBytesMax = 512;  // of memory that a stream's string may take to the spare ones
constexpr int kPingStrikesMax = 2;
constexpr double kControlFramesPerRequest = 2;
constexpr size_t kGrpcMessageBytesMax = 1024;  // of a grpc-message header
constexpr std::string_view kGrpcContentType = "application/grpc";

std::string_view Text(const uint8_t* data, size_t length) { return {reinterpret_cast<const char*>(data), length}; }

nghttp2_nv Field(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), flags};
}
nghttp2_nv StaticField(std::string_view name, std::string_view value) {
  return Field(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

bool IsGrpc(std::string_view content_type) {
  if (!content_type.starts_with(kGrpcContentType)) return false;
  const std::string_view rest = content_type.substr(kGrpcContentType.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

void MakeSpare(std::string& text) {
  if (text.capacity() > kSpareStringBytesMax) text = std::string();
  text.clear();
}

// A stream ready for the next request, with the memory of its strings.
void MakeSpare(Http2Stream& stream) {
  MakeSpare(stream.head.method_untrusted);
  MakeSpare(stream.head.path_untrusted);
  MakeSpare(stream.head.query_untrusted);
  MakeSpare(stream.head.content_type_untrusted);
  MakeSpare(stream.head.content_encoding_untrusted);
  MakeSpare(stream.head.batch_untrusted);
  stream.head.source.reset();
  MakeSpare(stream.grpc_encoding);
  stream.head.grpc_timeout.reset();
  stream.head.is_grpc = false;
  stream.phase = Phase::kHead;
  stream.deadline = base::Time::max();
  stream.content_length.reset();
  stream.head_bytes = 0;
  stream.out_of_memory = false;
  stream.prefix_bytes = 0;
  stream.body.Take();
  stream.reservation.Release();
  stream.request_ended = false;
  stream.grpc_response = false;
  stream.response = base::Bytes();
  stream.response_sent = 0;
}

size_t MessageBytes(const Http2Stream& stream) {
  const auto& p = stream.prefix;
  return size_t{p[1]} << 24 | size_t{p[2]} << 16 | size_t{p[3]} << 8 | p[4];
}

}  // namespace

// --- nghttp2's callbacks
// ------------------------------------------------------------------------------------------------

struct Http2Connection::Callbacks {
  static Http2Connection& Self(void* user_data) { return *static_cast<Http2Connection*>(user_data); }

  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user_data) {
    Http2Connection& self = Self(user_data);
    self.OnFrameBegin(*frame);
    return self.terminating_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) Self(user_data).OpenStream(frame->hd.stream_id);
    return 0;
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                      const uint8_t* value, size_t value_length, uint8_t, void* user_data) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Connection& self = Self(user_data);
    if (Http2Stream* stream = self.Find(frame->hd.stream_id)) {
      self.OnField(*stream, Text(name, name_length), Text(value, value_length));
    }
    return 0;
  }
  static int OnDataChunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t length, void* user_data) {
    Http2Connection& self = Self(user_data);
    if (Http2Stream* stream = self.Find(id)) self.OnData(*stream, {data, length});
    return 0;
  }
  static int OnFrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Self(user_data).OnFrame(*frame);
    return 0;
  }
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Self(user_data).OnFrameSent(*frame);
    return 0;
  }
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t, void* user_data) {
    Self(user_data).CloseStream(id);
    return 0;
  }
  static ssize_t OnReadResponse(nghttp2_session*, int32_t, uint8_t* out, size_t length, uint32_t* flags,
                                nghttp2_data_source* source, void* user_data) {
    return Self(user_data).ReadResponse(*static_cast<Http2Stream*>(source->ptr), out, length, flags);
  }

  static const nghttp2_session_callbacks* Get() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_frame_callback(made, OnBeginFrame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnDataChunk);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrameReceived);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
      return made;
    }();
    return callbacks;
  }

  static const nghttp2_option* Options() {
    static const nghttp2_option* const options = [] {
      nghttp2_option* made = nullptr;
      CHECK(nghttp2_option_new(&made) == 0);
      // Closed streams are kept for RFC 7540's priorities only, which we do not speak.
      nghttp2_option_set_no_closed_streams(made, 1);
      nghttp2_option_set_max_outbound_ack(made, 100);
      // OnFrameBegin counts resets, among other things, and says why it ends a connection.
      nghttp2_option_set_stream_reset_rate_limit(made, UINT64_MAX, UINT64_MAX);
      return made;
    }();
    return options;
  }
};

Http2Connection::Http2Connection(ServerConnection& connection)
    : connection_(connection),
      context_(connection.context()),
      memory_(context_.budget),
      opened_(connection.now()),
      idle_since_(opened_),
      received_(opened_),
      control_frames_left_(static_cast<double>(context_.options.control_frames_max)),
      control_frames_earned_(opened_) {
  nghttp2_session* session = nullptr;
  nghttp2_mem allocator = memory_.Allocator();
  CHECK(nghttp2_session_server_new3(&session, Callbacks::Get(), this, Callbacks::Options(), &allocator) == 0);
  session_.reset(session);
  const HttpServerOptions& options = context_.options;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<uint32_t>(options.streams_max)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(options.stream_window_bytes)},
      // Longer frames save peers and us the cost of many; nothing is buffered for them, since data is taken as it
      // comes.
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 20},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options.head_bytes_max)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  const size_t window = std::min(options.connection_window_bytes, context_.budget.bytes_max() / 8);
  const size_t window_min = NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE;
  CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                              static_cast<int32_t>(std::max(window, window_min))) == 0);
  CoverMemory();
}

// --- Frames
// -------------------------------------------------------------------------------------------------------------

// What the connection, and every stream, has reserved covers their share of nghttp2's memory.
void Http2Connection::CoverMemory() {
  memory_.set_covered_bytes(kSessionBytes + streams_.size() * kSessionStreamBytes);
}

// After nghttp2 failed: nothing more can be said, not even goodbye.
void Http2Connection::Abort() {
  terminating_ = true;
  if (memory_.refused()) ++context_.counters.starved;
  connection_.CloseAtEndOfTurn();
}

void Http2Connection::Receive(ByteView bytes_untrusted) {
  if (terminating_) return;
  received_ = connection_.now();
  ping_sent_.reset();
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes_untrusted.data(), bytes_untrusted.size());
  if (memory_.refused()) return Abort();
  if (taken >= 0 || terminating_) return;
  if (taken == NGHTTP2_ERR_FLOODED) ++context_.counters.flooded;
  Abort();
}

void Http2Connection::OnFrameBegin(const nghttp2_frame_hd& frame) {
  switch (frame.type) {
    case NGHTTP2_HEADERS:
      return;
    case NGHTTP2_DATA:
      if (frame.length > 0 || frame.flags & NGHTTP2_FLAG_END_STREAM) return;
      break;
    default:
      break;
  }
  SpendControlFrames(1);
}

void Http2Connection::OnFrame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      break;
    case NGHTTP2_SETTINGS:
      greeted_ = true;
      return;
    case NGHTTP2_PING:
      if (!(frame.hd.flags & NGHTTP2_FLAG_ACK)) OnPing();
      return;
    default:
      return;
  }
  Http2Stream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr) return;
  if (frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST) OnHead(*stream);
  if (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) OnRequestEnd(*stream);
}

void Http2Connection::OnFrameSent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM) {
    // Peers can make us reset streams by breaking rules. That must not be cheaper than resetting them themselves.
    const uint32_t error = frame.rst_stream.error_code;
    if (error != NGHTTP2_NO_ERROR && error != NGHTTP2_REFUSED_STREAM) SpendControlFrames(1);
    return;
  }
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  ping_strikes_ = 0;
  if (answered_early_ == 0 || !(frame.hd.flags & NGHTTP2_FLAG_END_STREAM)) return;
  const Http2Stream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr || stream->request_ended) return;
  // The answer is complete and the request is not: the peer may stop sending it (RFC 9113, section 8.1).
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
}

void Http2Connection::OnPing() {
  const base::Time now = connection_.now();
  const bool too_soon = now - peer_pinged_ < context_.options.ping_interval_min;
  peer_pinged_ = now;
  if (too_soon && ++ping_strikes_ > kPingStrikesMax) Calm("too_many_pings");
}

void Http2Connection::EarnControlFrames(double frames) {
  const auto most = static_cast<double>(context_.options.control_frames_max);
  control_frames_left_ = std::min(control_frames_left_ + frames, most);
}

void Http2Connection::SpendControlFrames(size_t frames) {
  const base::Time now = connection_.now();
  EarnControlFrames(base::Seconds(now - control_frames_earned_) *
                    static_cast<double>(context_.options.control_frames_per_s));
  control_frames_earned_ = now;
  control_frames_left_ -= static_cast<double>(frames);
  if (control_frames_left_ < 0) Calm("too_many_control_frames");
}

void Http2Connection::Calm(std::string_view reason) {
  if (std::exchange(terminating_, true)) return;
  ++context_.counters.flooded;
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_.get()),
                        NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const uint8_t*>(reason.data()), reason.size());
}

// --- Requests
// -----------------------------------------------------------------------------------------------------------

Http2Stream* Http2Connection::Find(int32_t id) {
  if (recent_ == nullptr || recent_->id != id) {
    recent_ = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_.get(), id));
  }
  return recent_;
}

void Http2Connection::OpenStream(int32_t id) {
  auto& spare = context_.spare_streams;
  if (spare.empty()) spare.push_back(std::make_unique<Http2Stream>(context_.budget));
  streams_.push_back(std::move(spare.back()));
  spare.pop_back();
  Http2Stream& stream = *streams_.back();
  CoverMemory();
  stream.id = id;
  stream.index = streams_.size() - 1;
  stream.since = connection_.now();
  stream.out_of_memory = !stream.reservation.GrowTo(kStreamBytes);
  nghttp2_session_set_stream_user_data(session_.get(), id, &stream);
  recent_ = &stream;
}

void Http2Connection::CloseStream(int32_t id) {
  Http2Stream* closed = Find(id);
  if (closed == nullptr) return;
  recent_ = nullptr;
  if (closed->phase == Phase::kResponding && !closed->request_ended) --answered_early_;
  if (closed->request_ended) EarnControlFrames(kControlFramesPerRequest);
  streams_.back()->index = closed->index;
  std::swap(streams_[closed->index], streams_.back());
  std::unique_ptr<Http2Stream> stream = std::move(streams_.back());
  streams_.pop_back();
  CoverMemory();
  if (streams_.empty()) idle_since_ = connection_.now();
  MakeSpare(*stream);
  if (context_.spare_streams.size() < kSpareStreamsMax) context_.spare_streams.push_back(std::move(stream));
}

void Http2Connection::OnField(Http2Stream& stream, std::string_view name, std::string_view value) {
  constexpr size_t kFieldOverhead = 32;  // as RFC 9113 counts, section 6.5.2
  stream.head_bytes += name.size() + value.size() + kFieldOverhead;
  if (stream.head_bytes > context_.options.head_bytes_max || stream.out_of_memory) return;
  std::string* kept = nullptr;
  HttpHead& head = stream.head;
  switch (name.size()) {
    case 5:
      if (name == ":path") kept = &head.path_untrusted;
      break;
    case 7:
      if (name == ":method") kept = &head.method_untrusted;
      break;
    case 12:
      if (name == "content-type") kept = &head.content_type_untrusted;
      if (name == "grpc-timeout") head.grpc_timeout = ParseGrpcTimeout(value);
      break;
    case 13:
      if (name == "grpc-encoding") kept = &stream.grpc_encoding;
      break;
    case 14:
      if (name == "content-length") {  // nghttp2 has checked that it is a number and the only one
        size_t length = 0;
        std::from_chars(value.data(), value.data() + value.size(), length);
        stream.content_length = length;
      }
      break;
    case kBatchField.size():
      if (name == kBatchField) kept = &head.batch_untrusted;
      break;
    case 16:
      if (name == "content-encoding") kept = &head.content_encoding_untrusted;
      break;
    default:
      break;
  }
  if (kept == nullptr) return;
  stream.out_of_memory = !stream.reservation.GrowTo(stream.reservation.bytes() + value.size());
  if (!stream.out_of_memory) kept->assign(value);
}

void Http2Connection::OnHead(Http2Stream& stream) {
  HttpHead& head = stream.head;
  head.is_grpc = IsGrpc(head.content_type_untrusted);
  if (head.is_grpc) head.content_encoding_untrusted.swap(stream.grpc_encoding);
  if (const size_t question = head.path_untrusted.find('?'); question != std::string::npos) {
    head.query_untrusted.assign(head.path_untrusted, question + 1);
    head.path_untrusted.resize(question);
  }
  stream.phase = Phase::kBody;
  if (head.grpc_timeout) {
    const bool forever = *head.grpc_timeout > base::Time::max() - stream.since;
    stream.deadline = forever ? base::Time::max() : stream.since + *head.grpc_timeout;
  }
  if (stream.head_bytes > context_.options.head_bytes_max) {
    SpendControlFrames(10);
    HttpResponse response{.status = 431};
    if (head.is_grpc) {
      response.grpc =
          GrpcStatus{.code = GrpcCode::kResourceExhausted, .message = "request header fields are too large"};
    }
    return Respond(stream, std::move(response));
  }
  if (stream.out_of_memory) return Fault(stream, HttpService::BodyFault::kNoMemory);
  Admit(stream, stream.content_length);
}

// Asks the service, and answers when it refuses.
bool Http2Connection::Admit(Http2Stream& stream, std::optional<size_t> body_bytes) {
  HttpService::Admission admission = context_.service.Admit(stream.head, body_bytes);
  if (admission.rejection) {
    Respond(stream, *std::move(admission.rejection));
    return false;
  }
  if (body_bytes && *body_bytes > admission.body_bytes_max) {
    Fault(stream, HttpService::BodyFault::kTooLarge);
    return false;
  }
  stream.body.Begin(admission.body_bytes_max, body_bytes.value_or(SIZE_MAX));
  return true;
}

void Http2Connection::OnData(Http2Stream& stream, ByteView data) {
  if (stream.phase != Phase::kBody) return;  // answered already: the rest is thrown away
  if (stream.head.is_grpc) {
    if (stream.prefix_bytes < Http2Stream::kGrpcPrefixBytes && !TakePrefix(stream, data)) return;
    if (data.size() > MessageBytes(stream) - stream.body.size()) {
      return Fault(stream, HttpService::BodyFault::kMalformed);  // a unary call has one message
    }
  }
  if (data.empty()) return;
  if (const auto fault = stream.body.Append(data)) Fault(stream, *fault);
}

// True when the prefix is complete and the message may be kept; `data` is then what follows the prefix.
bool Http2Connection::TakePrefix(Http2Stream& stream, ByteView& data) {
  const size_t n = std::min(Http2Stream::kGrpcPrefixBytes - stream.prefix_bytes, data.size());
  std::memcpy(stream.prefix.data() + stream.prefix_bytes, data.data(), n);
  stream.prefix_bytes += n;
  data = data.subspan(n);
  if (stream.prefix_bytes < Http2Stream::kGrpcPrefixBytes) return false;
  std::string& encoding = stream.head.content_encoding_untrusted;
  if (encoding == "identity") encoding.clear();
  const uint8_t compressed = stream.prefix[0];
  if (compressed > 1 || (compressed == 1 && encoding.empty())) {
    Fault(stream, HttpService::BodyFault::kMalformed);
    return false;
  }
  if (compressed == 0) encoding.clear();
  return Admit(stream, MessageBytes(stream));
}

void Http2Connection::OnRequestEnd(Http2Stream& stream) {
  if (stream.phase == Phase::kResponding && !stream.request_ended) --answered_early_;
  stream.request_ended = true;
  if (stream.phase != Phase::kBody) return;
  if (stream.head.is_grpc &&
      (stream.prefix_bytes < Http2Stream::kGrpcPrefixBytes || stream.body.size() < MessageBytes(stream))) {
    return Fault(stream, HttpService::BodyFault::kMalformed);
  }
  stream.phase = Phase::kWaiting;
  stream.head.source = connection_.source();
  context_.service.OnRequest(stream.head, stream.body.Take(), connection_.ReplyTo(static_cast<uint32_t>(stream.id)));
}

// --- Responses
// ----------------------------------------------------------------------------------------------------------

void Http2Connection::Answer(uint32_t request, HttpResponse response) {
  Http2Stream* stream = Find(static_cast<int32_t>(request));
  if (stream != nullptr && stream->phase == Phase::kWaiting) Respond(*stream, std::move(response));
}

void Http2Connection::Fault(Http2Stream& stream, HttpService::BodyFault fault) {
  Respond(stream, context_.service.OnBodyFault(stream.head, fault));
}

void Http2Connection::Respond(Http2Stream& stream, HttpResponse response) {
  stream.phase = Phase::kResponding;
  stream.since = connection_.now();
  if (!stream.request_ended) ++answered_early_;
  stream.body.Take();
  if (!stream.reservation.GrowTo(kStreamBytes + response.body.size())) {
    // The service refuses in few bytes what finds no memory.
    response = context_.service.OnBodyFault(stream.head, HttpService::BodyFault::kNoMemory);
  }
  stream.response = std::move(response.body);
  stream.grpc_response = stream.head.is_grpc && response.grpc.has_value();
  stream.grpc_response ? RespondGrpc(stream, response) : RespondHttp(stream, response);
}

void Http2Connection::RespondGrpc(Http2Stream& stream, const HttpResponse& response) {
  static const nghttp2_nv kHead[] = {StaticField(":status", "200"), StaticField("content-type", kGrpcContentType)};
  if (response.grpc->code == GrpcCode::kOk) {
    nghttp2_data_provider provider{.source = {.ptr = &stream}, .read_callback = Callbacks::OnReadResponse};
    nghttp2_submit_response(session_.get(), stream.id, kHead, std::size(kHead), &provider);
    return;
  }
  stream.response = base::Bytes();
  const std::string code = std::to_string(static_cast<int>(response.grpc->code));
  const std::string message = PercentEncode(std::string_view(response.grpc->message).substr(0, kGrpcMessageBytesMax));
  std::string details;
  std::vector<nghttp2_nv> head(std::begin(kHead), std::end(kHead));
  head.push_back(Field("grpc-status", code));
  if (!message.empty()) head.push_back(Field("grpc-message", message));
  if (response.grpc->retry_delay || response.grpc->bad_request_field) {
    details = Base64Encode(EncodeRpcStatus(*response.grpc));
    head.push_back(Field("grpc-status-details-bin", details));
  }
  for (const auto& [name, value] : response.headers) head.push_back(Field(name, value));
  nghttp2_submit_response(session_.get(), stream.id, head.data(), head.size(), nullptr);
}

void Http2Connection::RespondHttp(Http2Stream& stream, const HttpResponse& response) {
  const std::string status = std::to_string(response.status);
  const std::string length = std::to_string(stream.response.size());
  std::vector<nghttp2_nv> head = {Field(":status", status)};
  if (!response.content_type.empty()) head.push_back(Field("content-type", response.content_type));
  head.push_back(Field("content-length", length));
  for (const auto& [name, value] : response.headers) head.push_back(Field(name, value));
  nghttp2_data_provider provider{.source = {.ptr = &stream}, .read_callback = Callbacks::OnReadResponse};
  const bool bodiless = stream.response.empty() || stream.head.method_untrusted == "HEAD";
  nghttp2_submit_response(session_.get(), stream.id, head.data(), head.size(), bodiless ? nullptr : &provider);
}

ssize_t Http2Connection::ReadResponse(Http2Stream& stream, uint8_t* out, size_t length, uint32_t* flags) {
  const size_t prefix_bytes = stream.grpc_response ? Http2Stream::kGrpcPrefixBytes : 0;
  uint8_t* const begin = out;
  if (stream.response_sent < prefix_bytes) {
    const auto size = static_cast<uint32_t>(stream.response.size());
    const uint8_t prefix[Http2Stream::kGrpcPrefixBytes] = {0, static_cast<uint8_t>(size >> 24),
                                                           static_cast<uint8_t>(size >> 16),
                                                           static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
    const size_t n = std::min(length, prefix_bytes - stream.response_sent);
    std::memcpy(out, prefix + stream.response_sent, n);
    stream.response_sent += n;
    out += n;
    length -= n;
  }
  if (stream.response_sent >= prefix_bytes && !stream.response.empty()) {
    const size_t offset = stream.response_sent - prefix_bytes;
    const size_t n = std::min(length, stream.response.size() - offset);
    std::memcpy(out, stream.response.data() + offset, n);
    stream.response_sent += n;
    out += n;
  }
  if (stream.response_sent == prefix_bytes + stream.response.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.grpc_response) {
      static const nghttp2_nv kTrailer[] = {StaticField("grpc-status", "0")};
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(session_.get(), stream.id, kTrailer, std::size(kTrailer));
    }
  }
  return out - begin;
}

void Http2Connection::Produce(base::Bytes& output) {
  while (output.size() < kProduceBytes) {
    const uint8_t* frame = nullptr;
    const ssize_t length = nghttp2_session_mem_send(session_.get(), &frame);
    if (length < 0 || memory_.refused()) return Abort();
    if (length == 0) return;
    output.Append({frame, static_cast<size_t>(length)});
  }
}

// --- Time
// ---------------------------------------------------------------------------------------------------------------

bool Http2Connection::finished() const {
  if (peer_closed_) return true;
  if (nghttp2_session_want_write(session_.get())) return false;
  return terminating_ || !nghttp2_session_want_read(session_.get());
}

std::optional<base::Time> Http2Connection::idle_since() const {
  if (!streams_.empty()) return std::nullopt;
  return idle_since_;
}

// Twice, as RFC 9113 section 6.8 has it: first a notice, so that requests already on their way are still taken, then,
// at the next tick, which of them were.
void Http2Connection::Drain() {
  if (drain_step_ != DrainStep::kNone) return;
  drain_step_ = DrainStep::kNoticed;
  nghttp2_submit_shutdown_notice(session_.get());
}

void Http2Connection::Tick(base::Time now) {
  if (drain_step_ == DrainStep::kNoticed) {
    drain_step_ = DrainStep::kSaidGoodbye;
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_.get()),
                          NGHTTP2_NO_ERROR, nullptr, 0);
  }
  for (auto& stream : streams_) TickStream(*stream, now);
  TickPing(now);
  if (memory_.refused()) return Abort();
  if (nghttp2_session_want_write(session_.get()) || finished()) connection_.FlushAtEndOfTurn();
}

void Http2Connection::TickStream(Http2Stream& stream, base::Time now) {
  const HttpServerOptions& options = context_.options;
  const base::Nanos waited = now - stream.since;
  switch (stream.phase) {
    case Phase::kHead:  // no other frame may come between, so the whole connection waits
      if (waited <= options.head_timeout) return;
      ++context_.counters.timed_out;
      return connection_.CloseAtEndOfTurn();
    case Phase::kBody:
      if (waited > options.body_timeout || now > stream.deadline) Fault(stream, HttpService::BodyFault::kTimeout);
      return;
    case Phase::kWaiting:
      if (now > stream.deadline) Fault(stream, HttpService::BodyFault::kTimeout);
      return;
    case Phase::kResponding:
      if (waited > options.write_timeout) {
        ++context_.counters.timed_out;
        stream.since = now;
        nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_CANCEL);
      }
      return;
  }
}

void Http2Connection::TickPing(base::Time now) {
  const HttpServerOptions& options = context_.options;
  const bool silent = now - opened_ > options.head_timeout && !greeted_;
  const bool dead = ping_sent_ && now - *ping_sent_ > options.ping_timeout;
  if (silent || dead) {
    ++context_.counters.timed_out;
    connection_.CloseAtEndOfTurn();
  } else if (!ping_sent_ && now - received_ > options.ping_after) {
    ping_sent_ = now;
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
  }
}

}  // namespace tributary::pipeline
