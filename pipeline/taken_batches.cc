#include "pipeline/taken_batches.h"

#include <algorithm>

namespace tributary::pipeline {
namespace {

bool Meet(const AckSet::Range& a, const AckSet::Range& b) { return a.begin < b.end && b.begin < a.end; }

}  // namespace

TakenBatches::State TakenBatches::Look(const BatchId& batch) {
  const auto found = by_id_.find(batch.stream);
  if (found == by_id_.end()) return State::kNew;
  const Stream& stream = *found->second;
  uint64_t frames = 0, taken = 0;
  for (const AckSet::Range& range : batch.ranges) {
    const auto meets = [&range](const AckSet::Range& other) { return Meet(range, other); };
    if (std::ranges::any_of(stream.under_way, meets)) return State::kUnderWay;
    frames += range.end - range.begin;
    taken += stream.taken.CountIn(range.begin, range.end);
  }
  if (taken == 0) return State::kNew;
  return taken == frames ? State::kTaken : State::kPartly;
}

std::vector<AckSet::Range> TakenBatches::PartsTaken(const BatchId& batch) const {
  std::vector<AckSet::Range> parts;
  const auto found = by_id_.find(batch.stream);
  if (found == by_id_.end()) return parts;
  const AckSet& taken = found->second->taken;
  const auto add = [&parts](uint64_t begin, uint64_t end) {
    if (begin < end && parts.size() < BatchId::kRangesMax) parts.push_back({begin, end});
  };
  for (const AckSet::Range& range : batch.ranges) {
    add(range.begin, std::min(range.end, taken.below()));
    for (const AckSet::Range& part : taken.ranges()) {
      add(std::max(range.begin, part.begin), std::min(range.end, part.end));
    }
  }
  return parts;
}

void TakenBatches::Begin(const BatchId& batch) {
  if (!batch) return;
  Stream& stream = Touch(batch.stream);
  stream.under_way.insert(stream.under_way.end(), batch.ranges.begin(), batch.ranges.end());
  ForgetOld();
}

void TakenBatches::End(const BatchId& batch, bool taken) {
  if (!batch) return;
  if (const auto found = by_id_.find(batch.stream); found != by_id_.end()) {
    std::erase_if(found->second->under_way, [&batch](const AckSet::Range& range) {
      return std::ranges::find(batch.ranges, range) != batch.ranges.end();
    });
  }
  if (taken) Take(batch);
}

void TakenBatches::Take(const BatchId& batch) {
  if (!batch) return;
  Stream& stream = Touch(batch.stream);
  ranges_ -= stream.taken.ranges().size();
  stream.taken.AddRange(0, batch.below);
  for (const AckSet::Range& range : batch.ranges) stream.taken.AddRange(range.begin, range.end);
  ranges_ += stream.taken.ranges().size();
  ForgetOld();
}

TakenBatches::Stream& TakenBatches::Touch(uint64_t id) {
  const auto [found, is_new] = by_id_.try_emplace(id, streams_.end());
  if (is_new) {
    found->second = streams_.insert(streams_.begin(), Stream{.id = id, .taken = {}, .under_way = {}});
  } else {
    streams_.splice(streams_.begin(), streams_, found->second);
  }
  return streams_.front();
}

void TakenBatches::ForgetOld() {
  while (streams_.size() > kStreamsMax || ranges_ > kRangesMax) {
    ranges_ -= streams_.back().taken.ranges().size();
    by_id_.erase(streams_.back().id);
    streams_.pop_back();
  }
}

}  // namespace tributary::pipeline
