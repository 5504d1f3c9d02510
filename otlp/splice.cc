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
constexpr uint32_t kAnyValueArray = 5;
constexpr uint32_t kAnyValueLast = 7;

constexpr std::string_view kClaimed = "claimed.";
constexpr uint32_t kArrayValueValues = 1;

bool Is(const Field& field, uint32_t number) { return field.number == number && field.type == WireType::kLength; }

// The last one, as singular fields go. Nearly always there is a short key, a short value, and nothing else.
std::string_view KeyOf(ByteView key_value) {
  constexpr uint8_t kKeyTag = kKeyValueKey << 3 | static_cast<uint8_t>(WireType::kLength);
  constexpr uint8_t kValueTag = kKeyValueValue << 3 | static_cast<uint8_t>(WireType::kLength);
  constexpr uint8_t kLongLength = 0x80;
  if (key_value.size() > 1 && key_value[0] == kKeyTag && key_value[1] < kLongLength) {
    const ByteView after_key = key_value.subspan(std::min<size_t>(2 + key_value[1], key_value.size()));
    if (after_key.size() > 1 && after_key[0] == kValueTag && after_key[1] < kLongLength &&
        after_key.size() == size_t{2} + after_key[1]) {
      return base::AsText(key_value.subspan(2, key_value[1]));
    }
  }
  std::string_view key;
  Field field;
  for (FieldReader reader(key_value); reader.Next(field);) {
    if (Is(field, kKeyValueKey)) key = base::AsText(field.content);
  }
  return key;
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

// What `key_value` takes once its key is claimed.KEY: as a KeyValue, and as a field of Resource.
struct ClaimSize {
  size_t content;
  size_t whole;
};
ClaimSize ClaimBytes(std::string_view key, ByteView key_value) {
  size_t content = LengthDelimitedSize(kKeyValueKey, kClaimed.size() + key.size());
  Field field;
  for (FieldReader reader(key_value); reader.Next(field);) {
    if (!Is(field, kKeyValueKey)) content += field.whole.size();
  }
  return {content, LengthDelimitedSize(kResourceAttribute, content)};
}

// Edits one container at a time: measures the edited Resource first, since its length comes before it.
class Splicer {
 public:
  Splicer(const ResourceEdit& edit, base::Slices& out) : edit_(edit), out_(out), found_(edit.attributes().size()) {}

  void Container(ByteView body);
  uint32_t claims() const { return claims_; }

 private:
  size_t MeasureKept(ByteView resource);
  void CopyKept(ByteView resource);
  bool IsClaim(const ResourceEdit::Attribute& given, ByteView key_value);
  void CopyClaim(std::string_view key, ByteView key_value);
  void CopyLengthDelimitedHead(uint32_t number, size_t content_bytes);

  const ResourceEdit& edit_;
  base::Slices& out_;
  // Which of the edit's attributes the container has itself: of those to keep, they stay; of those to replace, there
  // was a claim.
  std::vector<bool> found_;
  bool replaces_ = false;  // whether any of its own is to be removed
  uint32_t claims_ = 0;
};

// Several Resources merge into one, which is the concatenation of their bodies, where the first one is. A container
// without any gets one in front.
void Splicer::Container(ByteView body) {
  const std::vector<ResourceEdit::Attribute>& attributes = edit_.attributes();
  std::fill(found_.begin(), found_.end(), false);
  replaces_ = false;
  size_t old_resource_bytes = 0, resource_bytes = 0;
  ByteView before;  // the fields in front of the first Resource
  Field field;
  for (FieldReader reader(body); reader.Next(field);) {
    if (!Is(field, kContainerResource)) continue;
    if (old_resource_bytes == 0) before = {body.data(), field.whole.data()};
    old_resource_bytes += field.whole.size();
    resource_bytes += MeasureKept(field.content);
  }
  const auto is_added = [&](size_t i) {
    return attributes[i].conflict == ResourceEdit::Conflict::kReplace || !found_[i];
  };
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (is_added(i)) resource_bytes += attributes[i].encoded.size();
    // Looked for again when it is copied.
    if (attributes[i].conflict == ResourceEdit::Conflict::kReplace && found_[i]) {
      found_[i] = false;
      ++claims_;
    }
  }

  CopyLengthDelimitedHead(kRequestContainer,
                          body.size() - old_resource_bytes + LengthDelimitedSize(kContainerResource, resource_bytes));
  out_.Refer(before);
  CopyLengthDelimitedHead(kContainerResource, resource_bytes);
  const ByteView after = body.subspan(before.size());
  for (FieldReader reader(after); reader.Next(field);) {
    if (Is(field, kContainerResource)) CopyKept(field.content);
  }
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (is_added(i)) out_.Copy(attributes[i].encoded);
  }
  const uint8_t* rest = after.data();
  for (FieldReader reader(after); reader.Next(field);) {
    if (!Is(field, kContainerResource)) continue;
    out_.Refer({rest, field.whole.data()});
    rest = field.whole.data() + field.whole.size();
  }
  out_.Refer({rest, body.data() + body.size()});
}

// How many bytes of `resource` stay.
size_t Splicer::MeasureKept(ByteView resource) {
  size_t bytes = resource.size();
  Field field;
  for (FieldReader reader(resource); reader.Next(field);) {
    if (!Is(field, kResourceAttribute)) continue;
    const ResourceEdit::Attribute* given = edit_.Find(KeyOf(field.content));
    if (given == nullptr) continue;
    if (given->conflict == ResourceEdit::Conflict::kReplace) {
      bytes -= field.whole.size();
      if (IsClaim(*given, field.content)) bytes += ClaimBytes(given->key, field.content).whole;
      replaces_ = true;
    } else {
      found_[static_cast<size_t>(given - edit_.attributes().data())] = true;
    }
  }
  return bytes;
}

void Splicer::CopyKept(ByteView resource) {
  if (!replaces_) return out_.Refer(resource);
  Field field;
  for (FieldReader reader(resource); reader.Next(field);) {
    if (Is(field, kResourceAttribute)) {
      const ResourceEdit::Attribute* given = edit_.Find(KeyOf(field.content));
      if (given != nullptr && given->conflict == ResourceEdit::Conflict::kReplace) {
        if (IsClaim(*given, field.content)) CopyClaim(given->key, field.content);
        continue;
      }
    }
    out_.Refer(field.whole);
  }
}

// Whether `key_value`, which is to be replaced, is the first to say something else than what is given.
bool Splicer::IsClaim(const ResourceEdit::Attribute& given, ByteView key_value) {
  const size_t i = static_cast<size_t>(&given - edit_.attributes().data());
  if (found_[i] || (given.text && StringOf(key_value) == given.text)) return false;
  found_[i] = true;
  return true;
}

void Splicer::CopyClaim(std::string_view key, ByteView key_value) {
  CopyLengthDelimitedHead(kResourceAttribute, ClaimBytes(key, key_value).content);
  CopyLengthDelimitedHead(kKeyValueKey, kClaimed.size() + key.size());
  out_.Copy(kClaimed);
  out_.Copy(key);
  Field field;
  for (FieldReader reader(key_value); reader.Next(field);) {
    if (!Is(field, kKeyValueKey)) out_.Refer(field.whole);
  }
}

void Splicer::CopyLengthDelimitedHead(uint32_t number, size_t content_bytes) {
  uint8_t head[2 * kLengthBytesMax];
  uint8_t* end = WriteVarint(head, uint64_t{number} << 3 | static_cast<uint8_t>(WireType::kLength));
  end = WriteVarint(end, content_bytes);
  out_.Copy(ByteView(head, end));
}

}  // namespace

void ResourceEdit::Set(std::string_view key, Bytes value, Conflict conflict) {
  Bytes key_value, encoded;
  AppendLengthDelimited(key_value, kKeyValueKey, key);
  AppendLengthDelimited(key_value, kKeyValueValue, value);
  AppendLengthDelimited(encoded, kResourceAttribute, key_value);
  std::erase_if(attributes_, [&](const Attribute& attribute) { return attribute.key == key; });
  attributes_.push_back({std::string(key), std::move(encoded), conflict, std::nullopt});
}

void ResourceEdit::SetString(std::string_view key, std::string_view value, Conflict conflict) {
  Bytes any_value;
  AppendLengthDelimited(any_value, kAnyValueString, value);
  Set(key, std::move(any_value), conflict);
  attributes_.back().text = value;
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

void ResourceEdit::SetStrings(std::string_view key, std::initializer_list<std::string_view> values, Conflict conflict) {
  Bytes array_value, any_value;
  for (const std::string_view value : values) {
    Bytes element;
    AppendLengthDelimited(element, kAnyValueString, value);
    AppendLengthDelimited(array_value, kArrayValueValues, element);
  }
  AppendLengthDelimited(any_value, kAnyValueArray, array_value);
  Set(key, std::move(any_value), conflict);
}

size_t ResourceEdit::encoded_bytes() const {
  // The Resource's own tag and length, if it is new, and what the container's length grows by.
  size_t sum = 1 + kLengthBytesMax + kLengthBytesMax - 1;
  for (const Attribute& attribute : attributes_) {
    sum += attribute.encoded.size();
    // A claim is longer by this, and so may its own two lengths be, by one each.
    if (attribute.conflict == Conflict::kReplace) sum += kClaimed.size() + 2;
  }
  return sum;
}

const ResourceEdit::Attribute* ResourceEdit::Find(std::string_view key) const {
  for (const Attribute& attribute : attributes_) {
    if (attribute.key == key) return &attribute;
  }
  return nullptr;
}

uint32_t SpliceResource(ByteView request, const ResourceEdit& edit, base::Slices& out) {
  if (edit.empty()) {
    out.Refer(request);
    return 0;
  }
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
  return splicer.claims();
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
