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

// Told of a resend while the disk has not said what becomes of the first.
constexpr base::Nanos kRetryAfterUnderWay = std::chrono::seconds(1);

constexpr std::array<std::string_view, 9> kRefusalNames = {"malformed",    "pressure",         "too_large",
                                                           "bad_encoding", "bad_content_type", "timeout",
                                                           "storage",      "under_way",        "partly_taken"};

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
    return answer({.kind = Verdict::Kind::kMalformed, .detail = counts.error().Describe(), .taken = {}});
  }
  const size_t bytes = request.size();
  if (counts->items == 0) {
    Count(signal, 0, bytes);
    return answer({});
  }
  if (origin.batch) {
    if (auto verdict = AnswerResend(signal, origin.batch, counts->items)) return answer(std::move(*verdict));
  }
  log_.Append({signal, *counts, std::move(request), std::move(origin)},
              [this, signal, bytes, items = counts->items, answer = std::move(answer)](Log::Taken taken) mutable {
                if (taken == Log::Taken::kYes) {
                  Count(signal, items, bytes);
                  return answer({});
                }
                CountRefused(signal, taken == Log::Taken::kFailed ? Refusal::kStorage : Refusal::kPressure);
                answer({.kind = Verdict::Kind::kPressure, .detail = {}, .retry_after = RetryAfter(bytes), .taken = {}});
              });
}

// Nothing when it is none.
std::optional<Intake::Verdict> Intake::AnswerResend(otlp::Signal signal, const BatchId& batch, uint64_t items) {
  switch (log_.taken_batches().Look(batch)) {
    case TakenBatches::State::kNew:
      return std::nullopt;
    case TakenBatches::State::kTaken:
      received_[signal].resent_items += items;
      return Verdict();
    case TakenBatches::State::kPartly:
      CountRefused(signal, Refusal::kPartlyTaken);
      return Verdict{
          .kind = Verdict::Kind::kPartlyTaken, .detail = {}, .taken = log_.taken_batches().PartsTaken(batch)};
    case TakenBatches::State::kUnderWay:
      CountRefused(signal, Refusal::kUnderWay);
      return Verdict{.kind = Verdict::Kind::kUnderWay, .detail = {}, .retry_after = kRetryAfterUnderWay, .taken = {}};
  }
  return std::nullopt;
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
    metrics.Counter("tributary_intake_resent_items_total",
                    "Items that another Tributary sent again and that were here already; they are not kept twice.",
                    {{"signal", name}}, static_cast<double>(received_[signal].resent_items));
    for (size_t i = 0; i < kRefusals; ++i) {
      metrics.Counter("tributary_refused_requests_total", "Requests answered with an error; the sender still has them.",
                      {{"signal", name}, {"reason", kRefusalNames[i]}}, static_cast<double>(refused_[signal][i]));
    }
  }
  metrics.Counter("tributary_intake_malformed_batch_ids_total",
                  "Requests whose field tributary-batch was not to be read.", {}, static_cast<double>(bad_batch_ids_));
  metrics.Gauge("tributary_intake_streams", "Readers of other Tributaries' Logs whose resends are recognised.", {},
                static_cast<double>(log_.taken_batches().streams()));
}

}  // namespace tributary::pipeline
