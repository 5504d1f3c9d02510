#include "base/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/base/dns_server.h"

namespace tributary::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
  tests::DnsServer dns_{loop_};
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
