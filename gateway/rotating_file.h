// RotatingFile: a file of lines that is set aside when it is full. "telemetry.jsonl" becomes
// "telemetry-2026-01-02T03-04-05.678.jsonl" (UTC, when it was set aside) and a new one begins; of the files set aside,
// old and surplus ones are deleted. Names and limits are those of the OpenTelemetry Collector's file exporter.
//
// A line is there whole or not at all: what a failed write left behind is cut off, and so is a half line that an
// earlier process left at the end. A file that somebody moved or deleted is begun anew. Any thread; one at a time;
// blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace tributary::gateway {

class RotatingFile {
 public:
  struct Options {
    std::string path;
    uint64_t bytes_max = 100 << 20;  // of one file; a longer line gets a file of its own
    uint32_t days_max = 0;           // files set aside longer ago are deleted; 0: kept for ever
    uint32_t backups_max = 10;       // files set aside that are kept; 0: all

    bool operator==(const Options&) const = default;
  };

  // Creates the file, but no directory.
  static base::Result<RotatingFile> Open(Options options);

  // Appends `line`, which ends in a line break and has no other. On failure nothing was appended.
  base::Status Append(std::string_view line);

  uint64_t rotations() const { return rotations_; }

 private:
  explicit RotatingFile(Options options) : options_(std::move(options)) {}
  base::Status OpenFile();
  base::Status FollowMoves();
  base::Status CutBack();
  base::Status Rotate();
  void DeleteBackups();
  std::string BackupPath() const;

  Options options_;
  base::Fd fd_;
  uint64_t size_ = 0;  // of the whole lines in the file, bytes
  bool torn_ = false;  // bytes after size_ could not be cut off yet
  uint64_t rotations_ = 0;
};

}  // namespace tributary::gateway
