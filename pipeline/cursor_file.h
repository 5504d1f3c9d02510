// CursorFile: what a Cursor acknowledged, in a file, so that the next life goes on where this one was.
//
// Saved at the end of each turn that changed it, by a write into the older of two slots; in a durable Log with a sync
// each. After an error a new file takes the old one's place, since a descriptor whose sync failed tells nothing any
// more. Lives on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/end_of_turn.h"
#include "base/file_system.h"
#include "base/io.h"
#include "base/loop.h"
#include "pipeline/ack_set.h"
#include "pipeline/log_format.h"

namespace tributary::pipeline {

class CursorFile {
 public:
  // What it works with; all outlives it.
  struct Disk {
    base::Loop& loop;
    base::FileSystem& file_system;
    base::Io& io;
    bool sync;
  };

  // What a file holds; an error, ENOENT when there is none, when it cannot be opened. One that is damaged or unreadable
  // beyond use holds nothing: everything that is there is for its Cursor, which may send some of it again.
  static base::IoResult<CursorState> Load(base::FileSystem& file_system, const std::string& path);

  // Makes the file anew, holding `state`. When the disk refuses, later, again and again; until then nothing counts as
  // saved. Blocks; for start-up and new configurations.
  CursorFile(const Disk& disk, std::string path, CursorState state);
  // Saves what was changed last. Blocks.
  ~CursorFile();
  CursorFile(const CursorFile&) = delete;
  CursorFile& operator=(const CursorFile&) = delete;

  // False until the disk let it be made. A life that ended now would leave none.
  bool exists() const { return fd_ != nullptr; }
  // Saves `acknowledged` as it is at the end of this turn; the owner keeps it alive and current.
  void Save() { save_.Ask(); }
  // What would be found after a crash.
  const AckSet& saved() const { return saved_; }
  // Calls `saved` after each save.
  void WhenSaved(base::Loop::Task saved) { when_saved_ = std::move(saved); }
  void Watch(const AckSet& acknowledged) { acknowledged_ = &acknowledged; }

  // Removes the file for good.
  void Remove();

 private:
  static base::IoResult<base::Fd> Make(base::FileSystem& file_system, const std::string& path,
                                       const CursorState& state);
  void SaveNow();
  void Saved(CursorState state, int error);
  void MakeAnew();

  Disk disk_;
  std::string path_;
  std::shared_ptr<base::Fd> fd_;  // writes under way hold it too
  const AckSet* acknowledged_ = nullptr;
  AckSet saved_;
  uint64_t generation_;
  bool saving_ = false;
  bool changed_ = false;  // while saving
  base::Loop::Timer again_;
  base::Loop::Task when_saved_;
  base::EndOfTurn save_;
  std::shared_ptr<CursorFile*> self_;  // what is under way finds it, or null, here
};

}  // namespace tributary::pipeline
