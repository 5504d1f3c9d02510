// A Log's directory of any bytes, or of segments and cursor files that are valid one by one, need not fit together, and
// were damaged: the Log starts, gives every reader every frame once at most, takes a new one, and ends with nothing
// held. So does the life after it. (That may find more: what a later segment had made void, and that is gone.)
#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/loop.h"
#include "pipeline/log.h"
#include "pipeline/log_format.h"
#include "spdlog/spdlog.h"
#include "tests/base/simulated_disk.h"
#include "tests/base/simulated_io.h"
#include "tests/pipeline/fuzz_input.h"

namespace tributary::pipeline {
namespace {

constexpr size_t kSegmentBytes = 16 << 10;

// Small numbers, that they may meet; now and then a huge one, which a Log does not believe, or nearly.
uint64_t Sequence(FuzzInput& input) {
  const uint8_t byte = input.Byte();
  if (byte != 255) return byte;
  const uint64_t huge = input.Number(8);
  return huge > kSequenceMax ? huge : huge >> 8;
}

void AppendFrame(FuzzInput& input, uint64_t segment_id, std::vector<uint8_t>& content) {
  const std::vector<uint8_t> origin(input.Byte() % 16, 'o');
  const std::vector<uint8_t> payload(input.Number(2) % 600, input.Byte());
  const FrameHeader header{.sequence = Sequence(input),
                           .committed = Sequence(input),
                           .appended_unix_ns = input.Number(4) << 32,
                           .items = input.Byte(),
                           .resources = 1,
                           .flags = input.Byte() % 8 == 7 ? FrameHeader::kEnd : 0};
  const size_t at = content.size();
  content.resize(at + FrameBytes(origin.size() + payload.size()));
  EncodeFrameHeader(header, segment_id, origin, payload, content.data() + at);
  std::ranges::copy(origin, content.begin() + static_cast<ptrdiff_t>(at + sizeof header));
  std::ranges::copy(payload, content.begin() + static_cast<ptrdiff_t>(at + sizeof header + origin.size()));
}

std::vector<uint8_t> SegmentContent(FuzzInput& input, uint64_t segment_id) {
  const base::Bytes header = EncodeSegmentHeader({.segment_id = segment_id,
                                                  .serial = Sequence(input),
                                                  .first_sequence = Sequence(input),
                                                  .life_first_sequence = Sequence(input),
                                                  .signal = input.Byte() % 4u});
  std::vector<uint8_t> content(header.view().begin(), header.view().end());
  for (uint8_t frames = input.Byte() % 16; frames > 0; --frames) AppendFrame(input, segment_id, content);
  content.resize(std::max(content.size(), kSegmentBytes));
  input.Damage(content);
  return content;
}

std::vector<uint8_t> CursorContent(FuzzInput& input) {
  CursorState state{.generation = input.Byte(), .acknowledged = AckSet(Sequence(input))};
  for (uint8_t ranges = input.Byte() % 8; ranges > 0; --ranges) {
    const uint64_t begin = Sequence(input);
    state.acknowledged.AddRange(begin, begin + input.Byte());
  }
  const base::Bytes slot = EncodeCursor(state);
  std::vector<uint8_t> content(slot.view().begin(), slot.view().end());
  content.resize(kCursorFileBytes);
  input.Damage(content);
  return content;
}

void Put(base::SimulatedDisk& disk, const std::string& path, std::vector<uint8_t> content) {
  CHECK(disk.Open(path, O_RDWR | O_CREAT).has_value());
  disk.SetContent(path, std::move(content));
}

void Fill(FuzzInput& input, base::SimulatedDisk& disk) {
  CHECK(disk.MakeDirectory("/log") && disk.MakeDirectory("/log/cursors"));
  if (input.Byte() % 8 == 7) {
    const base::ByteView rest = input.Rest();
    Put(disk, "/log/segment-00000001", {rest.begin(), rest.end()});
    Put(disk, "/log/cursors/traces.reader", {rest.begin(), rest.end()});
    return;
  }
  for (uint8_t i = 1 + input.Byte() % 5; i > 0; --i) {
    Put(disk, "/log/segment-0000000" + std::to_string(i), SegmentContent(input, i));
  }
  for (const char* name : {"traces.reader", "traces.other", "logs.reader"}) {
    if (input.Byte() % 4 != 0) Put(disk, std::string("/log/cursors/") + name, CursorContent(input));
  }
}

constexpr size_t kReaders = 3;
using Seen = std::array<std::set<uint64_t>, kReaders>;  // what each reader got, by sequence

class Life {
 public:
  Life(base::SimulatedDisk& disk, Seen& seen) : seen_(seen) {
    loop_.StopClock();
    auto log = Log::Open(loop_, disk, std::make_unique<base::SimulatedIo>(loop_, disk, 1),
                         {.mode = Log::Mode::kProcess,
                          .bytes_max = 1 << 20,
                          .directory = "/log",
                          .memory_bytes_max = 64 << 10,
                          .segment_bytes = kSegmentBytes});
    CHECK(log.has_value());
    log_ = std::move(*log);
    cursors_.push_back(log_->OpenCursor(otlp::Signal::kTraces, "reader"));
    cursors_.push_back(log_->OpenCursor(otlp::Signal::kTraces, "other"));
    cursors_.push_back(log_->OpenCursor(otlp::Signal::kLogs, "reader"));
    log_->Start();
  }

  // How many frames came.
  size_t ReadAll() {
    size_t frames = 0;
    for (size_t i = 0; i < kReaders; ++i) {
      Cursor& cursor = *cursors_[i];
      const size_t before = seen_[i].size();
      for (int turns = 0; cursor.has_backlog() || cursor.unread(Cursor::From::kLive).frames > 0; ++turns) {
        CHECK(turns < 10'000);
        for (const auto from : {Cursor::From::kBacklog, Cursor::From::kLive}) Read(cursor, from, seen_[i]);
        loop_.RunOnce(base::Nanos(0));
      }
      CHECK(cursor.totals().held_items == 0 && cursor.totals().held_bytes == 0);
      frames += seen_[i].size() - before;
    }
    return frames;
  }

  void Append() {
    bool answered = false;
    log_->Append({otlp::Signal::kTraces, {.items = 1, .resources = 1}, base::Bytes(std::string_view("new"))},
                 [&answered](Log::Taken taken) {
                   CHECK(taken == Log::Taken::kYes);
                   answered = true;
                 });
    for (int turns = 0; !answered; ++turns) {
      CHECK(turns < 10'000);
      loop_.RunOnce(base::Nanos(0));
    }
  }

  void Rest() {
    for (int turns = 0; turns < 100; ++turns) loop_.RunOnce(base::Nanos(0));
  }

 private:
  static void Read(Cursor& cursor, Cursor::From from, std::set<uint64_t>& seen) {
    if (!cursor.Prepare(from, 1 << 20)) return;
    while (const auto frame = cursor.Next(from)) {
      CHECK(seen.insert(frame->sequence()).second);
      cursor.Acknowledge(*frame);
    }
  }

  Seen& seen_;
  base::Loop loop_;
  std::unique_ptr<Log> log_;
  std::vector<std::unique_ptr<Cursor>> cursors_;
};

}  // namespace
}  // namespace tributary::pipeline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  using namespace tributary::pipeline;
  spdlog::set_level(spdlog::level::off);
  FuzzInput input(data, size);
  base::SimulatedDisk disk(1);
  Fill(input, disk);
  Seen seen;
  for (int lives = 0; lives < 2; ++lives) {
    Life life(disk, seen);
    life.ReadAll();
    life.Append();
    CHECK(life.ReadAll() == 2);  // both readers of traces
    life.Rest();
  }
  return 0;
}
