// Scan: one pass over the bytes of an OTLP export request that decides whether they are a well-formed
// Export{Trace,Metrics,Logs}ServiceRequest, and counts what is in them. Nothing is decoded into objects.
//
// Accepted is what libprotobuf's parser accepts (any field order, repeated singular fields, unknown fields and groups,
// packed and unpacked scalars, non-minimal varints), less two things: a known field with the wrong wire type (which
// libprotobuf silently files under unknown fields, so that the data would be lost downstream) and nesting deeper than
// kDepthMax. Strings must be UTF-8. The scanner is iterative: nesting costs no stack.
//
// Speed is the point: it switches on whole tag bytes per message type, reads one-byte lengths first, and tests short
// strings for ASCII with one masked vector load, which is why it needs padded input. bench/scan_benchmark.cc measures.
// Pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "otlp/signal.h"

namespace tributary::otlp {

inline constexpr int kDepthMax = 64;

struct Counts {
  uint32_t items = 0;      // spans, metric data points or log records
  uint32_t resources = 0;  // ResourceSpans, ResourceMetrics or ResourceLogs
  bool operator==(const Counts&) const = default;
};

// Where and why a request is malformed. Why a field is refused that the end cuts off may depend on the padding, for its
// start is read together with what follows; that it is refused, and where, does not.
struct ScanError {
  enum class Kind : uint8_t { kTruncated, kBadTag, kBadVarint, kBadLength, kWrongWireType, kBadUtf8, kTooDeep };
  Kind kind;
  size_t offset;             // bytes from the start of the request to the field at fault
  const char* message_type;  // "Span", "KeyValue": the message that holds the field
  uint32_t field;            // its field number, 0 when the tag itself could not be read

  // "Span, field 5 at byte 312: string is not valid UTF-8"
  std::string Describe() const;
};

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

// One span of a request, located and summarised. Ids of a wrong length read as zero.
struct SpanRef {
  uint32_t offset = 0;  // of the Span message's body within the request, bytes
  uint32_t length = 0;  // of that body, bytes
  TraceId trace_id{};
  SpanId span_id{};
  SpanId parent_span_id{};
  uint64_t start_unix_ns = 0;
  uint64_t end_unix_ns = 0;
  uint8_t kind = 0;         // Span.SpanKind
  uint8_t status_code = 0;  // Status.StatusCode
};

std::expected<Counts, ScanError> Scan(Signal signal, base::PaddedView request);

// The same for a traces request, appending one SpanRef per span to `index`, in the order of the bytes. After an error
// `index` holds what came before it.
std::expected<Counts, ScanError> ScanSpans(base::PaddedView request, std::vector<SpanRef>& index);

}  // namespace tributary::otlp
