// The messages of ExportTraceServiceRequest: opentelemetry/proto/trace/v1/trace.proto.
#include <cstring>

#include "otlp/scan_common.h"

namespace tributary::otlp {
namespace {

// libprotobuf keeps the low 32 bits of an enum. OTLP's are small; what a byte cannot hold is as good as unspecified.
uint8_t EnumByte(uint64_t value) {
  const auto low = static_cast<uint32_t>(value);
  return low <= UINT8_MAX ? static_cast<uint8_t>(low) : 0;
}

template <typename Id>
const uint8_t* ScanId(Scanner& scanner, const uint8_t* p, const uint8_t* end, Id& id) {
  base::ByteView value;
  p = scanner.Bytes(p, end, value);
  if (value.size() == id.size()) {
    std::memcpy(id.data(), value.data(), id.size());
  } else {
    id = {};
  }
  return p;
}

struct Event {
  static constexpr MessageType kType{"Event", 4, Fields({1, 2, 3, 4})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(1):
        return scanner.Fixed64(p);
      case LengthTag(2):
        return scanner.String(p, end);
      case LengthTag(3):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(4):
        return scanner.Varint(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct Link {
  static constexpr MessageType kType{"Link", 4, Fields({1, 2, 3, 4, 5, 6})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
      case LengthTag(2):
        return scanner.Bytes(p, end);
      case LengthTag(3):
        return scanner.String(p, end);
      case LengthTag(4):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(5):
        return scanner.Varint(p);
      case Fixed32Tag(6):
        return scanner.Fixed32(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct Status {
  static constexpr MessageType kType{"Status", 4, Fields({2, 3})};
  uint64_t code = 0;
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(2):
        return scanner.String(p, end);
      case VarintTag(3):
        return scanner.Varint(p, code);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

// What the SpanRef holds is read in both cases; without an index the compiler sees that nobody wants it.
template <bool kIndexed>
struct Span {
  static constexpr const char* kRequestName = "ExportTraceServiceRequest";
  static constexpr const char* kContainerName = "ResourceSpans";
  static constexpr const char* kScopeName = "ScopeSpans";
  static constexpr MessageType kType{"Span", 3, Fields({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})};
  SpanRef ref;
  uint64_t kind = 0;
  uint64_t status_code = 0;

  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return ScanId(scanner, p, end, ref.trace_id);
      case LengthTag(2):
        return ScanId(scanner, p, end, ref.span_id);
      case LengthTag(3):
        return scanner.String(p, end);
      case LengthTag(4):
        return ScanId(scanner, p, end, ref.parent_span_id);
      case LengthTag(5):
        return scanner.String(p, end);
      case VarintTag(6):
        return scanner.Varint(p, kind);
      case Fixed64Tag(7):
        return scanner.Fixed64(p, ref.start_unix_ns);
      case Fixed64Tag(8):
        return scanner.Fixed64(p, ref.end_unix_ns);
      case LengthTag(9):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(10):
        return scanner.Varint(p);
      case LengthTag(11):
        return scanner.Submessage(Event(), p, end);
      case VarintTag(12):
        return scanner.Varint(p);
      case LengthTag(13):
        return scanner.Submessage(Link(), p, end);
      case VarintTag(14):
        return scanner.Varint(p);
      case LengthTag(15):
        return ScanStatus(scanner, p, end);
      case Fixed32Tag(16):
        return scanner.Fixed32(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
  // Several merge. The code is kept in a local, or the whole SpanRef would have to be in memory for it.
  const uint8_t* ScanStatus(Scanner& scanner, const uint8_t* p, const uint8_t* end) {
    Status status{status_code};
    p = scanner.Submessage(status, p, end);
    status_code = status.code;
    return p;
  }
  void End(Scanner& scanner, base::ByteView body) {
    ++scanner.counts().items;
    if constexpr (kIndexed) {
      ref.offset = scanner.OffsetOf(body.data());
      ref.length = static_cast<uint32_t>(body.size());
      ref.kind = EnumByte(kind);
      ref.status_code = EnumByte(status_code);
      scanner.index().push_back(ref);
    }
  }
};

}  // namespace

std::expected<Counts, ScanError> ScanTraces(base::PaddedView request) { return ScanRequest<Span<false>>(request); }

std::expected<Counts, ScanError> ScanSpans(base::PaddedView request, std::vector<SpanRef>& index) {
  return ScanRequest<Span<true>>(request, &index);
}

}  // namespace tributary::otlp
