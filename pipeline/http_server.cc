#include "pipeline/http_server.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tributary::pipeline {
namespace {
constexpr int kAcceptsPerTurnMax = 64;  // so that a storm of connections does not starve those there are
// What should be free of the budget, and of the number of connections, as a share of it.
constexpr size_t kRoomShare = 8;
}  // namespace

HttpServer::HttpServer(base::Loop& loop, base::Budget& budget, HttpService& service, const HttpServerOptions& options)
    : context_(std::make_shared<ServerContext>(loop, budget, service, options)) {}

HttpServer::~HttpServer() {
  for (auto& connection : connections_) connection->Close();
}

base::Result<base::Address> HttpServer::Listen(const base::Address& address,
                                               std::shared_ptr<const base::TlsContext> tls) {
  base::Result<base::Fd> socket = base::Listen(address);
  if (!socket) return std::unexpected(socket.error());
  auto listener = std::make_unique<Listener>(std::move(*socket), std::move(tls));
  listener->watch = context_->loop.WatchFd(listener->socket.get(), EPOLLIN,
                                           [this, each = listener.get()](uint32_t) { AcceptFrom(*each); });
  const base::Address bound = base::LocalAddress(listener->socket.get());
  listeners_.push_back(std::move(listener));
  return bound;
}

void HttpServer::AcceptFrom(Listener& listener) {
  for (int i = 0; i < kAcceptsPerTurnMax && accepting_; ++i) {
    if (!AcceptOne(listener)) return;
  }
}

// False when nothing is waiting, or nothing more can be taken.
bool HttpServer::AcceptOne(Listener& listener) {
  base::Reservation reservation(context_->budget);
  const size_t bytes = listener.tls ? ServerConnection::kTlsBytes : ServerConnection::kPlainBytes;
  if (connections_.size() >= context_->options.connections_max || !reservation.GrowTo(bytes)) {
    PauseAccepting();
    return false;
  }
  base::Fd socket = base::Accept(listener.socket.get());
  if (!socket.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) PauseAccepting();
    return errno == ECONNABORTED || errno == EINTR;
  }
  Open(listener.tls ? base::Stream::TlsServer(std::move(socket), *listener.tls) : base::Stream(std::move(socket)),
       std::move(reservation));
  return true;
}

void HttpServer::Adopt(base::Fd socket) {
  base::Reservation reservation(context_->budget);
  if (reservation.GrowTo(ServerConnection::kPlainBytes)) Open(base::Stream(std::move(socket)), std::move(reservation));
}

void HttpServer::Open(base::Stream stream, base::Reservation reservation) {
  ++context_->counters.accepted;
  auto connection = std::make_shared<ServerConnection>(context_, std::move(stream), std::move(reservation));
  connection->Start();
  connections_.push_back(std::move(connection));
  ScheduleTick();
}

void HttpServer::PauseAccepting() {
  ++context_->counters.accept_pauses;
  accepting_ = false;
  for (auto& listener : listeners_) listener->watch.Want(0);
  ScheduleTick();
}

void HttpServer::ScheduleTick() {
  if (!tick_.pending()) tick_ = context_->loop.RunAfter(context_->options.tick, [this] { Tick(); });
}

void HttpServer::Tick() {
  const base::Time now = context_->loop.now();
  for (auto& connection : connections_) connection->Tick(now);
  MakeRoom(now);
  std::erase_if(connections_, [](const auto& connection) { return connection->closed(); });
  if (!accepting_) {
    accepting_ = true;
    for (auto& listener : listeners_) listener->watch.Want(EPOLLIN);
  }
  if (!connections_.empty()) ScheduleTick();
}

void HttpServer::MakeRoom(base::Time now) {
  const base::Budget& budget = context_->budget;
  const HttpServerOptions& options = context_->options;
  const size_t connections_wanted = options.connections_max - options.connections_max / kRoomShare;
  size_t open = connections_.size();
  const auto room = [&] {
    return budget.bytes_free() >= budget.bytes_max() / kRoomShare && open <= connections_wanted;
  };
  if (room()) return;
  std::vector<ServerConnection*> stalled;
  for (const auto& connection : connections_) {
    if (now - connection->progress() > options.stall_max) stalled.push_back(connection.get());
  }
  std::ranges::sort(stalled, {}, &ServerConnection::progress);
  for (ServerConnection* connection : stalled) {
    if (room()) return;
    connection->Evict();
    ++context_->counters.evicted;
    --open;
  }
}

void HttpServer::Drain() {
  listeners_.clear();
  for (auto& connection : connections_) connection->Drain();
}

void HttpServer::WriteMetrics(std::string_view name, base::MetricsText& metrics) const {
  const HttpServerCounters& counters = context_->counters;
  metrics.Gauge("tributary_server_connections", "Open connections.", {{"server", name}},
                static_cast<double>(connections_.size()));
  metrics.Counter("tributary_server_accepted_total", "Connections accepted.", {{"server", name}},
                  static_cast<double>(counters.accepted));
  metrics.Counter("tributary_server_accept_pauses_total",
                  "Times accepting paused for lack of memory, descriptors or allowed connections.", {{"server", name}},
                  static_cast<double>(counters.accept_pauses));
  const std::pair<std::string_view, uint64_t> ended[] = {
      {"age", counters.aged},      {"idle", counters.idled},     {"timeout", counters.timed_out},
      {"flood", counters.flooded}, {"memory", counters.starved}, {"stalled", counters.evicted}};
  for (const auto& [reason, count] : ended) {
    metrics.Counter("tributary_server_ended_total", "Connections, and answers never taken, that the server ended.",
                    {{"server", name}, {"reason", reason}}, static_cast<double>(count));
  }
}

}  // namespace tributary::pipeline
