#include "tests/otlp/random_request.h"

#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "otlp/wire.h"

namespace tributary::otlp {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;
using pb::internal::WireFormatLite;

constexpr int kDepthEnough = 12;  // from here on only scalars

template <typename Value>
std::string Raw(Value value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

uint32_t WireTypeOf(const FieldDescriptor& field) {
  return static_cast<uint32_t>(
      WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type())));
}

}  // namespace

void RandomRequest::Fill(pb::Message& message, int depth) {
  const pb::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && depth >= kDepthEnough) continue;
    // The way down to the items is taken more often than not.
    if (depth < 5 && is_message ? Chance(4) : Chance(2)) continue;
    const uint32_t values = field.is_repeated() ? 1 + Below(3) : 1;
    for (uint32_t n = 0; n < values; ++n) FillField(message, field, depth);
  }
}

void RandomRequest::FillField(pb::Message& message, const FieldDescriptor& field, int depth) {
  const pb::Reflection& reflection = *message.GetReflection();
  const auto set = [&](auto add, auto put, auto value) {
    field.is_repeated() ? (reflection.*add)(&message, &field, value) : (reflection.*put)(&message, &field, value);
  };
  using R = pb::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Fill(
          field.is_repeated() ? *reflection.AddMessage(&message, &field) : *reflection.MutableMessage(&message, &field),
          depth + 1);
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = String(field.type() == FieldDescriptor::TYPE_BYTES);
      field.is_repeated() ? reflection.AddString(&message, &field, text) : reflection.SetString(&message, &field, text);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT32:
      return set(&R::AddInt32, &R::SetInt32, static_cast<int32_t>(Number()));
    case FieldDescriptor::CPPTYPE_INT64:
      return set(&R::AddInt64, &R::SetInt64, static_cast<int64_t>(Number()));
    case FieldDescriptor::CPPTYPE_UINT32:
      return set(&R::AddUInt32, &R::SetUInt32, static_cast<uint32_t>(Number()));
    case FieldDescriptor::CPPTYPE_UINT64:
      return set(&R::AddUInt64, &R::SetUInt64, Number());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return set(&R::AddDouble, &R::SetDouble, std::bit_cast<double>(Number()));
    case FieldDescriptor::CPPTYPE_BOOL:
      return set(&R::AddBool, &R::SetBool, Chance(2));
    case FieldDescriptor::CPPTYPE_ENUM:
      return set(&R::AddEnumValue, &R::SetEnumValue, static_cast<int>(Chance(8) ? Number() : Below(5)));
    case FieldDescriptor::CPPTYPE_FLOAT:
      break;
  }
  CHECK(false && "OTLP has no such field");
}

std::string RandomRequest::String(bool is_bytes) {
  if (is_bytes) {
    const uint32_t sizes[] = {16, 8, 0, Below(40)};
    std::string bytes(sizes[Below(4)], '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  constexpr std::string_view kTexts[] = {"service.name",
                                         "k8s.pod.name",
                                         "",
                                         "z",
                                         "GET /api/v1/orders/{id}",
                                         "größer",
                                         "日本語",
                                         "\U0001F600",
                                         "orders.default.svc.cluster.local"};
  std::string text(kTexts[Below(std::size(kTexts))]);
  while (Chance(4)) text += kTexts[Below(std::size(kTexts))];
  if (Chance(20)) text += std::string(Below(500), 'x');
  return text;
}

uint64_t RandomRequest::Number() { return random_() >> Below(64); }

std::string RandomRequest::EncodeBody(const pb::Message& message) {
  std::string body;
  for (const std::string& field : EncodeFields(message)) body += field;
  return body;
}

// Encoded fields in an order that keeps that of the values of each field.
RandomRequest::Fields RandomRequest::EncodeFields(const pb::Message& message) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  std::vector<Fields> queues;
  for (const FieldDescriptor* field : set) {
    queues.push_back(EncodeField(message, *field));
    std::ranges::reverse(queues.back());
  }
  while (Chance(6)) queues.push_back({Unknown(0)});
  Fields fields;
  while (!queues.empty()) {
    // Usually in order, as most encoders do.
    const size_t next = Chance(3) ? Below(static_cast<uint32_t>(queues.size())) : 0;
    if (queues[next].empty()) {
      queues.erase(queues.begin() + static_cast<ptrdiff_t>(next));
      continue;
    }
    fields.push_back(std::move(queues[next].back()));
    queues[next].pop_back();
  }
  return fields;
}

RandomRequest::Fields RandomRequest::EncodeField(const pb::Message& message, const FieldDescriptor& field) {
  const pb::Reflection& reflection = *message.GetReflection();
  const auto number = static_cast<uint32_t>(field.number());
  Fields encoded;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated()) {
    // One message, perhaps in two pieces.
    const Fields inner = EncodeFields(reflection.GetMessage(message, &field));
    const size_t cut = Chance(4) ? Below(static_cast<uint32_t>(inner.size()) + 1) : inner.size();
    std::string first, second;
    for (size_t i = 0; i < inner.size(); ++i) (i < cut ? first : second) += inner[i];
    encoded.push_back(LengthDelimited(number, first));
    if (cut < inner.size() || Chance(8)) encoded.push_back(LengthDelimited(number, second));
    return encoded;
  }
  const int values = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    for (int i = 0; i < values; ++i) {
      encoded.push_back(LengthDelimited(number, EncodeBody(reflection.GetRepeatedMessage(message, &field, i))));
    }
    return encoded;
  }
  if (field.is_packable()) {
    std::string packed;
    const auto flush = [&] {
      if (!packed.empty()) encoded.push_back(LengthDelimited(number, packed));
      packed.clear();
    };
    for (int i = 0; i < values; ++i) {
      if (Chance(8)) {
        flush();
        encoded.push_back(Tag(number, WireTypeOf(field)) + Scalar(message, field, i));
      } else {
        packed += Scalar(message, field, i);
        if (Chance(4)) flush();
      }
    }
    flush();
    return encoded;
  }
  for (int i = 0; i < values; ++i) {
    std::string once = Tag(number, WireTypeOf(field)) + Scalar(message, field, i);
    if (!field.is_repeated() && Chance(8)) encoded.push_back(once);
    encoded.push_back(std::move(once));
  }
  return encoded;
}

std::string RandomRequest::Scalar(const pb::Message& message, const FieldDescriptor& field, int i) {
  const pb::Reflection& reflection = *message.GetReflection();
  const auto get = [&](auto repeated, auto singular) {
    return field.is_repeated() ? (reflection.*repeated)(message, &field, i) : (reflection.*singular)(message, &field);
  };
  const auto varint = [&](auto value) { return Varint(static_cast<uint64_t>(value), kVarintBytesMax); };
  using R = pb::Reflection;
  switch (field.type()) {
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES: {
      const std::string text = get(&R::GetRepeatedString, &R::GetString);
      return Varint(text.size(), kLengthBytesMax) + text;
    }
    case FieldDescriptor::TYPE_FIXED64:
      return Raw(get(&R::GetRepeatedUInt64, &R::GetUInt64));
    case FieldDescriptor::TYPE_SFIXED64:
      return Raw(get(&R::GetRepeatedInt64, &R::GetInt64));
    case FieldDescriptor::TYPE_DOUBLE:
      return Raw(get(&R::GetRepeatedDouble, &R::GetDouble));
    case FieldDescriptor::TYPE_FIXED32:
      return Raw(get(&R::GetRepeatedUInt32, &R::GetUInt32));
    case FieldDescriptor::TYPE_INT64:
      return varint(get(&R::GetRepeatedInt64, &R::GetInt64));
    case FieldDescriptor::TYPE_UINT64:
      return varint(get(&R::GetRepeatedUInt64, &R::GetUInt64));
    case FieldDescriptor::TYPE_UINT32:
      return varint(get(&R::GetRepeatedUInt32, &R::GetUInt32));
    case FieldDescriptor::TYPE_SINT32:
      return varint(WireFormatLite::ZigZagEncode32(get(&R::GetRepeatedInt32, &R::GetInt32)));
    case FieldDescriptor::TYPE_BOOL:
      return varint(get(&R::GetRepeatedBool, &R::GetBool));
    case FieldDescriptor::TYPE_ENUM:
      return varint(get(&R::GetRepeatedEnumValue, &R::GetEnumValue));
    default:
      CHECK(false && "OTLP has no such field");
  }
}

std::string RandomRequest::Unknown(int depth) {
  const uint32_t number = Chance(2) ? 17 + Below(30) : 1000 + Below(1u << 28);
  switch (Below(depth < 5 ? 5 : 4)) {
    case 0:
      return Tag(number, 0) + Varint(Number(), kVarintBytesMax);
    case 1:
      return Tag(number, 1) + Raw(random_());
    case 2:
      return LengthDelimited(number, String(true));
    case 3:
      return Tag(number, 5) + Raw(static_cast<uint32_t>(random_()));
    default:
      break;
  }
  std::string group = Tag(number, 3);
  while (Chance(2)) group += Unknown(depth + 1);
  return group + Tag(number, 4);
}

std::string RandomRequest::LengthDelimited(uint32_t number, const std::string& body) {
  return Tag(number, 2) + Varint(body.size(), kLengthBytesMax) + body;
}

std::string RandomRequest::Varint(uint64_t value, size_t bytes_max) {
  std::string bytes;
  uint8_t encoded[kVarintBytesMax];
  bytes.assign(reinterpret_cast<char*>(encoded), static_cast<size_t>(WriteVarint(encoded, value) - encoded));
  while (bytes.size() < bytes_max && Chance(16)) {
    bytes.back() = static_cast<char>(bytes.back() | 0x80);
    bytes.push_back('\0');
  }
  return bytes;
}

void RandomRequest::Damage(base::Bytes& request) {
  do {
    std::string bytes(base::AsText(request));
    const size_t at = Below(static_cast<uint32_t>(bytes.size()) + 1);
    const size_t run = std::min<size_t>(1 + Below(8), bytes.size() - at);
    switch (Below(5)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << Below(8));
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random_()));
        break;
      case 2:
        bytes.erase(at, run);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, run));
        break;
      case 4:
        bytes.resize(at);
        break;
    }
    request = base::Bytes(bytes);
  } while (Chance(3));
}

}  // namespace tributary::otlp
