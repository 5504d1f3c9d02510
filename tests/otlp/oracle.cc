#include "tests/otlp/oracle.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>
#include <vector>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "otlp/partition.h"

namespace tributary::otlp {
namespace {

namespace pb = google::protobuf;
namespace collector = opentelemetry::proto::collector;
using base::Bytes;
using base::ByteView;
using opentelemetry::proto::common::v1::KeyValue;
using opentelemetry::proto::resource::v1::Resource;
using opentelemetry::proto::trace::v1::Span;

std::string Serialized(const Message& message) {
  std::string bytes;
  CHECK(message.SerializePartialToString(&bytes));
  return bytes;
}

bool IsKnown(const Message& message, int number) {
  return message.GetDescriptor()->FindFieldByNumber(number) != nullptr;
}

// The messages directly in `message`, in field order.
std::vector<const Message*> Submessages(const Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  std::vector<const Message*> found;
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      found.push_back(&reflection.GetMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      found.push_back(&reflection.GetRepeatedMessage(message, field, i));
    }
  }
  return found;
}

// libprotobuf files a known field with a wrong wire type under unknown fields.
bool HasMisfiledField(const Message& message) {
  const pb::UnknownFieldSet& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    if (IsKnown(message, unknown.field(i).number())) return true;
  }
  return std::ranges::any_of(Submessages(message), [](const Message* inner) { return HasMisfiledField(*inner); });
}

// The field that leads from a message above the items one step down to them, or nullptr.
const pb::FieldDescriptor* Down(const Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  constexpr std::string_view kNames[] = {
      "resource_spans",        "scope_spans",   "spans",      "resource_logs", "scope_logs", "log_records",
      "resource_metrics",      "scope_metrics", "metrics",    "gauge",         "sum",        "histogram",
      "exponential_histogram", "summary",       "data_points"};
  for (const pb::FieldDescriptor* field : fields) {
    const bool is_message = field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && std::ranges::find(kNames, field->name()) != std::end(kNames)) return field;
  }
  return nullptr;
}

bool IsItem(const Message& message) {
  const std::string& name = message.GetDescriptor()->name();
  return name == "Span" || name == "LogRecord" || name.ends_with("DataPoint");
}

// An item with everything it stands in: the messages above it, without what else they lead to.
struct Item {
  std::string envelopes;
  std::string body;
  bool operator==(const Item&) const = default;
};

void AppendItems(const Message& message, const std::string& envelopes, std::vector<Item>& items) {
  if (IsItem(message)) return items.push_back({envelopes, Serialized(message)});
  const pb::FieldDescriptor* down = Down(message);
  if (down == nullptr) return;
  const std::unique_ptr<Message> besides(message.New());
  besides->CopyFrom(message);
  besides->GetReflection()->ClearField(besides.get(), down);
  const std::string path = fmt::format("{}/{}:{}", envelopes, down->name(), Serialized(*besides));
  const pb::Reflection& reflection = *message.GetReflection();
  if (!down->is_repeated()) return AppendItems(reflection.GetMessage(message, down), path, items);
  for (int i = 0; i < reflection.FieldSize(message, down); ++i) {
    AppendItems(reflection.GetRepeatedMessage(message, down, i), path, items);
  }
}

std::vector<Item> Items(const Message& request) {
  std::vector<Item> items;
  AppendItems(request, "", items);
  return items;
}

template <size_t N>
std::array<uint8_t, N> Id(const std::string& bytes) {
  std::array<uint8_t, N> id{};
  if (bytes.size() == N) std::memcpy(id.data(), bytes.data(), N);
  return id;
}

std::string SpanDisagreement(ByteView request, const SpanRef& ref, const Span& span) {
  const auto small = [](int value) { return value >= 0 && value <= 255 ? value : 0; };
  if (ref.trace_id != Id<16>(span.trace_id())) return "trace id";
  if (ref.span_id != Id<8>(span.span_id())) return "span id";
  if (ref.parent_span_id != Id<8>(span.parent_span_id())) return "parent span id";
  if (ref.start_unix_ns != span.start_time_unix_nano()) return "start";
  if (ref.end_unix_ns != span.end_time_unix_nano()) return "end";
  if (ref.kind != small(span.kind())) return "kind";
  if (ref.status_code != small(span.status().code())) return "status code";
  Span located;
  if (!located.ParseFromArray(request.data() + ref.offset, static_cast<int>(ref.length))) return "place";
  return Serialized(located) == Serialized(span) ? "" : "place or length";
}

std::string IndexDisagreement(const Bytes& request, const Message& parsed) {
  std::vector<SpanRef> index;
  if (!ScanSpans(request, index).has_value()) return "ScanSpans refuses what Scan accepts";
  size_t i = 0;
  for (const auto& container :
       static_cast<const collector::trace::v1::ExportTraceServiceRequest&>(parsed).resource_spans()) {
    for (const auto& scope : container.scope_spans()) {
      for (const Span& span : scope.spans()) {
        if (i == index.size()) return "ScanSpans finds too few spans";
        const std::string difference = SpanDisagreement(request, index[i++], span);
        if (!difference.empty()) return fmt::format("span {}: {}", i - 1, difference);
      }
    }
  }
  return i == index.size() ? "" : "ScanSpans finds too many spans";
}

// What an edit should do, by means of libprotobuf.
void Edit(Message& request, const ResourceEdit& edit) {
  const pb::FieldDescriptor* containers = request.GetDescriptor()->FindFieldByNumber(1);
  const pb::Reflection& reflection = *request.GetReflection();
  for (int i = 0; i < reflection.FieldSize(request, containers); ++i) {
    Message* container = reflection.MutableRepeatedMessage(&request, containers, i);
    auto& resource = *static_cast<Resource*>(
        container->GetReflection()->MutableMessage(container, container->GetDescriptor()->FindFieldByName("resource")));
    for (const ResourceEdit::Attribute& attribute : edit.attributes()) {
      auto& attributes = *resource.mutable_attributes();
      const auto same_key = [&](const KeyValue& key_value) { return key_value.key() == attribute.key; };
      if (attribute.conflict == ResourceEdit::Conflict::kReplace) {
        const auto claim = std::find_if(attributes.begin(), attributes.end(), [&](const KeyValue& key_value) {
          return same_key(key_value) && !(attribute.text && key_value.value().has_string_value() &&
                                          key_value.value().string_value() == *attribute.text);
        });
        if (claim != attributes.end()) claim->set_key("claimed." + attribute.key);
        attributes.erase(std::remove_if(attributes.begin(), attributes.end(), same_key), attributes.end());
      } else if (std::any_of(attributes.begin(), attributes.end(), same_key)) {
        continue;
      }
      Resource addition;
      CHECK(addition.ParseFromArray(attribute.encoded.data(), static_cast<int>(attribute.encoded.size())));
      resource.MergeFrom(addition);
    }
  }
}

// A part must parse, be within what it says, and hold these items.
std::string PartDisagreement(Signal signal, const Part& part, std::span<const Item> expected) {
  const auto scanned = Scan(signal, part.request);
  if (!scanned.has_value()) return "malformed: " + scanned.error().Describe();
  if (scanned->items != part.items) return "wrong number of items stated";
  const auto parsed = Parse(signal, part.request);
  if (parsed == nullptr) return "does not parse";
  return std::ranges::equal(Items(*parsed), expected) ? "" : "not the items expected";
}

}  // namespace

std::unique_ptr<Message> NewRequest(Signal signal) {
  switch (signal) {
    case Signal::kTraces:
      return std::make_unique<collector::trace::v1::ExportTraceServiceRequest>();
    case Signal::kMetrics:
      return std::make_unique<collector::metrics::v1::ExportMetricsServiceRequest>();
    case Signal::kLogs:
      return std::make_unique<collector::logs::v1::ExportLogsServiceRequest>();
  }
  CHECK(false);
}

std::unique_ptr<Message> Parse(Signal signal, ByteView request) {
  const pb::LogSilencer silencer;  // it reports every string that is not UTF-8
  std::unique_ptr<Message> message = NewRequest(signal);
  pb::io::CodedInputStream input(request.data(), static_cast<int>(request.size()));
  input.SetRecursionLimit(kDepthMax);
  const bool parsed = message->ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
  return parsed ? std::move(message) : nullptr;
}

Counts Count(const Message& request) {
  const pb::FieldDescriptor* containers = request.GetDescriptor()->FindFieldByNumber(1);
  return {.items = static_cast<uint32_t>(Items(request).size()),
          .resources = static_cast<uint32_t>(request.GetReflection()->FieldSize(request, containers))};
}

std::string ScanDisagreement(Signal signal, ByteView request_view) {
  Bytes request(request_view);
  request.Reserve(1);
  const auto parsed = Parse(signal, request_view);
  for (const int padding : {0x00, 0x0a, 0xff}) {
    std::memset(request.data() + request.size(), padding, Bytes::kPadding);
    const auto scanned = Scan(signal, request);
    if (!scanned.has_value()) {
      const bool stricter = scanned.error().kind == ScanError::Kind::kWrongWireType;
      if (parsed != nullptr && !stricter) return "refused, but parses: " + scanned.error().Describe();
      if (scanned.error().offset > request.size()) return "error outside the request";
      continue;
    }
    if (parsed == nullptr) return "accepted, but does not parse";
    if (HasMisfiledField(*parsed)) return "accepted, but a known field has a wrong wire type";
    if (scanned.value() != Count(*parsed)) return "counts differ";
    if (signal != Signal::kTraces) continue;
    const std::string difference = IndexDisagreement(request, *parsed);
    if (!difference.empty()) return difference;
  }
  return "";
}

std::string SpliceDisagreement(Signal signal, ByteView request_view, const ResourceEdit& edit) {
  const Bytes request(request_view);
  if (!Scan(signal, request).has_value()) return "";
  base::Slices out;
  SpliceResource(request, edit, out);
  const Bytes spliced = out.Flatten();
  if (const auto scanned = Scan(signal, spliced); !scanned.has_value())
    return "malformed: " + scanned.error().Describe();
  const auto result = Parse(signal, spliced);
  const auto expected = Parse(signal, request);
  if (result == nullptr) return "does not parse";
  Edit(*expected, edit);
  const size_t growth_max = Count(*expected).resources * edit.encoded_bytes();
  if (spliced.size() > request.size() + growth_max) return "adds more than stated";
  return Serialized(*result) == Serialized(*expected) ? "" : "not the edit expected";
}

std::string SplitDisagreement(Signal signal, ByteView request_view, uint32_t items_max, size_t bytes_max) {
  const Bytes request(request_view);
  if (!Scan(signal, request).has_value()) return "";
  const std::vector<Item> expected = Items(*Parse(signal, request));
  size_t done = 0;
  for (const Part& part : Split(signal, request, items_max, bytes_max)) {
    if (part.items == 0) return "an empty part";
    if (part.items > items_max) return "a part with too many items";
    if (part.request.size() > bytes_max && part.items > 1) return "a part with too many bytes";
    if (part.items > expected.size() - done) return "too many items";
    const std::string difference = PartDisagreement(signal, part, std::span(expected).subspan(done, part.items));
    if (!difference.empty()) return difference;
    done += part.items;
  }
  return done == expected.size() ? "" : "items are missing";
}

std::string PartitionDisagreement(ByteView request_view, uint32_t buckets) {
  const Bytes request(request_view);
  std::vector<SpanRef> index;
  if (!ScanSpans(request, index).has_value()) return "";
  const auto bucket_of = [buckets](const TraceId& id) { return static_cast<uint32_t>(id[0] + id[15]) % buckets; };
  const std::vector<Item> items = Items(*Parse(Signal::kTraces, request));
  const std::vector<Part> parts = PartitionByTrace(request, buckets, bucket_of);
  if (parts.size() != buckets) return "not one part per bucket";
  for (uint32_t bucket = 0; bucket < buckets; ++bucket) {
    std::vector<Item> expected;
    for (size_t i = 0; i < items.size(); ++i) {
      if (bucket_of(index[i].trace_id) == bucket) expected.push_back(items[i]);
    }
    if (expected.empty() && !parts[bucket].request.empty()) return "an empty bucket has bytes";
    const std::string difference = PartDisagreement(Signal::kTraces, parts[bucket], expected);
    if (!difference.empty()) return difference;
  }
  return "";
}

std::string FilterDisagreement(Signal signal, ByteView request_view) {
  const Bytes request(request_view);
  if (!Scan(signal, request).has_value()) return "";
  const auto keep_size = [](size_t bytes) { return bytes % 2 == 0; };
  std::vector<bool> kept;
  const Part part = FilterResources(signal, request, [&](ByteView container) {
    kept.push_back(keep_size(container.size()));
    return kept.back();
  });
  const auto expected = Parse(signal, request);
  const pb::FieldDescriptor* containers = expected->GetDescriptor()->FindFieldByNumber(1);
  const pb::Reflection& reflection = *expected->GetReflection();
  if (static_cast<int>(kept.size()) != reflection.FieldSize(*expected, containers))
    return "not asked for each container";
  const auto filtered = NewRequest(signal);
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    reflection.AddMessage(filtered.get(), containers)
        ->CopyFrom(reflection.GetRepeatedMessage(*expected, containers, static_cast<int>(i)));
  }
  const auto result = Parse(signal, part.request);
  if (result == nullptr) return "does not parse";
  if (part.items != Count(*filtered).items) return "wrong number of items stated";
  return Serialized(*result) == Serialized(*filtered) ? "" : "not the containers expected";
}

}  // namespace tributary::otlp
