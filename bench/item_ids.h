// Identity of items in load tests: every span, log record and data point that tributary-load sends says which run it
// belongs to and its number in that run, so that tributary-sink can tell exactly what arrived, what arrived twice and
// what is missing.
//
// It travels in fields that every hop must keep:
//   spans and log records: trace_id = run (8 bytes, big-endian) and a hash of the number; span_id = the number
//   data points: start_time_unix_nano = run, time_unix_nano = run + the number
// A run is named by the Unix time, in nanoseconds, at which it began, so that times stay plausible. Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "otlp/signal.h"

namespace tributary::bench {

struct ItemId {
  uint64_t run;
  uint64_t number;  // from 1 on
};

// Of an item's number. The sum over a run's items is the fingerprint of that set: two sets with the same are the same.
uint64_t Hash(uint64_t number);

// Where in a request one item carries its identity: byte offsets of two fields of at least eight bytes. Both are zero
// for an item that has no room for one.
struct ItemIdPlace {
  uint32_t run = 0;
  uint32_t number = 0;
  bool exists() const { return run != 0 && number != 0; }
};

// Appends one place per item. Of a malformed request, the items before the fault.
void FindItemIds(otlp::Signal signal, base::ByteView request_untrusted, std::vector<ItemIdPlace>& places);

// `request` is the start of the request in which `place` was found.
ItemId ReadItemId(otlp::Signal signal, const uint8_t* request, ItemIdPlace place);
void WriteItemId(otlp::Signal signal, uint8_t* request, ItemIdPlace place, ItemId id);

}  // namespace tributary::bench
