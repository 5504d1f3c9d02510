#include "agent/pods.h"

#include <set>
#include <utility>

namespace tributary::agent {

void Pods::Replace(std::vector<Pod> pods, base::Time now) {
  std::set<std::string> listed;
  for (Pod& pod : pods) {
    listed.insert(pod.uid);
    Put(std::move(pod));
  }
  for (const auto& [uid, known] : pods_) {
    if (!known->deleted && !listed.contains(uid)) known->deleted = now;
  }
}

void Pods::Put(Pod pod) {
  // The kubelet tells of a static pod under the uid that it gave it, the API server under another, which people see.
  if (pod.static_uid == pod.uid) {
    const auto known = by_static_uid_.find(pod.uid);
    if (known != by_static_uid_.end() && known->second->pod.uid != pod.uid) return;
  } else if (const auto own = pods_.find(pod.static_uid); own != pods_.end()) {
    Unindex(own->second->pod);
    pods_.erase(own);
  }
  std::unique_ptr<Known>& known = pods_[pod.uid];
  if (known != nullptr) {
    known->deleted.reset();
    if (known->pod == pod) return;
    Unindex(known->pod);
    // A container that restarts twice between two looks at it leaves no trace of the instance between.
    known->pod = std::move(pod);
  } else {
    known = std::make_unique<Known>(Known{.pod = std::move(pod), .deleted = {}});
  }
  Index(*known);
  ++version_;
}

void Pods::Delete(const std::string& uid, base::Time now) {
  const auto known = pods_.find(uid);
  if (known != pods_.end() && !known->second->deleted) known->second->deleted = now;
}

void Pods::Expire(base::Time now) {
  const size_t expired = std::erase_if(pods_, [&](const auto& entry) {
    const Known& known = *entry.second;
    if (!known.deleted || now - *known.deleted < kKeptAfterDeletion) return false;
    Unindex(known.pod);
    return true;
  });
  version_ += expired > 0 ? 1 : 0;
}

void Pods::Index(const Known& known) {
  if (!known.pod.static_uid.empty()) by_static_uid_[known.pod.static_uid] = &known;
  for (const Container& container : known.pod.containers) {
    for (const std::string* id : {&container.id, &container.previous_id}) {
      if (!id->empty()) by_container_[*id] = &known;
    }
  }
}

// What another pod has claimed since stays that one's.
void Pods::Unindex(const Pod& pod) {
  const auto remove = [&pod](ByText<const Known*>& index, const std::string& key) {
    const auto entry = index.find(key);
    if (entry != index.end() && entry->second->pod.uid == pod.uid) index.erase(entry);
  };
  remove(by_static_uid_, pod.static_uid);
  for (const Container& container : pod.containers) {
    remove(by_container_, container.id);
    remove(by_container_, container.previous_id);
  }
}

Pods::Found Pods::Find(std::string_view uid, std::string_view container_id) const {
  const Known* known = nullptr;
  if (const auto entry = by_container_.find(container_id); entry != by_container_.end()) {
    known = entry->second;
  } else if (const auto by_uid = pods_.find(uid); by_uid != pods_.end()) {
    known = by_uid->second.get();
  } else if (const auto by_static = by_static_uid_.find(uid); by_static != by_static_uid_.end()) {
    known = by_static->second;
  }
  if (known == nullptr) return {};
  Found found{.pod = &known->pod};
  for (const Container& container : known->pod.containers) {
    const bool is_it = container.id == container_id || container.previous_id == container_id;
    if (is_it && !container_id.empty()) found.container = &container;
  }
  return found;
}

std::vector<const Pod*> Pods::present() const {
  std::vector<const Pod*> pods;
  for (const auto& [uid, known] : pods_) {
    if (!known->deleted) pods.push_back(&known->pod);
  }
  return pods;
}

}  // namespace tributary::agent
