// The Log through random lives on a disk that forgets: whatever happens and wherever the power fails (or the process is
// killed), what was answered OK and not acknowledged comes back, whole; what was acknowledged long ago does not; and
// the next life takes and delivers.
//
// Every life, its end, and the disk are drawn from a seed, which is printed when something is wrong; TRIBUTARY_SEED=n
// runs that one alone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/pipeline/log_lives.h"
#include "tests/sanitized.h"

namespace tributary::pipeline {
namespace {

using Mode = Log::Mode;

constexpr int kShards = 10;
// Seeds of each shard; TRIBUTARY_ALL_SEEDS=1 takes ten times as many.
const int kMore = std::getenv("TRIBUTARY_ALL_SEEDS") != nullptr ? 10 : 1;
const int kPowerLosses = kMore * (tests::kSanitized ? 20 : 100);
const int kKills = kMore * 20;

void RunSeed(uint64_t seed, Mode mode) {
  SCOPED_TRACE("TRIBUTARY_SEED=" + std::to_string(seed));
  LogLives(seed, mode).Run();
}

class RandomLives : public testing::TestWithParam<int> {
 protected:
  static void RunShard(Mode mode, int seeds) {
    if (const char* seed = std::getenv("TRIBUTARY_SEED")) {
      if (GetParam() == 0) RunSeed(std::strtoull(seed, nullptr, 10), mode);
      return;
    }
    const uint64_t first = static_cast<uint64_t>(GetParam() * seeds);
    for (uint64_t seed = first; seed < first + static_cast<uint64_t>(seeds) && !HasFailure(); ++seed)
      RunSeed(seed, mode);
  }
};

TEST_P(RandomLives, LoseNothingWhenThePowerFails) { RunShard(Mode::kDurable, kPowerLosses); }

TEST_P(RandomLives, LoseNothingWhenTheProcessIsKilled) { RunShard(Mode::kProcess, kKills); }

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLives, testing::Range(0, kShards));

}  // namespace
}  // namespace tributary::pipeline
