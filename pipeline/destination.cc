#include "pipeline/destination.h"

#include <algorithm>
#include <utility>

namespace tributary::pipeline {

Destination::Destination(base::Loop& loop, Log& log, std::string name, otlp::SignalSet signals,
                         std::unique_ptr<Sink> sink, const Delivery::View& view, const Delivery::Options& options)
    : loop_(loop), name_(std::move(name)), sink_(std::move(sink)) {
  for (const otlp::Signal signal : otlp::kSignals) {
    if (!signals.Has(signal)) continue;
    deliveries_.push_back(
        std::make_unique<Delivery>(loop, log.OpenCursor(signal, name_), signal, *sink_, view, options));
  }
}

uint64_t Destination::held_items() const {
  uint64_t items = 0;
  for (const auto& delivery : deliveries_) items += delivery->cursor().totals().held_items;
  return items;
}

Destination::Health Destination::health() const {
  Health health;
  for (const auto& delivery : deliveries_) {
    health.held_items += delivery->cursor().totals().held_items;
    health.paused |= delivery->paused();
    if (!delivery->last_error().empty()) health.last_error = delivery->last_error();
    if (const auto oldest = delivery->cursor().oldest_held()) {
      const base::Nanos age = loop_.now() - *oldest;
      health.oldest_held = std::max(age, health.oldest_held.value_or(age));
    }
  }
  return health;
}

void Destination::Drain() {
  for (const auto& delivery : deliveries_) delivery->Drain();
}

void Destination::Forget() {
  for (const auto& delivery : deliveries_) delivery->Forget();
}

void Destination::ReplaceSink(std::unique_ptr<Sink> sink) {
  sink_.reset();  // tells its last Outcomes before the Deliveries start anew
  sink_ = std::move(sink);
  for (const auto& delivery : deliveries_) delivery->SetSink(*sink_);
}

void Destination::SetOptions(const Delivery::Options& options) {
  for (const auto& delivery : deliveries_) delivery->SetOptions(options);
}

void Destination::SetView(const Delivery::View& view) {
  for (const auto& delivery : deliveries_) delivery->SetView(view);
}

void Destination::WriteMetrics(base::MetricsText& metrics) const {
  for (const auto& delivery : deliveries_) delivery->WriteMetrics(name_, metrics);
  sink_->WriteMetrics(name_, metrics);
}

}  // namespace tributary::pipeline
