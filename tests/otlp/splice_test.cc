#include "otlp/splice.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "bench/otlp_sample.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/scan.h"
#include "otlp/wire.h"
#include "tests/otlp/oracle.h"

namespace tributary::otlp {
namespace {

using base::Bytes;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::resource::v1::Resource;
using enum ResourceEdit::Conflict;

Bytes Encoded(const google::protobuf::Message& message) { return Bytes(message.SerializeAsString()); }

ExportTraceServiceRequest Spliced(const Bytes& request, const ResourceEdit& edit) {
  EXPECT_EQ(SpliceDisagreement(Signal::kTraces, request, edit), "");
  base::Slices out;
  SpliceResource(request, edit, out);
  ExportTraceServiceRequest spliced;
  const Bytes flat = out.Flatten();
  EXPECT_TRUE(spliced.ParseFromArray(flat.data(), static_cast<int>(flat.size())));
  return spliced;
}

void Add(Resource& resource, const char* key, const char* value) {
  auto& attribute = *resource.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_string_value(value);
}

TEST(SpliceResource, AddsAttributesOfEveryKind) {
  ResourceEdit edit;
  edit.SetString("text", "größer", kKeep);
  edit.SetInt("int", INT64_MIN, kKeep);
  edit.SetBool("bool", true, kKeep);
  edit.SetDouble("double", -0.5, kKeep);
  edit.SetStrings("texts", {"one", ""}, kKeep);
  ExportTraceServiceRequest request;
  Add(*request.add_resource_spans()->mutable_resource(), "service.name", "checkout");
  const Resource resource = Spliced(Encoded(request), edit).resource_spans(0).resource();
  ASSERT_EQ(resource.attributes_size(), 6);
  EXPECT_EQ(resource.attributes(0).value().string_value(), "checkout");
  EXPECT_EQ(resource.attributes(1).value().string_value(), "größer");
  EXPECT_EQ(resource.attributes(2).value().int_value(), INT64_MIN);
  EXPECT_EQ(resource.attributes(3).value().bool_value(), true);
  EXPECT_EQ(resource.attributes(4).value().double_value(), -0.5);
  ASSERT_EQ(resource.attributes(5).value().array_value().values_size(), 2);
  EXPECT_EQ(resource.attributes(5).value().array_value().values(0).string_value(), "one");
  EXPECT_TRUE(resource.attributes(5).value().array_value().values(1).has_string_value());
}

TEST(SpliceResource, KeepsOrReplacesAKeyThatIsThere) {
  ResourceEdit edit;
  edit.SetString("kept", "ours", kKeep);
  edit.SetString("replaced", "ours", kReplace);
  ExportTraceServiceRequest request;
  Resource& resource = *request.add_resource_spans()->mutable_resource();
  Add(resource, "kept", "theirs");
  Add(resource, "replaced", "theirs");
  Add(resource, "replaced", "theirs again");
  const Resource result = Spliced(Encoded(request), edit).resource_spans(0).resource();
  ASSERT_EQ(result.attributes_size(), 3);
  EXPECT_EQ(result.attributes(0).value().string_value(), "theirs");
  EXPECT_EQ(result.attributes(1).key(), "claimed.replaced");
  EXPECT_EQ(result.attributes(1).value().string_value(), "theirs") << "the first claim, and no other";
  EXPECT_EQ(result.attributes(2).key(), "replaced");
  EXPECT_EQ(result.attributes(2).value().string_value(), "ours");
}

TEST(SpliceResource, KeepsNoClaimThatIsTrueAndCountsThoseThatAreNot) {
  ResourceEdit edit;
  edit.SetString("true", "ours", kReplace);
  edit.SetString("false", "ours", kReplace);
  edit.SetInt("number", 7, kReplace);
  ExportTraceServiceRequest request;
  for (int i = 0; i < 2; ++i) {
    Resource& resource = *request.add_resource_spans()->mutable_resource();
    Add(resource, "true", "ours");
    Add(resource, "false", "theirs");
    Add(resource, "number", "theirs");
  }
  request.add_resource_spans();
  const Bytes encoded = Encoded(request);
  const ExportTraceServiceRequest spliced = Spliced(encoded, edit);
  for (int i = 0; i < 2; ++i) {
    const Resource& result = spliced.resource_spans(i).resource();
    ASSERT_EQ(result.attributes_size(), 5);
    EXPECT_EQ(result.attributes(0).key(), "claimed.false");
    EXPECT_EQ(result.attributes(1).key(), "claimed.number");
    EXPECT_EQ(result.attributes(1).value().string_value(), "theirs");
  }
  EXPECT_EQ(spliced.resource_spans(2).resource().attributes_size(), 3);
  base::Slices out;
  EXPECT_EQ(SpliceResource(encoded, edit, out), 4u);
}

TEST(SpliceResource, GivesAResourceToAContainerWithoutOne) {
  ResourceEdit edit;
  edit.SetString("key", "value", kKeep);
  ExportTraceServiceRequest request;
  request.add_resource_spans()->add_scope_spans()->add_spans()->set_name("span");
  const ExportTraceServiceRequest result = Spliced(Encoded(request), edit);
  EXPECT_EQ(result.resource_spans(0).resource().attributes(0).key(), "key");
  EXPECT_EQ(result.resource_spans(0).scope_spans(0).spans(0).name(), "span");
}

TEST(SpliceResource, MergesSeveralResourcesOfOneContainer) {
  ResourceEdit edit;
  edit.SetString("second", "ours", kReplace);
  edit.SetString("third", "ours", kKeep);
  Resource first, second;
  Add(first, "first", "theirs");
  Add(second, "second", "theirs");
  Add(second, "third", "theirs");
  second.set_dropped_attributes_count(7);
  Bytes container, request;
  AppendLengthDelimited(container, 3, "schema");
  AppendLengthDelimited(container, 1, first.SerializeAsString());
  AppendLengthDelimited(container, 2, base::ByteView());
  AppendLengthDelimited(container, 1, second.SerializeAsString());
  AppendLengthDelimited(request, 1, container);
  const ExportTraceServiceRequest result = Spliced(request, edit);
  const Resource& resource = result.resource_spans(0).resource();
  ASSERT_EQ(resource.attributes_size(), 4);
  EXPECT_EQ(resource.attributes(0).key(), "first");
  EXPECT_EQ(resource.attributes(1).key(), "claimed.second");
  EXPECT_EQ(resource.attributes(2).value().string_value(), "theirs");
  EXPECT_EQ(resource.attributes(3).value().string_value(), "ours");
  EXPECT_EQ(resource.dropped_attributes_count(), 7u);
  EXPECT_EQ(result.resource_spans(0).scope_spans_size(), 1);
}

TEST(SpliceResource, EditsEveryContainerOfEverySignal) {
  ResourceEdit edit;
  edit.SetString("service.name", "ours", kReplace);
  edit.SetString("k8s.pod.name", "checkout-7d4f", kKeep);
  for (const Signal signal : kSignals) {
    Bytes request = bench::SampleRequest(signal, 30, 1);
    request.Append(bench::SampleRequest(signal, 1, 2));
    EXPECT_EQ(SpliceDisagreement(signal, request, edit), "") << Name(signal);
  }
}

TEST(SpliceResource, RefersToALongRequestAndCopiesAShortOne) {
  ResourceEdit edit;
  edit.SetString("k8s.pod.name", "checkout-7d4f", kKeep);
  const Bytes long_request = bench::SampleRequest(Signal::kTraces, 512, 1);
  base::Slices refers;
  SpliceResource(long_request, edit, refers);
  EXPECT_LT(refers.owned_bytes(), 10'000u);
  EXPECT_LE(refers.pieces().size(), 2u);

  const Bytes short_request = bench::SampleRequest(Signal::kTraces, 1, 1);
  base::Slices copies;
  SpliceResource(short_request, edit, copies);
  EXPECT_EQ(copies.pieces().size(), 1u);
}

TEST(SpliceResource, LeavesARequestAloneWhenThereIsNothingToEdit) {
  const Bytes request = bench::SampleRequest(Signal::kLogs, 30, 1);
  base::Slices out;
  SpliceResource(request, ResourceEdit(), out);
  EXPECT_EQ(base::AsText(out.Flatten()), base::AsText(request));
}

TEST(ResourceEdit, HoldsOneValuePerKeyTheLastOneSet) {
  ResourceEdit edit;
  EXPECT_TRUE(edit.empty());
  edit.SetString("key", "first", kReplace);
  edit.SetInt("key", 2, kKeep);
  ASSERT_EQ(edit.attributes().size(), 1u);
  EXPECT_EQ(edit.attributes()[0].conflict, kKeep);
  EXPECT_EQ(edit.Find("key")->conflict, ResourceEdit::Conflict::kKeep);
}

TEST(ResourceStringAttribute, FindsAStringByItsKey) {
  opentelemetry::proto::trace::v1::ResourceSpans container;
  Add(*container.mutable_resource(), "other", "no");
  Add(*container.mutable_resource(), "service.name", "checkout");
  Add(*container.mutable_resource(), "service.name", "a later one");
  EXPECT_EQ(ResourceStringAttribute(Encoded(container), "service.name"), "checkout");
  EXPECT_EQ(ResourceStringAttribute(Encoded(container), "service"), std::nullopt);
  EXPECT_EQ(ResourceStringAttribute({}, "service.name"), std::nullopt);
}

TEST(ResourceStringAttribute, IsForStringsOnly) {
  opentelemetry::proto::trace::v1::ResourceSpans container;
  auto& attribute = *container.mutable_resource()->add_attributes();
  attribute.set_key("service.name");
  attribute.mutable_value()->set_int_value(1);
  EXPECT_EQ(ResourceStringAttribute(Encoded(container), "service.name"), std::nullopt);

  // A oneof holds what comes last.
  Bytes value, key_value, resource, body;
  AppendLengthDelimited(value, 1, "text");
  AppendTag(value, 2, WireType::kVarint);
  AppendVarint(value, 1);
  AppendLengthDelimited(key_value, 1, "key");
  AppendLengthDelimited(key_value, 2, value);
  AppendLengthDelimited(resource, 1, key_value);
  AppendLengthDelimited(body, 1, resource);
  EXPECT_EQ(ResourceStringAttribute(body, "key"), std::nullopt);
}

}  // namespace
}  // namespace tributary::otlp
