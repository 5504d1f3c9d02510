// A cursor file of any bytes, or of two saves, damaged: what it is taken to say is well-formed, and is what one of the
// saves said or nothing; a damaged slot never goes unnoticed.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "pipeline/log_format.h"
#include "tests/pipeline/fuzz_input.h"

namespace tributary::pipeline {
namespace {

void CheckWellFormed(const AckSet& set) {
  uint64_t end = set.below();
  for (const AckSet::Range& range : set.ranges()) {
    CHECK(range.begin > end && range.end > range.begin);
    end = range.end;
  }
}

CursorState Save(FuzzInput& input, uint64_t generation) {
  CursorState state{.generation = generation, .acknowledged = AckSet(input.Number(2))};
  for (uint8_t ranges = input.Byte(); ranges > 0 && !input.empty(); --ranges) {
    const uint64_t begin = input.Number(2);
    state.acknowledged.AddRange(begin, begin + input.Byte());
  }
  return state;
}

void Put(std::vector<uint8_t>& file, const CursorState& state) {
  const base::Bytes slot = EncodeCursor(state);
  std::ranges::copy(slot.view(), file.begin() + static_cast<ptrdiff_t>(state.generation % 2 * kCursorSlotBytes));
}

void CheckDamagedSaves(FuzzInput& input) {
  const CursorState older = Save(input, 6);
  const CursorState newer = Save(input, 7);
  std::vector<uint8_t> file(kCursorFileBytes);
  Put(file, older);
  Put(file, newer);
  const std::vector<uint8_t> undamaged = file;
  const auto said = DecodeCursor(file);
  CHECK(said && said->acknowledged == newer.acknowledged && !said->may_be_old);
  input.Damage(file);
  const auto state = DecodeCursor(file);
  if (file == undamaged || !state) return;
  CHECK(state->acknowledged == (state->generation == 7 ? newer : older).acknowledged);
  if (state->generation == 6) CHECK(state->may_be_old || file.size() < kCursorFileBytes);
}

}  // namespace
}  // namespace tributary::pipeline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::pipeline;
  FuzzInput input(data, size);
  if (input.Byte() % 2 == 0) {
    CheckDamagedSaves(input);
  } else if (const auto state = DecodeCursor(input.Rest())) {
    CheckWellFormed(state->acknowledged);
    const auto again = EncodeCursor(*state);
    std::vector<uint8_t> file(kCursorFileBytes);
    std::ranges::copy(again.view(), file.begin());
    CHECK(DecodeCursor(file)->acknowledged == state->acknowledged);
  }
  return 0;
}
