// Outbox: bytes on their way into a Stream that does not take everything at once. Long runs are referred to where they
// lie and must stay there until written or KeepOwnCopy. Any thread, one at a time.
#pragma once

#include <cstdint>

#include "base/slices.h"
#include "base/stream.h"

namespace tributary::base {

class Outbox {
 public:
  void Copy(ByteView bytes) { pending_.Copy(bytes); }
  void Refer(ByteView bytes) { pending_.Refer(bytes); }

  bool empty() const { return bytes() == 0; }
  // How much is not written yet.
  size_t bytes() const { return pending_.size() - written_of_pending_; }
  // Positions in the stream of everything that ever went through: where the next byte to be added goes, and where the
  // next byte to be written is.
  uint64_t end() const { return written_before_ + pending_.size(); }
  uint64_t written() const { return written_before_ + written_of_pending_; }

  // kOk once nothing is left, else why not.
  Stream::IoResult WriteTo(Stream& stream);
  // Nothing outside is referred to afterwards.
  void KeepOwnCopy();
  // Forgets what is not written.
  void Discard();

 private:
  void Advance(size_t bytes);

  Slices pending_;
  size_t piece_ = 0;  // the next byte to write is in this one of pending_'s pieces, at `offset_`
  size_t offset_ = 0;
  size_t written_of_pending_ = 0;
  uint64_t written_before_ = 0;
};

}  // namespace tributary::base
