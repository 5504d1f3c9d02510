// SegmentPool: the files of a Log's directory that hold no frames now: made ahead of need, so that an append never
// waits for one, and taken back when their frames are delivered, so that their blocks and pages are used again.
//
// A file is made whole before it is given out: its blocks are reserved and, where a sync must be quick, written, so
// that a full disk is met here and not in the middle of an append. Lives on the loop's thread; what blocks is the
// Io's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/end_of_turn.h"
#include "base/fd.h"
#include "base/file_system.h"
#include "base/io.h"
#include "base/loop.h"

namespace tributary::pipeline {

struct SegmentFile {
  base::Fd fd;
  std::string path;
  uint64_t bytes = 0;  // its size, which never changes
};

class SegmentPool {
 public:
  struct Options {
    std::string directory;
    uint64_t segment_bytes = 16 << 20;
    uint64_t bytes_max = 0;  // of all files of the directory, those given out included
    bool write_ahead = false;
  };

  // Calls `changed` at the end of a turn in which a file became ready, or none could be made. `file_system`
  // outlives this; `io`, which does what blocks, may go before.
  SegmentPool(base::Loop& loop, base::FileSystem& file_system, base::Io& io, Options options, base::Loop::Task changed);

  // A file that is there already, in use or, with Give(), not. For recovery.
  void Count(const SegmentFile& file);
  // From now on files are made ahead.
  void Start() { MakeMore(); }

  // An empty file of at least `bytes`, or nullptr: then one is being made, unless the cap forbids.
  std::shared_ptr<SegmentFile> Take(uint64_t bytes);
  // Takes a file back, whose frames nobody needs any more.
  void Give(std::shared_ptr<SegmentFile> file);
  // Takes back one that failed, to be used no more.
  void Discard(std::shared_ptr<SegmentFile> file);

  // Whether Take(bytes) would give one, now or when it is made.
  bool CanGive(uint64_t bytes) const;
  uint64_t bytes() const { return bytes_; }
  uint64_t segment_bytes() const { return options_.segment_bytes; }
  void set_bytes_max(uint64_t bytes_max);
  uint64_t bytes_max() const { return options_.bytes_max; }
  // Why no file could be made the last time; empty when that went well.
  const std::string& error() const { return error_; }

 private:
  static constexpr size_t kReadyWanted = 2;

  struct Made {
    std::shared_ptr<SegmentFile> file;
    std::string error;
  };

  void MakeMore();
  void Make(uint64_t bytes);
  void RetryLater();
  static Made MakeFile(base::FileSystem& file_system, const std::string& directory, uint64_t number, uint64_t bytes,
                       bool write_ahead);

  base::Loop& loop_;
  base::FileSystem& file_system_;
  base::Io& io_;
  Options options_;
  base::EndOfTurn changed_;

  std::vector<std::shared_ptr<SegmentFile>> ready_;  // the last given back is the next taken: its pages are warm
  uint64_t bytes_ = 0;                               // of all files, those being made included
  uint64_t last_number_ = 0;
  uint64_t wanted_bytes_ = 0;  // of a file longer than usual that somebody waits for
  bool making_ = false;
  std::string error_;
  std::vector<std::shared_ptr<SegmentFile>> undead_;  // could not be unlinked
  base::Loop::Timer retry_;
};

}  // namespace tributary::pipeline
