#include "pipeline/server_connection.h"

#include <sys/epoll.h>

#include <string_view>
#include <utility>

#include "base/check.h"
#include "pipeline/http1_connection.h"
#include "pipeline/http2_connection.h"

namespace tributary::pipeline {
namespace {

using base::Stream;

constexpr size_t kReadBytes = 256 << 10;
constexpr base::Nanos kLingerMax = std::chrono::seconds(2);
// The first bytes of HTTP/2's preface, with which no HTTP/1 request begins.
constexpr std::string_view kHttp2Start = "PRI";

}  // namespace

ServerContext::ServerContext(base::Loop& l, base::Budget& b, HttpService& s, const HttpServerOptions& o)
    : loop(l), budget(b), service(s), options(o), read_buffer(kReadBytes), jitter(std::random_device()()) {}

ServerContext::~ServerContext() = default;

void ServerContext::FlushAtEndOfTurn(std::shared_ptr<ServerConnection> connection) {
  if (to_flush.empty()) {
    loop.AtEndOfTurn([self = shared_from_this()] {
      std::vector<std::shared_ptr<ServerConnection>> connections;
      connections.swap(self->to_flush);
      for (const auto& each : connections) each->Flush();
      // The vector goes back with its memory, unless a flush has queued another.
      connections.clear();
      if (self->to_flush.empty()) self->to_flush.swap(connections);
    });
  }
  to_flush.push_back(std::move(connection));
}

ServerConnection::ServerConnection(std::shared_ptr<ServerContext> context, Stream stream, base::Reservation reservation)
    : context_(std::move(context)),
      stream_(std::move(stream)),
      reservation_(std::move(reservation)),
      unsent_reservation_(context_->budget),
      state_since_(now()),
      heard_(now()),
      progress_(now()) {
  const double tenth = std::uniform_real_distribution(-0.1, 0.1)(context_->jitter);
  const base::Nanos age_max = context_->options.age_max;
  if (context_->source_of) source_ = context_->source_of(stream_.fd());
  old_ = now() + age_max + std::chrono::duration_cast<base::Nanos>(age_max * tenth);
}

ServerConnection::~ServerConnection() { Close(); }

void ServerConnection::Start() {
  state_ = stream_.is_tls() ? State::kHandshake : State::kSniffing;
  watch_ = context_->loop.WatchFd(stream_.fd(), EPOLLIN, [this](uint32_t events) { OnReady(events); });
}

HttpService::Reply ServerConnection::ReplyTo(uint32_t request) {
  return [self = shared_from_this(), request](HttpResponse response) {
    if (self->protocol_ == nullptr) return;
    self->protocol_->Answer(request, std::move(response));
    self->FlushAtEndOfTurn();
  };
}

void ServerConnection::FlushAtEndOfTurn() {
  if (std::exchange(flush_queued_, true)) return;
  context_->FlushAtEndOfTurn(shared_from_this());
}

void ServerConnection::CloseAtEndOfTurn() {
  doomed_ = true;
  FlushAtEndOfTurn();
}

void ServerConnection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  watch_.Reset();
  protocol_.reset();
  stream_ = Stream();
  unsent_ = base::Bytes();
  unsent_reservation_.Release();
  reservation_.Release();
}

// --- Input
// ------------------------------------------------------------------------------------------------------------

void ServerConnection::OnReady(uint32_t events) {
  if (state_ == State::kHandshake) return Shake();
  const bool paused = state_ == State::kOpen && (peer_closed_ || !unsent_.empty() || !protocol_->wants_input());
  if (events & EPOLLIN || (events & EPOLLOUT && read_wants_write_)) {
    Read();
  } else if (events & (EPOLLHUP | EPOLLERR)) {
    // These come unasked. Whoever may still read is told by Read what happened; the others would be told for ever.
    paused ? Close() : Read();
  }
  if (state_ == State::kOpen && (events & EPOLLOUT || write_wants_read_)) FlushAtEndOfTurn();
}

void ServerConnection::Shake() {
  switch (stream_.Handshake().kind) {
    case Stream::Kind::kOk:
      break;
    case Stream::Kind::kWantRead:
      return watch_.Want(EPOLLIN);
    case Stream::Kind::kWantWrite:
      return watch_.Want(EPOLLOUT);
    default:
      return Close();
  }
  watch_.Want(EPOLLIN);
  state_ = State::kSniffing;
  if (stream_.alpn() == "h2") Speak(std::make_unique<Http2Connection>(*this));
  if (stream_.alpn() == "http/1.1") Speak(std::make_unique<Http1Connection>(*this));
}

void ServerConnection::Speak(std::unique_ptr<HttpProtocol> protocol) {
  protocol_ = std::move(protocol);
  state_ = State::kOpen;
  FlushAtEndOfTurn();
}

void ServerConnection::Read() {
  do {
    read_wants_write_ = false;
    const Stream::IoResult result = stream_.Read(context_->read_buffer);
    switch (result.kind) {
      case Stream::Kind::kOk:
        heard_ = now();
        Deliver({context_->read_buffer.data(), result.bytes});
        break;
      case Stream::Kind::kWantRead:
        break;
      case Stream::Kind::kWantWrite:
        read_wants_write_ = true;
        UpdateWatch();
        break;
      case Stream::Kind::kClosed:
        if (state_ != State::kOpen) return Close();
        peer_closed_ = true;
        protocol_->PeerClosed();
        FlushAtEndOfTurn();
        return;
      case Stream::Kind::kError:
        return Close();
    }
  } while (stream_.has_buffered());
}

void ServerConnection::Deliver(base::ByteView bytes) {
  switch (state_) {
    case State::kSniffing:
      Sniff(bytes);
      break;
    case State::kOpen:
      protocol_->Receive(bytes);
      break;
    default:
      return;  // lingering
  }
  if (state_ == State::kOpen) FlushAtEndOfTurn();
}

void ServerConnection::Sniff(base::ByteView bytes) {
  base::Bytes joined;
  if (!sniffed_.empty()) {
    joined = std::move(sniffed_);
    joined.Append(bytes);
    bytes = joined;
  }
  const std::string_view start = base::AsText(bytes).substr(0, kHttp2Start.size());
  if (start == kHttp2Start) {
    Speak(std::make_unique<Http2Connection>(*this));
  } else if (kHttp2Start.starts_with(start)) {
    sniffed_ = base::Bytes(bytes);
    return;
  } else {
    Speak(std::make_unique<Http1Connection>(*this));
  }
  protocol_->Receive(bytes);
}

// --- Output
// -----------------------------------------------------------------------------------------------------------

void ServerConnection::Flush() {
  flush_queued_ = false;
  if (doomed_) Close();
  if (state_ != State::kOpen) return;
  write_wants_read_ = false;
  if (!WriteUnsent()) return;
  base::Bytes& output = context_->output;
  while (unsent_.empty()) {
    output.Clear();
    protocol_->Produce(output);
    if (output.empty()) break;
    const size_t written = Write(output);
    if (state_ == State::kClosed) return;
    if (written < output.size() && !KeepUnsent(output.view().subspan(written))) return;
  }
  if (unsent_.empty() && protocol_->finished()) return Linger();
  UpdateWatch();
}

// False when the connection is closed.
bool ServerConnection::WriteUnsent() {
  if (unsent_.empty()) return true;
  unsent_offset_ += Write(unsent_.view().subspan(unsent_offset_));
  if (state_ == State::kClosed) return false;
  if (unsent_offset_ == unsent_.size()) {
    unsent_ = base::Bytes();
    unsent_offset_ = 0;
    unsent_reservation_.Release();
  }
  return true;
}

// How much the socket took. Closes the connection when it is broken.
size_t ServerConnection::Write(base::ByteView bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const iovec piece{const_cast<uint8_t*>(bytes.data()) + written, bytes.size() - written};
    const Stream::IoResult result = stream_.Write({&piece, 1});
    if (result.kind == Stream::Kind::kError || result.kind == Stream::Kind::kClosed) {
      Close();
      return 0;
    }
    if (result.kind != Stream::Kind::kOk) {
      write_wants_read_ = result.kind == Stream::Kind::kWantRead;
      break;
    }
    written += result.bytes;
    progress_ = now();
  }
  return written;
}

bool ServerConnection::KeepUnsent(base::ByteView bytes) {
  if (!unsent_reservation_.GrowTo(bytes.size())) {
    ++context_->counters.starved;
    Close();
    return false;
  }
  unsent_.Append(bytes);
  progress_ = now();
  return true;
}

void ServerConnection::Linger() {
  if (peer_closed_) return Close();
  protocol_.reset();
  stream_.ShutdownWrite();
  state_ = State::kLingering;
  state_since_ = now();
  UpdateWatch();
}

void ServerConnection::UpdateWatch() {
  uint32_t events = 0;
  if (state_ != State::kOpen || write_wants_read_ || (!peer_closed_ && unsent_.empty() && protocol_->wants_input())) {
    events |= EPOLLIN;
  }
  if ((state_ == State::kOpen && !unsent_.empty() && !write_wants_read_) || read_wants_write_) events |= EPOLLOUT;
  watch_.Want(events);
}

// --- Time
// -------------------------------------------------------------------------------------------------------------

bool ServerConnection::TookTooLong(base::Time now) const {
  const HttpServerOptions& options = context_->options;
  switch (state_) {
    case State::kHandshake:
    case State::kSniffing:
      return now - state_since_ > options.head_timeout;
    case State::kOpen:
      return (!unsent_.empty() && now - progress_ > options.write_timeout) || (drain_end_ && now > *drain_end_);
    default:
      return false;
  }
}

void ServerConnection::Tick(base::Time now) {
  if (state_ == State::kLingering && now - state_since_ > kLingerMax) return Close();
  if (TookTooLong(now)) {
    ++context_->counters.timed_out;
    return Close();
  }
  if (state_ != State::kOpen) return;
  protocol_->Tick(now);
  if (drain_end_) return;
  const std::optional<base::Time> idle_since = protocol_->idle_since();
  if (now > old_) {
    ++context_->counters.aged;
    Drain();
  } else if (idle_since && now - *idle_since > context_->options.idle_max) {
    ++context_->counters.idled;
    Drain();
  }
}

void ServerConnection::Evict() {
  if (state_ == State::kOpen && protocol_->idle_since()) {
    Drain();
    Flush();
  }
  Close();
}

void ServerConnection::Drain() {
  if (drain_end_) return;
  if (state_ == State::kHandshake || state_ == State::kSniffing) return Close();
  if (state_ != State::kOpen) return;
  drain_end_ = now() + context_->options.drain_max;
  protocol_->Drain();
  FlushAtEndOfTurn();
}

}  // namespace tributary::pipeline
