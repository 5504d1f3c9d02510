#include "bench/shop/trace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tributary::bench::shop {
namespace {

std::string RandomId(Random& random, size_t bytes) {
  std::string id;
  while (id.size() < bytes) {
    const uint64_t word = random();
    id.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return id;
}

std::string_view Name(Severity severity) {
  switch (severity) {
    case Severity::kDebug:
      return "DEBUG";
    case Severity::kInfo:
      return "INFO";
    case Severity::kWarn:
      return "WARN";
    case Severity::kError:
      return "ERROR";
  }
  return "";
}

}  // namespace

Trace::Trace(Random& random, uint64_t start_unix_ns)
    : random_(random), trace_id_(RandomId(random, 16)), now_unix_ns_(start_unix_ns) {}

void Trace::Work(double median_ms, double sigma) {
  now_unix_ns_ += static_cast<uint64_t>(std::lognormal_distribution<double>(std::log(median_ms * 1e6), sigma)(random_));
}

void Trace::AtOnce(const std::vector<std::function<void()>>& branches) {
  const uint64_t begin = now_unix_ns_;
  uint64_t end = begin;
  for (const auto& branch : branches) {
    now_unix_ns_ = begin;
    branch();
    end = std::max(end, now_unix_ns_);
  }
  now_unix_ns_ = end;
}

void Trace::Later(const SpanContext& parent, std::function<void()> act) {
  later_.push_back({now_unix_ns_, parent.span_id, std::move(act)});
}

void Trace::FinishLater() {
  while (!later_.empty()) {
    const Deferred deferred = std::move(later_.back());
    later_.pop_back();
    now_unix_ns_ = deferred.start_unix_ns;
    active_ = {deferred.parent_span_id};
    deferred.act();
  }
  active_.clear();
}

ActiveSpan::ActiveSpan(Trace& trace, Service& service, Span::SpanKind kind, std::string_view name,
                       const Attributes& attributes)
    : trace_(trace), service_(service), span_(service.AddSpan()) {
  span_.set_trace_id(trace_.trace_id_);
  span_.set_span_id(RandomId(trace_.random_, 8));
  if (!trace_.active_.empty()) span_.set_parent_span_id(trace_.active_.back());
  span_.set_kind(kind);
  span_.set_name(std::string(name));
  span_.set_flags(1);  // sampled
  span_.set_start_time_unix_nano(trace_.now_unix_ns_);
  SetAttributes(attributes, *span_.mutable_attributes());
  trace_.active_.push_back(span_.span_id());
}

ActiveSpan::~ActiveSpan() {
  span_.set_end_time_unix_nano(trace_.now_unix_ns_);
  trace_.active_.pop_back();
}

double ActiveSpan::seconds() const {
  return static_cast<double>(trace_.now_unix_ns_ - span_.start_time_unix_nano()) / 1e9;
}

void ActiveSpan::Set(const Attributes& attributes) { SetAttributes(attributes, *span_.mutable_attributes()); }

void ActiveSpan::Event(std::string_view name, const Attributes& attributes) {
  Span::Event& event = *span_.add_events();
  event.set_name(std::string(name));
  event.set_time_unix_nano(trace_.now_unix_ns_);
  SetAttributes(attributes, *event.mutable_attributes());
}

void ActiveSpan::Link(const SpanContext& context, const Attributes& attributes) {
  Span::Link& link = *span_.add_links();
  link.set_trace_id(context.trace_id);
  link.set_span_id(context.span_id);
  SetAttributes(attributes, *link.mutable_attributes());
}

void ActiveSpan::Fail(std::string_view description) {
  span_.mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  span_.mutable_status()->set_message(std::string(description));
}

void ActiveSpan::Throw(std::string_view type, std::string_view message, std::string_view stack) {
  const Attributes exception = {{"exception.type", std::string(type)},
                                {"exception.message", std::string(message)},
                                {"exception.stacktrace", std::string(stack)}};
  Event("exception", exception);
  Log(Severity::kError, message, exception);
  Set({{"error.type", std::string(type)}});
  Fail(message);
}

void ActiveSpan::Log(Severity severity, std::string_view body, const Attributes& attributes) {
  auto& record = service_.AddLog();
  record.set_time_unix_nano(trace_.now_unix_ns_);
  record.set_observed_time_unix_nano(trace_.now_unix_ns_);
  record.set_severity_number(static_cast<opentelemetry::proto::logs::v1::SeverityNumber>(severity));
  record.set_severity_text(std::string(Name(severity)));
  record.mutable_body()->set_string_value(std::string(body));
  record.set_trace_id(span_.trace_id());
  record.set_span_id(span_.span_id());
  record.set_flags(1);
  SetAttributes(attributes, *record.mutable_attributes());
}

}  // namespace tributary::bench::shop
