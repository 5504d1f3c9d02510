#include "agent/kubernetes_settings.h"

#include <cstdlib>
#include <filesystem>

namespace tributary::agent {
namespace {

constexpr const char* kTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";
constexpr const char* kCaFile = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
// The kubelet of this node, on the host's network. Its certificate is commonly its own; nobody else listens there.
constexpr const char* kKubelet = "https://127.0.0.1:10250";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// What Kubernetes tells every pod, or empty.
std::string ServiceUrl() {
  std::string host = Environment("KUBERNETES_SERVICE_HOST");
  if (host.empty()) return {};
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  const std::string port = Environment("KUBERNETES_SERVICE_PORT");
  return "https://" + host + ":" + (port.empty() ? "443" : port);
}

bool IsUrl(const std::string& text) { return text.starts_with("http://") || text.starts_with("https://"); }

}  // namespace

KubernetesSettings ReadKubernetes(const base::YamlMap& root, const std::string& state_directory) {
  enum class Enabled : uint8_t { kAuto, kTrue, kFalse };
  const base::YamlMap map = root.Map("kubernetes");
  KubernetesSettings settings;
  settings.pods_file = map.String("pods_file", "");
  settings.fields = {.labels = map.Strings("labels"),
                     .annotations = map.Strings("annotations"),
                     .service_from_labels = map.Bool("service_from_labels", false)};
  const auto enabled = map.Choice<Enabled>(
      "enabled", {{"auto", Enabled::kAuto}, {"true", Enabled::kTrue}, {"false", Enabled::kFalse}}, Enabled::kAuto);
  const std::string node = map.String("node", Environment("K8S_NODE_NAME"));
  const std::string api_server = map.String("api_server", ServiceUrl());
  const std::string kubelet = map.String("kubelet", kKubelet);
  const std::string token_file = map.String("token_file", kTokenFile);
  const std::string ca_file = map.String("ca_file", kCaFile);
  if (!api_server.empty() && !IsUrl(api_server)) map.Fail("api_server", "not a URL: https://HOST:PORT");
  if (!kubelet.empty() && !IsUrl(kubelet)) map.Fail("kubelet", "not a URL: https://HOST:PORT, or \"\" to ask none");

  if (!settings.pods_file.empty()) {
    if (enabled == Enabled::kTrue) map.Fail("pods_file", "stands instead of a cluster: not with enabled: true");
    return settings;
  }
  const bool has_account = std::filesystem::exists(token_file);
  if (enabled == Enabled::kFalse || (enabled == Enabled::kAuto && (api_server.empty() || !has_account))) {
    return settings;
  }
  if (api_server.empty()) map.Fail("api_server", "required outside of a pod: https://HOST:PORT");
  if (node.empty()) {
    map.Fail("node",
             "required: this node's name in the cluster, as in spec.nodeName; in a pod, $K8S_NODE_NAME from "
             "the downward API");
  }
  settings.cluster = {.api_server = api_server,
                      .api_credentials = {.token_file = token_file, .ca_file = ca_file},
                      .node_name = node,
                      .kubelet = kubelet,
                      .kubelet_credentials = {.token_file = token_file, .ca_file = {}, .verify_certificate = false},
                      .cache_file = state_directory.empty() ? "" : state_directory + "/pods.json",
                      .fields = settings.fields};
  return settings;
}

}  // namespace tributary::agent
