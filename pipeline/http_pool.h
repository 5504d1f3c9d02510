// HttpPool: a client's connections to all addresses of its endpoints, and the calls that wait for one. A call goes to
// the connection with the fewest calls; connections are made when there are calls, one to each address (HTTP/1.1: more
// while calls wait), and replaced when they end. An address that failed is left alone for a while if there are others.
// Lives on the loop's thread.
#pragma once

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/end_of_turn.h"
#include "base/loop.h"
#include "base/resolver.h"
#include "base/tls.h"
#include "pipeline/backoff.h"
#include "pipeline/endpoint.h"
#include "pipeline/http_client.h"

namespace tributary::pipeline {

class HttpPool {
 public:
  enum class Version : uint8_t { kHttp1, kHttp2 };
  struct Options {
    Version version = Version::kHttp2;
    std::vector<Endpoint> endpoints;
    std::vector<std::pair<std::string, std::string>> headers;  // of every call; lower-case names
    std::optional<base::TlsContext> tls;                       // for the endpoints with TLS
    std::string tls_server_name;  // what certificates must be for, when not the endpoint's host
    base::Nanos connect_timeout = std::chrono::seconds(5);
    std::string dns_servers;  // see base::Resolver
  };
  struct Totals {
    size_t addresses = 0;
    size_t connections = 0;  // those that are ready
    uint64_t connect_failures = 0;
    uint64_t sent_bytes = 0;
    uint64_t received_bytes = 0;
  };

  HttpPool(base::Loop& loop, Options options);
  ~HttpPool();  // calls under way are forgotten, not answered
  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;

  // Starts `call` now or when a connection has room for it. Answers it as broken when no address can be reached.
  void Start(HttpCall& call);
  // Forgets a call that was not answered.
  void Cancel(HttpCall& call);

  Totals totals() const;
  // Why there is no connection, in one line; empty when nothing failed.
  std::string Trouble() const;

 private:
  struct Site;    // an endpoint, and what is known of its name
  struct Target;  // one of its addresses, and the connections there

  void Work();
  void TakeAddresses(Site& site, base::Result<std::vector<base::Address>> addresses);
  void Bury(Target& target);
  void StartWaiting();
  HttpClient* Choose(const Target** chosen);
  void Open();
  bool Wants(const Target& target) const;
  void Connect(Target& target);
  void Failed(Target& target, std::string error);
  bool IsHopeless() const;

  base::Loop& loop_;
  Options options_;
  std::vector<std::unique_ptr<Site>> sites_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::deque<HttpCall*> waiting_;
  size_t turn_ = 0;         // where the search for a connection starts
  bool is_wanted_ = false;  // a call came since connections were last opened
  Totals ended_;            // what connections that are gone had done
  std::minstd_rand random_;
  base::EndOfTurn work_;
};

}  // namespace tributary::pipeline
