#include "otlp/json_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace tributary::otlp {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// False when `text`, a JSON number, is too large for a double. What is too small is zero.
bool ParseFinite(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars does not tell too large from too small.
  if (error == std::errc::result_out_of_range) value = std::strtod(std::string(text).c_str(), nullptr);
  return std::isfinite(value);
}

bool ParseDouble(std::string_view text, bool quoted, uint64_t& raw) {
  double value;
  if (quoted && text == "NaN") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (quoted && text == "Infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (quoted && text == "-Infinity") {
    value = -std::numeric_limits<double>::infinity();
  } else if (!IsJsonNumber(text) || !ParseFinite(text, value)) {
    return false;
  }
  raw = std::bit_cast<uint64_t>(value);
  return true;
}

template <typename Integer>
bool ParseInteger(std::string_view text, Integer& value) {
  if (!IsJsonNumber(text)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end == text.data() + text.size()) return error == std::errc();
  // 1e3 and 5.0 are integers too.
  using Limits = std::numeric_limits<Integer>;
  double number;
  if (!ParseFinite(text, number) || std::trunc(number) != number) return false;
  if (number < static_cast<double>(Limits::min()) || number >= std::ldexp(1.0, Limits::digits)) return false;
  value = static_cast<Integer>(number);
  return true;
}

template <typename Integer>
bool ParseVarint(std::string_view text, uint64_t& raw) {
  Integer value;
  if (!ParseInteger(text, value)) return false;
  raw = static_cast<uint64_t>(static_cast<int64_t>(value));  // negative 32-bit values take ten bytes on the wire
  return true;
}

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNoDigit = 0xff;
using DigitTable = std::array<uint8_t, 256>;

constexpr DigitTable TableOf(std::string_view digits) {
  DigitTable table;
  table.fill(kNoDigit);
  for (size_t i = 0; i < digits.size(); ++i) table[static_cast<uint8_t>(digits[i])] = static_cast<uint8_t>(i);
  return table;
}
constexpr DigitTable kHexValues = [] {
  DigitTable table = TableOf(kHexDigits);
  for (uint8_t i = 0; i < 6; ++i) table['A' + i] = static_cast<uint8_t>(10 + i);
  return table;
}();
constexpr DigitTable kBase64Values = [] {
  DigitTable table = TableOf(kBase64Digits);
  table['-'] = table['+'];
  table['_'] = table['/'];
  return table;
}();

template <typename Number>
void AppendNumber(Number value, std::string& json) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  json.append(text, end);
}

template <typename Number>
void AppendQuotedNumber(Number value, std::string& json) {
  json += '"';
  AppendNumber(value, json);
  json += '"';
}

void AppendDouble(double value, std::string& json) {
  if (std::isfinite(value)) {
    AppendNumber(value, json);
  } else if (std::isnan(value)) {
    json += "\"NaN\"";
  } else {
    json += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  }
}

}  // namespace

bool IsJsonNumber(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return i > begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const bool leading_zero = i < text.size() && text[i] == '0';
  const size_t integer = i;
  if (!digits() || (leading_zero && i > integer + 1)) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

bool ParseScalar(Kind kind, std::string_view text, bool quoted, uint64_t& raw) {
  switch (kind) {
    case Kind::kBool:
      raw = text == "true";
      return !quoted && (raw != 0 || text == "false");
    case Kind::kEnum:
      return !quoted && ParseVarint<int32_t>(text, raw);
    case Kind::kUint32:
    case Kind::kFixed32:
      return ParseVarint<uint32_t>(text, raw);
    case Kind::kSint32: {
      int32_t value;
      if (!ParseInteger(text, value)) return false;
      raw = (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
      return true;
    }
    case Kind::kInt64:
    case Kind::kSfixed64:
      return ParseVarint<int64_t>(text, raw);
    case Kind::kUint64:
    case Kind::kFixed64:
      return ParseVarint<uint64_t>(text, raw);
    case Kind::kDouble:
      return ParseDouble(text, quoted, raw);
    default:
      CHECK(false);
  }
}

std::string_view Describe(Kind kind) {
  switch (kind) {
    case Kind::kBool:
      return "true or false";
    case Kind::kEnum:
      return "an enum's integer";
    case Kind::kUint32:
    case Kind::kFixed32:
      return "an unsigned 32-bit integer";
    case Kind::kSint32:
      return "a 32-bit integer";
    case Kind::kInt64:
    case Kind::kSfixed64:
      return "a 64-bit integer";
    case Kind::kUint64:
    case Kind::kFixed64:
      return "an unsigned 64-bit integer";
    case Kind::kDouble:
      return "a double";
    default:
      CHECK(false);
  }
}

bool DecodeHex(std::string_view text, base::Bytes& out) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const uint8_t high = kHexValues[static_cast<uint8_t>(text[i])];
    const uint8_t low = kHexValues[static_cast<uint8_t>(text[i + 1])];
    if (high == kNoDigit || low == kNoDigit) return false;
    out.Push(static_cast<uint8_t>(high << 4 | low));
  }
  return true;
}

bool DecodeBase64(std::string_view text, base::Bytes& out) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return false;
  uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : text) {
    const uint8_t digit = kBase64Values[static_cast<uint8_t>(c)];
    if (digit == kNoDigit) return false;
    bits = bits << 6 | digit;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      out.Push(static_cast<uint8_t>(bits >> bit_count));
    }
  }
  return true;
}

void AppendScalar(Kind kind, uint64_t raw, std::string& json) {
  switch (kind) {
    case Kind::kBool:
      json += raw != 0 ? "true" : "false";
      break;
    case Kind::kEnum:
      AppendNumber(static_cast<int32_t>(raw), json);
      break;
    case Kind::kUint32:
    case Kind::kFixed32:
      AppendNumber(static_cast<uint32_t>(raw), json);
      break;
    case Kind::kSint32: {
      const uint32_t zigzag = static_cast<uint32_t>(raw);
      AppendNumber(static_cast<int32_t>((zigzag >> 1) ^ (0 - (zigzag & 1))), json);
      break;
    }
    case Kind::kInt64:
    case Kind::kSfixed64:
      AppendQuotedNumber(static_cast<int64_t>(raw), json);
      break;
    case Kind::kUint64:
    case Kind::kFixed64:
      AppendQuotedNumber(raw, json);
      break;
    case Kind::kDouble:
      AppendDouble(std::bit_cast<double>(raw), json);
      break;
    default:
      CHECK(false);
  }
}

void AppendQuoted(std::string_view text, std::string& json) {
  json += '"';
  size_t plain = 0;  // begin of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    json.append(text, plain, i - plain);
    plain = i + 1;
    json += '\\';
    switch (c) {
      case '"':
      case '\\':
        json += static_cast<char>(c);
        break;
      case '\n':
        json += 'n';
        break;
      case '\r':
        json += 'r';
        break;
      case '\t':
        json += 't';
        break;
      default:
        json += "u00";
        json += kHexDigits[c >> 4];
        json += kHexDigits[c & 15];
    }
  }
  json.append(text, plain);
  json += '"';
}

void AppendHex(base::ByteView bytes, std::string& json) {
  const size_t begin = json.size();
  json.resize(begin + 2 * bytes.size() + 2, '"');
  char* out = json.data() + begin + 1;
  for (const uint8_t byte : bytes) {
    *out++ = kHexDigits[byte >> 4];
    *out++ = kHexDigits[byte & 15];
  }
}

void AppendBase64(base::ByteView bytes, std::string& json) {
  json += '"';
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? bytes[i + j] : 0);
    for (size_t j = 0; j < 4; ++j) json += j <= count ? kBase64Digits[bits >> (18 - 6 * j) & 63] : '=';
  }
  json += '"';
}

}  // namespace tributary::otlp
