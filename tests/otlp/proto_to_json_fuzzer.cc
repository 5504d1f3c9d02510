// Any bytes, as a request of the signal that the first byte names: its JSON must agree with libprotobuf's.
#include "base/check.h"
#include "tests/otlp/json_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  if (size == 0) return 0;
  const otlp::Signal signal = otlp::kSignals[data[0] % otlp::kSignals.size()];
  CHECK(otlp::JsonDisagreement(signal, {data + 1, size - 1}).empty());
  return 0;
}
