// A Log on a damaged disk: bytes of its files flipped, files cut, tails torn, cursors lost. It starts, gives back every
// frame that was not hit, and counts exactly those that were, as far as the files tell.
//
// The Log is 1 MiB. Of its segment files bytes of headers and of payloads are tried, of its cursor file every one that
// means something; TRIBUTARY_EVERY_BYTE=1 tries all (20 minutes each).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pipeline/log_format.h"
#include "tests/base/simulated_disk.h"
#include "tests/base/simulated_io.h"
#include "tests/pipeline/log_life.h"
#include "tests/sanitized.h"

namespace tributary::pipeline {
namespace {

using Files = std::map<std::string, std::vector<uint8_t>>;

constexpr size_t kSegmentBytes = 128 << 10;
const std::string kCursor = "/log/cursors/traces.reader";

Log::Options Options(size_t bytes_max) {
  return {.mode = Log::Mode::kProcess,
          .bytes_max = bytes_max,
          .directory = "/log",
          .memory_bytes_max = 4 << 20,
          .segment_bytes = kSegmentBytes};
}

// A frame as it lies in its file.
struct Placed {
  std::string path;
  size_t begin = 0;
  size_t end = 0;  // of its header and payload
  uint64_t committed = 0;
  uint32_t number = 0;  // 0: the Log was closed here
};

class Damage : public testing::Test {
 protected:
  Damage() { spdlog::set_level(spdlog::level::off); }  // a line for each damaged file, thousands of times

  // One life: ~1 MiB of frames, of which some are acknowledged.
  Files Live(bool close) {
    base::SimulatedDisk disk(1);
    auto life =
        std::make_unique<LogLife>(loop_, disk, std::make_unique<base::SimulatedIo>(loop_, disk, 1), Options(8 << 20));
    std::mt19937 random(1);
    for (size_t bytes = 0; bytes < 1 << 20;) {
      const size_t size = random() % 16 == 0 ? random() % 20'000 : random() % 1'500;
      life->Append(++frames_, size);
      bytes += FrameBytes(size);
      if (frames_ % 8 == 0) life->Settle();
    }
    life->Settle();
    EXPECT_EQ(life->taken.size(), frames_);
    for (uint32_t i = 0; i < frames_ / 2; ++i) {
      const auto frame = life->Read(Cursor::From::kLive);
      if (!frame || (i > frames_ / 4 && i % 3 != 0)) continue;
      life->cursor().Acknowledge(*frame);
      acknowledged_.insert(frame->counts().items);
    }
    life->Turns(50);
    if (!close) disk.CrashAfter(disk.operations());
    life.reset();
    disk.Kill();
    Files files;
    const std::vector<std::string> names = disk.List("/log").value();
    for (const std::string& name : names) {
      if (name.starts_with("segment-")) files["/log/" + name] = disk.Content("/log/" + name);
    }
    files[kCursor] = disk.Content(kCursor);
    Place(files);
    return files;
  }

  // Finds the frames; those that nobody wants any more may be gone with their files.
  void Place(const Files& files) {
    for (const auto& [path, content] : files) {
      const auto segment = DecodeSegmentHeader(content);
      if (path == kCursor || !segment) continue;
      const base::ByteView frames = base::ByteView(content).subspan(kSegmentHeaderBytes);
      WalkFrames(
          frames, segment->segment_id, segment->first_sequence,
          [&](const FrameHeader& header, size_t at, base::ByteView body) {
            const size_t begin = kSegmentHeaderBytes + at;
            placed_.push_back({path, begin, begin + sizeof header + body.size(), header.committed, header.items});
          });
    }
    std::ranges::sort(placed_, {}, [](const Placed& placed) { return placed.number - 1; });
  }

  // The next life of `files`, of which the frames that `hit` says are no longer whole.
  template <typename Hit>
  void Check(const Files& files, Hit hit) {
    std::set<uint32_t> expected;
    uint64_t committed = 0;
    for (const Placed& placed : placed_) {
      if (hit(placed)) continue;
      committed = std::max(committed, placed.committed);
      if (placed.number != 0 && !acknowledged_.contains(placed.number)) expected.insert(placed.number);
    }
    uint64_t damaged = 0;
    for (const Placed& placed : placed_) {
      damaged +=
          hit(placed) && placed.number != 0 && placed.number < committed && !acknowledged_.contains(placed.number);
    }
    base::SimulatedDisk disk(1);
    const auto life = Restart(disk, files);
    ASSERT_EQ(life->error, "");
    ExpectDamagedFrames(life->log(), damaged);
    life->ReadAll(1'000);
    ASSERT_EQ(std::set(life->read.begin(), life->read.end()), expected);
    ASSERT_EQ(life->read.size(), expected.size());
    ASSERT_EQ(life->cursor().totals().held_items, 0u);
  }

  static void ExpectDamagedFrames(const Log& log, uint64_t damaged) {
    base::MetricsText metrics;
    log.WriteMetrics(metrics);
    const std::string line = fmt::format("\ntributary_log_damaged_frames_total {}\n", damaged);
    EXPECT_NE(metrics.Render().find(line), std::string::npos) << "not" << line << metrics.Render();
  }

  std::unique_ptr<LogLife> Restart(base::SimulatedDisk& disk, const Files& files) {
    EXPECT_TRUE(disk.MakeDirectory("/log") && disk.MakeDirectory("/log/cursors"));
    for (const auto& [path, content] : files) {
      EXPECT_TRUE(disk.Open(path, O_RDWR | O_CREAT));
      disk.SetContent(path, content);
    }
    // No room for more files than there are: none is made, which would take longer than all the rest.
    return std::make_unique<LogLife>(loop_, disk, std::make_unique<base::SimulatedIo>(loop_, disk, 1), Options(1));
  }

  static bool EveryByte() {
    static const bool every_byte = std::getenv("TRIBUTARY_EVERY_BYTE") != nullptr;
    return every_byte;
  }
  // Whether a byte of a segment file is worth a life.
  bool IsTried(const std::string& path, size_t at) const {
    if (EveryByte()) return true;
    if (at % (tests::kSanitized ? 99'991 : 9'973) == 0) return true;
    if (tests::kSanitized) return false;
    const auto frame = std::ranges::find_if(
        placed_, [&](const Placed& placed) { return placed.path == path && at >= placed.begin && at < placed.end; });
    return frame != placed_.end() && at - frame->begin < sizeof(FrameHeader) && frame->number % 256 == 0;
  }

  base::Loop loop_;
  uint32_t frames_ = 0;
  std::set<uint32_t> acknowledged_;
  std::vector<Placed> placed_;
};

TEST_F(Damage, OfOneByteCostsTheFrameItHitsAndNoOther) {
  Files files = Live(true);
  for (auto& [path, content] : files) {
    if (path == kCursor) continue;
    for (size_t at = 0; at < content.size() && !HasFailure(); ++at) {
      if (at >= kSegmentHeaderBytes + 1 && !IsTried(path, at)) continue;
      if (at > 64 && at < 2040 && at % 491 != 0) continue;
      if (at > 2120 && at < kSegmentHeaderBytes && at % 491 != 0) continue;
      SCOPED_TRACE(fmt::format("byte {} of {}", at, path));
      content[at] ^= 0x20;
      Check(files, [&, hit_path = path](const Placed& placed) {
        return placed.path == hit_path && placed.begin <= at && at < placed.end;
      });
      content[at] ^= 0x20;
    }
  }
}

TEST_F(Damage, OfTheCursorFileBringsFramesAgainAndLosesNone) {
  Files files = Live(true);
  std::vector<uint8_t>& content = files[kCursor];
  std::set<uint32_t> all;
  for (const Placed& placed : placed_) {
    if (placed.number != 0) all.insert(placed.number);
  }
  for (size_t at = 0; at < content.size() && !HasFailure(); at += tests::kSanitized ? 61 : 1) {
    if (content[at] == 0 && at % 16 != 0) continue;  // the empty part
    SCOPED_TRACE(at);
    content[at] ^= 0x20;
    base::SimulatedDisk disk(1);
    const auto life = Restart(disk, files);
    ExpectDamagedFrames(life->log(), 0);
    life->ReadAll(1'000);
    std::set<uint32_t> lost;
    const std::set<uint32_t> read(life->read.begin(), life->read.end());
    for (const uint32_t number : all) {
      if (!acknowledged_.contains(number) && !read.contains(number)) lost.insert(number);
    }
    ASSERT_TRUE(lost.empty()) << "lost " << *lost.begin();
    ASSERT_EQ(life->read.size(), read.size());
    ASSERT_TRUE(std::ranges::includes(all, read));
    content[at] ^= 0x20;
  }
}

TEST_F(Damage, ByCuttingAFileCostsWhatWasCutOff) {
  const Files files = Live(true);
  for (const auto& [path, content] : files) {
    if (path == kCursor) continue;
    for (size_t size = 0; size < content.size() && !HasFailure(); ++size) {
      const bool near_header = size <= sizeof(SegmentHeader) && size % 8 == 0;
      if (!near_header && !IsTried(path, size)) continue;
      SCOPED_TRACE(fmt::format("{} cut to {}", path, size));
      Files cut = files;
      cut[path].resize(size);
      const bool has_header = size >= sizeof(SegmentHeader);
      Check(cut, [&, cut_path = path](const Placed& placed) {
        return placed.path == cut_path && (placed.end > size || !has_header);
      });
    }
  }
}

TEST_F(Damage, OfACursorFileThatWasCutBringsFramesAgainAndLosesNone) {
  const Files files = Live(true);
  const auto whole = DecodeCursor(files.at(kCursor)).value();
  for (size_t size = 0; size < kCursorFileBytes && !HasFailure(); size += tests::kSanitized ? 997 : 197) {
    SCOPED_TRACE(size);
    Files cut = files;
    cut[kCursor].resize(size);
    // Either the slot in force is still there, or all frames come.
    const auto state = DecodeCursor(cut[kCursor]);
    const std::set<uint32_t> acknowledged = std::exchange(acknowledged_, {});
    if (state && state->generation == whole.generation) acknowledged_ = acknowledged;
    if (!state || state->generation == whole.generation) Check(cut, [](const Placed&) { return false; });
    acknowledged_ = acknowledged;
  }
}

// A crash in the middle of a write leaves of the last sectors what it likes. Nobody was told OK for them.
TEST_F(Damage, AtTheEndOfALogThatWasNotClosedIsATornTail) {
  const Files files = Live(false);
  ASSERT_NE(placed_.back().number, 0u);
  const Placed last = placed_.back();
  const size_t from = placed_[placed_.size() - 4].begin;
  const size_t step = EveryByte() ? 1 : tests::kSanitized ? 997 : 97;
  for (size_t size = from; size < last.end && !HasFailure(); size += step) {
    SCOPED_TRACE(fmt::format("{} torn at {}", last.path, size));
    const auto is_torn = [&](const Placed& placed) { return placed.path == last.path && placed.end > size; };
    Files torn = files;
    torn[last.path].resize(size);
    Check(torn, is_torn);
    // The file keeps its size, and zeros, or what was there in an earlier use, are where the frames should be.
    torn[last.path].resize(files.at(last.path).size());
    Check(torn, is_torn);
    std::mt19937 random(static_cast<uint32_t>(size));
    for (size_t at = size; at < torn[last.path].size(); ++at) torn[last.path][at] = static_cast<uint8_t>(random());
    Check(torn, is_torn);
  }
}

TEST_F(Damage, OfAnySectorsOfTheLastWriteIsATornTail) {
  const Files files = Live(false);
  const Placed last = placed_.back();
  // Frames from here on were written together, and none of them tells that another was answered.
  size_t first = placed_.size() - 1;
  while (placed_[first - 1].path == last.path && placed_[first - 1].committed == last.committed) --first;
  ASSERT_GT(placed_.size() - first, 3u);
  for (const size_t sector : {512, 4096}) {
    for (uint32_t seed = 0; seed < (tests::kSanitized ? 5 : 50) && !HasFailure(); ++seed) {
      SCOPED_TRACE(fmt::format("seed {}, sectors of {}", seed, sector));
      std::mt19937 random(seed);
      Files torn = files;
      std::vector<uint8_t>& content = torn[last.path];
      std::set<size_t> lost;  // sectors, by where they begin
      for (size_t at = placed_[first].begin; at < last.end; at = (at / sector + 1) * sector) {
        if (random() % 2 == 0) continue;
        const size_t end = std::min(last.end, (at / sector + 1) * sector);
        for (size_t i = at; i < end; ++i) content[i] = static_cast<uint8_t>(random());
        lost.insert(at);
      }
      Check(torn, [&](const Placed& placed) {
        const auto hit = lost.lower_bound(placed.begin / sector * sector);
        return placed.path == last.path && placed.begin >= placed_[first].begin && hit != lost.end() &&
               *hit < placed.end;
      });
    }
  }
}

TEST_F(Damage, OfAllTheCursorFileBringsEverythingAgainAndCountsNothing) {
  Files files = Live(true);
  files[kCursor].assign(kCursorFileBytes, 0xff);
  acknowledged_.clear();
  Check(files, [](const Placed&) { return false; });
}

// Nor does the life after that, which finds a whole cursor file again.
TEST_F(Damage, OfAllTheCursorFileIsOverWithTheNextLife) {
  Files files = Live(true);
  files[kCursor].assign(kCursorFileBytes, 0xff);
  base::SimulatedDisk disk(1);
  Restart(disk, files)->Turns(10);
  LogLife next(loop_, disk, std::make_unique<base::SimulatedIo>(loop_, disk, 1), Options(1));
  ExpectDamagedFrames(next.log(), 0);
  next.ReadAll(1'000);
}

TEST_F(Damage, OfTheCursorFileAndOfAFrameCountsTheFrame) {
  Files files = Live(true);
  files[kCursor].assign(kCursorFileBytes, 0xff);
  acknowledged_.clear();
  const Placed hit = placed_[placed_.size() / 2];
  files[hit.path][hit.begin] ^= 1;
  Check(files, [&](const Placed& placed) { return placed.number == hit.number; });
}

}  // namespace
}  // namespace tributary::pipeline
