// DnsServer: a DNS server on a loopback UDP port, on the test's own loop: answers A and AAAA questions from a table,
// NXDOMAIN for other names.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/loop.h"
#include "base/socket.h"

namespace tributary::tests {

class DnsServer {
 public:
  explicit DnsServer(base::Loop& loop) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const base::Address any = *base::Address::Parse("127.0.0.1:0");
    CHECK(bind(socket_.get(), any.get(), any.length) == 0);
    watch_ = loop.WatchFd(socket_.get(), EPOLLIN, [this](uint32_t) { AnswerOne(); });
  }

  std::string address() const { return base::LocalAddress(socket_.get()).ToString(); }

  std::map<std::string, std::vector<std::string>> names;  // "gateway.test" -> numeric addresses
  uint32_t ttl_seconds = 3600;
  bool silent = false;
  int questions = 0;

 private:
  static constexpr size_t kHeader = 12;

  static void Put16(std::string& to, unsigned value) {
    to.push_back(static_cast<char>(value >> 8));
    to.push_back(static_cast<char>(value));
  }

  void AnswerOne() {
    char packet[1500];
    sockaddr_storage from;
    socklen_t from_length = sizeof from;
    const ssize_t n =
        recvfrom(socket_.get(), packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (n < static_cast<ssize_t>(kHeader)) return;
    ++questions;
    if (silent) return;
    const std::string reply = Reply(std::string(packet, n));
    sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from), from_length);
  }

  // RFC 1035: the header, the question again, and one record per address of the asked-for family.
  std::string Reply(const std::string& query) const {
    std::string name;
    size_t at = kHeader;
    while (query[at] != 0) {
      if (!name.empty()) name += '.';
      name += query.substr(at + 1, query[at]);
      at += 1 + query[at];
    }
    const std::string question = query.substr(kHeader, at + 1 + 4 - kHeader);
    const bool v6 = query[at + 2] == 28;
    std::string records;
    unsigned count = 0;
    const auto known = names.find(name);
    if (known != names.end()) {
      for (const std::string& numeric : known->second) {
        in6_addr binary;
        const bool is_v6 = numeric.find(':') != std::string::npos;
        CHECK(inet_pton(is_v6 ? AF_INET6 : AF_INET, numeric.c_str(), &binary) == 1);
        if (is_v6 != v6) continue;
        ++count;
        Put16(records, 0xc000 | kHeader);  // the name: as in the question
        Put16(records, v6 ? 28 : 1);
        Put16(records, 1);
        Put16(records, ttl_seconds >> 16);
        Put16(records, ttl_seconds & 0xffff);
        Put16(records, v6 ? 16 : 4);
        records.append(reinterpret_cast<const char*>(&binary), v6 ? 16 : 4);
      }
    }
    std::string reply = query.substr(0, 2);
    Put16(reply, known == names.end() ? 0x8183 : 0x8180);
    Put16(reply, 1);
    Put16(reply, count);
    Put16(reply, 0);
    Put16(reply, 0);
    return reply + question + records;
  }

  base::Fd socket_;
  base::Loop::Watch watch_;
};

}  // namespace tributary::tests
