// Intake: where telemetry comes in, whatever it came by. Checks a request, hands it to the Log, and answers.
// Lives on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/metrics_text.h"
#include "otlp/signal.h"
#include "pipeline/log.h"

namespace tributary::pipeline {

class Intake {
 public:
  struct Verdict {
    enum class Kind : uint8_t { kTaken, kMalformed, kPressure, kUnderWay, kPartlyTaken };
    Kind kind = Kind::kTaken;
    std::string detail;         // kMalformed: what and where
    base::Nanos retry_after{};  // kPressure, and kUnderWay: an earlier attempt at this is not decided yet
    std::vector<AckSet::Range>
        taken;  // kPartlyTaken: these frames of the batch are here, and the rest is to come alone
  };
  using Answer = std::move_only_function<void(Verdict)>;

  // Why a server refused a request before the Intake saw it: the `reason` label at /metrics.
  enum class Refusal : uint8_t {
    kMalformed,
    kPressure,
    kTooLarge,
    kBadEncoding,
    kBadContentType,
    kTimeout,
    kStorage,
    kUnderWay,
    kPartlyTaken,
  };

  explicit Intake(Log& log) : log_(log) {}

  // Asked when a request's size is known and before its body is kept: how long the sender should wait instead, or
  // nothing when it would be taken now.
  std::optional<base::Nanos> Pressure(size_t bytes) const;
  // What a sender is told to wait when `bytes` are refused for lack of room: at least until they fit, as fast as the
  // Log has been draining lately.
  base::Nanos RetryAfter(size_t bytes) const;
  // The largest request that will ever be taken.
  size_t request_bytes_max() const;
  // What the Log would still take.
  size_t room_bytes() const { return log_.bytes_max() > log_.bytes() ? log_.bytes_max() - log_.bytes() : 0; }

  // Scans `request` and appends it with its `origin`. `answer` is called once, on the loop's thread, in this call or
  // later. An empty request is taken and goes nowhere, and so is one that is here already, by what its sender calls it.
  void Submit(otlp::Signal signal, base::Bytes request, Origin origin, Answer answer);

  // A batch's name that could not be read: its request is taken without one.
  void CountBadBatchId() { ++bad_batch_ids_; }
  // Servers report what they refused themselves, so that every refusal is in one ledger.
  void CountRefused(otlp::Signal signal, Refusal refusal) { ++refused_[signal][static_cast<size_t>(refusal)]; }

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  static constexpr size_t kRefusals = static_cast<size_t>(Refusal::kPartlyTaken) + 1;
  struct Received {
    uint64_t requests = 0;
    uint64_t items = 0;
    uint64_t bytes = 0;
    uint64_t resent_items = 0;  // that were here already, and are in none of the above
  };

  void Count(otlp::Signal signal, uint64_t items, size_t bytes);
  std::optional<Verdict> AnswerResend(otlp::Signal signal, const BatchId& batch, uint64_t items);

  Log& log_;
  otlp::PerSignal<Received> received_;
  otlp::PerSignal<std::array<uint64_t, kRefusals>> refused_;
  uint64_t bad_batch_ids_ = 0;
};

}  // namespace tributary::pipeline
