#include "gateway/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "gateway/store_schema.h"

namespace tributary::gateway {
namespace {

using otlp::Signal;
using pipeline::Outcome;
using pipeline::Reason;

constexpr uint64_t kPageBytes = 4096;

// bytes_max is divided between the file and its write-ahead log. The log is emptied when it is half full; a request
// that might fill the other half is refused.
uint64_t LogBytesMax(uint64_t bytes_max) { return bytes_max / 8; }
uint64_t FileBytesMax(uint64_t bytes_max) { return bytes_max - LogBytesMax(bytes_max); }

// What a request takes in the file: its bytes in pages that are not all full, and for each item its columns and index
// entries. Contrived requests may take more; the next one then makes more room.
uint64_t RoomFor(uint64_t request_bytes, uint64_t items) { return 64 * 1024 + 2 * request_bytes + 320 * items; }

void CreateTables(Database& database) {
  database.Execute("BEGIN IMMEDIATE");
  database.Execute(kStoreSchema);
  database.Execute(fmt::format("PRAGMA application_id = {}", kStoreApplicationId).c_str());
  database.Execute(fmt::format("PRAGMA user_version = {}", kStoreSchemaVersion).c_str());
  database.Execute("COMMIT");
}

base::Status Prepare(Database& database, const std::string& path) {
  // No second process: it fails here instead of in the middle of its work.
  database.Execute("PRAGMA locking_mode = EXCLUSIVE");
  database.Execute(fmt::format("PRAGMA page_size = {}", kPageBytes).c_str());
  database.Execute("PRAGMA auto_vacuum = INCREMENTAL");
  database.Execute("PRAGMA journal_mode = WAL");
  // What is stored survives this process. A power cut may take the last moments, but never the database.
  database.Execute("PRAGMA synchronous = NORMAL");
  database.Execute("PRAGMA wal_autocheckpoint = 0");  // EmptyLog does it
  database.Execute("PRAGMA cache_size = -16384");     // KiB
  database.Execute("PRAGMA temp_store = MEMORY");

  const bool is_new = database.Number("SELECT count(*) FROM sqlite_schema") == 0;
  const int64_t application = database.Number("PRAGMA application_id");
  const int64_t version = database.Number("PRAGMA user_version");
  if (is_new) CreateTables(database);
  if (auto error = database.TakeError()) {
    if (error->code == SQLITE_BUSY) return base::Fail("{}: another process has it open", path);
    return base::Fail("{}: {}", path, error->message);
  }
  if (!is_new && application != kStoreApplicationId) {
    return base::Fail("{}: is a database of something else; move it away or configure another path", path);
  }
  if (!is_new && version != kStoreSchemaVersion) {
    return base::Fail("{}: has format {}, this program reads {}; move it away or configure another path", path, version,
                      kStoreSchemaVersion);
  }
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Store>> Store::Open(Options options) {
  CHECK(options.bytes_max >= kBytesMaxMin);
  auto database = Database::Open(options.path);
  if (!database) return std::unexpected(database.error());
  if (auto prepared = Prepare(**database, options.path); !prepared) return std::unexpected(prepared.error());
  std::unique_ptr<Store> store(new Store(std::move(options), std::move(*database)));
  store->MakeRoom(1);  // bytes_max may have been more before
  if (auto error = store->database_->TakeError()) return base::Fail("{}: {}", store->options_.path, error->message);
  return store;
}

Store::Store(Options options, std::unique_ptr<Database> database)
    : options_(std::move(options)),
      database_(std::move(database)),
      writer_(*database_),
      eviction_(*database_),
      page_count_(*database_, "PRAGMA page_count"),
      free_page_count_(*database_, "PRAGMA freelist_count"),
      last_arrival_unix_ns_(static_cast<uint64_t>(database_->Number("SELECT max(used_ns) FROM origin"))) {}

Outcome Store::Write(Signal signal, base::ByteView request, uint32_t items, uint64_t now_unix_ns) {
  const uint64_t room = RoomFor(request.size(), items);
  if (room > LogBytesMax(options_.bytes_max) / 2) {
    return Outcome::Refused(Reason::kTooLarge, fmt::format("{} bytes are too many at once for a store of {} bytes",
                                                           request.size(), options_.bytes_max));
  }
  last_arrival_unix_ns_ = std::max(last_arrival_unix_ns_, now_unix_ns);
  EmptyLog();
  MakeRoom(room);
  database_->Execute("BEGIN IMMEDIATE");
  writer_.Write(signal, request, last_arrival_unix_ns_);
  database_->Execute("COMMIT");
  return Recover();
}

bool Store::EvictOld(uint64_t now_unix_ns) {
  const bool more = eviction_.Step(static_cast<int64_t>(now_unix_ns) - options_.age_max.count());
  EmptyLog();
  return Recover().kind == Outcome::Kind::kDelivered && more;
}

Store::Usage Store::usage() {
  Usage usage{.bytes = FileBytes() + LogBytes(), .evicted_items = eviction_.evicted_items()};
  if (const auto oldest = eviction_.oldest_arrival_ns()) usage.oldest_unix_ns = static_cast<uint64_t>(*oldest);
  Recover();
  return usage;
}

// As far as evicting can.
void Store::MakeRoom(uint64_t bytes) {
  while (FreeBytes() < bytes && eviction_.Step(INT64_MAX)) EmptyLog();
  ShrinkFile();
}

void Store::EmptyLog() {
  if (LogBytes() > LogBytesMax(options_.bytes_max) / 2) database_->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

// Gives free pages back when the file is beyond its bound: bytes_max became less, or a request took more than expected.
void Store::ShrinkFile() {
  while (FileBytes() > FileBytesMax(options_.bytes_max) && free_page_count_.Start().Next()) {
    const int64_t free_pages = free_page_count_.Int(0);
    free_page_count_.Reset();
    if (free_pages == 0) return;
    database_->Execute("PRAGMA incremental_vacuum(1000)");
    EmptyLog();
  }
}

uint64_t Store::FileBytes() {
  if (!page_count_.Start().Next()) return 0;
  const auto pages = static_cast<uint64_t>(page_count_.Int(0));
  page_count_.Reset();
  return pages * kPageBytes;
}

// What may still be put into the file: its free pages, and what it may grow.
uint64_t Store::FreeBytes() {
  if (!free_page_count_.Start().Next()) return 0;
  const uint64_t free_pages_bytes = static_cast<uint64_t>(free_page_count_.Int(0)) * kPageBytes;
  free_page_count_.Reset();
  const uint64_t bytes_max = FileBytesMax(options_.bytes_max) + free_pages_bytes;
  return bytes_max - std::min(bytes_max, FileBytes());
}

uint64_t Store::LogBytes() const {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(options_.path + "-wal", error);
  return error ? 0 : bytes;
}

// After an error: leaves the transaction, and reports.
Outcome Store::Recover() {
  auto error = database_->TakeError();
  if (!error) return Outcome::Delivered();
  database_->Execute("ROLLBACK");
  database_->TakeError();  // most errors have ended the transaction already
  return Outcome::Retry(Reason::kStorage, fmt::format("{}: {}", options_.path, error->message));
}

}  // namespace tributary::gateway
