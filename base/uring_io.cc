#include "base/uring_io.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/io_pieces.h"

namespace tributary::base {

// One Write or Read: one entry in the ring or two at a time (a write and the sync linked to it), again and again until
// all of it is done.
struct UringIo::Operation {
  bool is_read;
  int fd;
  IoPieces left;
  uint64_t offset;
  bool sync_wanted;
  ReadDone done;
  size_t bytes = 0;       // moved so far
  unsigned awaited = 0;   // completions to come
  bool at_end = false;    // of the file
  bool link_cut = false;  // the sync in the ring may run before the write does, and proves nothing
  int error = 0;

  bool complete() const { return error != 0 || at_end || (left.empty() && !sync_wanted); }

  void Moved(int result) {
    if (result == -EINTR) return;
    if (result < 0) {
      error = -result;
    } else if (result > 0) {
      left.Advance(static_cast<size_t>(result));
      bytes += static_cast<size_t>(result);
    } else if (is_read) {
      at_end = true;
    } else if (!left.empty()) {
      error = EIO;  // nothing for something: it would be the same again
    }
  }

  // Cancelled is what a sync becomes when the write before it in the link was short or failed. And one that was run has
  // seen nothing of what is still left: the kernel takes 2 GiB of a write and calls it all.
  void Synced(int result) {
    if (result == -ECANCELED || result == -EINTR) return;
    if (result < 0 && error == 0) error = -result;
    if (left.empty() && !link_cut) sync_wanted = false;
    link_cut = false;
  }
};

namespace {

// In the ring at once. The completion ring has twice as many places, so it never overflows.
constexpr unsigned kEntries = 128;
constexpr Nanos kSubmitAgainAfter = std::chrono::milliseconds(1);
// In the low bit of an entry's user data, which is the Operation's address.
constexpr uint64_t kIsSync = 1;

int SetUp(io_uring& ring) {
  // Since Linux 6.1 completions are worked off when this thread asks, not whenever it enters the kernel.
  io_uring_params params = {};
  params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int result = io_uring_queue_init_params(kEntries, &ring, &params);
  if (result != -EINVAL) return result;
  params = {};
  params.flags = IORING_SETUP_R_DISABLED;
  return io_uring_queue_init_params(kEntries, &ring, &params);
}

// liburing 2.3, Debian 12's, declares functions for these two and forgot to export them.
int RestrictAndEnable(io_uring& ring, int completions) {
  io_uring_restriction allowed[4] = {};
  allowed[0] = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV};
  allowed[1] = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV};
  allowed[2] = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC};
  allowed[3] = {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_IO_LINK};
  const auto fd = static_cast<unsigned>(ring.ring_fd);
  int result = io_uring_register_eventfd(&ring, completions);
  if (result == 0) result = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, allowed, std::size(allowed));
  if (result == 0) result = io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return result;
}

}  // namespace

Result<std::unique_ptr<Io>> UringIo::Open(Loop& loop) {
  io_uring ring;
  if (const int result = SetUp(ring); result < 0) return FailErrno(-result, "io_uring_setup");
  Fd completions(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  CHECK(completions.valid());
  if (const int result = RestrictAndEnable(ring, completions.get()); result < 0) {
    io_uring_queue_exit(&ring);
    return FailErrno(-result, "io_uring_register");
  }
  return std::unique_ptr<Io>(new UringIo(loop, ring, std::move(completions)));
}

// Edge-triggered, so that nobody need read the eventfd. The ring's own descriptor would not do: with DEFER_TASKRUN
// nothing wakes those who poll it when a kernel thread has finished.
UringIo::UringIo(Loop& loop, const io_uring& ring, Fd completions)
    : loop_(loop),
      ring_(ring),
      completions_(std::move(completions)),
      submit_(loop, [this] { Submit(); }),
      jobs_(loop, "tributary-disk") {
  watch_ = loop.WatchFd(completions_.get(), EPOLLIN | EPOLLET, [this](uint32_t) { Reap(); });
}

UringIo::~UringIo() {
  waiting_.clear();
  while (under_way_ > 0) {
    io_uring_submit_and_wait(&ring_, 1);
    TakeCompleted();
  }
  watch_.Reset();
  io_uring_queue_exit(&ring_);
}

void UringIo::Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) {
  Enqueue(std::make_unique<Operation>(
      false, fd, IoPieces(pieces), offset, sync == Sync::kYes,
      [done = std::move(done)](IoResult<size_t> bytes) mutable { done(bytes ? 0 : bytes.error()); }));
}

void UringIo::Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) {
  const ByteView whole = into;
  Enqueue(std::make_unique<Operation>(true, fd, IoPieces({&whole, 1}), offset, false, std::move(done)));
}

void UringIo::Enqueue(std::unique_ptr<Operation> operation) {
  waiting_.push_back(std::move(operation));
  submit_.Ask();
}

void UringIo::Submit() {
  while (!waiting_.empty() && under_way_ + 2 <= kEntries) {
    Prepare(*waiting_.front().release());  // the ring has it now; TakeCompleted() takes it back
    waiting_.pop_front();
  }
  CHECK(io_uring_submit(&ring_) != -EEXIST);  // this is the thread that made the ring
  if (io_uring_sq_ready(&ring_) > 0) SubmitAgain();
}

// The kernel was short of memory, and what it did not take stays in the ring. It may have taken a write and not the
// sync linked to it.
void UringIo::SubmitAgain() {
  const uint64_t first = ring_.sq.sqes[*ring_.sq.khead & ring_.sq.ring_mask].user_data;
  if (first & kIsSync) OperationOf(first)->link_cut = true;
  submit_again_ = loop_.RunAfter(kSubmitAgainAfter, [this] { Submit(); });
}

UringIo::Operation* UringIo::OperationOf(uint64_t user_data) {
  return reinterpret_cast<Operation*>(user_data & ~kIsSync);
}

void UringIo::Prepare(Operation& operation) {
  const std::span<const iovec> next = operation.left.next();
  const auto count = static_cast<unsigned>(next.size());
  const uint64_t offset = operation.offset + operation.bytes;
  const bool sync_now = operation.sync_wanted && operation.left.next_is_last();
  if (operation.is_read) {
    io_uring_sqe* entry = NextEntry(operation);
    io_uring_prep_readv(entry, operation.fd, next.data(), count, offset);
    io_uring_sqe_set_data(entry, &operation);
  } else if (count > 0 || !sync_now) {
    io_uring_sqe* entry = NextEntry(operation);
    io_uring_prep_writev(entry, operation.fd, next.data(), count, offset);
    io_uring_sqe_set_data(entry, &operation);
    if (sync_now) entry->flags |= IOSQE_IO_LINK;
  }
  if (sync_now) {
    io_uring_sqe* entry = NextEntry(operation);
    io_uring_prep_fsync(entry, operation.fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(entry, reinterpret_cast<uintptr_t>(&operation) | kIsSync);
  }
}

io_uring_sqe* UringIo::NextEntry(Operation& operation) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  CHECK(entry != nullptr);  // Submit() left room
  ++operation.awaited;
  ++under_way_;
  return entry;
}

void UringIo::Reap() {
  io_uring_get_events(&ring_);
  for (std::unique_ptr<Operation>& operation : TakeCompleted()) {
    if (operation->complete()) {
      operation->done(operation->error != 0 ? IoResult<size_t>(std::unexpected(operation->error)) : operation->bytes);
    } else {
      waiting_.push_back(std::move(operation));
    }
  }
  if (!waiting_.empty()) submit_.Ask();
}

// Those of which the kernel has nothing any more, complete or to be continued.
std::vector<std::unique_ptr<UringIo::Operation>> UringIo::TakeCompleted() {
  std::vector<std::unique_ptr<Operation>> taken;
  io_uring_cqe* completion;
  while (io_uring_peek_cqe(&ring_, &completion) == 0) {
    Operation* operation = OperationOf(completion->user_data);
    if (completion->user_data & kIsSync) {
      operation->Synced(completion->res);
    } else {
      operation->Moved(completion->res);
    }
    io_uring_cqe_seen(&ring_, completion);
    --under_way_;
    if (--operation->awaited == 0) taken.emplace_back(operation);
  }
  return taken;
}

}  // namespace tributary::base
