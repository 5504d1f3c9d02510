// SinkService: the backend that tests and measurements want: takes OTLP, counts it, and fails when it is told to.
// Bodies are walked for items and their identities, not validated. Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/clock.h"
#include "bench/received_items.h"
#include "otlp/signal.h"
#include "pipeline/compression.h"
#include "pipeline/http.h"

namespace tributary::bench {

class SinkService final : public pipeline::HttpService {
 public:
  enum class Mode : uint8_t {
    kOk,
    kUnavailable,  // UNAVAILABLE, 503
    kThrottle,     // the same with RetryInfo, Retry-After
    kTooLarge,     // RESOURCE_EXHAUSTED, 413
    kStall,        // no answer, until another mode is set
  };

  // `retry_after` is for kThrottle. Requests that were stalled are answered in the new mode.
  void SetMode(Mode mode, base::Nanos retry_after);
  Mode mode() const { return mode_; }

  // One JSON object: what was taken, per signal and per run of tributary-load.
  std::string StatsJson() const;

  Admission Admit(const pipeline::HttpHead& head, std::optional<size_t> body_bytes) override;
  pipeline::HttpResponse OnBodyFault(const pipeline::HttpHead& head, BodyFault fault) override;
  void OnRequest(const pipeline::HttpHead& head, base::Bytes body, Reply reply) override;

 private:
  struct Stalled {
    bool is_grpc;
    otlp::Signal signal;
    base::Bytes body;
    Reply reply;
  };

  pipeline::HttpResponse Answer(bool is_grpc, otlp::Signal signal, base::ByteView body);

  Mode mode_ = Mode::kOk;
  base::Nanos retry_after_{};
  std::deque<Stalled> stalled_;
  pipeline::Decompressor decompressor_;
  ReceivedItems items_;
  otlp::PerSignal<uint64_t> requests_, item_counts_;  // taken
  uint64_t bytes_ = 0;                                // taken, uncompressed
  std::map<std::string, uint64_t> refused_;           // requests, by mode or fault
};

}  // namespace tributary::bench
