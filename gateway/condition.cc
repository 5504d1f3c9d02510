#include "gateway/condition.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "otlp/wire.h"

namespace tributary::gateway {
namespace {

using base::ByteView;
using otlp::Field;
using otlp::FieldReader;

// Field numbers of ResourceSpans (and its like), Resource, KeyValue and AnyValue: resource.proto and common.proto.
constexpr uint32_t kResource = 1;
constexpr uint32_t kAttributes = 1;
constexpr uint32_t kKey = 1;
constexpr uint32_t kValue = 2;
constexpr uint32_t kStringValue = 1;
constexpr uint32_t kBoolValue = 2;
constexpr uint32_t kIntValue = 3;

// An AnyValue as a Condition compares it; nullopt when it equals nothing.
std::optional<std::string> ValueText(ByteView any_value) {
  std::optional<std::string> text;
  Field field;
  for (FieldReader fields(any_value); fields.Next(field);) {
    switch (field.number) {
      case kStringValue:
        text = std::string(base::AsText(field.content));
        break;
      case kBoolValue:
        text = field.value != 0 ? "true" : "false";
        break;
      case kIntValue:
        text = std::to_string(static_cast<int64_t>(field.value));
        break;
      default:
        text.reset();
        break;
    }
  }
  return text;
}

// The value of the attribute in the container's Resource, as an AnyValue; nullopt when it is not there.
std::optional<ByteView> FindAttribute(ByteView container, std::string_view key) {
  Field resource;
  for (FieldReader container_fields(container); container_fields.Next(resource);) {
    if (resource.number != kResource) continue;
    Field attribute;
    for (FieldReader attributes(resource.content); attributes.Next(attribute);) {
      if (attribute.number != kAttributes) continue;
      std::string_view found_key;
      ByteView value;
      Field part;
      for (FieldReader parts(attribute.content); parts.Next(part);) {
        if (part.number == kKey) found_key = base::AsText(part.content);
        if (part.number == kValue) value = part.content;
      }
      if (found_key == key) return value;
    }
  }
  return std::nullopt;
}

std::vector<std::string> ReadValues(const base::YamlValue& value) {
  std::vector<std::string> values;
  if (!value.is_list()) {
    values.push_back(value.String());
    return values;
  }
  for (const base::YamlValue& element : value.List()) values.push_back(element.String());
  if (values.empty()) value.Fail("an empty list matches nothing");
  return values;
}

}  // namespace

Condition Condition::Read(const base::YamlMap& when) {
  Condition condition;
  for (const std::string& attribute : when.Keys()) {
    if (const auto value = when.Find(attribute)) {
      condition.clauses_.push_back(ReadClause(attribute, *value));
    } else {
      when.Fail(attribute, "needs a value, a list of values, {not: ...} or {exists: ...}");
    }
  }
  return condition;
}

Condition::Clause Condition::ReadClause(const std::string& attribute, const base::YamlValue& value) {
  Clause clause{.attribute = attribute, .kind = Clause::Kind::kIn, .values = {}};
  if (!value.is_map()) {
    clause.values = ReadValues(value);
    return clause;
  }
  const base::YamlMap map = value.Map();
  const auto unwanted = map.Find("not");
  if (unwanted.has_value() == map.Has("exists")) {
    value.Fail("needs either not or exists");
  } else if (unwanted) {
    clause.kind = Clause::Kind::kNotIn;
    clause.values = ReadValues(*unwanted);
  } else {
    clause.kind = map.Bool("exists") ? Clause::Kind::kExists : Clause::Kind::kAbsent;
  }
  return clause;
}

bool Condition::Matches(ByteView container) const {
  return std::ranges::all_of(clauses_, [container](const Clause& clause) { return clause.Holds(container); });
}

bool Condition::Clause::Holds(ByteView container) const {
  const auto value = FindAttribute(container, attribute);
  if (kind == Kind::kExists) return value.has_value();
  if (kind == Kind::kAbsent) return !value.has_value();
  const auto text = value ? ValueText(*value) : std::nullopt;
  const bool in = text && std::ranges::find(values, *text) != values.end();
  return in == (kind == Kind::kIn);
}

}  // namespace tributary::gateway
