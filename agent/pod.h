// Pod: what Kubernetes says of a pod on this node, as far as its telemetry may tell of it, read from the API's JSON and
// written as such again: the answer of the API server and of the kubelet, a file made by `kubectl get pods -o json`,
// and the agent's own memory of earlier lives are all one format.
//
// Values, without threads. JSON comes from outside and is bounded by whoever reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "otlp/splice.h"

namespace tributary::agent {

struct Container {
  std::string name;
  std::string image;        // as the pod's author wrote it
  std::string id;           // 64 hex digits, without the runtime's "containerd://"; empty until it runs
  std::string previous_id;  // of the instance before the last restart, which may still have something to say

  bool operator==(const Container&) const = default;
};

struct Pod {
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  std::string uid;
  // What the kubelet calls a static pod, and so does its cgroup: the API server's mirror of it has another uid. Empty
  // for the others.
  std::string static_uid;
  std::string name;
  std::string namespace_name;
  std::string node_name;
  std::string start_time;  // RFC 3339
  std::string owner_kind;  // of the controller; empty without one
  std::string owner_name;
  Pairs labels;                       // those that are wanted, and those that attributes are made of
  Pairs annotations;                  // likewise
  std::vector<Container> containers;  // init and ephemeral ones too

  bool operator==(const Pod&) const = default;
};

// What of labels and annotations becomes attributes.
struct PodFields {
  std::vector<std::string> labels;       // as k8s.pod.label.KEY
  std::vector<std::string> annotations;  // as k8s.pod.annotation.KEY
  // app.kubernetes.io/{instance,name,version} may name the service. Semantic conventions want this to be asked for.
  bool service_from_labels = false;

  bool operator==(const PodFields&) const = default;
};

// The value of a key, or empty.
std::string_view Lookup(const Pod::Pairs& pairs, std::string_view key);

struct PodList {
  std::string resource_version;  // where a watch goes on
  std::vector<Pod> pods;
};

// A PodList, or a List of Pods. A pod without uid and name is left out.
base::Result<PodList> ParsePodList(std::string_view json_untrusted, const PodFields& fields);

struct PodEvent {
  enum class Kind : uint8_t {
    kPut,       // there is such a pod, new or changed
    kDeleted,   // it is no more
    kBookmark,  // nothing but a newer resource_version
    kExpired,   // the watch is too far behind: list anew
    kError,     // the watch is over, for the reason in `detail`
  };
  Kind kind;
  Pod pod;  // kPut, kDeleted
  std::string resource_version;
  std::string detail;
};

// One line of a watch.
base::Result<PodEvent> ParsePodEvent(std::string_view json_untrusted, const PodFields& fields);

// A PodList that ParsePodList() reads back.
std::string FormatPodList(const std::vector<const Pod*>& pods);

// The resource attributes of a container of the pod, or, with nullptr, of the pod: k8s.* and container.image.* replace
// what a sender claims, service.* and those of resource.opentelemetry.io/ annotations only fill in what it left out.
// https://opentelemetry.io/docs/specs/semconv/resource/k8s/ and .../non-normative/k8s-attributes/
void AddAttributes(const Pod& pod, const Container* container, const PodFields& fields, otlp::ResourceEdit& edit);

}  // namespace tributary::agent
