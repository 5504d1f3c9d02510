#include "tests/agent/api_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace tributary::test {
namespace {

// Until the end of the headers; empty when the client went away.
std::string ReadRequest(int connection) {
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
    if (n <= 0) return {};
    request.append(buffer, static_cast<size_t>(n));
  }
  return request;
}

std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t at = text.find(begin);
  if (at == std::string::npos) return {};
  const size_t from = at + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

std::string Response(int status, const std::string& body) {
  return fmt::format("HTTP/1.1 {} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
                     body.size(), body);
}

std::string Chunk(const std::string& text) { return fmt::format("{:x}\r\n{}\r\n", text.size(), text); }

// With the resource version that every object has.
std::string Versioned(std::string json, uint64_t version) {
  const std::string metadata = "\"metadata\":{";
  json.insert(json.find(metadata) + metadata.size(), fmt::format("\"resourceVersion\":\"{}\",", version));
  return json;
}

}  // namespace

ApiServer::ApiServer() { Start(); }

ApiServer::~ApiServer() { Stop(); }

void ApiServer::Start() {
  const std::lock_guard lock(mutex_);
  stopping_ = false;
  listener_ = base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  CHECK(::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_);
  socklen_t length = sizeof address;
  CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  CHECK(::listen(listener_.get(), 16) == 0);
  CHECK(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this, listener = listener_.get()] { Accept(listener); });
}

void ApiServer::Accept(int listener) {
  for (;;) {
    base::Fd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.valid()) return;
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    open_.push_back(connection.get());
    connections_.emplace_back([this, connection = std::move(connection)]() mutable { Serve(std::move(connection)); });
  }
}

void ApiServer::Stop() {
  std::vector<std::thread> connections;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    for (const int connection : open_) ::shutdown(connection, SHUT_RDWR);
    connections = std::move(connections_);
  }
  changed_.notify_all();
  if (acceptor_.joinable()) acceptor_.join();
  for (std::thread& connection : connections) connection.join();
  listener_ = base::Fd();
}

void ApiServer::Serve(base::Fd connection) {
  for (;;) {
    const std::string request = ReadRequest(connection.get());
    std::unique_lock lock(mutex_);
    if (request.empty() || stopping_) break;
    seen_.last_url = Between(request, "GET ", " HTTP/1.1");
    seen_.last_authorization = Between(request, "Authorization: ", "\r\n");
    const bool is_watch = seen_.last_url.find("watch=1") != std::string::npos;
    const bool is_kubelet = seen_.last_url == "/pods";
    ++(is_kubelet ? seen_.kubelet_lists : is_watch ? seen_.watches : seen_.lists);
    const std::string version = Between(seen_.last_url + "&", "resourceVersion=", "&");
    changed_.notify_all();
    if (status_ != 0) {
      if (!Send(connection.get(), Response(status_, R"({"kind":"Status","message":"as the test wants"})"), lock)) break;
    } else if (is_watch) {
      ServeWatch(connection.get(), std::strtoull(version.c_str(), nullptr, 10), lock);
      break;
    } else if (!Send(connection.get(), Response(200, ListText()), lock)) {
      break;
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, connection.get());
  connection = base::Fd();
}

void ApiServer::ServeWatch(int connection, uint64_t version, std::unique_lock<std::mutex>& lock) {
  const uint64_t drops = drops_;
  if (!Send(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            lock)) {
    return;
  }
  if (version < forgotten_below_) {
    const std::string gone = R"({"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}})";
    Send(connection, Chunk(gone + "\n") + Chunk(""), lock);
    return;
  }
  for (size_t next = 0;;) {
    for (; next < history_.size(); ++next) {
      const Event event = history_[next];
      if (event.version > version && !Send(connection, Chunk(event.line + "\n"), lock)) return;
    }
    if (stopping_ || drops_ != drops) return;
    changed_.wait(lock);
  }
}

// Without the lock, so that a client that does not read holds nobody up.
bool ApiServer::Send(int connection, const std::string& text, std::unique_lock<std::mutex>& lock) {
  const size_t step = slow_ ? 1 : text.size();
  lock.unlock();
  bool sent = true;
  for (size_t at = 0; at < text.size() && sent;) {
    const ssize_t n = ::send(connection, text.data() + at, std::min(step, text.size() - at), MSG_NOSIGNAL);
    sent = n > 0;
    at += sent ? static_cast<size_t>(n) : 0;
  }
  lock.lock();
  return sent;
}

std::string ApiServer::ListText() const {
  std::string items;
  for (const auto& [uid, json] : pods_) items += (items.empty() ? "" : ",") + Versioned(json, version_);
  return fmt::format(R"({{"kind":"PodList","metadata":{{"resourceVersion":"{}"}},"items":[{}]}})", version_, items);
}

void ApiServer::AddEvent(const char* type, const std::string& json) {
  ++version_;
  history_.push_back({version_, fmt::format(R"({{"type":"{}","object":{}}})", type, Versioned(json, version_))});
  changed_.notify_all();
}

void ApiServer::Put(const std::string& uid, const std::string& json) {
  const std::lock_guard lock(mutex_);
  AddEvent(pods_.contains(uid) ? "MODIFIED" : "ADDED", json);
  pods_[uid] = json;
}

void ApiServer::Delete(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  AddEvent("DELETED", pods_.at(uid));
  pods_.erase(uid);
}

void ApiServer::Bookmark() {
  const std::lock_guard lock(mutex_);
  AddEvent("BOOKMARK", R"({"kind":"Pod","metadata":{"creationTimestamp":null}})");
}

void ApiServer::ForgetHistory() {
  const std::lock_guard lock(mutex_);
  forgotten_below_ = ++version_;
  history_.clear();
  ++drops_;
  changed_.notify_all();
}

void ApiServer::DropWatches() {
  const std::lock_guard lock(mutex_);
  ++drops_;
  changed_.notify_all();
}

void ApiServer::SendToWatches(const std::string& line) {
  const std::lock_guard lock(mutex_);
  history_.push_back({++version_, line});
  changed_.notify_all();
}

void ApiServer::AnswerAllWith(int status) {
  const std::lock_guard lock(mutex_);
  status_ = status;
  ++drops_;
  changed_.notify_all();
}

void ApiServer::SetSlow(bool slow) {
  const std::lock_guard lock(mutex_);
  slow_ = slow;
}

ApiServer::Seen ApiServer::seen() {
  const std::lock_guard lock(mutex_);
  return seen_;
}

}  // namespace tributary::test
