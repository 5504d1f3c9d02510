// OTLP/gRPC over cleartext HTTP/2 with prior knowledge: any number of unary calls at once on one nghttp2 session.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "bench/load_connection.h"
#include "pipeline/grpc_status.h"

namespace tributary::bench {
namespace {

using pipeline::GrpcCode;

constexpr size_t kFillBytes = 1 << 20;  // gathered before a write
constexpr int32_t kConnectionWindowBytes = 1 << 20;

bool IsRetryable(GrpcCode code) {
  switch (code) {
    case GrpcCode::kCancelled:
    case GrpcCode::kDeadlineExceeded:
    case GrpcCode::kAborted:
    case GrpcCode::kOutOfRange:
    case GrpcCode::kUnavailable:
    case GrpcCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

class GrpcConnection final : public LoadConnection {
 public:
  GrpcConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint, const Events& events)
      : LoadConnection(loop, endpoint, events), path_(otlp::GrpcPath(signal)) {
    nghttp2_session_callbacks_new(&callbacks_);
    nghttp2_session_callbacks_set_send_callback(callbacks_, OnSend);
    nghttp2_session_callbacks_set_send_data_callback(callbacks_, OnSendData);
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks_, OnFrameLength);
    nghttp2_session_callbacks_set_on_header_callback(callbacks_, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks_, OnFrame);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks_, OnFrameNotSent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_, OnStreamClose);
  }
  ~GrpcConnection() override {
    nghttp2_session_del(session_);
    nghttp2_session_callbacks_del(callbacks_);
  }

  void Send(LoadRequest& request) override {
    const std::array<nghttp2_nv, 7> headers = {
        Header(":method", "POST"),
        Header(":scheme", "http"),
        Header(":path", path_),
        Header(":authority", endpoint_.authority),
        Header("content-type", "application/grpc"),
        Header("te", "trailers"),
        Header("user-agent", "tributary-load"),
    };
    const auto stream = static_cast<int32_t>(nghttp2_session_get_next_stream_id(session_));
    Call& call = calls_[stream];
    call.request = &request;
    const nghttp2_data_provider body{.source = {.ptr = &call}, .read_callback = OnReadBody};
    CHECK(nghttp2_submit_request(session_, nullptr, headers.data(), headers.size(), &body, &call) == stream);
    request.stream = stream;
    FlushSoon();
  }

  void Abandon(LoadRequest& request) override {
    // The stream ends when RST_STREAM leaves; a server that does not even read that loses the connection.
    if (std::exchange(calls_[request.stream].abandoned, true)) return Close();
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, request.stream, NGHTTP2_CANCEL);
    FlushSoon();
  }

 private:
  // One unary call, from Send to the end of its stream.
  struct Call {
    LoadRequest* request = nullptr;
    size_t body_sent = 0;
    bool unsent = false;  // not even its HEADERS left
    bool abandoned = false;
    bool has_status = false;
    pipeline::GrpcStatus status;
    base::Bytes response;  // prefix and message
  };

  static nghttp2_nv Header(std::string_view name, std::string_view value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
  }
  static GrpcConnection& Self(void* user) { return *static_cast<GrpcConnection*>(user); }
  static Call* CallOf(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  // --- Out ---
  static ssize_t OnReadBody(nghttp2_session*, int32_t, uint8_t*, size_t length_max, uint32_t* flags,
                            nghttp2_data_source* source, void*) {
    const Call& call = *static_cast<Call*>(source->ptr);
    const size_t left = call.request->body.size() - call.body_sent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= length_max) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(std::min(left, length_max));
  }
  static ssize_t OnFrameLength(nghttp2_session*, uint8_t, int32_t, int32_t session_window, int32_t stream_window,
                               uint32_t frame_bytes_max, void*) {
    return std::min({session_window, stream_window, static_cast<int32_t>(frame_bytes_max)});
  }
  static int OnSendData(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t length,
                        nghttp2_data_source* source, void* user) {
    Call& call = *static_cast<Call*>(source->ptr);
    base::Slices& out = Self(user).out_;
    if (out.size() >= kFillBytes) return NGHTTP2_ERR_WOULDBLOCK;
    out.Copy(base::ByteView{head, 9});
    out.Refer(call.request->body.view().subspan(call.body_sent, length));
    call.body_sent += length;
    return 0;
  }
  static ssize_t OnSend(nghttp2_session*, const uint8_t* bytes, size_t length, int, void* user) {
    base::Slices& out = Self(user).out_;
    if (out.size() >= kFillBytes) return NGHTTP2_ERR_WOULDBLOCK;
    out.Copy(base::ByteView{bytes, length});
    return static_cast<ssize_t>(length);
  }
  void FillOutput() override { CHECK(nghttp2_session_send(session_) == 0); }

  // --- In ---
  void OnConnected() override {
    nghttp2_session_del(session_);
    CHECK(nghttp2_session_client_new(&session_, callbacks_, this) == 0);
    const std::array<nghttp2_settings_entry, 1> settings = {{{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
    set_ready(true);
  }

  bool OnBytes(base::ByteView bytes) override {
    if (nghttp2_session_mem_recv(session_, bytes.data(), bytes.size()) < 0) return false;
    FlushSoon();
    // After a GOAWAY what was accepted is waited for, then a new connection is made.
    return !draining_ || !calls_.empty();
  }

  void OnClosed() override {
    draining_ = false;
    // Answering sends again, elsewhere: the calls are forgotten first.
    const std::unordered_map<int32_t, Call> calls = std::exchange(calls_, {});
    for (const auto& [stream, call] : calls) {
      events_.on_reply(*call.request,
                       {.kind = Reply::Kind::kLost, .code = call.abandoned ? "timeout" : "connection closed"});
    }
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void*) {
    Call* call = CallOf(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (key == "grpc-status") {
      unsigned code = 0;
      std::from_chars(text.begin(), text.end(), code);
      call->status.code = static_cast<GrpcCode>(code);
      call->has_status = true;
    } else if (key == "grpc-status-details-bin") {
      const auto details = pipeline::Base64Decode(text);
      const auto status = details ? pipeline::DecodeRpcStatus(*details) : std::nullopt;
      if (status) call->status.retry_delay = status->retry_delay;
    }
    return 0;
  }
  static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes, size_t length, void*) {
    if (Call* call = CallOf(session, stream)) call->response.Append({bytes, length});
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      Self(user).draining_ = true;
      Self(user).set_ready(false);
    }
    return 0;
  }
  static int OnFrameNotSent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    Call* call = CallOf(session, frame->hd.stream_id);
    if (call != nullptr && frame->hd.type == NGHTTP2_HEADERS) call->unsent = true;
    return 0;
  }
  static int OnStreamClose(nghttp2_session* session, int32_t stream, uint32_t error, void* user) {
    if (CallOf(session, stream) == nullptr) return 0;
    const auto call = Self(user).calls_.extract(stream);
    Self(user).events_.on_reply(*call.mapped().request, ReplyOf(call.mapped(), error));
    return 0;
  }

  static Reply ReplyOf(const Call& call, uint32_t error) {
    if (call.unsent || error == NGHTTP2_REFUSED_STREAM) return {.kind = Reply::Kind::kUnprocessed};
    if (!call.has_status) return {.kind = Reply::Kind::kLost, .code = call.abandoned ? "timeout" : "stream reset"};
    if (call.status.code == GrpcCode::kOk) {
      const base::ByteView response = call.response.view();
      return {.rejected_items = RejectedItems(response.subspan(std::min<size_t>(response.size(), 5)))};
    }
    return {.kind = Reply::Kind::kRefused,
            .code = std::string(pipeline::Name(call.status.code)),
            .retryable = IsRetryable(call.status.code) || call.status.retry_delay.has_value(),
            .retry_after = call.status.retry_delay};
  }

  const std::string_view path_;
  nghttp2_session_callbacks* callbacks_ = nullptr;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, Call> calls_;  // in flight, by stream
  bool draining_ = false;                    // the server sent GOAWAY
};

}  // namespace

std::unique_ptr<LoadConnection> MakeGrpcConnection(otlp::Signal signal, base::Loop& loop, const Endpoint& endpoint,
                                                   const LoadConnection::Events& events) {
  return std::make_unique<GrpcConnection>(signal, loop, endpoint, events);
}

}  // namespace tributary::bench
