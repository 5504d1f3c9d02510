#include "pipeline/http2_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

using End = HttpAnswer::End;

constexpr size_t kCallsMax = 1000;  // however many streams the peer allows
// Enough for a write to be worth its system call; more would only wait here instead of where it lies.
constexpr size_t kGatherBytes = 256 << 10;
constexpr size_t kFrameBytesMax = 256 << 10;

constexpr size_t kPath = 3;  // in headers_

nghttp2_nv Header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

std::string_view Text(const uint8_t* bytes, size_t length) { return base::AsText({bytes, length}); }

}  // namespace

// What nghttp2 calls while it reads (in OnBytes) and writes (in Fill).
struct Http2Client::Callbacks {
  static Http2Client& Self(void* client) { return *static_cast<Http2Client*>(client); }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                      const uint8_t* value, size_t value_length, uint8_t /*flags*/, void* client) {
    HttpCall* call = Self(client).Find(frame->hd.stream_id);
    if (call == nullptr || Self(client).OnHeader(*call, Text(name, name_length), Text(value, value_length))) return 0;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream
  }

  static int OnData(nghttp2_session*, uint8_t /*flags*/, int32_t stream_id, const uint8_t* data, size_t length,
                    void* client) {
    HttpCall* call = Self(client).Find(stream_id);
    if (call != nullptr && !call->answer.TakeBody({data, length})) {
      Self(client).Answer(*call, End::kTooLarge, "the response is longer than 4 MiB", false);
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* client) {
    Self(client).OnFrame(*frame);
    return 0;
  }

  static int OnStreamClose(nghttp2_session*, int32_t stream_id, uint32_t error_code, void* client) {
    HttpCall* call = Self(client).Find(stream_id);
    if (call == nullptr) return 0;
    call->answer.reset_code = error_code;
    Self(client).Answer(*call, End::kReset, fmt::format("stream reset: {}", nghttp2_http2_strerror(error_code)), true);
    return 0;
  }

  static int OnError(nghttp2_session*, int /*code*/, const char* message, size_t length, void* client) {
    Self(client).last_words_ = fmt::format("HTTP/2: {}", std::string_view(message, length));
    return 0;
  }

  static ssize_t FrameLength(nghttp2_session*, uint8_t /*type*/, int32_t /*stream_id*/, int32_t /*session_window*/,
                             int32_t /*stream_window*/, uint32_t remote_max_frame_size, void* /*client*/) {
    return static_cast<ssize_t>(std::min<size_t>(remote_max_frame_size, kFrameBytesMax));
  }

  static ssize_t PromiseData(nghttp2_session*, int32_t stream_id, uint8_t* /*buffer*/, size_t length, uint32_t* flags,
                             nghttp2_data_source* /*source*/, void* client) {
    HttpCall* call = Self(client).Find(stream_id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const size_t n = std::min(length, call->body_left);
    call->body_left -= n;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (call->body_left == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }

  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_header, size_t length,
                      nghttp2_data_source* /*source*/, void* client) {
    HttpCall* call = Self(client).Find(frame->hd.stream_id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (Self(client).outbox_.bytes() >= kGatherBytes) return NGHTTP2_ERR_WOULDBLOCK;
    Self(client).AppendData(*call, frame_header, length);
    return 0;
  }

  static const nghttp2_session_callbacks* Table() {
    static const auto* const kTable = [] {
      nghttp2_session_callbacks* table;
      CHECK(nghttp2_session_callbacks_new(&table) == 0);
      nghttp2_session_callbacks_set_on_header_callback(table, OnHeader);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, OnData);
      nghttp2_session_callbacks_set_on_frame_recv_callback(table, OnFrame);
      nghttp2_session_callbacks_set_on_stream_close_callback(table, OnStreamClose);
      nghttp2_session_callbacks_set_error_callback2(table, OnError);
      nghttp2_session_callbacks_set_data_source_read_length_callback(table, FrameLength);
      nghttp2_session_callbacks_set_send_data_callback(table, SendData);
      return table;
    }();
    return kTable;
  }
};

Http2Client::Http2Client(base::Loop& loop, base::Stream stream, const HttpPeer& peer, base::Nanos connect_timeout,
                         std::move_only_function<void()> changed)
    : HttpClient(loop, std::move(stream), connect_timeout, std::move(changed)),
      peer_(peer),
      patience_(connect_timeout) {
  headers_ = {Header(":method", "POST"), Header(":scheme", peer_.scheme), Header(":authority", peer_.authority),
              Header(":path", "")};
  for (const auto& [name, value] : peer_.headers) headers_.push_back(Header(name, value));
}

size_t Http2Client::room() const {
  if (state() != State::kReady) return 0;
  const size_t allowed = nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return std::min(allowed, kCallsMax) - std::min({allowed, kCallsMax, calls_.size()});
}

void Http2Client::OnConnected() {
  nghttp2_session* session;
  CHECK(nghttp2_session_client_new(&session, Callbacks::Table(), this) == 0);
  session_.reset(session);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HttpAnswer::kHeadBytesMax}};
  CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
}

void Http2Client::Start(HttpCall& call) {
  CHECK(room() > 0);
  call.started = loop_.now();
  call.piece = call.offset = 0;
  call.body_left = call.body_bytes;
  call.answer = {};
  headers_[kPath] = Header(":path", call.path);
  headers_[kPath].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
  const size_t shared_fields = headers_.size();
  if (!call.field_name.empty()) {
    headers_.push_back(Header(call.field_name, call.field_value));
    // Another each time: not worth a place in the peer's table.
    headers_.back().flags = NGHTTP2_NV_FLAG_NO_INDEX;
  }
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::PromiseData;
  // Each stream depends on the one before it: nghttp2 then sends of it only what that one leaves.
  nghttp2_priority_spec after_older;
  nghttp2_priority_spec_init(&after_older, calls_.empty() ? 0 : calls_.rbegin()->first, NGHTTP2_DEFAULT_WEIGHT, 0);
  call.stream_id =
      nghttp2_submit_request(session_.get(), &after_older, headers_.data(), headers_.size(), &body, nullptr);
  CHECK(call.stream_id > 0);
  headers_.resize(shared_fields);
  calls_.emplace(call.stream_id, &call);
  // Stream ids end after a billion calls.
  if (nghttp2_session_check_request_allowed(session_.get()) == 0) SetState(State::kDraining);
  WantToSend();
}

void Http2Client::Cancel(HttpCall& call) {
  const bool peer_is_silent = !alive_since(call.started);
  Release(call, false);
  if (!peer_is_silent) return;
  CHECK(nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr) == 0);
  ExpectBytes(patience_, "the peer is silent, even to a PING");
}

HttpCall* Http2Client::Find(int32_t stream_id) {
  const auto found = calls_.find(stream_id);
  return found == calls_.end() ? nullptr : found->second;
}

void Http2Client::Release(HttpCall& call, bool stream_is_over) {
  if (outbox_.written() < call.outbox_end) outbox_.KeepOwnCopy();
  calls_.erase(call.stream_id);
  if (!stream_is_over) {
    CHECK(nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, call.stream_id, NGHTTP2_CANCEL) == 0);
  }
  WantToSend();
  Changed();
}

void Http2Client::Answer(HttpCall& call, End end, std::string error, bool stream_is_over) {
  Release(call, stream_is_over);
  Tell(call, end, std::move(error));
}

bool Http2Client::OnHeader(HttpCall& call, std::string_view name_untrusted, std::string_view value_untrusted) {
  if (name_untrusted == ":status") {
    // An informational response may come first: whatever it said does not count.
    const size_t head_bytes = call.answer.head_bytes;
    call.answer = {};
    call.answer.head_bytes = head_bytes;
    std::from_chars(value_untrusted.begin(), value_untrusted.end(), call.answer.status);
  }
  if (call.answer.TakeField(name_untrusted, value_untrusted)) return true;
  Answer(call, End::kTooLarge, "the response's header fields are longer than 16 KiB", true);
  return false;
}

void Http2Client::OnFrame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_SETTINGS:
      if (state() == State::kConnecting) SetState(State::kReady);
      Changed();  // room() may have
      break;
    case NGHTTP2_GOAWAY:
      OnGoaway(frame.goaway);
      break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      if (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) {
        HttpCall* call = Find(frame.hd.stream_id);
        if (call == nullptr) break;
        const bool all_sent = nghttp2_session_get_stream_local_close(session_.get(), frame.hd.stream_id) == 1;
        Answer(*call, End::kComplete, "", all_sent);
      }
      break;
    default:
      break;
  }
}

// nghttp2 resets the streams that the peer will not answer itself.
void Http2Client::OnGoaway(const nghttp2_goaway& goaway) {
  if (goaway.error_code != NGHTTP2_NO_ERROR) {
    last_words_ = fmt::format("GOAWAY {}: {}", nghttp2_http2_strerror(goaway.error_code),
                              Text(goaway.opaque_data, goaway.opaque_data_len));
  }
  if (state() < State::kDraining) SetState(State::kDraining);
  WantToSend();
}

void Http2Client::OnBytes(base::ByteView bytes_untrusted) {
  const ssize_t n = nghttp2_session_mem_recv(session_.get(), bytes_untrusted.data(), bytes_untrusted.size());
  if (n < 0) Close(fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(n))));
}

void Http2Client::OnEnd() {
  if (state() == State::kConnecting) return Close("closed by the peer before it spoke HTTP/2");
  Close(calls_.empty() ? last_words_ : "closed by the peer " + (last_words_.empty() ? "" : "after " + last_words_));
}

void Http2Client::Fill(base::Outbox& outbox) {
  if (state() == State::kDraining && calls_.empty()) {
    nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
  }
  while (outbox.bytes() < kGatherBytes) {
    const uint8_t* control_frame;
    const ssize_t n = nghttp2_session_mem_send(session_.get(), &control_frame);
    if (n < 0) return Close(fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(n))));
    if (n == 0) break;
    outbox.Copy({control_frame, static_cast<size_t>(n)});
  }
  if (outbox.empty() && !nghttp2_session_want_read(session_.get()) && !nghttp2_session_want_write(session_.get())) {
    Close(state() == State::kConnecting ? "the peer does not speak HTTP/2" : last_words_);
  }
}

void Http2Client::AppendData(HttpCall& call, const uint8_t* frame_header, size_t length) {
  constexpr size_t kFrameHeaderBytes = 9;
  outbox_.Copy({frame_header, kFrameHeaderBytes});
  while (length > 0) {
    const iovec& piece = call.body[call.piece];
    const size_t n = std::min(length, piece.iov_len - call.offset);
    outbox_.Refer({static_cast<const uint8_t*>(piece.iov_base) + call.offset, n});
    length -= n;
    call.offset += n;
    if (call.offset == piece.iov_len) {
      ++call.piece;
      call.offset = 0;
    }
  }
  call.outbox_end = outbox_.end();
}

void Http2Client::BreakCalls(const std::string& error) {
  for (auto& [stream_id, call] : std::exchange(calls_, {})) Tell(*call, End::kBroken, error);
}

}  // namespace tributary::pipeline
