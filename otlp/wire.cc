#include "otlp/wire.h"

namespace tributary::otlp {

bool FieldReader::Next(Field& field) {
  if (p_ == end_) return false;
  const uint8_t* const start = p_;
  p_ = ReadField(start, field);
  if (p_ == nullptr || field.type == WireType::kEndGroup) return Fail();
  if (field.type == WireType::kStartGroup && !SkipGroup()) return Fail();
  field.whole = {start, p_};
  return true;
}

// The position behind the field, or nullptr. Group starts and ends are fields of their own here.
const uint8_t* FieldReader::ReadField(const uint8_t* p, Field& field) const {
  uint64_t tag;
  p = ReadVarint(p, end_, tag);
  if (p == nullptr) return nullptr;
  field.number = static_cast<uint32_t>(tag) >> 3;
  field.type = static_cast<WireType>(tag & 7);
  field.value = 0;
  field.content = {};
  switch (field.type) {
    case WireType::kVarint:
      return ReadVarint(p, end_, field.value);
    case WireType::kFixed64:
      return ReadFixed<uint64_t>(p, field.value);
    case WireType::kFixed32:
      return ReadFixed<uint32_t>(p, field.value);
    case WireType::kLength: {
      uint64_t length;
      p = ReadVarint(p, end_, length);
      if (p == nullptr || length > static_cast<size_t>(end_ - p)) return nullptr;
      field.content = {p, length};
      return p + length;
    }
    case WireType::kStartGroup:
    case WireType::kEndGroup:
      return p;
  }
  return nullptr;
}

// From behind a group's start to behind its end.
bool FieldReader::SkipGroup() {
  Field inner;
  for (size_t open = 1; open > 0;) {
    p_ = ReadField(p_, inner);
    if (p_ == nullptr) return false;
    if (inner.type == WireType::kStartGroup) ++open;
    if (inner.type == WireType::kEndGroup) --open;
  }
  return true;
}

// A number of fixed width, or nullptr.
template <typename Number>
const uint8_t* FieldReader::ReadFixed(const uint8_t* p, uint64_t& value) const {
  if (end_ - p < static_cast<ptrdiff_t>(sizeof(Number))) return nullptr;
  Number number;
  std::memcpy(&number, p, sizeof number);
  value = number;
  return p + sizeof number;
}

bool FieldReader::Fail() {
  failed_ = true;
  p_ = end_;
  return false;
}

}  // namespace tributary::otlp
