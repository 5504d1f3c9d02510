#include "pipeline/intake.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace tributary::pipeline {
namespace {

// Bounds of the delay told to senders. A fleet that comes back within a second would only be refused again; one told
// to stay away for long may run out of its own memory.
constexpr base::Nanos kRetryAfterMin = std::chrono::seconds(1);
constexpr base::Nanos kRetryAfterMax = std::chrono::seconds(30);
// Told while nothing is draining, so that nothing is known.
constexpr base::Nanos kRetryAfterStalled = std::chrono::seconds(5);
// Room that should be there when senders return, as a share of the Log's cap: waking them for less would make them
// spin.
constexpr size_t kRoomShare = 16;

constexpr std::array<std::string_view, 7> kRefusalNames = {"malformed",        "pressure", "too_large", "bad_encoding",
                                                           "bad_content_type", "timeout",  "storage"};

}  // namespace

size_t Intake::request_bytes_max() const { return log_.bytes_max() - log_.bytes_max() / kRoomShare; }

std::optional<base::Nanos> Intake::Pressure(size_t bytes) const {
  if (log_.Admits(bytes)) return std::nullopt;
  return RetryAfter(bytes);
}

base::Nanos Intake::RetryAfter(size_t bytes) const {
  const std::optional<base::Nanos> wait = log_.TimeUntilFree(bytes + log_.bytes_max() / kRoomShare);
  return std::clamp(wait.value_or(kRetryAfterStalled), kRetryAfterMin, kRetryAfterMax);
}

void Intake::Submit(otlp::Signal signal, base::Bytes request, Origin origin, Answer answer) {
  const auto counts = otlp::Scan(signal, request);
  if (!counts) {
    CountRefused(signal, Refusal::kMalformed);
    return answer({.kind = Verdict::Kind::kMalformed, .detail = counts.error().Describe()});
  }
  const size_t bytes = request.size();
  if (counts->items == 0) {
    Count(signal, 0, bytes);
    return answer({});
  }
  log_.Append({signal, *counts, std::move(request), std::move(origin)},
              [this, signal, bytes, items = counts->items, answer = std::move(answer)](Log::Taken taken) mutable {
                if (taken == Log::Taken::kYes) {
                  Count(signal, items, bytes);
                  return answer({});
                }
                CountRefused(signal, taken == Log::Taken::kFailed ? Refusal::kStorage : Refusal::kPressure);
                answer({.kind = Verdict::Kind::kPressure, .retry_after = RetryAfter(bytes)});
              });
}

void Intake::Count(otlp::Signal signal, uint64_t items, size_t bytes) {
  ++received_[signal].requests;
  received_[signal].items += items;
  received_[signal].bytes += bytes;
}

void Intake::WriteMetrics(base::MetricsText& metrics) const {
  for (const otlp::Signal signal : otlp::kSignals) {
    const std::string_view name = otlp::Name(signal);
    metrics.Counter("tributary_intake_requests_total", "Requests taken responsibility for.", {{"signal", name}},
                    static_cast<double>(received_[signal].requests));
    metrics.Counter("tributary_intake_items_total", "Spans, data points and log records taken responsibility for.",
                    {{"signal", name}}, static_cast<double>(received_[signal].items));
    metrics.Counter("tributary_intake_bytes_total", "Bytes of OTLP taken, uncompressed.", {{"signal", name}},
                    static_cast<double>(received_[signal].bytes));
    for (size_t i = 0; i < kRefusals; ++i) {
      metrics.Counter("tributary_refused_requests_total", "Requests answered with an error; the sender still has them.",
                      {{"signal", name}, {"reason", kRefusalNames[i]}}, static_cast<double>(refused_[signal][i]));
    }
  }
}

}  // namespace tributary::pipeline
