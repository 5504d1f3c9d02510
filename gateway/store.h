// Store: traces, recent logs and metric points in one SQLite file, bounded in bytes and in age. What a gateway without
// a backend keeps, for people to look at.
//
// What it keeps are OTLP bytes, taken apart just far enough to find and forget them: each item beside the ids and names
// that queries ask for; what many items share (Resource and scope, a metric's description, a series' attributes) once.
// Reading puts requests together again (store_reader.h). The tables are in store_schema.h.
//
// At a bound the oldest goes first, in small steps: whole traces by when their first span came, log records and metric
// points by when they came. Age is the time since arrival by our clock: nothing that senders claim can make it stay.
//
// One thread at a time; blocks. A Store has its file to itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "gateway/sqlite.h"
#include "gateway/store_eviction.h"
#include "gateway/store_writer.h"
#include "otlp/signal.h"
#include "pipeline/outcome.h"

namespace tributary::gateway {

class Store {
 public:
  struct Options {
    std::string path;
    uint64_t bytes_max = 512 << 20;  // of the file and its write-ahead log together, at least kBytesMaxMin
    base::Nanos age_max = std::chrono::hours(24);

    bool operator==(const Options&) const = default;
  };
  static constexpr uint64_t kBytesMaxMin = 16 << 20;

  struct Usage {
    uint64_t bytes = 0;                       // on disk: all pages of the file, used or free, and the write-ahead log
    otlp::PerSignal<uint64_t> evicted_items;  // since it was opened: spans, data points, log records
    std::optional<uint64_t> oldest_unix_ns;   // when the oldest item arrived
  };

  // Creates the file, but no directory. An error when it is not a Store's, or another process has it.
  static base::Result<std::unique_ptr<Store>> Open(Options options);

  // Stores all of `request`, which has `items` and passed Scan, or nothing of it.
  pipeline::Outcome Write(otlp::Signal signal, base::ByteView request, uint32_t items, uint64_t now_unix_ns);
  // Takes a small step towards having nothing older than age_max. Whether there is more to do.
  bool EvictOld(uint64_t now_unix_ns);

  Usage usage();
  // For queries.
  Database& database() { return *database_; }

 private:
  Store(Options options, std::unique_ptr<Database> database);
  void MakeRoom(uint64_t bytes);
  void EmptyLog();
  void ShrinkFile();
  uint64_t FileBytes();
  uint64_t FreeBytes();
  uint64_t LogBytes() const;
  pipeline::Outcome Recover();

  Options options_;
  std::unique_ptr<Database> database_;
  StoreWriter writer_;
  StoreEviction eviction_;
  Statement page_count_;
  Statement free_page_count_;
  uint64_t last_arrival_unix_ns_;  // arrivals never go back, though clocks do
};

}  // namespace tributary::gateway
