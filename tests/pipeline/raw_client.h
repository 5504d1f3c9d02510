// RawClient: a socket to a server on the same thread, for tests that choose every byte. What it waits for, it waits for
// by turning the loop.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/loop.h"
#include "pipeline/http_server.h"

namespace tributary::tests {

class RawClient {
 public:
  RawClient(base::Loop& loop, pipeline::HttpServer& server) : loop_(loop) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    socket_ = base::Fd(fds[0]);
    server.Adopt(base::Fd(fds[1]));
  }

  // Sends all of it, turning the loop while the socket is full. Stops when the server has closed.
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        Turn();
      } else {
        return;
      }
    }
  }
  void EndSending() { shutdown(socket_.get(), SHUT_WR); }

  // Turns the loop until `done` says so. Received bytes are in received().
  void Until(const std::function<bool()>& done) {
    while (!done()) Turn();
  }
  void UntilReceived(std::string_view text) {
    Until([&] { return closed_ || received_.find(text) != std::string::npos; });
  }
  void UntilClosed() {
    Until([&] { return closed_; });
  }
  // A few turns, for things that must not happen.
  void Settle() {
    for (int i = 0; i < 5; ++i) Turn();
  }

  std::string& received() { return received_; }
  bool closed() const { return closed_; }
  void StopReading() { reading_ = false; }
  void StartReading() { reading_ = true; }
  void Close() { socket_.Close(); }

 private:
  void Turn() {
    loop_.RunOnce(std::chrono::milliseconds(1));
    if (!reading_ || closed_) return;
    char buffer[64 << 10];
    ssize_t n;
    while ((n = recv(socket_.get(), buffer, sizeof buffer, 0)) > 0) received_.append(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN)) closed_ = true;
  }

  base::Loop& loop_;
  base::Fd socket_;
  std::string received_;
  bool closed_ = false;
  bool reading_ = true;
};

}  // namespace tributary::tests
