#include "pipeline/sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace tributary::pipeline {
namespace {

constexpr Sources::Id kFirstOwn = Sources::kOthers + 1;
constexpr size_t kPlacesTried = 16;  // for each new source, so that a flood of them costs little

// Opaque bytes as people may read them: printable ASCII is.
std::string NameOf(std::string_view source) {
  std::string name;
  for (const char c : source) {
    name += c >= ' ' && c <= '~' ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }
  return name;
}

}  // namespace

Sources::Sources() : accounts_(kFirstOwn), keys_(kFirstOwn, nullptr) {
  accounts_[kUnknown].name = "unknown";
  accounts_[kOthers].name = "others";
}

void Sources::Hold(base::ByteView source, uint64_t items, uint64_t bytes, Shares& shares) {
  const Id id = Find(source);
  accounts_[id].held_bytes += bytes;
  const auto share = std::ranges::find(shares, id, &Share::source);
  if (share == shares.end()) {
    shares.push_back({.source = id, .items = items, .bytes = bytes});
  } else {
    share->items += items;
    share->bytes += bytes;
  }
}

void Sources::LetGo(const Shares& shares) {
  for (const Share& share : shares) {
    CHECK(accounts_[share.source].held_bytes >= share.bytes);
    accounts_[share.source].held_bytes -= share.bytes;
  }
}

void Sources::Lose(Id source, std::string_view reason, uint64_t items) {
  if (items > 0) accounts_[source].lost_items[reason] += items;
}

// A connection's requests come one after another, so the last one found is most often the next.
Sources::Id Sources::Find(base::ByteView source) {
  if (source.empty()) return kUnknown;
  const std::string_view text = base::AsText(source);
  if (keys_[last_] != nullptr && *keys_[last_] == text) return last_;
  const auto found = ids_.find(text);
  return last_ = found != ids_.end() ? found->second : Place(text);
}

Sources::Id Sources::Place(std::string_view source) {
  Id id = kOthers;
  if (accounts_.size() < kFirstOwn + kSourcesMax) {
    id = static_cast<Id>(accounts_.size());
    accounts_.emplace_back();
    keys_.push_back(nullptr);
  } else {
    for (size_t tried = 0; tried < kPlacesTried && id == kOthers; ++tried) {
      const Id candidate = static_cast<Id>(kFirstOwn + hand_++ % kSourcesMax);
      if (accounts_[candidate].held_bytes == 0) id = candidate;
    }
    if (id == kOthers) return kOthers;
    for (const auto& [reason, items] : accounts_[id].lost_items) Lose(kOthers, reason, items);
    ids_.erase(*keys_[id]);
  }
  accounts_[id] = {.name = NameOf(source), .held_bytes = 0, .lost_items = {}};
  keys_[id] = &ids_.emplace(source, id).first->first;
  return id;
}

void Sources::WriteMetrics(base::MetricsText& metrics) const {
  for (const Account& account : accounts_) {
    metrics.Gauge("tributary_source_held_bytes", "Requests in the Log, by who sent them, until their segment is free.",
                  {{"source", account.name}}, static_cast<double>(account.held_bytes));
  }
  for (const Account& account : accounts_) {
    for (const auto& [reason, items] : account.lost_items) {
      metrics.Counter("tributary_source_lost_items_total",
                      "Items given up for a destination, by who sent them and why.",
                      {{"source", account.name}, {"reason", reason}}, static_cast<double>(items));
    }
  }
}

}  // namespace tributary::pipeline
