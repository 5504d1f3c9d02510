// Any bytes, as a request of the signal that the first byte names: Scan must agree with libprotobuf.
#include "base/check.h"
#include "tests/otlp/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  if (size == 0) return 0;
  const otlp::Signal signal = otlp::kSignals[data[0] % otlp::kSignals.size()];
  CHECK(otlp::ScanDisagreement(signal, {data + 1, size - 1}).empty());
  return 0;
}
