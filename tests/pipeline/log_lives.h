// LogLives: one Log through several lives on a disk that fails and forgets, everything drawn from a seed: three readers
// of two signals append, read, acknowledge out of order and fork as it comes. It knows what each reader is owed, and
// checks what comes: whole, what was offered, once in a life, and never again once its acknowledgement was saved.
//
// Run() ends lives by accident. RunWithFaults() lets the disk refuse some operations in a row, and after that wants
// everything to be well again by itself.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/base/simulated_disk.h"
#include "tests/base/simulated_io.h"
#include "tests/pipeline/log_life.h"

namespace tributary::pipeline {

// Who reads, through all lives, and what it may expect.
struct Reader {
  otlp::Signal signal;
  std::string name;
  // Numbers of frames:
  std::set<uint32_t> owed;   // answered OK, not acknowledged
  std::set<uint32_t> saved;  // acknowledged, and the disk has had the time to know: these are gone for good
  // Of this life:
  std::set<uint32_t> acknowledged;
  std::unique_ptr<Cursor> cursor;
  std::vector<Frame> in_hand;
  std::set<uint32_t> delivered;

  void Saved() { saved.insert(acknowledged.begin(), acknowledged.end()); }
  void Die() {
    acknowledged.clear();
    in_hand.clear();
    delivered.clear();
    cursor.reset();
  }
};

class LogLives {
 public:
  LogLives(uint64_t seed, Log::Mode mode) : random_(seed), disk_(seed), mode_(mode) {
    loop_.StopClock();
    for (const auto& [signal, name] :
         {std::pair{otlp::Signal::kTraces, "one"}, {otlp::Signal::kTraces, "two"}, {otlp::Signal::kLogs, "one"}}) {
      readers_.push_back({.signal = signal, .name = name});
    }
  }

  // The disk, to say how it is to fail.
  base::SimulatedDisk& disk() { return disk_; }

  void RunWithFaults() {
    end_ = UINT64_MAX;
    faults_ = true;
    for (int life = 0; life < 2; ++life) {
      for (int attempts = 0; !Open(); ++attempts) ASSERT_LT(attempts, 30);
      for (int steps = 0; steps < 60; ++steps) Step();
      Rest();
      if (life == 0) EndByAccident();
    }
    // Whatever failed is tried again in seconds.
    for (int seconds = 0; seconds < 8; ++seconds) {
      loop_.Advance(std::chrono::seconds(1));
      for (int turns = 0; turns < 5; ++turns) loop_.RunOnce(base::Nanos(0));
    }
    EXPECT_EQ(log_->disk_error(), "");
    failed_ = 0;
    for (int i = 0; i < 4; ++i) Append(100);
    Rest();
    EXPECT_EQ(failed_, 0) << "the disk is well, though the Log may be full";
    EndByAccident();
    if (!testing::Test::HasFailure()) LiveWell();
  }

  void Run() {
    for (uint64_t lives = 1 + Below(4); lives > 0 && !testing::Test::HasFailure(); --lives) LiveAndEnd();
    if (!testing::Test::HasFailure()) LiveWell();
  }

 private:
  uint64_t Below(uint64_t end) { return random_() % end; }
  bool Chance(uint64_t one_in) { return Below(one_in) == 0; }
  bool IsOver() const { return disk_.operations() > end_; }

  void LiveAndEnd() {
    // One in four ends while it recovers, or soon after.
    end_ = disk_.operations() + Below(Chance(4) ? 30 : 250);
    disk_.CrashAfter(end_);
    if (Chance(3)) disk_.ShortenWrite(disk_.operations() + Below(200));
    if (Open()) {
      for (uint64_t steps = Below(150); steps > 0 && !IsOver(); --steps) Step();
      if (Chance(6)) CloseInOrder();
    }
    EndByAccident();
  }

  void CloseInOrder() {
    for (Reader& reader : readers_) {
      reader.in_hand.clear();
      reader.cursor.reset();
      if (!IsOver()) reader.Saved();
    }
    Close();
  }

  void EndByAccident() {
    disk_.CrashAfter(disk_.operations());  // the end, if it was not there yet; so what is destroyed now changes nothing
    Close();
    if (mode_ == Log::Mode::kDurable) {
      disk_.Crash();
    } else {
      disk_.Kill();
    }
  }

  // The last life has no accident: everything owed comes, and what is new is taken and delivered.
  void LiveWell() {
    end_ = UINT64_MAX;
    faults_ = false;
    ASSERT_TRUE(Open());
    DeliverAll();
    if (testing::Test::HasFailure()) return Close();
    for (int i = 0; i < 6; ++i) Append(Below(2'000));
    Rest();
    EXPECT_EQ(refused_, 0) << "a Log that is empty takes what is new";
    DeliverAll();
    for (const Reader& reader : readers_) {
      EXPECT_EQ(reader.cursor->totals().held_items, 0u);
      EXPECT_EQ(reader.cursor->totals().held_bytes, 0u);
    }
    EXPECT_LT(log_->bytes(), 160u << 10) << "what was delivered is freed";
    Close();
  }

  bool Open() {
    Log::Options options{.mode = mode_,
                         .bytes_max = 256 << 10,
                         .directory = "/log",
                         .memory_bytes_max = 48 << 10,
                         .segment_bytes = 16 << 10};
    auto io = std::make_unique<base::SimulatedIo>(loop_, disk_, random_());
    io_ = io.get();
    auto log = Log::Open(loop_, disk_, std::move(io), std::move(options));
    if (!log) {
      EXPECT_TRUE(IsOver() || faults_) << log.error().message;
      return false;
    }
    log_ = std::move(*log);
    under_way_ = refused_ = 0;
    for (Reader& reader : readers_) reader.cursor = log_->OpenCursor(reader.signal, reader.name);
    log_->Start();
    if (!faults_ && !IsOver()) ExpectNoDamage();
    return true;
  }

  void Close() {
    for (Reader& reader : readers_) reader.Die();
    log_.reset();
  }

  void ExpectNoDamage() {
    base::MetricsText metrics;
    log_->WriteMetrics(metrics);
    for (const char* name : {"tributary_log_damaged_frames_total 0\n", "tributary_log_damaged_segments_total 0\n"}) {
      EXPECT_NE(metrics.Render().find(name), std::string::npos) << "not " << name;
    }
    for (const Reader& reader : readers_) {
      for (const uint64_t lost : reader.cursor->totals().lost_items) EXPECT_EQ(lost, 0u);
    }
  }

  void Step() {
    Reader& reader = readers_[Below(readers_.size())];
    switch (Below(12)) {
      case 0:
      case 1:
      case 2:
        for (uint64_t frames = 1 + Below(4); frames > 0; --frames) Append(Size());
        return;
      case 3:
      case 4:
        return Read(reader, Chance(2) ? Cursor::From::kBacklog : Cursor::From::kLive, 1 + Below(6));
      case 5:
      case 6:
        for (uint64_t frames = Below(6); frames > 0; --frames) Acknowledge(reader);
        return;
      case 7:
        if (Chance(3)) reader.cursor->Fork();
        return;
      case 8:
        if (Chance(4)) Rest();
        return;
      default:
        return Turn();
    }
  }

  size_t Size() {
    if (Chance(60)) return 30'000;  // longer than a segment
    return Chance(4) ? Below(9'000) : Below(600);
  }

  void Append(size_t size) {
    const otlp::Signal signal = Chance(3) ? otlp::Signal::kLogs : otlp::Signal::kTraces;
    const uint32_t number = ++last_number_;
    offered_[number] = {signal, size};
    ++under_way_;
    log_->Append({signal, {.items = number, .resources = 1}, BytesOfFrame(number, size)},
                 [this, signal, number](Log::Taken answer) {
                   --under_way_;
                   if (answer == Log::Taken::kFailed) ++failed_;
                   if (answer != Log::Taken::kYes) ++refused_;
                   if (answer != Log::Taken::kYes) return;
                   for (Reader& reader : readers_) {
                     // One that is quick acknowledges before the sender hears of it.
                     if (reader.signal == signal && !reader.acknowledged.contains(number)) reader.owed.insert(number);
                   }
                 });
  }

  void Read(Reader& reader, Cursor::From from, uint64_t frames) {
    if (!reader.cursor->Prepare(from, 20'000)) return;
    for (; frames > 0; --frames) {
      auto frame = reader.cursor->Next(from);
      if (!frame) return;
      Check(reader, *frame);
      reader.in_hand.push_back(std::move(*frame));
    }
  }

  void Check(Reader& reader, const Frame& frame) {
    const uint32_t number = frame.counts().items;
    const auto offered = offered_.find(number);
    ASSERT_NE(offered, offered_.end()) << "frame " << number << " was never offered";
    const auto [signal, size] = offered->second;
    ASSERT_EQ(signal, reader.signal) << number;
    ASSERT_EQ(frame.bytes().size(), size) << number;
    ASSERT_TRUE(std::ranges::equal(frame.bytes(), BytesOfFrame(number, size).view())) << number << " changed";
    ASSERT_TRUE(reader.delivered.insert(number).second) << number << " came twice in one life";
    ASSERT_FALSE(reader.saved.contains(number)) << number << " came again though its acknowledgement was saved";
  }

  void Acknowledge(Reader& reader) {
    if (reader.in_hand.empty()) return;
    const size_t which = Below(reader.in_hand.size());
    std::swap(reader.in_hand[which], reader.in_hand.back());
    const uint32_t number = reader.in_hand.back().counts().items;
    reader.cursor->Acknowledge(reader.in_hand.back());
    reader.in_hand.pop_back();
    reader.owed.erase(number);
    reader.acknowledged.insert(number);
  }

  void Turn() {
    // With nothing else to wait for, it is for the time a group gathers.
    const bool waits = io_->idle() && under_way_ > 0;
    if (waits) loop_.Advance(std::chrono::milliseconds(1));
    loop_.RunOnce(base::Nanos(0));
  }

  // Until nothing is under way: then every acknowledgement is saved.
  void Rest() {
    for (int idle_turns = 0, turns = 0; idle_turns < 3; ++turns) {
      ASSERT_LT(turns, 20'000) << "it does not come to rest";
      Turn();
      idle_turns = io_->idle() && under_way_ == 0 ? idle_turns + 1 : 0;
      if (IsOver()) return;
    }
    if (faults_) return;
    for (Reader& reader : readers_) reader.Saved();
  }

  void DeliverAll() {
    for (Reader& reader : readers_) {
      const auto unread = [&reader] {
        return reader.cursor->has_backlog() || reader.cursor->unread(Cursor::From::kLive).frames > 0;
      };
      for (int turns = 0; unread(); ++turns) {
        ASSERT_LT(turns, 20'000) << "what is unread cannot be read";
        Read(reader, Cursor::From::kBacklog, 10);
        Read(reader, Cursor::From::kLive, 10);
        if (testing::Test::HasFailure()) return;
        while (!reader.in_hand.empty()) Acknowledge(reader);
        Turn();
      }
      EXPECT_TRUE(reader.owed.empty()) << reader.owed.size() << " frames were answered OK and are lost, the first is "
                                       << *reader.owed.begin() << ", for " << otlp::Name(reader.signal) << "."
                                       << reader.name;
    }
    Rest();
  }

  std::mt19937_64 random_;
  base::SimulatedDisk disk_;
  base::Loop loop_;
  const Log::Mode mode_;
  uint64_t end_ = 0;  // the disk's operation at which this life ends
  bool faults_ = false;
  std::vector<Reader> readers_;
  uint32_t last_number_ = 0;
  struct Offer {
    otlp::Signal signal;
    size_t size;
  };
  std::map<uint32_t, Offer> offered_;
  int under_way_ = 0;
  int refused_ = 0;
  int failed_ = 0;  // of them, for the disk's sake
  base::SimulatedIo* io_ = nullptr;
  std::unique_ptr<Log> log_;
};

}  // namespace tributary::pipeline
