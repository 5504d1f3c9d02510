// Time: nanoseconds on the monotonic clock for measuring and waiting, on the real-time clock for telemetry.
#pragma once

#include <chrono>
#include <cstdint>

namespace tributary::base {

using Nanos = std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using Time = Clock::time_point;

inline double Seconds(Nanos duration) { return std::chrono::duration<double>(duration).count(); }

inline uint64_t UnixNanos() {
  return static_cast<uint64_t>(std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace tributary::base
