// The messages of ExportMetricsServiceRequest: opentelemetry/proto/metrics/v1/metrics.proto.
#include "otlp/scan_common.h"

namespace tributary::otlp {
namespace {

struct Exemplar {
  static constexpr MessageType kType{"Exemplar", 6, Fields({2, 3, 4, 5, 6, 7})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(2):
      case Fixed64Tag(3):
        return scanner.Fixed64(p);
      case LengthTag(4):
      case LengthTag(5):
        return scanner.Bytes(p, end);
      case Fixed64Tag(6):
        return scanner.Fixed64(p);
      case LengthTag(7):
        return scanner.Attribute(p, end, kType.depth + 1);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct NumberDataPoint {
  static constexpr MessageType kType{"NumberDataPoint", 5, Fields({2, 3, 4, 5, 6, 7, 8})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(2):
      case Fixed64Tag(3):
      case Fixed64Tag(4):
        return scanner.Fixed64(p);
      case LengthTag(5):
        return scanner.Submessage(Exemplar(), p, end);
      case Fixed64Tag(6):
        return scanner.Fixed64(p);
      case LengthTag(7):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(8):
        return scanner.Varint(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct HistogramDataPoint {
  static constexpr MessageType kType{"HistogramDataPoint", 5, Fields({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(2):
      case Fixed64Tag(3):
      case Fixed64Tag(4):
      case Fixed64Tag(5):
      case Fixed64Tag(6):
      case Fixed64Tag(7):
        return scanner.Fixed64(p);
      case LengthTag(6):
      case LengthTag(7):
        return scanner.PackedFixed64(p, end);
      case LengthTag(8):
        return scanner.Submessage(Exemplar(), p, end);
      case LengthTag(9):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(10):
        return scanner.Varint(p);
      case Fixed64Tag(11):
      case Fixed64Tag(12):
        return scanner.Fixed64(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct Buckets {
  static constexpr MessageType kType{"Buckets", 6, Fields({1, 2})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case VarintTag(1):
      case VarintTag(2):
        return scanner.Varint(p);
      case LengthTag(2):
        return scanner.PackedVarint(p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct ExponentialHistogramDataPoint {
  static constexpr MessageType kType{"ExponentialHistogramDataPoint", 5,
                                     Fields({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return scanner.Attribute(p, end, kType.depth + 1);
      case Fixed64Tag(2):
      case Fixed64Tag(3):
      case Fixed64Tag(4):
      case Fixed64Tag(5):
        return scanner.Fixed64(p);
      case VarintTag(6):
        return scanner.Varint(p);
      case Fixed64Tag(7):
        return scanner.Fixed64(p);
      case LengthTag(8):
      case LengthTag(9):
        return scanner.Submessage(Buckets(), p, end);
      case VarintTag(10):
        return scanner.Varint(p);
      case LengthTag(11):
        return scanner.Submessage(Exemplar(), p, end);
      case Fixed64Tag(12):
      case Fixed64Tag(13):
      case Fixed64Tag(14):
        return scanner.Fixed64(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct ValueAtQuantile {
  static constexpr MessageType kType{"ValueAtQuantile", 6, Fields({1, 2})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(1):
      case Fixed64Tag(2):
        return scanner.Fixed64(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct SummaryDataPoint {
  static constexpr MessageType kType{"SummaryDataPoint", 5, Fields({2, 3, 4, 5, 6, 7, 8})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case Fixed64Tag(2):
      case Fixed64Tag(3):
      case Fixed64Tag(4):
      case Fixed64Tag(5):
        return scanner.Fixed64(p);
      case LengthTag(6):
        return scanner.Submessage(ValueAtQuantile(), p, end);
      case LengthTag(7):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(8):
        return scanner.Varint(p);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

// Metric.data: field 1 is the points of every kind; some have a temporality (2), sums a monotonicity (3).
constexpr MessageType kGauge{"Gauge", 4, Fields({1})};
constexpr MessageType kSum{"Sum", 4, Fields({1, 2, 3})};
constexpr MessageType kHistogram{"Histogram", 4, Fields({1, 2})};
constexpr MessageType kExponentialHistogram{"ExponentialHistogram", 4, Fields({1, 2})};
constexpr MessageType kSummary{"Summary", 4, Fields({1})};

template <typename Point, const MessageType& kDataType>
struct Data {
  static constexpr const MessageType& kType = kDataType;
  uint32_t& points;
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    if (tag == LengthTag(1)) [[likely]] {
      ++points;
      return scanner.Submessage(Point(), p, end);
    }
    const bool is_varint = tag == VarintTag(2) || tag == VarintTag(3);
    if (is_varint && (kType.known_fields >> (tag >> 3) & 1) != 0) return scanner.Varint(p);
    return scanner.Other(p, end, tag, kType);
  }
};

struct Metric {
  static constexpr const char* kRequestName = "ExportMetricsServiceRequest";
  static constexpr const char* kContainerName = "ResourceMetrics";
  static constexpr const char* kScopeName = "ScopeMetrics";
  static constexpr MessageType kType{"Metric", 3, Fields({1, 2, 3, 5, 7, 9, 10, 11, 12})};
  uint32_t data_tag = 0;
  uint32_t points = 0;

  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
      case LengthTag(2):
      case LengthTag(3):
        return scanner.String(p, end);
      case LengthTag(5):
        return OneOf<NumberDataPoint, kGauge>(scanner, p, end, tag);
      case LengthTag(7):
        return OneOf<NumberDataPoint, kSum>(scanner, p, end, tag);
      case LengthTag(9):
        return OneOf<HistogramDataPoint, kHistogram>(scanner, p, end, tag);
      case LengthTag(10):
        return OneOf<ExponentialHistogramDataPoint, kExponentialHistogram>(scanner, p, end, tag);
      case LengthTag(11):
        return OneOf<SummaryDataPoint, kSummary>(scanner, p, end, tag);
      case LengthTag(12):
        return scanner.Attribute(p, end, kType.depth + 1);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }

  // `data` is a oneof: messages of one kind merge, another kind takes their place.
  template <typename Point, const MessageType& kDataType>
  const uint8_t* OneOf(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    if (data_tag != tag) points = 0;
    data_tag = tag;
    return scanner.Submessage(Data<Point, kDataType>{points}, p, end);
  }

  void End(Scanner& scanner, base::ByteView) { scanner.counts().items += points; }
};

}  // namespace

std::expected<Counts, ScanError> ScanMetrics(base::PaddedView request) { return ScanRequest<Metric>(request); }

}  // namespace tributary::otlp
