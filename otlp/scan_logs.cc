// The messages of ExportLogsServiceRequest: opentelemetry/proto/logs/v1/logs.proto.
#include "otlp/scan_common.h"

namespace tributary::otlp {
namespace {

struct LogRecord {
  static constexpr const char* kRequestName = "ExportLogsServiceRequest";
  static constexpr const char* kContainerName = "ResourceLogs";
  static constexpr const char* kScopeName = "ScopeLogs";
  static constexpr MessageType kType{"LogRecord", 3, Fields({1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12})};

  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(1):
        return scanner.Fixed64(p);
      case VarintTag(2):
        return scanner.Varint(p);
      case LengthTag(3):
        return scanner.String(p, end);
      case LengthTag(5):
        return scanner.Value(p, end, kType.depth + 1);
      case LengthTag(6):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(7):
        return scanner.Varint(p);
      case Fixed32Tag(8):
        return scanner.Fixed32(p);
      case LengthTag(9):
      case LengthTag(10):
        return scanner.Bytes(p, end);
      case Fixed64Tag(11):
        return scanner.Fixed64(p);
      case LengthTag(12):
        return scanner.String(p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
  void End(Scanner& scanner, base::ByteView) { ++scanner.counts().items; }
};

}  // namespace

std::expected<Counts, ScanError> ScanLogs(base::PaddedView request) { return ScanRequest<LogRecord>(request); }

}  // namespace tributary::otlp
