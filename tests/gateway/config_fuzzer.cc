// Any text, as a gateway's configuration: it is refused with the file's name, or it is one that a gateway can start
// with.
#include <set>
#include <string>

#include "base/check.h"
#include "gateway/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  const auto config = gateway::Config::Parse({reinterpret_cast<const char*>(data), size}, "f");
  if (!config) {
    CHECK(config.error().message.starts_with("f:"));
    return 0;
  }
  CHECK(!config->sinks.empty());
  CHECK(config->memory.log_bytes_max() > 0 && config->memory.receive_bytes_max() > 0);
  std::set<std::string> names;
  for (const gateway::SinkSettings& sink : config->sinks) {
    CHECK(!sink.name.empty() && names.insert(sink.name).second);
    CHECK(sink.delivery.batch_items_max >= 1 && sink.delivery.concurrency_max >= 1);
    CHECK(sink.delivery.retry.max >= sink.delivery.retry.initial);
    sink.when.Matches({});
  }
  return 0;
}
