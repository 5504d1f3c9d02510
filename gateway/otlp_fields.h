// The field numbers of OTLP messages that the gateway looks into, from opentelemetry-proto 1.11.0:
// proto/opentelemetry/proto/{trace,logs,metrics}/v1/*.proto.
#pragma once

#include <cstdint>

namespace tributary::gateway {

namespace span_field {
inline constexpr uint32_t kTraceId = 1, kParentSpanId = 4, kName = 5, kStart = 7, kEnd = 8, kStatus = 15;
}
namespace status_field {
inline constexpr uint32_t kCode = 3;
inline constexpr uint64_t kCodeError = 2;
}  // namespace status_field
namespace log_field {
inline constexpr uint32_t kSeverityNumber = 2, kBody = 5, kTraceId = 9;
}
namespace metric_field {
inline constexpr uint32_t kName = 1, kDescription = 2, kUnit = 3;
inline constexpr uint32_t kGauge = 5, kSum = 7, kHistogram = 9, kExponentialHistogram = 10, kSummary = 11;
}  // namespace metric_field
// Of Gauge, Sum, Histogram, ExponentialHistogram and Summary alike.
namespace data_field {
inline constexpr uint32_t kPoints = 1;
}

}  // namespace tributary::gateway
