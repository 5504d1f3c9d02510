#include "tests/otlp/json_oracle.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "otlp/json.h"

namespace tributary::otlp {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

// Calls `visit` with every field that is set in `message`, and in the messages within it.
void ForEachField(Message& message, const std::function<void(Message&, const FieldDescriptor&)>& visit) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    visit(message, *field);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ForEachField(*reflection.MutableMessage(&message, field), visit);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      ForEachField(*reflection.MutableRepeatedMessage(&message, field, i), visit);
    }
  }
}

// Of an id field, else 0.
size_t IdBytes(const FieldDescriptor& field) {
  if (field.name() == "trace_id") return 16;
  return field.name() == "span_id" || field.name() == "parent_span_id" ? 8 : 0;
}

void EditIds(Message& message, const std::function<std::string(std::string id, size_t bytes)>& edit) {
  ForEachField(message, [&](Message& holder, const FieldDescriptor& field) {
    const size_t bytes = IdBytes(field);
    if (bytes == 0) return;
    const pb::Reflection& reflection = *holder.GetReflection();
    reflection.SetString(&holder, &field, edit(reflection.GetString(holder, &field), bytes));
  });
}

bool IdsHaveTheirLength(Message& message) {
  bool all = true;
  EditIds(message, [&](std::string id, size_t bytes) {
    all &= id.empty() || id.size() == bytes;
    return id;
  });
  return all;
}

// JSON has only one NaN.
void UnifyNans(Message& message) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  ForEachField(message, [](Message& holder, const FieldDescriptor& field) {
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) return;
    const pb::Reflection& reflection = *holder.GetReflection();
    if (!field.is_repeated()) {
      if (std::isnan(reflection.GetDouble(holder, &field))) reflection.SetDouble(&holder, &field, kNan);
      return;
    }
    for (int i = 0; i < reflection.FieldSize(holder, &field); ++i) {
      if (std::isnan(reflection.GetRepeatedDouble(holder, &field, i))) {
        reflection.SetRepeatedDouble(&holder, &field, i, kNan);
      }
    }
  });
}

// Bytes whose base64 is the hex of `id`, so that libprotobuf writes an id as OTLP does. The hex of 8 or 16 bytes is
// whole groups of four base64 digits.
std::string BytesWhoseBase64IsHexOf(const std::string& id) {
  std::string out;
  uint32_t bits = 0;
  int bit_count = 0;
  for (size_t i = 0; i < 2 * id.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(id[i / 2]);
    const uint32_t nibble = i % 2 == 0 ? byte >> 4 : byte & 15;
    // In base64 a digit stands for 52 to 61, and a to f for 26 to 31.
    bits = bits << 6 | (nibble < 10 ? 52 + nibble : 26 + nibble - 10);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      out += static_cast<char>(bits >> bit_count);
    }
  }
  return out;
}

// Empty when libprotobuf cannot: it nests less deeply than kDepthMax.
std::string ReferenceJson(const Message& message) {
  const std::unique_ptr<Message> hex(message.New());
  hex->CopyFrom(message);
  EditIds(*hex, [](const std::string& id, size_t) { return BytesWhoseBase64IsHexOf(id); });
  pb::util::JsonPrintOptions options;
  options.always_print_enums_as_ints = true;
  options.add_whitespace = true;
  std::string json;
  return pb::util::MessageToJsonString(*hex, &json, options).ok() ? json : "";
}

std::string ReadsAs(Signal signal, const std::string& json, const std::string& expected) {
  const auto request = JsonToProto(signal, base::Bytes(json));
  if (!request) return "refused: " + request.error().message + "\n" + json;
  if (base::AsText(*request) != expected) return "reads as other bytes:\n" + json;
  return "";
}

}  // namespace

void GiveIdsTheirLength(Message& message) {
  EditIds(message, [](std::string id, size_t bytes) {
    if (!id.empty()) id.resize(bytes);
    return id;
  });
}

std::string JsonDisagreement(Signal signal, base::ByteView request) {
  const base::Bytes padded(request);
  if (!Scan(signal, padded)) return "";
  const std::unique_ptr<Message> message = Parse(signal, request);
  if (message == nullptr) return "libprotobuf refuses what Scan accepts";
  message->DiscardUnknownFields();

  std::string json;
  ProtoToJson(signal, request, json);
  if (!IdsHaveTheirLength(*message)) {
    return JsonToProto(signal, base::Bytes(json)) ? "an id of a wrong length is read: " + json : "";
  }
  UnifyNans(*message);
  const std::string expected = message->SerializeAsString();
  if (std::string fault = ReadsAs(signal, json, expected); !fault.empty()) return "own JSON: " + fault;

  const std::string reference = ReferenceJson(*message);
  if (reference.empty()) return "";
  if (std::string fault = ReadsAs(signal, reference, expected); !fault.empty()) return "libprotobuf's JSON: " + fault;
  pb::Struct ours;
  pb::Struct theirs;
  if (!pb::util::JsonStringToMessage(reference, &theirs).ok()) return "";
  if (const auto status = pb::util::JsonStringToMessage(json, &ours); !status.ok()) {
    return "libprotobuf refuses: " + status.ToString() + "\n" + json;
  }
  if (!pb::util::MessageDifferencer::Equals(ours, theirs)) return "differ:\n" + json + "\n" + reference;
  return "";
}

}  // namespace tributary::otlp
