// Any bytes, as the value of tributary-batch: what is read is what would be written, and is what a Log can have.
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "pipeline/batch_header.h"
#include "pipeline/taken_batches.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::pipeline;
  const std::string_view value = tributary::base::AsText({data, size});
  if (const auto ranges = ParseRanges(value)) CHECK(FormatRanges(*ranges) == value && AreApart(*ranges));
  const auto batch = ParseBatchId(value);
  if (!batch) return 0;
  CHECK(FormatBatchId(*batch) == value);
  tributary::base::Bytes encoded;
  const Origin origin{.source = nullptr, .batch = *batch};
  encoded.ResizeUninitialized(EncodedBytes(origin));
  Encode(origin, encoded.data());
  CHECK(DecodeBatchId(encoded) == batch);
  TakenBatches batches;
  CHECK(batches.Look(*batch) == TakenBatches::State::kNew);
  batches.Take(*batch);
  CHECK(batches.Look(*batch) == TakenBatches::State::kTaken);
  return 0;
}
