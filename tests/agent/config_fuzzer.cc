// Any text, as an agent's configuration: it is refused with the file's name, or it is one that an agent can start with.
#include "agent/config.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto config = agent::Config::Parse({reinterpret_cast<const char*>(data), size}, "f");
  if (!config) {
    CHECK(config.error().message.starts_with("f:"));
    return 0;
  }
  CHECK(!config->upstream.endpoints.empty());
  CHECK(config->memory.log_bytes_max() > 0 && config->memory.receive_bytes_max() > 0);
  CHECK(config->delivery.batch_items_max >= 1 && config->delivery.concurrency_max >= 1);
  CHECK(config->delivery.retry.max >= config->delivery.retry.initial);
  return 0;
}
