// Trace: one request travelling through the demo shop, acted out on a clock of its own.
//
// Nothing waits: work advances the trace's clock, and spans, log records and measurements take their times from it. The
// spans of a trace nest as the ActiveSpans in the code that acts it out do. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/shop/service.h"

namespace tributary::bench::shop {

using Random = std::mt19937_64;
using opentelemetry::proto::trace::v1::Span;

enum class Severity : uint8_t { kDebug = 5, kInfo = 9, kWarn = 13, kError = 17 };

class Trace {
 public:
  Trace(Random& random, uint64_t start_unix_ns);

  uint64_t now_unix_ns() const { return now_unix_ns_; }
  Random& random() { return random_; }
  bool Chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  // Time passes: log-normal around `median_ms`, which most computing and waiting resembles.
  void Work(double median_ms, double sigma = 0.35);
  // Acts out all of `branches` as if they began now; time goes on when the slowest is done.
  void AtOnce(const std::vector<std::function<void()>>& branches);
  // What nobody waits for: `act` begins now, as a child of `parent`, but is acted out by FinishLater.
  void Later(const SpanContext& parent, std::function<void()> act);
  void FinishLater();

 private:
  friend class ActiveSpan;
  struct Deferred {
    uint64_t start_unix_ns;
    std::string parent_span_id;
    std::function<void()> act;
  };

  Random& random_;
  std::string trace_id_;
  uint64_t now_unix_ns_;
  std::vector<std::string> active_;  // span ids, the innermost last
  std::vector<Deferred> later_;
};

// A span from here to the end of the block.
class ActiveSpan {
 public:
  ActiveSpan(Trace& trace, Service& service, Span::SpanKind kind, std::string_view name, const Attributes& attributes);
  ~ActiveSpan();
  ActiveSpan(const ActiveSpan&) = delete;
  ActiveSpan& operator=(const ActiveSpan&) = delete;

  Service& service() { return service_; }
  SpanContext context() const { return {span_.trace_id(), span_.span_id()}; }
  double seconds() const;

  void Set(const Attributes& attributes);
  void Event(std::string_view name, const Attributes& attributes);
  void Link(const SpanContext& context, const Attributes& attributes);
  // Status ERROR, without an exception: a call that came back with an error.
  void Fail(std::string_view description);
  // An exception recorded as an event, a log record with the same, and status ERROR.
  void Throw(std::string_view type, std::string_view message, std::string_view stack);
  void Log(Severity severity, std::string_view body, const Attributes& attributes = {});

 private:
  Trace& trace_;
  Service& service_;
  Span& span_;
};

}  // namespace tributary::bench::shop
