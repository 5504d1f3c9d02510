#include "gateway/sqlite.h"

#include "base/check.h"

namespace tributary::gateway {
namespace {
// How many steps of SQLite's virtual machine pass between looks at the clock.
constexpr int kStepsBetweenLooks = 10'000;
}  // namespace

base::Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(db));
  if (code == SQLITE_OK) return database;
  const int error = sqlite3_system_errno(db);
  if (error != 0) return base::FailErrno(error, path);
  return base::Fail("{}: {}", path, sqlite3_errmsg(db));
}

void Database::Execute(const char* sql) {
  if (failed()) return;
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Note(code);
}

int64_t Database::Number(const char* sql) {
  Statement statement(*this, sql);
  return statement.Next() ? statement.Int(0) : 0;
}

void Database::Note(int code) {
  if (!failed()) error_ = SqliteError{code & 0xff, sqlite3_errmsg(db_)};
}

std::optional<Database::SqliteError> Database::TakeError() { return std::exchange(error_, std::nullopt); }

void Database::SetDeadline(std::optional<base::Time> deadline) {
  if (!deadline) {
    sqlite3_progress_handler(db_, 0, nullptr, nullptr);
    return;
  }
  deadline_ = *deadline;
  sqlite3_progress_handler(
      db_, kStepsBetweenLooks,
      [](void* self) { return base::Clock::now() >= static_cast<Database*>(self)->deadline_ ? 1 : 0; }, this);
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  if (database.failed()) return;
  sqlite3_stmt* statement = nullptr;
  Note(sqlite3_prepare_v3(database.db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                          nullptr));
  statement_.reset(statement);
}

bool Statement::Next() {
  if (database_.failed()) return false;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.Note(code);
  // Ends the implicit transaction of a failed statement, and lets bound bytes go.
  sqlite3_reset(statement_.get());
  return false;
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());  // what it returns was noted by Next()
}

base::ByteView Statement::Blob(int column) const {
  const void* content = sqlite3_column_blob(statement_.get(), column);
  return {static_cast<const uint8_t*>(content), static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void Statement::Bind(int parameter, std::string_view value) {
  Note(sqlite3_bind_text64(statement_.get(), parameter, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC,
                           SQLITE_UTF8));
}

// An empty blob is not NULL, which SQLite takes a null pointer for.
void Statement::Bind(int parameter, base::ByteView value) {
  const void* content = value.empty() ? "" : static_cast<const void*>(value.data());
  Note(sqlite3_bind_blob64(statement_.get(), parameter, content, value.size(), SQLITE_STATIC));
}

}  // namespace tributary::gateway
