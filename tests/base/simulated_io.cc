#include "tests/base/simulated_io.h"

#include <cerrno>
#include <utility>

namespace tributary::base {

SimulatedIo::~SimulatedIo() {
  for (uint64_t steps = random_() % ((under_way_.size() + jobs_.size()) * 2 + 1); steps > 0 && !idle(); --steps) {
    const size_t which = random_() % (under_way_.size() + (jobs_.empty() ? 0 : 1));
    if (which == under_way_.size()) {
      (void)jobs_.front()();
      jobs_.pop_front();
    } else if (Step(*under_way_[which])) {
      under_way_.erase(under_way_.begin() + static_cast<ptrdiff_t>(which));
    }
  }
}

void SimulatedIo::Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) {
  Enqueue(std::make_unique<Operation>(
      fd, false, std::span<uint8_t>(), IoPieces(pieces), offset, sync == Sync::kYes,
      [done = std::move(done)](IoResult<size_t> bytes) mutable { done(bytes ? 0 : bytes.error()); }));
}

void SimulatedIo::Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) {
  Enqueue(std::make_unique<Operation>(fd, true, into, IoPieces({}), offset, false, std::move(done)));
}

void SimulatedIo::Run(Worker::Job job) {
  jobs_.push_back(std::move(job));
  WakeUp();
}

void SimulatedIo::Enqueue(std::unique_ptr<Operation> operation) {
  under_way_.push_back(std::move(operation));
  WakeUp();
}

void SimulatedIo::WakeUp() {
  if (!turn_.pending()) turn_ = loop_.RunAfter(Nanos(0), [this] { RunTurn(); });
}

// Not more than was there when the turn began, so that a Done which always asks for more does not hold the loop.
void SimulatedIo::RunTurn() {
  for (uint64_t steps = 1 + random_() % (under_way_.size() + jobs_.size()); steps > 0; --steps) {
    RunBit();
    if (idle()) return;
  }
  WakeUp();
}

void SimulatedIo::RunBit() {
  const size_t which = random_() % (under_way_.size() + (jobs_.empty() ? 0 : 1));
  if (which == under_way_.size()) {
    Worker::Job job = std::move(jobs_.front());
    jobs_.pop_front();
    return job()();
  }
  const auto result = Step(*under_way_[which]);
  if (!result) return;
  const std::unique_ptr<Operation> operation = std::move(under_way_[which]);
  under_way_.erase(under_way_.begin() + static_cast<ptrdiff_t>(which));
  operation->done(*result);
}

std::optional<IoResult<size_t>> SimulatedIo::Step(Operation& operation) {
  if (operation.is_read) return StepRead(operation);
  if (!operation.left.empty()) {
    const IoResult<size_t> written =
        disk_.Write(operation.fd, operation.left.next(), operation.offset + operation.bytes);
    if (!written) return written;
    if (*written == 0) return std::unexpected(EIO);
    operation.left.Advance(*written);
    operation.bytes += *written;
  } else if (std::exchange(operation.sync_wanted, false)) {
    if (const IoResult<void> synced = disk_.Sync(operation.fd); !synced) return std::unexpected(synced.error());
  }
  if (!operation.left.empty() || operation.sync_wanted) return std::nullopt;
  return operation.bytes;
}

std::optional<IoResult<size_t>> SimulatedIo::StepRead(Operation& operation) {
  const IoResult<size_t> read =
      disk_.Read(operation.fd, operation.into.subspan(operation.bytes), operation.offset + operation.bytes);
  if (!read) return read;
  operation.bytes += *read;
  if (*read > 0 && operation.bytes < operation.into.size()) return std::nullopt;
  return operation.bytes;
}

}  // namespace tributary::base
