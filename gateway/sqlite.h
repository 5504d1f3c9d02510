// Database and Statement: SQLite, https://sqlite.org/c3ref/intro.html, with two habits. What is prepared is finalized;
// and the first error sticks: after it every Statement finds no rows and changes nothing until TakeError(), so that a
// transaction is written straight down and asked once, at its end, whether it went well.
//
// A Database has one Statement running at a time per Statement object, and belongs to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tributary::gateway {

class Database {
 public:
  struct SqliteError {
    int code;  // https://sqlite.org/rescode.html, primary
    std::string message;
  };

  // Creates the file, but no directory.
  static base::Result<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database() { sqlite3_close_v2(db_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs statements that bind nothing and whose rows nobody wants.
  void Execute(const char* sql);
  // The first column of the first row: for PRAGMAs. 0 after an error.
  int64_t Number(const char* sql);
  int64_t rows_changed() const { return sqlite3_changes64(db_); }

  bool failed() const { return error_.has_value(); }
  std::optional<SqliteError> TakeError();

  // Makes whatever runs at `deadline` fail with SQLITE_INTERRUPT; nullopt: no deadline.
  void SetDeadline(std::optional<base::Time> deadline);

 private:
  friend class Statement;
  explicit Database(sqlite3* db) : db_(db) {}
  void Note(int code);

  sqlite3* db_;
  std::optional<SqliteError> error_;
  base::Time deadline_{};
};

// A prepared statement. `statement.Start(values...)` binds and begins; `while (statement.Next())` goes through rows.
// The Database outlives it.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);

  template <typename... Values>
  Statement& Start(const Values&... values) {
    Reset();
    int parameter = 0;
    (Bind(++parameter, values), ...);
    return *this;
  }
  // To the next row, if there is one.
  bool Next();
  // For statements without rows.
  void Run() { Next(); }
  // For INSERT: the new row's id.
  int64_t Insert() {
    Next();
    return sqlite3_last_insert_rowid(database_.db_);
  }
  // Ends a walk through rows before the last: until then the statement keeps its place in the database.
  void Reset();

  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  bool IsNull(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  // Valid until the next call.
  std::string_view Text(int column) const { return base::AsText(Blob(column)); }
  base::ByteView Blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  // Bound text and bytes must stay in place until the walk ends.
  void Bind(int parameter, int64_t value) { Note(sqlite3_bind_int64(statement_.get(), parameter, value)); }
  void Bind(int parameter, std::string_view value);
  void Bind(int parameter, base::ByteView value);
  void Note(int code) {
    if (code != SQLITE_OK) database_.Note(code);
  }

  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace tributary::gateway
