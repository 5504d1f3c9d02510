#include "gateway/condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/yaml.h"
#include "tests/gateway/otlp_text.h"

namespace tributary::gateway {
namespace {

using ::testing::HasSubstr;

Condition Read(const std::string& when) {
  const auto document = base::ParseYaml("when: {" + when + "}", "test.yaml");
  EXPECT_TRUE(document) << document.error().message;
  Condition condition = Condition::Read(document->root().Map("when"));
  const base::Status status = document->Finish();
  EXPECT_TRUE(status) << status.error().message;
  return condition;
}

std::string Fault(const std::string& when) {
  const auto document = base::ParseYaml("when: {" + when + "}", "test.yaml");
  EXPECT_TRUE(document) << document.error().message;
  Condition::Read(document->root().Map("when"));
  const base::Status status = document->Finish();
  EXPECT_FALSE(status) << when;
  return status ? "" : status.error().message;
}

// Whether telemetry of a Resource with these attributes, in protobuf's text format, is wanted.
bool Matches(const std::string& when, const std::string& attributes) {
  const auto container = FromText<opentelemetry::proto::trace::v1::ResourceSpans>(
      "resource { " + attributes + " } scope_spans { spans { name: \"x\" } }");
  return Read(when).Matches(ToBytes(container));
}
std::string Attribute(const std::string& key, const std::string& value) {
  return "attributes { key: \"" + key + "\" value { " + value + " } } ";
}
std::string Text(const std::string& key, const std::string& value) {
  return Attribute(key, "string_value: \"" + value + "\"");
}

TEST(Condition, WantsEverythingWhenItSaysNothing) {
  EXPECT_TRUE(Condition().empty());
  EXPECT_TRUE(Condition().Matches({}));
  EXPECT_TRUE(Matches("", Text("service.name", "cart")));
}

TEST(Condition, ComparesOneValue) {
  EXPECT_TRUE(Matches("service.name: cart", Text("host.name", "cart2") + Text("service.name", "cart")));
  EXPECT_FALSE(Matches("service.name: cart", Text("service.name", "cart2")));
  EXPECT_FALSE(Matches("service.name: cart", Text("host.name", "cart")));
  EXPECT_FALSE(Matches("service.name: cart", ""));
  EXPECT_TRUE(Matches("service.name: ''", Text("service.name", "")));
  EXPECT_FALSE(Matches("service.name: ''", ""));
}

TEST(Condition, ComparesSeveralValues) {
  EXPECT_TRUE(Matches("service.name: [pay, cart]", Text("service.name", "cart")));
  EXPECT_FALSE(Matches("service.name: [pay, cart]", Text("service.name", "mail")));
}

TEST(Condition, NegatesAndTakesWhatIsNotThere) {
  EXPECT_FALSE(Matches("env: {not: dev}", Text("env", "dev")));
  EXPECT_TRUE(Matches("env: {not: dev}", Text("env", "prod")));
  EXPECT_TRUE(Matches("env: {not: dev}", ""));
  EXPECT_FALSE(Matches("env: {not: [dev, test]}", Text("env", "test")));
  EXPECT_TRUE(Matches("env: {not: [dev, test]}", Text("env", "prod")));
}

TEST(Condition, AsksWhetherAnAttributeIsThere) {
  EXPECT_TRUE(Matches("tenant: {exists: true}", Attribute("tenant", "array_value { }")));
  EXPECT_TRUE(Matches("tenant: {exists: true}", "attributes { key: \"tenant\" }"));
  EXPECT_FALSE(Matches("tenant: {exists: true}", Text("tenants", "a")));
  EXPECT_FALSE(Matches("tenant: {exists: false}", Text("tenant", "a")));
  EXPECT_TRUE(Matches("tenant: {exists: false}", ""));
}

TEST(Condition, ComparesBooleansAndIntegersAsText) {
  EXPECT_TRUE(Matches("canary: true", Attribute("canary", "bool_value: true")));
  EXPECT_TRUE(Matches("canary: false", Attribute("canary", "bool_value: false")));
  EXPECT_FALSE(Matches("canary: true", Attribute("canary", "bool_value: false")));
  EXPECT_TRUE(Matches("shard: [-7, 8]", Attribute("shard", "int_value: -7")));
  EXPECT_FALSE(Matches("shard: 7", Attribute("shard", "int_value: -7")));
  EXPECT_FALSE(Matches("ratio: '1'", Attribute("ratio", "double_value: 1")));
  EXPECT_TRUE(Matches("ratio: {not: '1'}", Attribute("ratio", "double_value: 1")));
}

TEST(Condition, NeedsAllItsClauses) {
  const std::string when = "service.name: cart, env: {not: dev}, tenant: {exists: true}";
  EXPECT_TRUE(Matches(when, Text("tenant", "a") + Text("service.name", "cart") + Text("env", "prod")));
  EXPECT_FALSE(Matches(when, Text("tenant", "a") + Text("service.name", "cart") + Text("env", "dev")));
  EXPECT_FALSE(Matches(when, Text("service.name", "cart") + Text("env", "prod")));
}

TEST(Condition, HasNoResourceToMatchInAnEmptyContainer) {
  EXPECT_FALSE(Read("service.name: cart").Matches({}));
  EXPECT_TRUE(Read("service.name: {not: cart}").Matches({}));
}

TEST(Condition, SaysWhatIsWrong) {
  EXPECT_THAT(Fault("a: {}"), HasSubstr("test.yaml:1"));
  EXPECT_THAT(Fault("a: {}"), HasSubstr("needs either not or exists"));
  EXPECT_THAT(Fault("a: {not: x, exists: true}"), HasSubstr("needs either not or exists"));
  EXPECT_THAT(Fault("a: {matches: x}"), HasSubstr("matches"));
  EXPECT_THAT(Fault("a: {exists: maybe}"), HasSubstr("exists"));
  EXPECT_THAT(Fault("a: []"), HasSubstr("an empty list matches nothing"));
  EXPECT_THAT(Fault("a: [[x]]"), HasSubstr("when.a"));
  EXPECT_THAT(Fault("a: "), HasSubstr("needs a value"));
}

}  // namespace
}  // namespace tributary::gateway
