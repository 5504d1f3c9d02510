// Outcome: what became of one attempt to hand a request to a Sink. There are three: it was delivered, it may be tried
// again, or it was refused for good.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "pipeline/ack_set.h"

namespace tributary::pipeline {

// Why an attempt did not deliver: the closed set of `reason` labels at /metrics.
enum class Reason : uint8_t {
  kNone,
  kConnect,       // no connection, or it broke before an answer came
  kTimeout,       // no answer in time
  kThrottled,     // the peer asked for patience
  kUnavailable,   // the peer failed in a way that may pass
  kTooLarge,      // the peer does not take requests of this size
  kRefused,       // the peer will never take it: malformed, unauthorised, unimplemented, ...
  kPeerRejected,  // partial success: the peer took the request and rejected these items
  kNotMatched,    // the destination's condition does not select it
  kStorage,       // a local file or store failed
  kPartlyTaken,   // the peer has a part of the request already
};
std::string_view Name(Reason reason);

struct Outcome {
  enum class Kind : uint8_t { kDelivered, kRetry, kRefused };

  Kind kind = Kind::kDelivered;
  Reason reason = Reason::kNone;
  // kDelivered: of the request's items, how many the peer rejected in a partial success. Never retried.
  uint64_t rejected_items = 0;
  // kRetry: the peer said how long to wait (RetryInfo, Retry-After).
  std::optional<base::Nanos> retry_after;
  // kRetry for kPartlyTaken: of the request's batch, the sequences that the peer has. The rest may go at once.
  std::vector<AckSet::Range> taken;
  // For people: "503 Service Unavailable from http://loki:3100: ingester not ready".
  std::string detail;

  static Outcome Delivered() { return {}; }
  static Outcome Retry(Reason reason, std::string detail, std::optional<base::Nanos> after = std::nullopt) {
    return {.kind = Kind::kRetry, .reason = reason, .retry_after = after, .taken = {}, .detail = std::move(detail)};
  }
  static Outcome PartlyTaken(std::vector<AckSet::Range> taken, std::string detail) {
    Outcome outcome = Retry(Reason::kPartlyTaken, std::move(detail));
    outcome.taken = std::move(taken);
    return outcome;
  }
  static Outcome Refused(Reason reason, std::string detail) {
    return {.kind = Kind::kRefused, .reason = reason, .taken = {}, .detail = std::move(detail)};
  }
};

}  // namespace tributary::pipeline
