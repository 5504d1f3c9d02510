#include "base/units.h"

#include <charconv>
#include <limits>

namespace tributary::base {
namespace {

template <typename Scale>
struct Unit {
  std::string_view name;
  Scale scale;
};

constexpr Unit<uint64_t> kSizeUnits[] = {
    {"", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40},
};

// "m" after "ms", of which it is the beginning.
constexpr Unit<int64_t> kTimeUnits[] = {
    {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

// Takes the decimal digits at the front of `text`; false when there are none or too many.
bool TakeDigits(std::string_view& text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// Takes "30s" or "1.5h" from the front of `text`, in nanoseconds.
bool TakeSpan(std::string_view& text, unsigned __int128& ns) {
  uint64_t whole;
  if (!TakeDigits(text, whole)) return false;
  uint64_t fraction = 0;
  uint64_t fraction_scale = 1;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const size_t size_before = text.size();
    if (!TakeDigits(text, fraction)) return false;
    const size_t digits = size_before - text.size();
    if (digits > 9) return false;
    for (size_t i = 0; i < digits; ++i) fraction_scale *= 10;
  }
  for (const auto& unit : kTimeUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    const auto scale = static_cast<uint64_t>(unit.scale);
    ns = static_cast<unsigned __int128>(whole) * scale + fraction * scale / fraction_scale;
    return true;
  }
  return false;
}

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number;
  if (!TakeDigits(text, number)) return std::nullopt;
  for (const auto& unit : kSizeUnits) {
    if (text != unit.name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / unit.scale) return std::nullopt;
    return number * unit.scale;
  }
  return std::nullopt;
}

std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  if (text == "0") return std::chrono::nanoseconds(0);
  if (text.empty()) return std::nullopt;
  unsigned __int128 sum = 0;
  while (!text.empty()) {
    unsigned __int128 span;
    if (!TakeSpan(text, span)) return std::nullopt;
    sum += span;
    if (sum > static_cast<unsigned __int128>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(sum));
}

}  // namespace tributary::base
