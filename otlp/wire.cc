#include "otlp/wire.h"

namespace tributary::otlp {

bool FieldReader::Next(Field& field) {
  if (p_ == end_) return false;
  const uint8_t* const whole = p_;
  size_t groups = 0;
  do {
    uint64_t tag;
    const uint8_t* p = ReadVarint(p_, end_, tag);
    if (p == nullptr) return Fail();
    const auto type = static_cast<WireType>(tag & 7);
    uint64_t value = 0;
    base::ByteView content;
    switch (type) {
      case WireType::kVarint:
        p = ReadVarint(p, end_, value);
        break;
      case WireType::kFixed64:
        p = ReadFixed<uint64_t>(p, value);
        break;
      case WireType::kFixed32:
        p = ReadFixed<uint32_t>(p, value);
        break;
      case WireType::kLength:
        p = ReadVarint(p, end_, value);
        if (p == nullptr || value > static_cast<size_t>(end_ - p)) return Fail();
        content = {p, value};
        p += value;
        break;
      case WireType::kStartGroup:
        ++groups;
        break;
      case WireType::kEndGroup:
        if (groups-- == 0) return Fail();
        break;
      default:
        return Fail();
    }
    if (p == nullptr) return Fail();
    if (p_ == whole) field = {static_cast<uint32_t>(tag) >> 3, type, value, content, {}};
    p_ = p;
  } while (groups > 0);
  field.whole = {whole, p_};
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
