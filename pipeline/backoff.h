// Backoff: how long to wait before trying again: exponential, with jitter, never sooner than the peer asked for.
// https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling
#pragma once

#include <algorithm>
#include <optional>
#include <random>

#include "base/clock.h"

namespace tributary::pipeline {

class Backoff {
 public:
  struct Options {
    base::Nanos initial = std::chrono::seconds(1);
    base::Nanos max = std::chrono::seconds(30);
    double multiplier = 2;

    bool operator==(const Options&) const = default;
  };

  explicit Backoff(Options options) : options_(options), next_(options.initial), random_(std::random_device{}()) {}

  // The wait after one more failure. Without a demand by the peer it is spread over [half, whole] of the current step;
  // with one it starts there and the next step grows from it.
  base::Nanos Next(std::optional<base::Nanos> demanded) {
    const base::Nanos step = std::max(next_, demanded.value_or(base::Nanos(0)));
    next_ =
        std::max(demanded.value_or(base::Nanos(0)),
                 std::min(options_.max,
                          base::Nanos(static_cast<int64_t>(static_cast<double>(step.count()) * options_.multiplier))));
    const double spread = std::uniform_real_distribution<>(0.0, 0.5)(random_);
    const double factor = demanded ? 1.0 + spread / 5 : 0.5 + spread;
    return base::Nanos(static_cast<int64_t>(static_cast<double>(step.count()) * factor));
  }
  void Reset() { next_ = options_.initial; }

 private:
  Options options_;
  base::Nanos next_;
  std::minstd_rand random_;
};

}  // namespace tributary::pipeline
