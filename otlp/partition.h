// Cutting one OTLP request into several that are each complete: every part repeats the Resource and scope (and schema
// URLs, and unknown fields) of the items that it holds, and items keep their order and their exact bytes. What holds no
// item is left out of Split and PartitionByTrace.
// Input must have passed Scan. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "otlp/scan.h"
#include "otlp/signal.h"

namespace tributary::otlp {

struct Part {
  base::Bytes request;
  uint32_t items = 0;
};

// Parts of at most `items_max` items and at most `bytes_max` bytes each; a single item larger than `bytes_max` is a
// part of its own. The items of a metric are its data points: a metric whose points are divided is repeated with its
// name, unit, description, type and temporality.
std::vector<Part> Split(Signal signal, base::ByteView request, uint32_t items_max, size_t bytes_max);

// One part per bucket of [0, buckets): each span of a traces request goes to `bucket_of(trace id)`. A bucket that gets
// no span has an empty request.
std::vector<Part> PartitionByTrace(base::ByteView request, uint32_t buckets,
                                   const std::function<uint32_t(const TraceId&)>& bucket_of);

// The resource containers (ResourceSpans, ...) for which `keep` is true; bytes of each as they were. `keep` gets the
// container's message body. Used for routing by resource attribute.
Part FilterResources(Signal signal, base::ByteView request, const std::function<bool(base::ByteView)>& keep);

}  // namespace tributary::otlp
