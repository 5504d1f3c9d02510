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
  };

  // `pods` outlives it. `refresh` is called when a container is met that `pods` does not know; may be empty.
  Enrichment(const Pods& pods, std::function<void()> refresh, Options options);

  // For a new configuration.
  void SetOptions(Options options);

  // An empty source is one that nobody knows. Valid until the next call.
  const otlp::ResourceEdit& EditOf(base::ByteView source_untrusted);

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  static constexpr size_t kEditsMax = 4096;
  using Attributes = std::map<std::string, std::string, std::less<>>;

  otlp::ResourceEdit Make(std::string_view source_untrusted);
  void AddContainer(const Attributes& source, otlp::ResourceEdit& edit);
  void AddVia(const Attributes& source, otlp::ResourceEdit& edit) const;

  const Pods& pods_;
  std::function<void()> refresh_;
  Options options_;
  std::map<std::string, otlp::ResourceEdit, std::less<>> edits_;
  uint64_t pods_version_ = 0;                           // that `edits_` were made of
  const decltype(edits_)::value_type* last_ = nullptr;  // most frames come from where the one before came from
  uint64_t incomplete_ = 0;
};

}  // namespace tributary::agent
