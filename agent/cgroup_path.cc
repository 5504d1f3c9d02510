#include "agent/cgroup_path.h"

#include <algorithm>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

namespace tributary::agent {
namespace {

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::vector<std::string_view> Components(std::string_view path) {
  std::vector<std::string_view> components;
  for (const auto part : std::views::split(path, '/')) {
    if (!part.empty()) components.emplace_back(&*part.begin(), std::ranges::distance(part));
  }
  return components;
}

// A UUID whose dashes may be underscores (systemd gives dashes a meaning of their own), or 32 digits without any.
std::optional<std::string> PodUid(std::string_view text) {
  constexpr size_t kUuid = 36, kHash = 32;
  std::string uid(text.substr(0, kUuid));
  std::ranges::replace(uid, '_', '-');
  bool is_uuid = uid.size() == kUuid;
  for (size_t i = 0; i < uid.size() && is_uuid; ++i) {
    is_uuid = i == 8 || i == 13 || i == 18 || i == 23 ? uid[i] == '-' : IsHex(uid[i]);
  }
  if (is_uuid) return uid;
  const size_t digits = std::ranges::find_if_not(text, IsHex) - text.begin();
  if (digits == kHash) return std::string(text.substr(0, kHash));
  return std::nullopt;
}

// Of "pod<uid>", "kubepods-burstable-pod<uid>.slice" and the like.
std::optional<std::string> PodOf(std::string_view component) {
  constexpr std::string_view kPod = "pod";
  for (size_t at = component.find(kPod); at != component.npos; at = component.find(kPod, at + 1)) {
    if (auto uid = PodUid(component.substr(at + kPod.size()))) return uid;
  }
  return std::nullopt;
}

std::string RuntimeOf(std::string_view before_id) {
  constexpr std::pair<std::string_view, std::string_view> kRuntimes[] = {
      {"containerd", "containerd"}, {"crio", "cri-o"}, {"docker", "docker"}, {"libpod", "podman"}};
  for (const auto& [mark, runtime] : kRuntimes) {
    if (before_id.find(mark) != before_id.npos) return std::string(runtime);
  }
  return "";
}

struct Container {
  std::string id;
  std::string runtime;
};

// Of "<id>", "docker-<id>.scope", "kubepods-pod<uid>.slice:cri-containerd:<id>". Not of a runtime's helpers, which are
// named after the container: "crio-conmon-<id>.scope" watches it, "<...>.mount" is a mount unit.
std::optional<Container> ContainerOf(std::string_view component) {
  constexpr size_t kId = 64, kEcsId = 32;
  if (component.find("conmon") != component.npos || component.ends_with(".mount")) return std::nullopt;
  for (size_t begin = 0; begin < component.size();) {
    const size_t end = std::find_if_not(component.begin() + begin, component.end(), IsHex) - component.begin();
    const std::string_view before = component.substr(0, begin), id = component.substr(begin, end - begin);
    if (id.size() == kId) return Container{std::string(id), RuntimeOf(before)};
    if (begin == 0 && id.size() == kEcsId && end + 1 < component.size() && component[end] == '-' &&
        std::ranges::all_of(component.substr(end + 1), IsDigit)) {
      return Container{std::string(component), ""};
    }
    begin = end + 1;
  }
  return std::nullopt;
}

bool IsUnit(std::string_view component) { return component.ends_with(".service") || component.ends_with(".scope"); }

}  // namespace

CgroupOwner ParseCgroupPath(std::string_view path) {
  CgroupOwner owner;
  const std::vector<std::string_view> components = Components(path);
  size_t pod = components.size();
  while (pod > 0 && owner.pod_uid.empty()) owner.pod_uid = PodOf(components[--pod]).value_or("");
  const auto take = [&owner](std::string_view component) {
    auto container = ContainerOf(component);
    if (!container) return false;
    owner.container_id = std::move(container->id);
    owner.runtime = std::move(container->runtime);
    return true;
  };
  // A pod's containers are the outermost below it, Docker's own the innermost of all: a node may be a container too.
  if (!owner.pod_uid.empty()) {
    std::ranges::find_if(components.begin() + pod, components.end(), take);
    return owner;
  }
  const auto inside_out = components | std::views::reverse;
  if (std::ranges::find_if(inside_out, take) != inside_out.end()) return owner;
  const auto unit = std::ranges::find_if(inside_out, IsUnit);
  if (unit != inside_out.end()) owner.systemd_unit = *unit;
  return owner;
}

}  // namespace tributary::agent
