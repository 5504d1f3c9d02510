#include "otlp/canonical_writer.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace tributary::otlp {

void CanonicalWriter::Field(uint32_t number) {
  Level& level = levels_.back();
  if (number <= level.last_number) level.in_order = false;
  level.last_number = number;
  runs_.push_back({number, static_cast<uint32_t>(out_.size()), 0});
}

void CanonicalWriter::Raw(WireType type, uint64_t raw) {
  if (type == WireType::kVarint) {
    AppendVarint(out_, raw);
  } else {
    uint8_t encoded[8];
    std::memcpy(encoded, &raw, 8);
    out_.Append({encoded, type == WireType::kFixed32 ? 4u : 8u});
  }
}

void CanonicalWriter::Open(uint32_t number) {
  AppendTag(out_, number, WireType::kLength);
  out_.Push(0);
  levels_.push_back({.body = out_.size(), .runs_begin = runs_.size()});
}

void CanonicalWriter::Close() {
  const Level level = levels_.back();
  Sort(level);
  runs_.resize(level.runs_begin);
  levels_.pop_back();
  const size_t size = out_.size() - level.body;
  const size_t grow = VarintSize(size) - 1;
  if (grow > 0) {
    out_.ResizeUninitialized(out_.size() + grow);
    std::memmove(out_.data() + level.body + grow, out_.data() + level.body, size);
  }
  WriteVarint(out_.data() + level.body - 1, size);
}

void CanonicalWriter::Sort(const Level& level) {
  if (level.in_order) return;
  const auto begin = runs_.begin() + static_cast<ptrdiff_t>(level.runs_begin);
  uint32_t end = static_cast<uint32_t>(out_.size());
  for (auto run = runs_.end(); run != begin;) {
    --run;
    run->end = end;
    end = run->begin;
  }
  std::ranges::sort(begin, runs_.end(), {}, [](const Run& run) { return std::tuple(run.number, run.begin); });
  sorted_.Clear();
  for (auto run = begin; run != runs_.end(); ++run) {
    const bool replaced = run + 1 != runs_.end() && (run + 1)->number == run->number;
    if (!replaced) sorted_.Append({out_.data() + run->begin, run->end - run->begin});
  }
  out_.ResizeUninitialized(level.body);
  out_.Append(sorted_);
}

}  // namespace tributary::otlp
