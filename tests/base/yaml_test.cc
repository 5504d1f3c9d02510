#include "base/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace tributary::base {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

YamlDocument Parse(std::string_view text) {
  auto document = ParseYaml(text, "agent.yaml");
  EXPECT_TRUE(document.has_value()) << document.error().message;
  return document ? std::move(*document) : Parse("{}");
}

std::string ParseError(std::string_view text) {
  const auto document = ParseYaml(text, "agent.yaml");
  return document ? "no error" : document.error().message;
}

std::string Faults(const YamlDocument& document) {
  const Status status = document.Finish();
  return status ? "" : status.error().message;
}

TEST(Yaml, ReadsEveryTypeOfValue) {
  const YamlDocument document = Parse(R"(
name: node-1   # a comment
tls: true
workers: -3
ratio: 0.25
buffer: 64MiB
page: 4KiB
plain: 512
wait: 200ms
long: 1m30s
backends: [a, "b", 'c: d']
headers:
  authorization: Bearer x
  x-scope: "42"
sinks:
  - name: jaeger
  - name: loki
)");
  const YamlMap root = document.root();
  EXPECT_EQ(root.String("name"), "node-1");
  EXPECT_TRUE(root.Bool("tls"));
  EXPECT_EQ(root.Int("workers", -10, 10), -3);
  EXPECT_EQ(root.Double("ratio", 0, 1), 0.25);
  EXPECT_EQ(root.Size("buffer", 0, 1 << 30), 64u << 20);
  EXPECT_EQ(root.Size("page", 0, 1 << 30), 4096u);
  EXPECT_EQ(root.Size("plain", 0, 1 << 30), 512u);
  EXPECT_EQ(root.Duration("wait", 0s, 1h), 200ms);
  EXPECT_EQ(root.Duration("long", 0s, 1h), 90s);
  EXPECT_THAT(root.Strings("backends"), ElementsAre("a", "b", "c: d"));
  EXPECT_THAT(root.StringMap("headers"), ElementsAre(Pair("authorization", "Bearer x"), Pair("x-scope", "42")));
  const std::vector<YamlMap> sinks = root.Maps("sinks");
  ASSERT_EQ(sinks.size(), 2u);
  EXPECT_EQ(sinks[1].String("name"), "loki");
  EXPECT_EQ(sinks[0].String("name"), "jaeger");
  EXPECT_EQ(Faults(document), "");
}

TEST(Yaml, GivesDefaultsForWhatIsAbsentNullOrEmpty) {
  const YamlDocument document = Parse("a: ~\nb:\nc: null\nsection:\n");
  const YamlMap root = document.root();
  EXPECT_EQ(root.String("a", "x"), "x");
  EXPECT_EQ(root.Int("b", 0, 9, 7), 7);
  EXPECT_EQ(root.Duration("c", 0s, 1h, 5s), 5s);
  EXPECT_EQ(root.Map("section").Bool("on", true), true);
  EXPECT_EQ(root.Map("absent").Size("bytes", 0, 100, 10), 10u);
  EXPECT_TRUE(root.Strings("none").empty());
  EXPECT_FALSE(root.Has("a"));
  EXPECT_EQ(Faults(document), "");
}

TEST(Yaml, AnEmptyFileIsAnEmptyMap) {
  for (const char* text : {"", "\n\n", "# nothing\n", "---\n", "{}"}) {
    const YamlDocument document = Parse(text);
    EXPECT_EQ(document.root().String("name", "x"), "x");
    EXPECT_EQ(Faults(document), "") << text;
  }
}

TEST(Yaml, TellsAnUnknownKeyWithItsLineAndTheOneThatWasMeant) {
  const YamlDocument document = Parse("\nupstream:\n  mode: eager\n  endpont: gateway:4317\n");
  const YamlMap upstream = document.root().Map("upstream");
  upstream.String("mode");
  upstream.String("endpoint", "");
  EXPECT_EQ(Faults(document), "agent.yaml:4: unknown key 'endpont' in upstream (did you mean 'endpoint'?)");
}

TEST(Yaml, TellsTheKnownKeysWhenNoneIsClose) {
  const YamlDocument document = Parse("colour: red\n");
  document.root().String("endpoint", "");
  document.root().String("timeout", "");
  EXPECT_EQ(Faults(document), "agent.yaml:1: unknown key 'colour' (known keys: endpoint, timeout)");
}

TEST(Yaml, TellsAllFaultsAtOnceByLine) {
  const YamlDocument document = Parse(R"(port: 70000
tls: yes
upstream:
  timeout: fast
  retries: 1.5
extra: 1
list: {}
)");
  const YamlMap root = document.root();
  const YamlMap upstream = root.Map("upstream");
  upstream.Duration("timeout", 0s, 1h, 5s);
  upstream.Int("retries", 0, 10);
  upstream.String("endpoint");
  root.Int("port", 1, 65535);
  root.Bool("tls");
  root.Strings("list");
  EXPECT_EQ(Faults(document),
            "agent.yaml:1: port: 70000 is not between 1 and 65535\n"
            "agent.yaml:2: tls: 'yes' is not true or false\n"
            "agent.yaml:4: upstream.endpoint: is required\n"
            "agent.yaml:4: upstream.timeout: 'fast' is not a duration such as 200ms, 5s or 1m30s\n"
            "agent.yaml:5: upstream.retries: '1.5' is not a whole number\n"
            "agent.yaml:6: unknown key 'extra' (known keys: list, port, tls, upstream)\n"
            "agent.yaml:7: list: is a map, not a list");
}

TEST(Yaml, RefusesValuesOfTheWrongTypeOrRange) {
  const auto fault = [](std::string_view value, auto read) {
    const YamlDocument document = Parse("k: " + std::string(value));
    read(document.root());
    return Faults(document);
  };
  const auto integer = [](const YamlMap& map) { map.Int("k", 0, 100); };
  for (const char* bad : {"010", "1_000", "0x10", "1e1", "101", "-1", "99999999999999999999", "a", "''", "[1]", "{}"}) {
    EXPECT_NE(fault(bad, integer), "") << bad;
  }
  const auto size = [](const YamlMap& map) { map.Size("k", 0, 1 << 20); };
  for (const char* bad : {"1MB", "1 KiB", "1.5KiB", "-1", "2MiB", "KiB", "99999999999TiB", "1kib"}) {
    EXPECT_NE(fault(bad, size), "") << bad;
  }
  const auto duration = [](const YamlMap& map) { map.Duration("k", 1ms, 1h); };
  for (const char* bad : {"5", "1d", "-1s", "61m", "0", "s", "1.s", "1s ago", "1.1234567891s", "9999999999999h"}) {
    EXPECT_NE(fault(bad, duration), "") << bad;
  }
  const auto number = [](const YamlMap& map) { map.Double("k", 0, 1); };
  for (const char* bad : {"1.1", "nan", "one", "0,5", "-0.1"}) {
    EXPECT_NE(fault(bad, number), "") << bad;
  }
  const auto text = [](const YamlMap& map) { map.String("k"); };
  EXPECT_EQ(fault("[a]", text), "agent.yaml:1: k: is a list, not text");
  const auto map = [](const YamlMap& root) { root.Map("k").String("required"); };
  EXPECT_EQ(fault("5", map), "agent.yaml:1: k: '5' is not a map");
}

TEST(Yaml, ReadsOneOfAChoice) {
  enum class Mode { kMemory, kProcess };
  const auto mode = [](const YamlDocument& document) {
    return document.root().Choice<Mode>("mode", {{"memory", Mode::kMemory}, {"process", Mode::kProcess}},
                                        Mode::kProcess);
  };
  const YamlDocument memory = Parse("mode: memory");
  EXPECT_EQ(mode(memory), Mode::kMemory);
  EXPECT_EQ(Faults(memory), "");
  const YamlDocument absent = Parse("");
  EXPECT_EQ(mode(absent), Mode::kProcess);
  const YamlDocument wrong = Parse("mode: disk");
  mode(wrong);
  EXPECT_EQ(Faults(wrong), "agent.yaml:1: mode: 'disk' is not one of memory, process");
}

TEST(Yaml, AValueMayBeOfSeveralTypes) {
  const YamlDocument document = Parse("a: [5, \"5\", [x], {y: z}]");
  const std::vector<YamlValue> values = document.root().Find("a")->List();
  ASSERT_EQ(values.size(), 4u);
  EXPECT_TRUE(values[0].is_scalar() && !values[0].is_quoted());
  EXPECT_TRUE(values[1].is_scalar() && values[1].is_quoted());
  EXPECT_TRUE(values[2].is_list());
  EXPECT_TRUE(values[3].is_map());
  EXPECT_EQ(values[3].path(), "a[3]");
  values[3].Map();
  EXPECT_EQ(Faults(document), "agent.yaml:1: unknown key 'y' in a[3] (it has no keys)");
}

TEST(Yaml, KeysThatTheUserChoseAreListedInOrder) {
  const YamlDocument document = Parse("sinks:\n  zeta: {url: z}\n  alpha: {url: a}\n  bare:\n");
  const YamlMap sinks = document.root().Map("sinks");
  EXPECT_THAT(sinks.Keys(), ElementsAre("zeta", "alpha", "bare"));
  EXPECT_EQ(sinks.Map("alpha").String("url"), "a");
  EXPECT_EQ(sinks.Map("zeta").String("url"), "z");
  EXPECT_EQ(sinks.Map("bare").String("url"), "");
  EXPECT_EQ(Faults(document), "agent.yaml:2: sinks.bare.url: is required");
}

TEST(Yaml, TheCallerMayFindFaultsOfItsOwn) {
  const YamlDocument document = Parse("\nendpoint: nowhere\n");
  document.root().String("endpoint");
  document.root().Fail("endpoint", "not host:port");
  document.root().Fail("ca", "needed for https");
  EXPECT_EQ(Faults(document), "agent.yaml:2: ca: needed for https\nagent.yaml:2: endpoint: not host:port");
}

TEST(Yaml, RefusesAKeyGivenTwice) {
  EXPECT_EQ(ParseError("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n"), "agent.yaml:5: key 'c' is given twice");
}

TEST(Yaml, RefusesWhatIsNotOnePlainDocument) {
  EXPECT_THAT(ParseError("a: [1, 2"), HasSubstr("agent.yaml:"));
  EXPECT_THAT(ParseError("a: 1\n b: 2\n"), HasSubstr("agent.yaml:2: "));
  EXPECT_EQ(ParseError("a: 1\n---\nb: 2\n"), "agent.yaml:2: a second document in one file");
  EXPECT_EQ(ParseError("a: !!int 5\n"), "agent.yaml:1: tags are not supported");
  EXPECT_EQ(ParseError("a: !secret [x]\n"), "agent.yaml:1: tags are not supported");
  EXPECT_EQ(ParseError("? [a, b]\n: c\n"), "agent.yaml:1: a key that is not text");
  const YamlDocument list = Parse("- a\n- b\n");
  list.root();
  EXPECT_EQ(Faults(list), "agent.yaml:1: is a list, not a map");
}

TEST(Yaml, FollowsAnchorsAndAliases) {
  const YamlDocument document = Parse("a: &defaults {url: x}\nb: *defaults\nc: &n 5\nd: [*n, *n]\n");
  const YamlMap root = document.root();
  EXPECT_EQ(root.Map("a").String("url"), "x");
  EXPECT_EQ(root.Map("b").String("url"), "x");
  EXPECT_EQ(root.Int("c", 0, 9), 5);
  EXPECT_THAT(root.Strings("d"), ElementsAre("5", "5"));
  EXPECT_EQ(Faults(document), "");
}

TEST(Yaml, RefusesAliasesThatMultiplyOrRecur) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) laughs += fmt::format("*a{}, ", i - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(ParseError(laughs), HasSubstr("too many values"));
  EXPECT_EQ(ParseError("a: &a [*a]\n"), "agent.yaml:1: an alias within what it stands for");
  EXPECT_THAT(ParseError("a: *nowhere\n"), HasSubstr("agent.yaml:1: "));
}

TEST(Yaml, RefusesDeepNesting) {
  EXPECT_THAT(ParseError("a: " + std::string(65, '[') + std::string(65, ']')), HasSubstr("nested too deeply"));
  EXPECT_NE(ParseError("a: " + std::string(100000, '[')), "no error");
  EXPECT_NE(ParseError(std::string(100000, '{')), "no error");
}

class YamlEnvironment : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TRIBUTARY_TEST_HOST", "gw.example", 1);
    setenv("TRIBUTARY_TEST_EMPTY", "", 1);
    setenv("TRIBUTARY_TEST_EVIL", "x\nadmin: true # ${TRIBUTARY_TEST_HOST} $$", 1);
    unsetenv("TRIBUTARY_TEST_UNSET");
  }
  std::string Substituted(const std::string& scalar) { return Parse("k: " + scalar).root().String("k", "absent"); }
};

TEST_F(YamlEnvironment, IsPutIntoScalars) {
  EXPECT_EQ(Substituted("${TRIBUTARY_TEST_HOST}:4317"), "gw.example:4317");
  EXPECT_EQ(Substituted("\"${env:TRIBUTARY_TEST_HOST}\""), "gw.example");
  EXPECT_EQ(Substituted("${env:TRIBUTARY_TEST_HOST:-other}"), "gw.example");
  EXPECT_EQ(Substituted("${env:TRIBUTARY_TEST_UNSET:-10.0.0.1:4317}"), "10.0.0.1:4317");
  EXPECT_EQ(Substituted("a${env:TRIBUTARY_TEST_UNSET:-}b"), "ab");
  EXPECT_EQ(Substituted("x${TRIBUTARY_TEST_EMPTY}y${TRIBUTARY_TEST_HOST}"), "xygw.example");
  const YamlDocument document = Parse("port: ${env:TRIBUTARY_TEST_UNSET:-4317}");
  EXPECT_EQ(document.root().Int("port", 1, 65535), 4317);
}

TEST_F(YamlEnvironment, ADollarSignIsWrittenTwiceOrAlone) {
  EXPECT_EQ(Substituted("$${TRIBUTARY_TEST_HOST}"), "${TRIBUTARY_TEST_HOST}");
  EXPECT_EQ(Substituted("a$$b$c"), "a$b$c");
  EXPECT_EQ(Substituted("cost$"), "cost$");
  EXPECT_EQ(Substituted("$$$${TRIBUTARY_TEST_HOST}"), "$${TRIBUTARY_TEST_HOST}");
}

TEST_F(YamlEnvironment, CanNeverAddStructure) {
  const YamlDocument document = Parse("k: ${TRIBUTARY_TEST_EVIL}\n");
  EXPECT_EQ(document.root().String("k"), "x\nadmin: true # ${TRIBUTARY_TEST_HOST} $$");
  EXPECT_EQ(Faults(document), "");
}

TEST_F(YamlEnvironment, DoesNotReachKeys) {
  const YamlDocument document = Parse("${TRIBUTARY_TEST_HOST}: x\n");
  EXPECT_THAT(document.root().Keys(), ElementsAre("${TRIBUTARY_TEST_HOST}"));
}

TEST_F(YamlEnvironment, RefusesWhatItCannotFindOrRead) {
  EXPECT_EQ(
      ParseError("a: 1\nk: ${env:TRIBUTARY_TEST_UNSET}\n"),
      "agent.yaml:2: environment variable TRIBUTARY_TEST_UNSET is not set (${env:TRIBUTARY_TEST_UNSET:-} if it may be "
      "empty)");
  EXPECT_THAT(ParseError("k: ${file:/etc/passwd}"), HasSubstr("is not ${env:NAME}"));
  EXPECT_THAT(ParseError("k: ${1A}"), HasSubstr("is not ${env:NAME}"));
  EXPECT_THAT(ParseError("k: \"${}\""), HasSubstr("is not ${env:NAME}"));
  EXPECT_THAT(ParseError("k: ${env:A:-${env:B}}"), HasSubstr("is not ${env:NAME}"));
  EXPECT_THAT(ParseError("k: \"${HOME\""), HasSubstr("'${' without '}'"));
}

TEST(Yaml, LoadsAFile) {
  const std::string path = ::testing::TempDir() + "/yaml_test.yaml";
  std::ofstream(path) << "name: x\nextra: y\n";
  const auto document = LoadYaml(path);
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ(document->root().String("name"), "x");
  EXPECT_THAT(Faults(*document), HasSubstr(path + ":2: unknown key 'extra'"));
}

TEST(Yaml, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(LoadYaml("/nonexistent/agent.yaml").error().message, "/nonexistent/agent.yaml: No such file or directory");
  EXPECT_EQ(LoadYaml("/").error().message, "/: Is a directory");
}

}  // namespace
}  // namespace tributary::base
