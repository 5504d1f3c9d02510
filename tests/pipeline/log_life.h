// LogLife: one life of a Log on disk, for tests: it opens, takes numbered frames, has a reader, and ends, well or ill.
// A frame's number is its count of items; its bytes are drawn from the number, so that a reader knows a whole one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "pipeline/log.h"

namespace tributary::pipeline {

inline base::Bytes BytesOfFrame(uint32_t number, size_t size) {
  base::Bytes bytes;
  bytes.ResizeUninitialized(size);
  std::minstd_rand random(number);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(random() >> 8);
  return bytes;
}

class LogLife {
 public:
  using From = Cursor::From;

  // Does nothing more when the Log cannot be opened; `error` says why.
  LogLife(base::Loop& loop, base::FileSystem& file_system, std::unique_ptr<base::Io> io, Log::Options options,
          const std::string& reader = "reader")
      : loop_(loop) {
    auto log = Log::Open(loop, file_system, std::move(io), std::move(options));
    if (!log) {
      error = log.error().message;
      return;
    }
    log_ = std::move(*log);
    cursor_ = log_->OpenCursor(otlp::Signal::kTraces, reader);
    log_->Start();
  }

  Log& log() { return *log_; }
  Cursor& cursor() { return *cursor_; }

  // Asks the Log to take frame `number`. What becomes of it is told in `taken` or `refused`, in some turn.
  void Append(uint32_t number, size_t size) {
    ++under_way;
    log_->Append({otlp::Signal::kTraces, {.items = number, .resources = 1}, BytesOfFrame(number, size)},
                 [this, number](Log::Taken answer) {
                   --under_way;
                   (answer == Log::Taken::kYes ? taken : refused).insert(number);
                   if (answer != Log::Taken::kYes) last_refusal = answer;
                 });
  }
  // Runs turns until all that was asked for is answered, or, for a Log that will not answer, `turns_max` are over.
  void Settle(int turns_max = 100'000) {
    for (int i = 0; under_way > 0 && i < turns_max; ++i) loop_.RunOnce(std::chrono::milliseconds(10));
  }

  // Reads one frame, if one is in memory, and checks that it is whole.
  std::optional<Frame> Read(From from) {
    if (!cursor_->Prepare(from, 1 << 20)) return std::nullopt;
    auto frame = cursor_->Next(from);
    if (!frame) return std::nullopt;
    const uint32_t number = frame->counts().items;
    const base::Bytes expected = BytesOfFrame(number, frame->bytes().size());
    EXPECT_TRUE(std::ranges::equal(frame->bytes(), expected.view())) << "frame " << number << " came back changed";
    read.push_back(number);
    return frame;
  }
  // Reads, and acknowledges, all there is, backlog first.
  void ReadAll(int turns_max = 10'000) {
    for (int i = 0; i < turns_max; ++i) {
      while (const auto frame = Read(From::kBacklog)) cursor_->Acknowledge(*frame);
      while (const auto frame = Read(From::kLive)) cursor_->Acknowledge(*frame);
      if (!cursor_->has_backlog() && cursor_->unread(From::kLive).frames == 0) return;
      loop_.RunOnce(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "what is unread cannot be read";
  }
  // Lets what was asked of the disk in this turn be done.
  void Turns(int turns) {
    for (int i = 0; i < turns; ++i) loop_.RunOnce(std::chrono::milliseconds(1));
  }

  std::string error;
  int under_way = 0;
  std::set<uint32_t> taken;
  std::set<uint32_t> refused;
  std::vector<uint32_t> read;
  Log::Taken last_refusal{};

 private:
  base::Loop& loop_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Cursor> cursor_;
};

}  // namespace tributary::pipeline
