// Any bytes that Scan accepts, as a request of the signal that the first byte names: splice, split, partition and
// filter must do what libprotobuf would do. The second byte sizes the parts.
#include "base/check.h"
#include "tests/otlp/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  using enum otlp::ResourceEdit::Conflict;
  static const otlp::ResourceEdit edit = [] {
    otlp::ResourceEdit built;
    built.SetString("service.name", "checkout", kReplace);
    built.SetString("k8s.pod.name", "checkout-7d4f", kKeep);
    built.SetInt("", 1, kReplace);
    return built;
  }();
  if (size < 2) return 0;
  const otlp::Signal signal = otlp::kSignals[data[0] % otlp::kSignals.size()];
  const uint8_t part_size = data[1];
  const base::ByteView request(data + 2, size - 2);
  CHECK(otlp::SpliceDisagreement(signal, request, edit).empty());
  CHECK(otlp::SplitDisagreement(signal, request, 1 + part_size % 8, 16 * part_size).empty());
  CHECK(otlp::FilterDisagreement(signal, request).empty());
  if (signal == otlp::Signal::kTraces) CHECK(otlp::PartitionDisagreement(request, 1 + part_size % 4).empty());
  return 0;
}
