// UringIo: the Io on io_uring. What a turn of the loop asks for goes to the kernel in one system call at the turn's
// end; the ring's descriptor, watched by the loop, tells of completions. A write and its sync are linked: one trip.
//
// The kernel's own threads do what would block (every buffered write on ext4, every sync), so a stalled disk stalls
// nobody else. The ring is restricted to writev, readv and fsync before its first use, so that it opens no way around a
// seccomp filter to anything else. Lives on the loop's thread; that thread alone may submit.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/end_of_turn.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/result.h"

namespace tributary::base {

class UringIo : public Io {
 public:
  // Fails where the kernel is too old (before 5.10) or its administrator refuses io_uring.
  static Result<std::unique_ptr<Io>> Open(Loop& loop);
  ~UringIo() override;

  void Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) override;
  void Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) override;
  void Run(Worker::Job job) override { jobs_.Run(std::move(job)); }
  std::string_view name() const override { return "io_uring"; }
  const std::string& reason() const override { return reason_; }

 private:
  struct Operation;

  UringIo(Loop& loop, const io_uring& ring, Fd completions);

  void Enqueue(std::unique_ptr<Operation> operation);
  void Submit();
  void SubmitAgain();
  static Operation* OperationOf(uint64_t user_data);
  void Prepare(Operation& operation);
  io_uring_sqe* NextEntry(Operation& operation);
  void Reap();
  std::vector<std::unique_ptr<Operation>> TakeCompleted();

  Loop& loop_;
  io_uring ring_;
  Fd completions_;  // an eventfd that the kernel signals
  const std::string reason_;
  std::deque<std::unique_ptr<Operation>> waiting_;  // for a place in the ring
  unsigned under_way_ = 0;                          // entries that the kernel has, or is about to
  EndOfTurn submit_;
  Loop::Timer submit_again_;
  Loop::Watch watch_;
  Worker jobs_;
};

}  // namespace tributary::base
