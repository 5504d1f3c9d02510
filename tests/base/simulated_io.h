// SimulatedIo: the Io on a SimulatedDisk. What is asked for is done bit by bit over the coming turns of the loop, in an
// order drawn from the seed: a write before an earlier one, a write now and its sync turns later, several in one turn.
// Destroyed, it does of what is left as much as the dice say, and tells nobody: as when the process is killed.
// Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/io_pieces.h"
#include "base/loop.h"
#include "tests/base/simulated_disk.h"

namespace tributary::base {

class SimulatedIo : public Io {
 public:
  // The loop and the disk outlive this.
  SimulatedIo(Loop& loop, SimulatedDisk& disk, uint64_t seed) : loop_(loop), disk_(disk), random_(seed) {}
  ~SimulatedIo() override;

  void Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Sync sync, Done done) override;
  void Read(int fd, std::span<uint8_t> into, uint64_t offset, ReadDone done) override;
  // Jobs are done each at once, in their order, but any time between others' bits.
  void Run(Worker::Job job) override;
  std::string_view name() const override { return "simulated"; }
  const std::string& reason() const override { return reason_; }

  // Nothing is under way.
  bool idle() const { return under_way_.empty() && jobs_.empty(); }

 private:
  struct Operation {
    int fd;
    bool is_read;
    std::span<uint8_t> into;
    IoPieces left;
    uint64_t offset;
    bool sync_wanted;
    ReadDone done;
    size_t bytes = 0;
  };

  void Enqueue(std::unique_ptr<Operation> operation);
  void WakeUp();
  void RunTurn();
  void RunBit();  // of something
  // Does the next bit; what to tell when it was the last.
  std::optional<IoResult<size_t>> Step(Operation& operation);
  std::optional<IoResult<size_t>> StepRead(Operation& operation);

  Loop& loop_;
  SimulatedDisk& disk_;
  std::mt19937_64 random_;
  const std::string reason_;
  std::vector<std::unique_ptr<Operation>> under_way_;
  std::deque<Worker::Job> jobs_;
  Loop::Timer turn_;
};

}  // namespace tributary::base
