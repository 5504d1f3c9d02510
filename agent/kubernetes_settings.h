// Where the agent learns of pods: the `kubernetes` section of its configuration.
//   kubernetes: {enabled: auto, node: node1, api_server: https://10.96.0.1:443, kubelet: https://127.0.0.1:10250,
//                token_file: ..., ca_file: ..., pods_file: ..., labels: [...], annotations: [...],
//                service_from_labels: false}
// Faults are noted in the document. Start-up and reload only.
#pragma once

#include <optional>
#include <string>

#include "agent/kubernetes.h"
#include "base/yaml.h"

namespace tributary::agent {

struct KubernetesSettings {
  std::optional<Kubernetes::Options> cluster;  // none: there is no cluster to ask
  std::string pods_file;                       // what stands instead of one; empty: nothing does
  PodFields fields;

  bool operator==(const KubernetesSettings&) const = default;
};

// `enabled: auto` is true in a pod with a service account, which Kubernetes tells by the environment. What was known is
// kept in `state_directory`, or nowhere when that is empty.
KubernetesSettings ReadKubernetes(const base::YamlMap& root, const std::string& state_directory);

}  // namespace tributary::agent
