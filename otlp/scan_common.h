// The message types that the three signals share, for Scanner::Walk. The upper levels of a request have the same shape
// in all of them: request, container (of a resource), scope, items. `Item` is the signal's: Span, Metric or LogRecord,
// which also names the levels above itself and knows what it counts as. Private to otlp/.
#pragma once

#include <expected>

#include "otlp/scanner.h"

namespace tributary::otlp {

struct InstrumentationScope {
  static constexpr MessageType kType{"InstrumentationScope", 3, Fields({1, 2, 3, 4})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
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

struct EntityRef {
  static constexpr MessageType kType{"EntityRef", 3, Fields({1, 2, 3, 4})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
      case LengthTag(2):
      case LengthTag(3):
      case LengthTag(4):
        return scanner.String(p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

struct Resource {
  static constexpr MessageType kType{"Resource", 2, Fields({1, 2, 3})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return scanner.Attribute(p, end, kType.depth + 1);
      case VarintTag(2):
        return scanner.Varint(p);
      case LengthTag(3):
        return scanner.Submessage(EntityRef(), p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

template <typename Item>
struct Scope {
  static constexpr MessageType kType{Item::kScopeName, 2, Fields({1, 2, 3})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return scanner.Submessage(InstrumentationScope(), p, end);
      case LengthTag(2):
        return scanner.Submessage(Item(), p, end);
      case LengthTag(3):
        return scanner.String(p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

template <typename Item>
struct Container {
  static constexpr MessageType kType{Item::kContainerName, 1, Fields({1, 2, 3})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return scanner.Submessage(Resource(), p, end);
      case LengthTag(2):
        return scanner.Submessage(Scope<Item>(), p, end);
      case LengthTag(3):
        return scanner.String(p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
  void End(Scanner& scanner, base::ByteView) { ++scanner.counts().resources; }
};

template <typename Item>
struct Request {
  static constexpr MessageType kType{Item::kRequestName, 0, Fields({1})};
  const uint8_t* Field(Scanner& scanner, const uint8_t* p, const uint8_t* end, uint32_t tag) {
    switch (tag) {
      case LengthTag(1):
        return scanner.Submessage(Container<Item>(), p, end);
      default:
        return scanner.Other(p, end, tag, kType);
    }
  }
};

template <typename Item>
std::expected<Counts, ScanError> ScanRequest(base::PaddedView request, std::vector<SpanRef>* index = nullptr) {
  if (request.size() >= kLengthEnd) {
    return std::unexpected(ScanError{ScanError::Kind::kBadLength, 0, Item::kRequestName, 0});
  }
  Scanner scanner(request, index);
  if (!scanner.Walk(Request<Item>(), request.data(), request.data() + request.size())) {
    return std::unexpected(scanner.error());
  }
  return scanner.counts();
}

// Each in the file of its signal.
std::expected<Counts, ScanError> ScanTraces(base::PaddedView request);
std::expected<Counts, ScanError> ScanMetrics(base::PaddedView request);
std::expected<Counts, ScanError> ScanLogs(base::PaddedView request);

}  // namespace tributary::otlp
