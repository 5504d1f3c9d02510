#include "pipeline/http_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/socket.h"
#include "pipeline/http1_client.h"
#include "pipeline/http2_client.h"

namespace tributary::pipeline {
namespace {

using State = HttpClient::State;

// Of a name with more addresses than this, a random choice of so many is used.
constexpr size_t kAddressesMax = 16;
constexpr size_t kHttp1ConnectionsMax = 64;  // to one address
// How long a failed address is left alone. Short: who calls waits between tries as well.
constexpr Backoff::Options kAddressBackoff = {
    .initial = std::chrono::milliseconds(200), .max = std::chrono::seconds(5), .multiplier = 2};

// Connecting counts: something may come of it.
bool IsUsable(const std::unique_ptr<HttpClient>& connection) { return connection->state() <= State::kReady; }

bool Equal(const base::Address& a, const base::Address& b) { return a.ToString() == b.ToString(); }

}  // namespace

struct HttpPool::Site {
  Endpoint endpoint;
  HttpPeer peer;
  bool is_resolved = false;  // an answer came, be it a failure
  std::string error;         // of the last resolution
  std::unique_ptr<base::Resolver> resolver;
};

struct HttpPool::Target {
  Site& site;
  base::Address address;
  bool is_current = true;  // among the addresses last resolved
  Backoff backoff{kAddressBackoff};
  base::Time retry_at{};
  std::string error;  // of the last connection
  std::vector<std::unique_ptr<HttpClient>> connections;

  std::string name() const {
    const std::string number = address.ToString();
    return site.peer.authority == number ? number : fmt::format("{} ({})", site.peer.authority, number);
  }
};

HttpPool::HttpPool(base::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), random_(std::random_device{}()), work_(loop, [this] { Work(); }) {
  for (const Endpoint& endpoint : options_.endpoints) {
    auto site = std::make_unique<Site>();
    site->endpoint = endpoint;
    site->peer = {std::string(endpoint.scheme()), endpoint.authority(), options_.headers};
    site->resolver = std::make_unique<base::Resolver>(
        loop,
        base::Resolver::Options{.host = endpoint.host, .port = endpoint.port, .dns_servers = options_.dns_servers},
        [this, to = site.get()](base::Result<std::vector<base::Address>> addresses) {
          TakeAddresses(*to, std::move(addresses));
        });
    sites_.push_back(std::move(site));
  }
}

HttpPool::~HttpPool() = default;

void HttpPool::Start(HttpCall& call) {
  call.client = nullptr;
  call.peer.clear();
  waiting_.push_back(&call);
  is_wanted_ = true;
  StartWaiting();
  work_.Ask();
}

void HttpPool::Cancel(HttpCall& call) {
  if (call.client != nullptr) {
    call.client->Cancel(call);
  } else {
    CHECK(std::erase(waiting_, &call) == 1);
  }
}

void HttpPool::TakeAddresses(Site& site, base::Result<std::vector<base::Address>> addresses) {
  site.is_resolved = true;
  site.error = addresses ? "" : addresses.error().message;
  work_.Ask();
  if (!addresses) return;  // those known are used on
  std::ranges::shuffle(*addresses, random_);
  size_t current = 0;
  for (const auto& target : targets_) {
    if (&target->site != &site) continue;
    const auto known = std::ranges::find_if(*addresses, [&](const auto& a) { return Equal(a, target->address); });
    target->is_current = known != addresses->end() && current < kAddressesMax;
    if (known != addresses->end()) addresses->erase(known);
    current += target->is_current;
  }
  for (const base::Address& address : *addresses) {
    if (current++ == kAddressesMax) break;
    targets_.push_back(std::make_unique<Target>(Target{.site = site, .address = address}));
  }
}

// Whatever happened in this turn, makes the best of what there is now.
void HttpPool::Work() {
  for (const auto& target : targets_) Bury(*target);
  std::erase_if(targets_, [](const auto& target) { return !target->is_current && target->connections.empty(); });
  StartWaiting();
  Open();
  if (waiting_.empty() || !IsHopeless()) return;
  for (HttpCall* call : std::exchange(waiting_, {})) {
    HttpAnswer answer;
    answer.end = HttpAnswer::End::kBroken;
    answer.error = fmt::format("no connection ({})", Trouble());
    call->answered(std::move(answer));
  }
}

// Lets go of the connections that ended, and of idle ones to an address that is no longer the endpoint's.
void HttpPool::Bury(Target& target) {
  for (const auto& connection : target.connections) {
    const bool was_of_use = connection->totals().answers > 0;
    if (was_of_use) {
      target.backoff.Reset();
      target.error.clear();
    }
    if (connection->state() != State::kClosed) continue;
    if (!connection->error().empty()) {
      Failed(target, connection->error());
    } else if (!was_of_use) {
      Failed(target, "closed by the peer before it answered anything");
    }
  }
  std::erase_if(target.connections, [&](const auto& connection) {
    const bool over = connection->state() == State::kClosed || (!target.is_current && connection->calls() == 0);
    if (over) {
      ended_.sent_bytes += connection->totals().sent_bytes;
      ended_.received_bytes += connection->totals().received_bytes;
    }
    return over;
  });
}

void HttpPool::StartWaiting() {
  while (!waiting_.empty()) {
    const Target* target = nullptr;
    HttpClient* connection = Choose(&target);
    if (connection == nullptr) return;
    HttpCall& call = *waiting_.front();
    waiting_.pop_front();
    call.client = connection;
    call.peer = target->name();
    connection->Start(call);
  }
}

// The connection with the fewest calls; of equal ones each in turn.
HttpClient* HttpPool::Choose(const Target** chosen) {
  HttpClient* best = nullptr;
  for (size_t i = 0; i < targets_.size(); ++i) {
    const Target& target = *targets_[(turn_ + i) % targets_.size()];
    if (!target.is_current) continue;
    for (const auto& connection : target.connections) {
      if (connection->room() == 0 || (best != nullptr && connection->calls() >= best->calls())) continue;
      best = connection.get();
      *chosen = &target;
    }
  }
  ++turn_;
  return best;
}

void HttpPool::Open() {
  const bool is_wanted = std::exchange(is_wanted_, false);
  if (!is_wanted && waiting_.empty()) return;
  Target* soonest = nullptr;
  bool any_usable = false;
  for (const auto& target : targets_) {
    while (Wants(*target) && loop_.now() >= target->retry_at) Connect(*target);
    if (Wants(*target) && (soonest == nullptr || target->retry_at < soonest->retry_at)) soonest = target.get();
    any_usable |= target->is_current && std::ranges::any_of(target->connections, IsUsable);
  }
  // Nobody else to turn to: whoever makes a new call has been patient already.
  if (is_wanted && !any_usable && soonest != nullptr) Connect(*soonest);
}

// One connection to each address. Of HTTP/1.1 as many more as there are calls that no connection is free for.
bool HttpPool::Wants(const Target& target) const {
  if (!target.is_current) return false;
  if (std::ranges::none_of(target.connections, IsUsable)) return true;
  if (options_.version == Version::kHttp2 || target.connections.size() >= kHttp1ConnectionsMax) return false;
  size_t connecting = 0;
  for (const auto& other : targets_) {
    connecting += static_cast<size_t>(std::ranges::count(other->connections, State::kConnecting, &HttpClient::state));
  }
  return connecting < waiting_.size();
}

void HttpPool::Connect(Target& target) {
  base::Result<base::Fd> socket = base::Connect(target.address);
  if (!socket) return Failed(target, socket.error().message);
  const Endpoint& endpoint = target.site.endpoint;
  const std::string& server_name = options_.tls_server_name.empty() ? endpoint.host : options_.tls_server_name;
  base::Stream stream = endpoint.tls ? base::Stream::TlsClient(std::move(*socket), *options_.tls, server_name)
                                     : base::Stream(std::move(*socket));
  const auto make = [&]<typename Client>() -> std::unique_ptr<HttpClient> {
    return std::make_unique<Client>(loop_, std::move(stream), target.site.peer, options_.connect_timeout,
                                    [this] { work_.Ask(); });
  };
  target.connections.push_back(options_.version == Version::kHttp2 ? make.operator()<Http2Client>()
                                                                   : make.operator()<Http1Client>());
}

void HttpPool::Failed(Target& target, std::string error) {
  ++ended_.connect_failures;
  target.error = std::move(error);
  target.retry_at = loop_.now() + target.backoff.Next(std::nullopt);
  // Perhaps the name leads elsewhere by now.
  target.site.resolver->Refresh();
}

// Whether nothing is under way that could give a waiting call a connection.
bool HttpPool::IsHopeless() const {
  if (!std::ranges::all_of(sites_, &Site::is_resolved)) return false;
  return std::ranges::none_of(targets_, [](const auto& target) {
    return target->is_current && std::ranges::any_of(target->connections, IsUsable);
  });
}

HttpPool::Totals HttpPool::totals() const {
  Totals totals = ended_;
  for (const auto& target : targets_) {
    totals.addresses += target->is_current;
    for (const auto& connection : target->connections) {
      totals.connections += connection->state() == State::kReady;
      totals.sent_bytes += connection->totals().sent_bytes;
      totals.received_bytes += connection->totals().received_bytes;
    }
  }
  return totals;
}

std::string HttpPool::Trouble() const {
  std::string trouble;
  for (const auto& target : targets_) {
    if (target->is_current && !target->error.empty()) trouble = fmt::format("{}: {}", target->name(), target->error);
  }
  for (const auto& site : sites_) {
    if (trouble.empty()) trouble = site->error;
  }
  return trouble;
}

}  // namespace tributary::pipeline
