#include "otlp/splice.h"

#include <algorithm>
#include <bit>

#include "otlp/wire.h"

namespace tributary::otlp {
namespace {

using base::Bytes;
using base::ByteView;

// Field numbers; the first two are the same in every signal.
constexpr uint32_t kRequestContainer = 1;
constexpr uint32_t kContainerResource = 1;
constexpr uint32_t kResourceAttribute = 1;
constexpr uint32_t kKeyValueKey = 1;
constexpr uint32_t kKeyValueValue = 2;
constexpr uint32_t kAnyValueString = 1;
constexpr uint32_t kAnyValueLast = 7;

bool Is(const Field& field, uint32_t number) { return field.number == number && field.type == WireType::kLength; }

// The last one, as singular fields go.
std::string_view KeyOf(ByteView key_value) {
  std::string_view key;
  Field field;
  for (FieldReader reader(key_value); reader.Next(field);) {
    if (Is(field, kKeyValueKey)) key = base::AsText(field.content);
  }
  return key;
}

// Edits one container at a time; the buffers are kept from one to the next.
class Splicer {
 public:
  Splicer(const ResourceEdit& edit, base::Slices& out) : edit_(edit), out_(out) { keys_.reserve(kKeysTypical); }

  void Container(ByteView body);

 private:
  void KeepFields(ByteView resource);
  void AddAttributes();
  void CopyLengthDelimitedHead(uint32_t number, size_t content_bytes);

  static constexpr size_t kKeysTypical = 32;

  const ResourceEdit& edit_;
  base::Slices& out_;
  Bytes resource_;                      // the edited Resource's body
  std::vector<std::string_view> keys_;  // of the attributes kept in it
};

// Several Resources merge into one, which is the concatenation of their bodies, where the first one is. A container
// without any gets one in front.
void Splicer::Container(ByteView body) {
  resource_.Clear();
  keys_.clear();
  size_t old_resource_bytes = 0;
  ByteView before;  // the fields in front of the first Resource
  Field field;
  for (FieldReader reader(body); reader.Next(field);) {
    if (!Is(field, kContainerResource)) continue;
    if (old_resource_bytes == 0) before = {body.data(), field.whole.data()};
    old_resource_bytes += field.whole.size();
    KeepFields(field.content);
  }
  AddAttributes();

  CopyLengthDelimitedHead(kRequestContainer,
                          body.size() - old_resource_bytes + LengthDelimitedSize(kContainerResource, resource_.size()));
  out_.Refer(before);
  CopyLengthDelimitedHead(kContainerResource, resource_.size());
  out_.Copy(resource_);
  const uint8_t* rest = body.data() + before.size();
  for (FieldReader reader({rest, body.data() + body.size()}); reader.Next(field);) {
    if (!Is(field, kContainerResource)) continue;
    out_.Refer({rest, field.whole.data()});
    rest = field.whole.data() + field.whole.size();
  }
  out_.Refer({rest, body.data() + body.size()});
}

void Splicer::KeepFields(ByteView resource) {
  resource_.Reserve(resource_.size() + resource.size() + edit_.encoded_bytes());
  Field field;
  for (FieldReader reader(resource); reader.Next(field);) {
    if (Is(field, kResourceAttribute)) {
      const std::string_view key = KeyOf(field.content);
      if (edit_.Replaces(key)) continue;
      keys_.push_back(key);
    }
    resource_.Append(field.whole);
  }
}

void Splicer::AddAttributes() {
  for (const ResourceEdit::Attribute& attribute : edit_.attributes()) {
    const bool kept = std::find(keys_.begin(), keys_.end(), attribute.key) != keys_.end();
    if (!kept) resource_.Append(attribute.encoded);
  }
}

void Splicer::CopyLengthDelimitedHead(uint32_t number, size_t content_bytes) {
  uint8_t head[2 * kLengthBytesMax];
  uint8_t* end = WriteVarint(head, uint64_t{number} << 3 | static_cast<uint8_t>(WireType::kLength));
  end = WriteVarint(end, content_bytes);
  out_.Copy(ByteView(head, end));
}

// The value's string, or nullopt when it holds something else: `value` is a oneof, so its last field counts.
std::optional<std::string_view> StringOf(ByteView key_value) {
  std::optional<std::string_view> text;
  Field field, value_field;
  for (FieldReader reader(key_value); reader.Next(field);) {
    if (!Is(field, kKeyValueValue)) continue;
    for (FieldReader value(field.content); value.Next(value_field);) {
      if (Is(value_field, kAnyValueString)) {
        text = base::AsText(value_field.content);
      } else if (value_field.number <= kAnyValueLast) {
        text.reset();
      }
    }
  }
  return text;
}

}  // namespace

void ResourceEdit::Set(std::string_view key, Bytes value, Conflict conflict) {
  Bytes key_value, encoded;
  AppendLengthDelimited(key_value, kKeyValueKey, key);
  AppendLengthDelimited(key_value, kKeyValueValue, value);
  AppendLengthDelimited(encoded, kResourceAttribute, key_value);
  std::erase_if(attributes_, [&](const Attribute& attribute) { return attribute.key == key; });
  attributes_.push_back({std::string(key), std::move(encoded), conflict});
}

void ResourceEdit::SetString(std::string_view key, std::string_view value, Conflict conflict) {
  Bytes any_value;
  AppendLengthDelimited(any_value, kAnyValueString, value);
  Set(key, std::move(any_value), conflict);
}

void ResourceEdit::SetBool(std::string_view key, bool value, Conflict conflict) {
  Bytes any_value;
  AppendTag(any_value, 2, WireType::kVarint);
  AppendVarint(any_value, value ? 1 : 0);
  Set(key, std::move(any_value), conflict);
}

void ResourceEdit::SetInt(std::string_view key, int64_t value, Conflict conflict) {
  Bytes any_value;
  AppendTag(any_value, 3, WireType::kVarint);
  AppendVarint(any_value, static_cast<uint64_t>(value));
  Set(key, std::move(any_value), conflict);
}

void ResourceEdit::SetDouble(std::string_view key, double value, Conflict conflict) {
  Bytes any_value;
  AppendFixed64(any_value, 4, std::bit_cast<uint64_t>(value));
  Set(key, std::move(any_value), conflict);
}

size_t ResourceEdit::encoded_bytes() const {
  // The Resource's own tag and length, if it is new, and what the container's length grows by.
  size_t sum = 1 + kLengthBytesMax + kLengthBytesMax - 1;
  for (const Attribute& attribute : attributes_) sum += attribute.encoded.size();
  return sum;
}

bool ResourceEdit::Replaces(std::string_view key) const {
  return std::any_of(attributes_.begin(), attributes_.end(), [&](const Attribute& attribute) {
    return attribute.conflict == Conflict::kReplace && attribute.key == key;
  });
}

void SpliceResource(ByteView request, const ResourceEdit& edit, base::Slices& out) {
  if (edit.empty()) return out.Refer(request);
  Splicer splicer(edit, out);
  FieldReader reader(request);
  Field field;
  while (reader.Next(field)) {
    if (Is(field, kRequestContainer)) {
      splicer.Container(field.content);
    } else {
      out.Refer(field.whole);
    }
  }
  CHECK(!reader.failed());
}

std::optional<std::string_view> ResourceStringAttribute(ByteView resource_container, std::string_view key) {
  Field field, attribute;
  for (FieldReader reader(resource_container); reader.Next(field);) {
    if (!Is(field, kContainerResource)) continue;
    for (FieldReader resource(field.content); resource.Next(attribute);) {
      if (Is(attribute, kResourceAttribute) && KeyOf(attribute.content) == key) return StringOf(attribute.content);
    }
  }
  return std::nullopt;
}

}  // namespace tributary::otlp
