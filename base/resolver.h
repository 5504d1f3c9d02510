// Resolver: keeps knowing every address of one host name, for a client that spreads its connections over them.
//
// Numeric hosts, unix: paths and "localhost" need no question. Anything else is asked of /etc/hosts and the DNS
// (c-ares, on the loop's sockets and timers): at once, again when the answer's time to live has passed, and early when
// a connection failed. Addresses once known stay known while later questions fail. Lives on the loop's thread; blocks
// only to read /etc/hosts and /etc/resolv.conf.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/socket.h"

namespace tributary::base {

class Resolver {
 public:
  struct Options {
    std::string host;  // a DNS name, a number without brackets, "localhost", or "unix:/path"
    uint16_t port = 0;
    Nanos timeout = std::chrono::seconds(5);       // of one question, all servers and retries together
    Nanos refresh_min = std::chrono::seconds(5);   // between two questions, whatever the time to live or Refresh() say
    Nanos refresh_max = std::chrono::seconds(60);  // a longer time to live would notice new addresses too late
    std::string dns_servers;                       // "10.96.0.10:53,10.96.0.11" instead of /etc/resolv.conf's
  };
  // All addresses, sorted, at least one; or why there is none, in one line. Called after the first question, and
  // whenever the addresses changed or a question failed; never in the constructor. May destroy the Resolver.
  using Answer = std::move_only_function<void(Result<std::vector<Address>>)>;

  Resolver(Loop& loop, Options options, Answer answer);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Asks again as soon as refresh_min allows.
  void Refresh();

 private:
  class Question;

  bool AnswerWithoutAsking();
  void Ask();
  void AskAfter(Nanos delay);
  void Answered(Result<std::vector<Address>> addresses, Nanos ttl);

  Loop& loop_;
  Options options_;
  Answer answer_;
  std::vector<Address> known_;
  std::unique_ptr<Question> question_;  // while one is under way
  Time asked_{};
  Loop::Timer timer_;
};

}  // namespace tributary::base
