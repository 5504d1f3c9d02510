#include "base/resolver.h"

#include <ares.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace tributary::base {
namespace {

std::string_view BytesOf(const Address& address) {
  return {reinterpret_cast<const char*>(&address.storage), address.length};
}

bool SameAddresses(const std::vector<Address>& a, const std::vector<Address>& b) {
  return std::ranges::equal(a, b, {}, BytesOf, BytesOf);
}

}  // namespace

// One question under way: a c-ares channel of its own, so that every question reads the current configuration and
// abandoning one is destroying it.
class Resolver::Question {
 public:
  using Done = std::move_only_function<void(Result<std::vector<Address>>, Nanos ttl)>;

  Question(Loop& loop, const Options& options, Done done) : loop_(loop), options_(options), done_(std::move(done)) {
    deadline_ = loop_.now() + options_.timeout;
    if (!OpenChannel()) {
      result_ = Fail("resolve {}: c-ares does not start with servers \"{}\"", options_.host, options_.dns_servers);
      timer_ = loop_.RunAfter(Nanos(0), [this] { Continue(); });
      return;
    }
    ares_addrinfo_hints hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    const std::string service = std::to_string(options_.port);
    ares_getaddrinfo(channel_, options_.host.c_str(), service.c_str(), &hints, OnAddresses, this);
    // The answer may be there already (/etc/hosts); even so it is told from the loop.
    timer_ = loop_.RunAfter(Nanos(0), [this] { Continue(); });
  }

  ~Question() { CloseChannel(); }

 private:
  bool OpenChannel() {
    static const bool library_ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
    CHECK(library_ready);
    char lookups[] = "fb";  // files, then DNS
    ares_options ares{};
    ares.timeout = 1500;  // milliseconds; grows with each try
    ares.tries = 3;
    ares.lookups = lookups;
    ares.sock_state_cb = OnSocketState;
    ares.sock_state_cb_data = this;
    if (ares_init_options(&channel_, &ares,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB) !=
        ARES_SUCCESS) {
      channel_ = nullptr;
      return false;
    }
    return options_.dns_servers.empty() ||
           ares_set_servers_ports_csv(channel_, options_.dns_servers.c_str()) == ARES_SUCCESS;
  }

  void CloseChannel() {
    closing_ = true;
    if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
    watches_.clear();
  }

  static void OnSocketState(void* self, ares_socket_t fd, int readable, int writable) {
    auto* question = static_cast<Question*>(self);
    const uint32_t events = (readable ? uint32_t{EPOLLIN} : 0) | (writable ? uint32_t{EPOLLOUT} : 0);
    if (events == 0) {
      question->watches_.erase(fd);
    } else if (auto known = question->watches_.find(fd); known != question->watches_.end()) {
      known->second.Want(events);
    } else {
      question->watches_.emplace(
          fd, question->loop_.WatchFd(fd, events, [question, fd](uint32_t ready) { question->Process(fd, ready); }));
    }
  }

  static void OnAddresses(void* self, int status, int /*timeouts*/, ares_addrinfo* found) {
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(found, ares_freeaddrinfo);
    auto* question = static_cast<Question*>(self);
    if (question->closing_) return;
    std::vector<Address> addresses;
    int ttl_seconds = 24 * 3600;
    for (auto* node = status == ARES_SUCCESS && found != nullptr ? found->nodes : nullptr; node != nullptr;
         node = node->ai_next) {
      Address address;
      CHECK(static_cast<size_t>(node->ai_addrlen) <= sizeof address.storage);
      std::memcpy(&address.storage, node->ai_addr, node->ai_addrlen);
      address.length = node->ai_addrlen;
      addresses.push_back(address);
      ttl_seconds = std::min(ttl_seconds, std::max(node->ai_ttl, 0));
    }
    std::ranges::sort(addresses, {}, BytesOf);
    const auto repeated = std::ranges::unique(addresses, {}, BytesOf);
    addresses.erase(repeated.begin(), repeated.end());
    question->ttl_ = std::chrono::seconds(ttl_seconds);
    if (addresses.empty()) {
      question->result_ = Fail("resolve {}: {}", question->options_.host,
                               status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status));
    } else {
      question->result_ = std::move(addresses);
    }
  }

  void Process(int fd, uint32_t ready) {
    const bool writable = ready & EPOLLOUT;
    const bool readable = ready & ~uint32_t{EPOLLOUT};  // errors too: reading finds out which
    ares_process_fd(channel_, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
    Continue();
  }

  // Ends the question when it is answered or took too long, else waits for what comes first.
  void Continue() {
    if (!result_ && loop_.now() >= deadline_) {
      result_ = Fail("resolve {}: no answer in {:.1f} s", options_.host, Seconds(options_.timeout));
    }
    if (result_) {
      CloseChannel();
      Done done = std::move(done_);
      done(std::move(*result_), ttl_);  // destroys this
      return;
    }
    timeval wait_max{.tv_sec = 3600, .tv_usec = 0};
    timeval wait;
    ares_timeout(channel_, &wait_max, &wait);
    const Nanos next_try = std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec);
    timer_ = loop_.RunAt(std::min(loop_.now() + next_try, deadline_), [this] {
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      Continue();
    });
  }

  Loop& loop_;
  const Options& options_;
  Done done_;
  Time deadline_;
  ares_channel channel_ = nullptr;
  std::unordered_map<int, Loop::Watch> watches_;
  std::optional<Result<std::vector<Address>>> result_;
  Nanos ttl_{};
  bool closing_ = false;
  Loop::Timer timer_;
};

Resolver::Resolver(Loop& loop, Options options, Answer answer)
    : loop_(loop), options_(std::move(options)), answer_(std::move(answer)) {
  if (!AnswerWithoutAsking()) Ask();
}

Resolver::~Resolver() = default;

bool Resolver::AnswerWithoutAsking() {
  Result<Address> address = Fail("");
  if (options_.host.starts_with("unix:")) {
    address = Address::Parse(options_.host);
    if (!address) {
      timer_ = loop_.RunAfter(Nanos(0), [this, error = address.error()] { answer_(std::unexpected(error)); });
      return true;
    }
  } else {
    address = Address::FromNumeric(options_.host == "localhost" ? "127.0.0.1" : options_.host, options_.port);
  }
  if (!address) return false;
  known_ = {*address};
  timer_ = loop_.RunAfter(Nanos(0), [this] { answer_(known_); });
  return true;
}

void Resolver::Refresh() {
  if (question_ != nullptr || asked_ == Time{}) return;  // one is under way, or there is nothing to ask
  AskAfter(asked_ + options_.refresh_min - loop_.now());
}

void Resolver::Ask() {
  asked_ = loop_.now();
  question_ = std::make_unique<Question>(loop_, options_, [this](Result<std::vector<Address>> addresses, Nanos ttl) {
    Answered(std::move(addresses), ttl);
  });
}

void Resolver::AskAfter(Nanos delay) {
  timer_ = loop_.RunAfter(delay, [this] { Ask(); });
}

void Resolver::Answered(Result<std::vector<Address>> addresses, Nanos ttl) {
  question_.reset();
  AskAfter(addresses ? std::clamp(ttl, options_.refresh_min, options_.refresh_max) : options_.refresh_min);
  if (addresses) {
    if (SameAddresses(*addresses, known_)) return;
    known_ = *addresses;
  }
  answer_(std::move(addresses));
}

}  // namespace tributary::base
