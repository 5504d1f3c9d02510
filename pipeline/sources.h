// Sources: what is held of, and was lost from, each of those who send: by Origin::source, as far as it is known. Nobody
// is limited by it yet; it is what a limit would go by.
//
// There are at most kSourcesMax. One of which nothing is held makes place for another; when there is none such, a new
// one is counted among the others, and so are the losses of those that made place. Owned by the Log; lives on the
// loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/metrics_text.h"

namespace tributary::pipeline {

class Sources {
 public:
  // Stays a source's own while something of it is held.
  using Id = uint32_t;
  static constexpr Id kUnknown = 0;
  static constexpr Id kOthers = 1;
  static constexpr size_t kSourcesMax = 512;

  // What of a stretch of frames is one source's.
  struct Share {
    Id source;
    uint64_t items;
    uint64_t bytes;
  };
  using Shares = std::vector<Share>;  // of different sources

  Sources();

  // Holds a request of `source`, and adds it to `shares`.
  void Hold(base::ByteView source, uint64_t items, uint64_t bytes, Shares& shares);
  void LetGo(const Shares& shares);

  void Lose(Id source, std::string_view reason, uint64_t items);
  void Lose(base::ByteView source, std::string_view reason, uint64_t items) { Lose(Find(source), reason, items); }

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  struct Account {
    std::string name;  // at /metrics
    uint64_t held_bytes = 0;
    std::map<std::string_view, uint64_t> lost_items;  // by reason; the names are constants
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  Id Find(base::ByteView source);
  Id Place(std::string_view source);

  std::vector<Account> accounts_;  // by Id
  std::unordered_map<std::string, Id, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> keys_;  // in ids_, by Id
  size_t hand_ = 0;                       // where the next place is looked for
  Id last_ = kUnknown;                    // found
};

}  // namespace tributary::pipeline
