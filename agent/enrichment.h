// Enrichment: from a source, which is what Identity said when the connection was accepted, to the attributes that its
// telemetry is given on the way out: what the kernel knows, what Kubernetes says of the pod, what this host is, and
// what the file says. Made once per source and kept until something changes. Lives on the loop's thread.
//
// What the kernel says of a container goes before what its telemetry claims. Not so for a known forwarder (a collector,
// a mesh's proxy): what it sends is others', so their claims stand, and itself is noted as tributary.via.*. Of anything
// else a sender says of itself, its own word is kept.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/pods.h"
#include "base/bytes.h"
#include "base/metrics_text.h"
#include "otlp/splice.h"

namespace tributary::agent {

class Enrichment {
 public:
  struct Options {
    std::vector<std::pair<std::string, std::string>> host;   // of whatever is sent from this host
    std::vector<std::pair<std::string, std::string>> given;  // of everything
    PodFields fields;
    bool awaits_pods = false;  // somebody tells of pods: one that is not known may be soon
  };

  // `pods` outlives it. `refresh` is called when a container is met that `pods` does not know; may be empty.
  Enrichment(const Pods& pods, std::function<void()> refresh, Options options);

  // For a new configuration.
  void SetOptions(Options options);

  // Whether EditOf() will hardly say more soon; if it may, somebody is asked.
  bool IsComplete(base::ByteView source_untrusted);
  // An empty source is one that nobody knows. Valid until the next call.
  const otlp::ResourceEdit& EditOf(base::ByteView source_untrusted) { return Of(source_untrusted).edit; }

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  static constexpr size_t kMadeMax = 4096;
  using Attributes = std::map<std::string, std::string, std::less<>>;

  struct Made {
    otlp::ResourceEdit edit;
    bool complete = true;
  };

  const Made& Of(base::ByteView source_untrusted);
  Made Make(std::string_view source_untrusted);
  // Whether all is known of it.
  bool AddContainer(const Attributes& source, otlp::ResourceEdit& edit);
  void AddVia(const Attributes& source, otlp::ResourceEdit& edit) const;

  const Pods& pods_;
  std::function<void()> refresh_;
  Options options_;
  std::map<std::string, Made, std::less<>> made_;
  uint64_t pods_version_ = 0;                          // that `made_` was made of
  const decltype(made_)::value_type* last_ = nullptr;  // most frames come from where the one before came from
  uint64_t unknown_pods_ = 0;
  uint64_t unknown_containers_ = 0;
};

}  // namespace tributary::agent
