#include "pipeline/batch_header.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>

namespace tributary::pipeline {
namespace {

constexpr size_t kStreamDigits = 16;

// A whole number as fmt writes it, off the front of `text_untrusted`.
std::optional<uint64_t> TakeNumber(std::string_view& text_untrusted) {
  uint64_t number = 0;
  const char* begin = text_untrusted.data();
  const auto [end, error] = std::from_chars(begin, begin + text_untrusted.size(), number);
  if (error != std::errc() || (*begin == '0' && end != begin + 1)) return std::nullopt;
  text_untrusted.remove_prefix(static_cast<size_t>(end - begin));
  return number;
}

bool Take(std::string_view& text_untrusted, char expected) {
  if (!text_untrusted.starts_with(expected)) return false;
  text_untrusted.remove_prefix(1);
  return true;
}

std::optional<uint64_t> TakeStream(std::string_view& text_untrusted) {
  const std::string_view digits = text_untrusted.substr(0, kStreamDigits);
  if (digits.size() < kStreamDigits || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  uint64_t stream = 0;
  std::from_chars(digits.begin(), digits.end(), stream, 16);
  text_untrusted.remove_prefix(kStreamDigits);
  return stream;
}

}  // namespace

std::string FormatRanges(const std::vector<AckSet::Range>& ranges) {
  std::string text;
  for (const AckSet::Range& range : ranges) {
    fmt::format_to(std::back_inserter(text), "{}{}-{}", text.empty() ? "" : ",", range.begin, range.end - 1);
  }
  return text;
}

std::string FormatBatchId(const BatchId& batch) {
  return fmt::format("{:016x};{};{}", batch.stream, batch.below, FormatRanges(batch.ranges));
}

std::optional<std::vector<AckSet::Range>> ParseRanges(std::string_view value_untrusted) {
  std::vector<AckSet::Range> ranges;
  do {
    const auto first = TakeNumber(value_untrusted);
    if (!first || !Take(value_untrusted, '-')) return std::nullopt;
    const auto last = TakeNumber(value_untrusted);
    if (!last || *last == UINT64_MAX || ranges.size() == BatchId::kRangesMax) return std::nullopt;
    ranges.push_back({*first, *last + 1});
  } while (Take(value_untrusted, ','));
  if (!value_untrusted.empty() || !AreApart(ranges)) return std::nullopt;
  return ranges;
}

std::optional<BatchId> ParseBatchId(std::string_view value_untrusted) {
  if (value_untrusted.size() > kBatchValueBytesMax) return std::nullopt;
  const auto stream = TakeStream(value_untrusted);
  if (!stream || !Take(value_untrusted, ';')) return std::nullopt;
  const auto below = TakeNumber(value_untrusted);
  if (!below || !Take(value_untrusted, ';')) return std::nullopt;
  auto ranges = ParseRanges(value_untrusted);
  // What a sender's own words say will not come again does not come now.
  if (!ranges || ranges->front().begin < *below) return std::nullopt;
  return BatchId{.stream = *stream, .below = *below, .ranges = std::move(*ranges)};
}

}  // namespace tributary::pipeline
