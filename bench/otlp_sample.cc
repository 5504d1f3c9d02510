#include "bench/otlp_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>
#include <string_view>

#include "otlp/wire.h"

namespace tributary::bench {
namespace {

using base::Bytes;
using otlp::AppendFixed64;
using otlp::AppendLengthDelimited;
using otlp::AppendTag;
using otlp::AppendVarint;
using otlp::Signal;
using otlp::WireType;

constexpr uint32_t kPointsPerMetric = 10;

void AppendVarintField(Bytes& out, uint32_t field, uint64_t value) {
  AppendTag(out, field, WireType::kVarint);
  AppendVarint(out, value);
}

void AppendDouble(Bytes& out, uint32_t field, double value) {
  AppendFixed64(out, field, std::bit_cast<uint64_t>(value));
}

void AppendAttribute(Bytes& out, uint32_t field, std::string_view key, const Bytes& any_value) {
  Bytes key_value;
  AppendLengthDelimited(key_value, 1, key);
  AppendLengthDelimited(key_value, 2, any_value);
  AppendLengthDelimited(out, field, key_value);
}
void AppendString(Bytes& out, uint32_t field, std::string_view key, std::string_view value) {
  Bytes any_value;
  AppendLengthDelimited(any_value, 1, value);
  AppendAttribute(out, field, key, any_value);
}
void AppendInt(Bytes& out, uint32_t field, std::string_view key, uint64_t value) {
  Bytes any_value;
  AppendVarintField(any_value, 3, value);
  AppendAttribute(out, field, key, any_value);
}

void AppendAttributes(Bytes& out, uint32_t field, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    switch (i) {
      case 0:
        AppendString(out, field, "http.request.method", "GET");
        break;
      case 1:
        AppendString(out, field, "url.path", "/api/v1/orders/12345");
        break;
      case 2:
        AppendInt(out, field, "http.response.status_code", 200);
        break;
      case 3:
        AppendString(out, field, "server.address", "orders.default.svc.cluster.local");
        break;
      case 4:
        AppendString(out, field, "network.protocol.version", "1.1");
        break;
      default:
        AppendString(out, field, fmt::format("app.order.detail.{}", i), "express delivery");
        break;
    }
  }
}

class Sample {
 public:
  Sample(uint64_t seed, uint32_t attributes, uint64_t start_unix_ns)
      : random_(seed), attributes_(attributes), start_unix_ns_(start_unix_ns) {}

  // Each appends one scope's items, as fields of ScopeSpans, ScopeMetrics or ScopeLogs.
  void AppendSpans(Bytes& scope, uint32_t items);
  void AppendMetrics(Bytes& scope, uint32_t items);
  void AppendLogs(Bytes& scope, uint32_t items);

 private:
  void AppendTraceId(Bytes& out, uint32_t field) {
    const uint64_t id[2] = {random_(), random_()};
    AppendLengthDelimited(out, field, {reinterpret_cast<const uint8_t*>(id), 16});
  }
  void AppendSpanId(Bytes& out, uint32_t field) {
    const uint64_t id = random_();
    AppendLengthDelimited(out, field, {reinterpret_cast<const uint8_t*>(&id), 8});
  }
  void AppendNumberPoint(Bytes& data, uint32_t i);
  void AppendHistogramPoint(Bytes& data, uint32_t i);

  std::mt19937_64 random_;
  uint32_t attributes_;
  uint64_t start_unix_ns_;
};

void Sample::AppendSpans(Bytes& scope, uint32_t items) {
  for (uint32_t i = 0; i < items; ++i) {
    Bytes span, status;
    AppendTraceId(span, 1);
    AppendSpanId(span, 2);
    AppendSpanId(span, 4);
    AppendLengthDelimited(span, 5, "GET /api/v1/orders/{id}");
    AppendVarintField(span, 6, 2);
    AppendFixed64(span, 7, start_unix_ns_ + i);
    AppendFixed64(span, 8, start_unix_ns_ + i + 1 + random_() % 10'000'000);
    AppendAttributes(span, 9, attributes_);
    AppendVarintField(status, 3, 1);
    AppendLengthDelimited(span, 15, status);
    AppendLengthDelimited(scope, 2, span);
  }
}

void Sample::AppendLogs(Bytes& scope, uint32_t items) {
  for (uint32_t i = 0; i < items; ++i) {
    Bytes record, body;
    AppendFixed64(record, 1, start_unix_ns_ + i);
    AppendVarintField(record, 2, 9);
    AppendLengthDelimited(record, 3, "INFO");
    AppendLengthDelimited(body, 1, "order 12345 accepted: 3 items, express delivery, payment authorised");
    AppendLengthDelimited(record, 5, body);
    AppendAttributes(record, 6, attributes_);
    AppendTraceId(record, 9);
    AppendSpanId(record, 10);
    AppendFixed64(record, 11, start_unix_ns_ + i + 1000);
    AppendLengthDelimited(scope, 2, record);
  }
}

void Sample::AppendNumberPoint(Bytes& data, uint32_t i) {
  Bytes point;
  AppendFixed64(point, 2, start_unix_ns_);
  AppendFixed64(point, 3, start_unix_ns_ + i);
  AppendDouble(point, 4, static_cast<double>(random_() % 1'000'000) / 7);
  AppendAttributes(point, 7, attributes_);
  AppendLengthDelimited(data, 1, point);
}

void Sample::AppendHistogramPoint(Bytes& data, uint32_t i) {
  constexpr double kBounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  uint64_t counts[std::size(kBounds) + 1];
  uint64_t count = 0;
  for (uint64_t& bucket : counts) count += bucket = random_() % 100;
  Bytes point;
  AppendFixed64(point, 2, start_unix_ns_);
  AppendFixed64(point, 3, start_unix_ns_ + i);
  AppendFixed64(point, 4, count);
  AppendDouble(point, 5, static_cast<double>(count) / 10);
  AppendLengthDelimited(point, 6, {reinterpret_cast<const uint8_t*>(counts), sizeof counts});
  AppendLengthDelimited(point, 7, {reinterpret_cast<const uint8_t*>(kBounds), sizeof kBounds});
  AppendAttributes(point, 9, attributes_);
  AppendLengthDelimited(data, 1, point);
}

void Sample::AppendMetrics(Bytes& scope, uint32_t items) {
  constexpr uint32_t kDataFields[] = {7, 5, 9};  // Sum, Gauge, Histogram
  for (uint32_t i = 0, metrics = 0; i < items; ++metrics) {
    const uint32_t data_field = kDataFields[metrics % std::size(kDataFields)];
    Bytes metric, data;
    const uint32_t end = i + std::min(kPointsPerMetric, items - i);
    for (; i < end; ++i) data_field == 9 ? AppendHistogramPoint(data, i) : AppendNumberPoint(data, i);
    if (data_field != 5) AppendVarintField(data, 2, 2);  // cumulative
    if (data_field == 7) AppendVarintField(data, 3, 1);  // monotonic
    AppendLengthDelimited(metric, 1, fmt::format("http.server.request.measure_{}", metrics));
    AppendLengthDelimited(metric, 3, "s");
    AppendLengthDelimited(metric, data_field, data);
    AppendLengthDelimited(scope, 2, metric);
  }
}

}  // namespace

Bytes SampleRequest(Signal signal, uint32_t items, uint64_t seed, uint32_t attributes, uint64_t start_unix_ns) {
  Bytes resource, scope, scope_items, resource_items, request;
  AppendString(resource, 1, "service.name", "checkout-svc");
  AppendString(resource, 1, "service.version", "1.4.2");
  AppendString(resource, 1, "telemetry.sdk.language", "cpp");
  AppendLengthDelimited(scope, 1, "io.opentelemetry.http");
  AppendLengthDelimited(scope, 2, "1.0.0");
  AppendLengthDelimited(scope_items, 1, scope);

  Sample sample(seed, attributes, start_unix_ns);
  switch (signal) {
    case Signal::kTraces:
      sample.AppendSpans(scope_items, items);
      break;
    case Signal::kMetrics:
      sample.AppendMetrics(scope_items, items);
      break;
    case Signal::kLogs:
      sample.AppendLogs(scope_items, items);
      break;
  }
  AppendLengthDelimited(resource_items, 1, resource);
  AppendLengthDelimited(resource_items, 2, scope_items);
  AppendLengthDelimited(request, 1, resource_items);
  return request;
}

}  // namespace tributary::bench
