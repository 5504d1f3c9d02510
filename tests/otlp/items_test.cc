#include "otlp/items.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tributary::otlp {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::trace::v1::ResourceSpans;
using opentelemetry::proto::trace::v1::ScopeSpans;
using opentelemetry::proto::trace::v1::Span;
using ::testing::ElementsAre;

base::Bytes Encode(const std::string& text) {
  ExportTraceServiceRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return base::Bytes(std::string_view(request.SerializeAsString()));
}

// "service url/scope url/span" of every item, with '*' at the first of a scope.
std::vector<std::string> Walk(base::ByteView request) {
  std::vector<std::string> items;
  for (ItemReader reader(request); reader.Next();) {
    ResourceSpans container;
    ScopeSpans scope;
    Span span;
    EXPECT_TRUE(container.ParseFromArray(reader.container_head().data(), reader.container_head().size()));
    EXPECT_TRUE(scope.ParseFromArray(reader.scope_head().data(), reader.scope_head().size()));
    EXPECT_TRUE(span.ParseFromArray(reader.item().data(), reader.item().size()));
    EXPECT_EQ(container.scope_spans_size(), 0);
    EXPECT_EQ(scope.spans_size(), 0);
    items.push_back((reader.first_of_scope() ? "*" : "") + container.schema_url() + "/" + scope.scope().name() + "/" +
                    span.name());
  }
  return items;
}

TEST(ItemReader, FindsEveryItemWithItsHeads) {
  const base::Bytes request = Encode(R"(
      resource_spans {
        schema_url: "a"
        scope_spans { scope { name: "x" } spans { name: "1" } spans { name: "2" } }
        scope_spans { scope { name: "y" } spans { name: "3" } }
      }
      resource_spans { schema_url: "b" scope_spans { scope { name: "x" } spans { name: "4" } } })");
  EXPECT_THAT(Walk(request), ElementsAre("*a/x/1", "a/x/2", "*a/y/3", "*b/x/4"));
}

TEST(ItemReader, PassesOverWhatHasNoItems) {
  const base::Bytes request = Encode(R"(
      resource_spans { schema_url: "empty" }
      resource_spans {
        schema_url: "a"
        scope_spans { scope { name: "empty" } }
        scope_spans { scope { name: "x" } spans { } }
        scope_spans { }
      })");
  EXPECT_THAT(Walk(request), ElementsAre("*a/x/"));
  EXPECT_THAT(Walk(base::ByteView()), ElementsAre());
}

TEST(ItemReader, TakesHeadsFromAfterTheItemsToo) {
  // Field order is free: here each scope comes before what describes it.
  const std::string span = Span().SerializeAsString();
  base::Bytes scope;
  AppendLengthDelimited(scope, 2, span);
  AppendLengthDelimited(scope, 3, std::string_view("scope url"));
  base::Bytes container;
  AppendLengthDelimited(container, 2, scope);
  AppendLengthDelimited(container, 3, std::string_view("url"));
  base::Bytes request;
  AppendLengthDelimited(request, 1, container);
  EXPECT_THAT(Walk(request), ElementsAre("*url//"));
}

TEST(RequestBuilder, PutsTogetherWhatTheReaderTookApart) {
  const base::Bytes request = Encode(R"(
      resource_spans {
        resource { attributes { key: "service.name" value { string_value: "shop" } } }
        scope_spans { scope { name: "x" version: "1" } spans { name: "1" } spans { name: "2" } schema_url: "s" }
        schema_url: "c"
      }
      resource_spans { scope_spans { spans { name: "3" } } })");
  RequestBuilder builder;
  for (ItemReader reader(request); reader.Next();) {
    if (reader.first_of_scope()) builder.BeginScope(reader.container_head(), reader.scope_head());
    builder.AddItem(reader.item());
  }
  ExportTraceServiceRequest expected;
  ExportTraceServiceRequest built;
  const base::Bytes bytes = builder.Finish();
  ASSERT_TRUE(expected.ParseFromArray(request.data(), request.size()));
  ASSERT_TRUE(built.ParseFromArray(bytes.data(), bytes.size()));
  EXPECT_EQ(built.DebugString(), expected.DebugString());
}

TEST(RequestBuilder, MakesAnEmptyRequestOfNothing) { EXPECT_TRUE(RequestBuilder().Finish().empty()); }

}  // namespace
}  // namespace tributary::otlp
