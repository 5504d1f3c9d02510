// TakenBatches: which frames of other Tributaries' Logs are in this one, or were. A sender that did not hear its OK
// sends again, and a request all of whose frames are here is answered OK and not kept a second time.
//
// For each stream there is one AckSet, pruned below what its sender says it may send again, so it is about as long as
// that sender has requests under way. There are at most kStreamsMax streams, and kRangesMax ranges in all: beyond that
// the streams least recently heard of are forgotten, whose resends would then be taken twice. Nothing is ever answered
// OK that is not here. Owned by the Log, which tells it what became of each append; lives on the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "pipeline/ack_set.h"
#include "pipeline/origin.h"

namespace tributary::pipeline {

class TakenBatches {
 public:
  static constexpr size_t kStreamsMax = 4096;
  static constexpr size_t kRangesMax = 16 << 10;  // what a hostile sender can make an insertion cost

  enum class State : uint8_t {
    kNew,
    kTaken,     // all of it
    kPartly,    // the sender put its frames together in another way before
    kUnderWay,  // some of it is being appended, and nobody knows yet whether that will succeed
  };
  State Look(const BatchId& batch);
  // The parts of `batch` that were taken; no more than a BatchId can have.
  std::vector<AckSet::Range> PartsTaken(const BatchId& batch) const;

  // An append begins, and ends: is the batch here now?
  void Begin(const BatchId& batch);
  void End(const BatchId& batch, bool taken);
  // What an earlier life took.
  void Take(const BatchId& batch);

  size_t streams() const { return streams_.size(); }
  size_t ranges() const { return ranges_; }

 private:
  struct Stream {
    uint64_t id;
    AckSet taken;
    std::vector<AckSet::Range> under_way;
  };
  using Streams = std::list<Stream>;  // the most recently heard of first

  Stream& Touch(uint64_t id);
  void ForgetOld();

  Streams streams_;
  std::unordered_map<uint64_t, Streams::iterator> by_id_;
  size_t ranges_ = 0;  // of all AckSets
};

}  // namespace tributary::pipeline
