#include "pipeline/settings.h"

#include <chrono>

namespace tributary::pipeline {

using namespace std::chrono_literals;

Delivery::Options ReadDeliveryOptions(const base::YamlMap& destination) {
  Delivery::Options options;
  const base::YamlMap batch = destination.Map("batch");
  options.batch_items_max = static_cast<uint32_t>(batch.Int("items", 1, 1'000'000, options.batch_items_max));
  options.batch_bytes_max = batch.Size("bytes", 1 << 10, 64 << 20, options.batch_bytes_max);
  options.flush_after = batch.Duration("flush", 0s, 1h, options.flush_after);
  const base::YamlMap retry = destination.Map("retry");
  options.retry.initial = retry.Duration("initial", 1ms, 1h, options.retry.initial);
  options.retry.max = retry.Duration("max", 1ms, 24h, options.retry.max);
  if (options.retry.max < options.retry.initial) retry.Fail("max", "is less than retry.initial");
  options.concurrency_max = static_cast<uint32_t>(destination.Int("concurrency", 1, 1024, options.concurrency_max));
  return options;
}

}  // namespace tributary::pipeline
