// Whatever an API server, a kubelet or a file says, it is read or refused, and what is read is written and read again.
#include <cstdint>
#include <string_view>

#include "agent/pod.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::agent;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const PodFields fields{.labels = {"tier"}, .annotations = {"note"}, .service_from_labels = true};
  (void)ParsePodEvent(json, fields);
  const auto list = ParsePodList(json, fields);
  if (!list) return 0;
  std::vector<const Pod*> pods;
  for (const Pod& pod : list->pods) {
    pods.push_back(&pod);
    tributary::otlp::ResourceEdit edit;
    AddAttributes(pod, pod.containers.empty() ? nullptr : &pod.containers[0], fields, edit);
    CHECK(edit.Find("k8s.pod.name") != nullptr);
  }
  const auto again = ParsePodList(FormatPodList(pods), fields);
  CHECK(again.has_value() && again->pods.size() == pods.size());
  return 0;
}
