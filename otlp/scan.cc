#include "otlp/scan.h"

#include <fmt/format.h>

#include "otlp/scan_common.h"

namespace tributary::otlp {
namespace {

std::string_view Describe(ScanError::Kind kind) {
  switch (kind) {
    case ScanError::Kind::kTruncated:
      return "ends in the middle of the field";
    case ScanError::Kind::kBadTag:
      return "not a field's tag";
    case ScanError::Kind::kBadVarint:
      return "varint does not end within ten bytes";
    case ScanError::Kind::kBadLength:
      return "length is too large or not a multiple of the element's size";
    case ScanError::Kind::kWrongWireType:
      return "wire type is not that of the field";
    case ScanError::Kind::kBadUtf8:
      return "string is not valid UTF-8";
    case ScanError::Kind::kTooDeep:
      return "nested too deeply";
  }
  return "";
}

}  // namespace

std::string ScanError::Describe() const {
  return fmt::format("{}, field {} at byte {}: {}", message_type, field, offset, otlp::Describe(kind));
}

std::expected<Counts, ScanError> Scan(Signal signal, base::PaddedView request) {
  switch (signal) {
    case Signal::kTraces:
      return ScanTraces(request);
    case Signal::kMetrics:
      return ScanMetrics(request);
    case Signal::kLogs:
      return ScanLogs(request);
  }
  CHECK(false);
}

}  // namespace tributary::otlp
