// Any text, as a configuration file: it is refused with its name, or everything in it can be walked and read as
// anything.
#include <chrono>
#include <limits>

#include "base/check.h"
#include "base/yaml.h"

namespace tributary::base {
namespace {

// Nesting is bounded by the reader, so this may recurse.
size_t Walk(const YamlValue& value) {
  constexpr auto kMax = std::chrono::nanoseconds::max();
  size_t values = 1;
  if (value.is_map()) {
    const YamlMap map = value.Map();
    for (const std::string& key : map.Keys()) {
      if (const auto child = map.Find(key)) values += Walk(*child);
    }
  } else if (value.is_list()) {
    for (const YamlValue& child : value.List()) values += Walk(child);
  } else {
    value.String();
    value.Bool();
    value.Int(0, 100);
    value.Double(0, 1);
    value.Size(0, 1 << 20);
    value.Duration(std::chrono::nanoseconds(0), kMax);
  }
  return values;
}

}  // namespace
}  // namespace tributary::base

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::base;
  const auto document = ParseYaml({reinterpret_cast<const char*>(data), size}, "f");
  if (!document) {
    CHECK(document.error().message.starts_with("f:"));
    return 0;
  }
  const YamlMap root = document->root();
  for (const std::string& key : root.Keys()) {
    if (const auto value = root.Find(key)) CHECK(Walk(*value) <= 100'000);
  }
  root.Int("port", 1, 65535, 4317);
  const Status status = document->Finish();
  CHECK(status.has_value() || status.error().message.starts_with("f:"));
  return 0;
}
