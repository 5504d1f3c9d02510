#include "bench/received_items.h"

#include <algorithm>

namespace tributary::bench {

uint64_t ReceivedItems::Add(otlp::Signal signal, base::ByteView request_untrusted) {
  places_.clear();
  FindItemIds(signal, request_untrusted, places_);
  for (const ItemIdPlace& place : places_) {
    const ItemId id = place.exists() ? ReadItemId(signal, request_untrusted.data(), place) : ItemId{};
    Run* run = id.number >= 1 && id.number <= kNumberMax ? RunOf(signal, id.run) : nullptr;
    if (run == nullptr) {
      ++foreign_[signal];
      continue;
    }
    const size_t word = id.number / 64;
    const uint64_t bit = uint64_t{1} << (id.number % 64);
    if (word >= run->seen.size()) run->seen.resize(word + 1);
    if (run->seen[word] & bit) {
      ++run->duplicates;
      continue;
    }
    run->seen[word] |= bit;
    ++run->unique;
    run->fingerprint += Hash(id.number);
    run->highest = std::max(run->highest, id.number);
  }
  return places_.size();
}

ReceivedItems::Run* ReceivedItems::RunOf(otlp::Signal signal, uint64_t run) {
  const std::pair key(signal, run);
  if (last_ != nullptr && last_key_ == key) return last_;
  if (run < kRunMin || run > kRunMax) return nullptr;
  if (runs_.size() >= kRunsMax && !runs_.contains(key)) return nullptr;
  last_key_ = key;
  last_ = &runs_[key];
  return last_;
}

}  // namespace tributary::bench
