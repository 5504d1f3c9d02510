// ReceivedItems: which items of tributary-load's runs have arrived, and how often. One bit per item: what a load
// numbered 1 to n has arrived without loss when `unique` is n. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "bench/item_ids.h"
#include "otlp/signal.h"

namespace tributary::bench {

class ReceivedItems {
 public:
  struct Run {
    std::vector<uint64_t> seen;  // bit n: item number n
    uint64_t unique = 0;
    uint64_t duplicates = 0;
    uint64_t highest = 0;
    uint64_t fingerprint = 0;                              // of the set of items seen
    uint64_t missing() const { return highest - unique; }  // below the highest
  };

  // Counts the items of one request; how many there are.
  uint64_t Add(otlp::Signal signal, base::ByteView request_untrusted);

  const std::map<std::pair<otlp::Signal, uint64_t>, Run>& runs() const { return runs_; }
  // Items without an identity, or with one that no load gives.
  uint64_t foreign(otlp::Signal signal) const { return foreign_[signal]; }

 private:
  // A run of 2^32 items takes hours; its bits take 512 MiB. Runs are named by a Unix time of this century.
  static constexpr uint64_t kNumberMax = uint64_t{1} << 32;
  static constexpr uint64_t kRunMin = 946'684'800'000'000'000, kRunMax = 4'102'444'800'000'000'000;
  static constexpr size_t kRunsMax = 1000;

  Run* RunOf(otlp::Signal signal, uint64_t run);

  std::map<std::pair<otlp::Signal, uint64_t>, Run> runs_;
  Run* last_ = nullptr;  // the run of the last item, and so most likely of the next
  std::pair<otlp::Signal, uint64_t> last_key_;
  otlp::PerSignal<uint64_t> foreign_;
  std::vector<ItemIdPlace> places_;  // of the request at hand
};

}  // namespace tributary::bench
