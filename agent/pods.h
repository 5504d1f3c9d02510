// Pods: the pods of this node, found by uid or by container id, never by address: addresses are given again.
//
// A pod that is gone is still found for a while, for the last words of short jobs. Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/pod.h"
#include "base/clock.h"

namespace tributary::agent {

class Pods {
 public:
  static constexpr base::Nanos kKeptAfterDeletion = std::chrono::minutes(5);

  // All pods there are now, as a list says; others that were known are gone. `now` is the loop's.
  void Replace(std::vector<Pod> pods, base::Time now);
  void Put(Pod pod);
  void Delete(const std::string& uid, base::Time now);
  // Forgets those that were deleted long enough ago.
  void Expire(base::Time now);

  // The pod, and which of its containers; nulls when unknown. Valid until the next change.
  struct Found {
    const Pod* pod = nullptr;
    const Container* container = nullptr;
  };
  // By the uid that cgroups are named after, a static pod's own included; either may be empty. A container the pod does
  // not know of (yet) leaves the pod alone found.
  Found Find(std::string_view uid, std::string_view container_id) const;

  // Those not deleted.
  std::vector<const Pod*> present() const;
  size_t size() const { return pods_.size(); }
  // Grows with every change of what Find() may answer: attributes made of an earlier one may be stale.
  uint64_t version() const { return version_; }

 private:
  struct Known {
    Pod pod;
    std::optional<base::Time> deleted;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename Value>
  using ByText = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void Index(const Known& known);
  void Unindex(const Pod& pod);

  ByText<std::unique_ptr<Known>> pods_;  // by uid
  ByText<const Known*> by_static_uid_;
  ByText<const Known*> by_container_;  // containers' ids, the previous ones included
  uint64_t version_ = 0;
};

}  // namespace tributary::agent
