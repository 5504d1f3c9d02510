// Settings that the agent's and the gateway's configuration files share, read from YAML: the same keys, ranges and
// defaults wherever they occur. Faults are noted in the document (base/yaml.h). Start-up and reload only.
#pragma once

#include "base/yaml.h"
#include "pipeline/delivery.h"

namespace tributary::pipeline {

// Keys of a destination:
//   batch: {items: 8192, bytes: 4MiB, flush: 200ms}
//   retry: {initial: 1s, max: 30s}
//   concurrency: 16
Delivery::Options ReadDeliveryOptions(const base::YamlMap& destination);

}  // namespace tributary::pipeline
