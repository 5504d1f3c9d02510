#include "bench/item_ids.h"

#include <bit>
#include <cstring>
#include <utility>

#include "otlp/wire.h"

namespace tributary::bench {
namespace {

using base::ByteView;
using otlp::Field;
using otlp::FieldReader;
using otlp::Signal;
using otlp::WireType;

// Calls `visit` with the content of every length-delimited field `number` of `message`.
template <typename Visit>
void ForEach(ByteView message, uint32_t number, Visit visit) {
  FieldReader reader(message);
  for (Field field; reader.Next(field);) {
    if (field.number == number && field.type == WireType::kLength) visit(field.content);
  }
}

bool HoldsDataPoints(uint32_t metric_field) {
  switch (metric_field) {
    case 5:   // gauge
    case 7:   // sum
    case 9:   // histogram
    case 10:  // exponential_histogram
    case 11:  // summary
      return true;
    default:
      return false;
  }
}

template <typename Visit>
void ForEachDataPoint(ByteView metric, Visit visit) {
  FieldReader reader(metric);
  for (Field field; reader.Next(field);) {
    if (field.type == WireType::kLength && HoldsDataPoints(field.number)) ForEach(field.content, 1, visit);
  }
}

// The fields that carry an identity, and the wire type and size they must have.
struct Fields {
  uint32_t run, number;
  WireType type;
};
Fields FieldsOf(Signal signal) {
  switch (signal) {
    case Signal::kTraces:
      return {1, 2, WireType::kLength};
    case Signal::kLogs:
      return {9, 10, WireType::kLength};
    case Signal::kMetrics:
      break;
  }
  return {2, 3, WireType::kFixed64};
}

ItemIdPlace FindInItem(const Fields& fields, const uint8_t* request, ByteView item) {
  ItemIdPlace place;
  FieldReader reader(item);
  for (Field field; !place.exists() && reader.Next(field);) {
    if (field.type != fields.type) continue;
    const bool ids = fields.type == WireType::kLength;
    const uint8_t* end = field.whole.data() + field.whole.size();
    if (field.number == fields.run && (!ids || field.content.size() == 16)) {
      place.run = static_cast<uint32_t>(end - (ids ? 16 : 8) - request);
    } else if (field.number == fields.number && (!ids || field.content.size() == 8)) {
      place.number = static_cast<uint32_t>(end - 8 - request);
    }
  }
  return place.exists() ? place : ItemIdPlace{};
}

uint64_t Load(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
void Store(uint8_t* at, uint64_t value) { std::memcpy(at, &value, sizeof value); }

static_assert(std::endian::native == std::endian::little);

}  // namespace

uint64_t Hash(uint64_t number) {
  number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9;
  number = (number ^ number >> 27) * 0x94d049bb133111eb;
  return number ^ number >> 31;
}

void FindItemIds(Signal signal, ByteView request_untrusted, std::vector<ItemIdPlace>& places) {
  const Fields fields = FieldsOf(signal);
  const uint8_t* request = request_untrusted.data();
  const auto find = [&](ByteView item) { places.push_back(FindInItem(fields, request, item)); };
  ForEach(request_untrusted, 1, [&](ByteView resource_items) {
    ForEach(resource_items, 2, [&](ByteView scope_items) {
      ForEach(scope_items, 2,
              [&](ByteView item) { signal == Signal::kMetrics ? ForEachDataPoint(item, find) : find(item); });
    });
  });
}

ItemId ReadItemId(Signal signal, const uint8_t* request, ItemIdPlace place) {
  const uint64_t run = Load(request + place.run);
  const uint64_t number = Load(request + place.number);
  if (signal == Signal::kMetrics) return {run, number - run};
  return {__builtin_bswap64(run), __builtin_bswap64(number)};
}

void WriteItemId(Signal signal, uint8_t* request, ItemIdPlace place, ItemId id) {
  if (signal == Signal::kMetrics) {
    Store(request + place.run, id.run);
    Store(request + place.number, id.run + id.number);
  } else {
    Store(request + place.run, __builtin_bswap64(id.run));
    // Trace ids should look random in their low bytes, which is what samplers and partitioners read.
    Store(request + place.run + 8, Hash(id.number));
    Store(request + place.number, __builtin_bswap64(id.number));
  }
}

}  // namespace tributary::bench
