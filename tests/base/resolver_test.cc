#include "base/resolver.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "base/check.h"

namespace tributary::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A DNS server on a loopback UDP port: answers A and AAAA questions from a table, NXDOMAIN for other names.
class DnsServer {
 public:
  explicit DnsServer(Loop& loop) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const Address any = *Address::Parse("127.0.0.1:0");
    CHECK(bind(socket_.get(), any.get(), any.length) == 0);
    watch_ = loop.WatchFd(socket_.get(), EPOLLIN, [this](uint32_t) { AnswerOne(); });
  }

  std::string address() const { return LocalAddress(socket_.get()).ToString(); }

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

  Fd socket_;
  Loop::Watch watch_;
};

class ResolverTest : public testing::Test {
 protected:
  std::unique_ptr<Resolver> Resolve(Resolver::Options options) {
    if (options.port == 0) options.port = 4317;
    if (options.dns_servers.empty()) options.dns_servers = dns_.address();
    return std::make_unique<Resolver>(loop_, std::move(options), [this](Result<std::vector<Address>> addresses) {
      answers_.emplace_back();
      if (!addresses) {
        errors_.push_back(addresses.error().message);
        return;
      }
      for (const Address& address : *addresses) answers_.back().push_back(address.ToString());
    });
  }
  void RunUntilAnswers(size_t n) {
    while (answers_.size() < n) loop_.RunOnce(seconds(1));
  }

  Loop loop_;
  DnsServer dns_{loop_};
  std::vector<std::vector<std::string>> answers_;  // empty for a failure
  std::vector<std::string> errors_;
};

TEST_F(ResolverTest, TakesNumericHostsAndLocalhostWithoutAsking) {
  auto v4 = Resolve({.host = "10.1.2.3"});
  auto v6 = Resolve({.host = "fd00::1"});
  auto local = Resolve({.host = "localhost"});
  auto unix_socket = Resolve({.host = "unix:/run/tributary.sock"});
  RunUntilAnswers(4);
  EXPECT_THAT(answers_, ElementsAre(ElementsAre("10.1.2.3:4317"), ElementsAre("[fd00::1]:4317"),
                                    ElementsAre("127.0.0.1:4317"), ElementsAre("unix:/run/tributary.sock")));
  v4->Refresh();
  loop_.RunOnce(Nanos(0));
  EXPECT_EQ(dns_.questions, 0);
}

TEST_F(ResolverTest, FindsEveryAddressOfAName) {
  dns_.names["gateway.test"] = {"10.0.0.2", "10.0.0.1", "fd00::7", "10.0.0.1"};
  auto resolver = Resolve({.host = "gateway.test"});
  RunUntilAnswers(1);
  EXPECT_THAT(answers_[0], ElementsAre("10.0.0.1:4317", "10.0.0.2:4317", "[fd00::7]:4317"));
}

TEST_F(ResolverTest, NeverAnswersInTheConstructor) {
  dns_.names["gateway.test"] = {"10.0.0.1"};
  auto numeric = Resolve({.host = "10.0.0.9"});
  auto named = Resolve({.host = "gateway.test"});
  EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(ResolverTest, TellsThatANameDoesNotExist) {
  auto resolver = Resolve({.host = "nowhere.test"});
  RunUntilAnswers(1);
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(errors_[0], HasSubstr("resolve nowhere.test: "));
}

TEST_F(ResolverTest, GivesUpOnASilentServer) {
  dns_.silent = true;
  auto resolver = Resolve({.host = "gateway.test", .timeout = milliseconds(50)});
  RunUntilAnswers(1);
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(errors_[0], HasSubstr("resolve gateway.test: no answer in"));
}

TEST_F(ResolverTest, AsksAgainAfterTheTimeToLiveAndTellsOnlyChanges) {
  dns_.names["gateway.test"] = {"10.0.0.1"};
  dns_.ttl_seconds = 0;
  auto resolver = Resolve({.host = "gateway.test", .refresh_min = milliseconds(2)});
  while (dns_.questions < 10) loop_.RunOnce(seconds(1));
  EXPECT_EQ(answers_.size(), 1u);
  dns_.names["gateway.test"] = {"10.0.0.1", "10.0.0.2"};
  RunUntilAnswers(2);
  EXPECT_THAT(answers_[1], ElementsAre("10.0.0.1:4317", "10.0.0.2:4317"));
}

TEST_F(ResolverTest, AsksAgainEarlyWhenToldTo) {
  dns_.names["gateway.test"] = {"10.0.0.1"};
  auto resolver = Resolve({.host = "gateway.test", .refresh_min = milliseconds(2)});
  RunUntilAnswers(1);
  dns_.names["gateway.test"] = {"10.0.0.2"};
  resolver->Refresh();
  RunUntilAnswers(2);
  EXPECT_THAT(answers_[1], ElementsAre("10.0.0.2:4317"));
}

TEST_F(ResolverTest, RecoversFromAFailure) {
  auto resolver = Resolve({.host = "gateway.test", .refresh_min = milliseconds(2)});
  RunUntilAnswers(1);
  EXPECT_EQ(errors_.size(), 1u);
  dns_.names["gateway.test"] = {"10.0.0.1"};
  while (answers_.back().empty()) loop_.RunOnce(seconds(1));
  EXPECT_THAT(answers_.back(), ElementsAre("10.0.0.1:4317"));
}

TEST_F(ResolverTest, MayBeDestroyedWhileAskingAndInItsAnswer) {
  dns_.silent = true;
  Resolve({.host = "gateway.test"}).reset();
  auto asking = Resolve({.host = "gateway.test"});
  loop_.RunOnce(seconds(1));
  asking.reset();
  dns_.silent = false;
  dns_.names["gateway.test"] = {"10.0.0.1"};
  std::unique_ptr<Resolver> self;
  bool answered = false;
  self = std::make_unique<Resolver>(loop_,
                                    Resolver::Options{.host = "gateway.test", .port = 1, .dns_servers = dns_.address()},
                                    [&](Result<std::vector<Address>>) {
                                      answered = true;
                                      self.reset();
                                    });
  while (!answered) loop_.RunOnce(seconds(1));
  EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(ResolverTest, ReadsTheHostsFile) {
  // The first name of this machine's /etc/hosts that is not a localhost.
  std::ifstream hosts("/etc/hosts");
  std::string line, name;
  while (name.empty() && std::getline(hosts, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string number;
    words >> number >> name;
    if (name.find("localhost") != std::string::npos || number.find(':') != std::string::npos) name.clear();
  }
  if (name.empty()) GTEST_SKIP() << "/etc/hosts names nobody but localhost";
  dns_.silent = true;
  auto resolver = Resolve({.host = name});
  RunUntilAnswers(1);
  EXPECT_THAT(errors_, IsEmpty());
}

}  // namespace
}  // namespace tributary::base
