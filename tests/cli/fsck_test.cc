// fsck as people use it: export, repair, exit codes. What it exports is what was taken; what it repairs, a Log reads.
#include "cli/fsck.h"

#include <simdjson.h>

#include <algorithm>
#include <numeric>
#include <sstream>

#include "cli/export.h"
#include "cli/repair.h"
#include "cli/report.h"
#include "otlp/json.h"
#include "tests/cli/log_directory.h"

namespace tributary::cli {
namespace {

using otlp::Signal;

std::vector<uint64_t> Numbers(uint64_t first, uint64_t last) {
  std::vector<uint64_t> numbers(last - first + 1);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// A file system of which one operation that changes something fails.
class FailingFileSystem : public base::FileSystem {
 public:
  explicit FailingFileSystem(int fail_at) : left_(fail_at) {}
  bool failed() const { return left_ < 0; }

  base::IoResult<base::Fd> Open(const std::string& path, int flags, mode_t mode) override {
    if ((flags & O_CREAT) != 0 && Fails()) return std::unexpected(ENOSPC);
    return FileSystem::Open(path, flags, mode);
  }
  base::IoResult<size_t> Write(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    if (Fails()) return std::unexpected(EIO);
    return FileSystem::Write(fd, pieces, offset);
  }
  base::IoResult<void> Sync(int fd) override {
    if (Fails()) return std::unexpected(EIO);
    return FileSystem::Sync(fd);
  }
  base::IoResult<void> SyncDirectory(const std::string& path) override {
    if (Fails()) return std::unexpected(EIO);
    return FileSystem::SyncDirectory(path);
  }
  base::IoResult<void> Rename(const std::string& from, const std::string& to) override {
    if (Fails()) return std::unexpected(EROFS);
    return FileSystem::Rename(from, to);
  }

 private:
  bool Fails() { return left_ == 0 ? (left_ = -1, true) : (left_ -= left_ > 0 ? 1 : 0, false); }

  int left_;
};

class FsckTest : public LogDirectory {
 protected:
  struct Ran {
    int exit_code;
    std::string out;
  };
  Ran Run(FsckOptions options) {
    options.directory = directory_;
    testing::internal::CaptureStdout();
    const int exit_code = Fsck(options);
    return {exit_code, testing::internal::GetCapturedStdout()};
  }
  Ran Mend() { return Run({.directory = {}, .export_file = {}, .signal = {}, .repair = true, .write = true}); }

  std::vector<std::string> Lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  // That `lines` are the requests with these items, in order.
  void ExpectRequests(Signal signal, const std::vector<std::string>& lines, const std::vector<uint64_t>& items) {
    ASSERT_EQ(lines.size(), items.size());
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto request = otlp::JsonToProto(signal, base::Bytes(lines[i]));
      ASSERT_TRUE(request) << request.error().message;
      EXPECT_TRUE(base::AsText(*request) == appended_.at({signal, items[i]})) << "item " << items[i];
    }
  }
  std::vector<uint64_t> ReadByALog() { return Live()->Read(Signal::kTraces); }
};

TEST_F(FsckTest, ExportsWhatWasTaken) {
  {
    const auto life = Live();
    for (uint64_t item = 1; item <= 100; ++item) life->Append(Signal::kTraces, item);
    for (uint64_t item = 1; item <= 10; ++item) life->Append(Signal::kMetrics, item);
    for (uint64_t item = 1; item <= 10; ++item) life->Append(Signal::kLogs, item);
  }
  for (const auto& [signal, last] : {std::pair(Signal::kTraces, 100), {Signal::kMetrics, 10}, {Signal::kLogs, 10}}) {
    const Ran ran = Run({.directory = {}, .export_file = "-", .signal = signal});
    EXPECT_EQ(ran.exit_code, 0);
    ExpectRequests(signal, Lines(ran.out), Numbers(1, static_cast<uint64_t>(last)));
  }
  EXPECT_EQ(Lines(Run({.directory = {}, .export_file = "-", .signal = {}}).out).size(), 120u);
}

TEST_F(FsckTest, ExportsWhatIsNotAcknowledged) {
  FillWithTraces(100, 70);
  const Ran ran = Run({.directory = {}, .export_file = "-", .signal = {}, .unacknowledged = true});
  ExpectRequests(Signal::kTraces, Lines(ran.out), Numbers(71, 100));
}

TEST_F(FsckTest, ExportsWhatIsWholeOfADamagedSegmentAndOfOneWithoutAHeader) {
  FillWithTraces(100);
  const auto frames = FramesOf(Signal::kTraces);
  ASSERT_NE(frames.at(20).name, frames.at(100).name);
  Flip(frames.at(20).name, frames.at(20).offset + 70);
  LoseHeader(frames.at(100).name);
  const Ran ran = Run({.directory = {}, .export_file = "-", .signal = {}});
  EXPECT_EQ(ran.exit_code, 1);
  std::vector<uint64_t> items = Numbers(1, 100);
  std::erase(items, 20u);
  ExpectRequests(Signal::kTraces, Lines(ran.out), items);
}

TEST_F(FsckTest, ExportsToAFileAndOverwritesNone) {
  FillWithTraces(3);
  const FsckOptions options{.directory = {}, .export_file = root_ + "/lines.json", .signal = {}};
  EXPECT_EQ(Run(options).exit_code, 0);
  std::ifstream file(options.export_file);
  ExpectRequests(Signal::kTraces, Lines({std::istreambuf_iterator<char>(file), {}}), Numbers(1, 3));
  EXPECT_EQ(Run(options).exit_code, 2);
}

TEST_F(FsckTest, TellsByItsExitCodeAndInJson) {
  FillWithTraces(10);
  EXPECT_EQ(Run({}).exit_code, 0);
  const auto frames = FramesOf(Signal::kTraces);
  Flip(frames.at(5).name, frames.at(5).offset + 70);
  EXPECT_EQ(Run({}).exit_code, 1);

  const Ran ran = Run({.directory = {}, .json = true, .export_file = {}, .signal = {}});
  EXPECT_EQ(ran.exit_code, 1);
  simdjson::dom::parser parser;
  simdjson::dom::element json = parser.parse(ran.out);
  EXPECT_TRUE(bool(json["damaged"]));
  EXPECT_FALSE(bool(json["in_use"]));
  EXPECT_EQ(uint64_t(json["frames"]), 9u);
  EXPECT_EQ(uint64_t(json["damaged_frames"]), 1u);
  EXPECT_EQ(uint64_t(json["segments"].at(0)["breaks"].at(0)["first_sequence"]), 5u);
  EXPECT_EQ(std::string_view(json["cursors"].at(2)["destination"]), "sink.one");

  directory_ = root_ + "/nowhere";
  EXPECT_EQ(Run({}).exit_code, 2);
}

TEST_F(FsckTest, ChangesNothingUnlessToldTo) {
  FillWithTraces(100);
  const auto frames = FramesOf(Signal::kTraces);
  Flip(frames.at(20).name, frames.at(20).offset + 70);
  LoseHeader(frames.at(100).name);
  std::map<std::string, std::string> before;
  const auto contents = [this] {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      const std::string name = entry.path().lexically_relative(directory_).string();
      if (entry.is_regular_file()) all[name] = Content(name);
    }
    return all;
  };
  before = contents();
  const Ran ran = Run({.directory = {}, .export_file = {}, .signal = {}, .repair = true});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.out.find("Nothing was changed. Give --write"), std::string::npos);
  EXPECT_TRUE(contents() == before);
}

TEST_F(FsckTest, KeepsAwayFromADirectoryThatAProcessHas) {
  FillWithTraces(10);
  const auto frames = FramesOf(Signal::kTraces);
  Flip(frames.at(5).name, frames.at(5).offset + 70);
  const auto lock = file_system_.Open(PathOf("lock"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file_system_.Lock(lock->get()));
  const Ran looked = Run({});
  EXPECT_EQ(looked.exit_code, 1);
  EXPECT_NE(looked.out.find("A running process has this directory"), std::string::npos);
  EXPECT_EQ(Mend().exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(PathOf(frames.at(5).name + ".replaced")));
}

TEST_F(FsckTest, MendsASegmentSoThatALogDeliversAllThatIsWhole) {
  FillWithTraces(100, 10);
  const auto frames = FramesOf(Signal::kTraces);
  const std::string name = frames.at(20).name;
  Flip(name, frames.at(20).offset + 70);
  Flip(name, frames.at(22).offset + 10);
  Flip(name, 20);
  Mend();
  EXPECT_TRUE(std::filesystem::exists(PathOf(name + ".replaced")));
  EXPECT_FALSE(std::filesystem::exists(PathOf(name)));
  const Survey mended = Surveyed();
  for (const SegmentFound& segment : mended.segments) {
    EXPECT_TRUE(segment.breaks.empty());
    EXPECT_FALSE(segment.one_copy);
  }
  EXPECT_EQ(mended.missing.size(), 2u) << "what is lost stays lost, and is said";

  std::vector<uint64_t> expected = Numbers(11, 100);
  std::erase(expected, 20u);
  std::erase(expected, 22u);
  EXPECT_EQ(ReadByALog(), expected);
  EXPECT_EQ(Run({}).exit_code, 0) << "the cursor has passed over what is lost";
}

TEST_F(FsckTest, MendsASegmentInTheMiddleThatLostItsHeader) {
  FillWithTraces(300, 10);
  const auto frames = FramesOf(Signal::kTraces);
  const std::string name = frames.at(150).name;
  ASSERT_NE(frames.at(20).name, name);
  ASSERT_NE(frames.at(300).name, name);
  LoseHeader(name);
  Flip(name, frames.at(150).offset + 70);
  Mend();
  std::vector<uint64_t> expected = Numbers(11, 300);
  std::erase(expected, 150u);
  EXPECT_EQ(ReadByALog(), expected);
}

TEST_F(FsckTest, MendsManyThatLostTheirHeadersFirstAndLastIncluded) {
  FillWithTraces(300);
  const auto frames = FramesOf(Signal::kTraces);
  std::vector<std::string> names;
  for (const auto& [sequence, where] : frames) {
    if (names.empty() || names.back() != where.name) names.push_back(where.name);
  }
  ASSERT_GT(names.size(), 4u);
  for (size_t i = 0; i < names.size(); ++i) {
    if (i != 2) LoseHeader(names[i]);
  }
  EXPECT_EQ(Mend().exit_code, 0);
  EXPECT_EQ(ReadByALog(), Numbers(1, 300));
}

TEST_F(FsckTest, MendsWhatALogHadSetAside) {
  FillWithTraces(300, 10);
  const std::string name = FramesOf(Signal::kTraces).at(150).name;
  LoseHeader(name);
  {
    const auto life = Live();
    life->Append(Signal::kTraces, 301);
    EXPECT_EQ(life->Read(Signal::kTraces, 5), Numbers(11, 15));
  }
  ASSERT_TRUE(std::filesystem::exists(PathOf(name + ".damaged")));
  EXPECT_EQ(Mend().exit_code, 0);
  EXPECT_EQ(ReadByALog(), Numbers(16, 301));
}

TEST_F(FsckTest, SetsAsideWhatNobodyWaitsFor) {
  FillWithTraces(100, 100);
  const std::string name = FramesOf(Signal::kTraces).at(100).name;
  LoseHeader(name);
  const Ran ran = Mend();
  EXPECT_EQ(ran.exit_code, 0) << ran.out;
  EXPECT_TRUE(std::filesystem::exists(PathOf(name + ".replaced")));
  EXPECT_EQ(ReadByALog(), std::vector<uint64_t>());
}

TEST_F(FsckTest, RemovesCursorFilesThatWereNeverFinished) {
  FillWithTraces(10, 5);
  std::ofstream(PathOf("cursors/traces.sink%2eone.new")) << "half";
  EXPECT_EQ(Mend().exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(PathOf("cursors/traces.sink%2eone.new")));
  EXPECT_EQ(ReadByALog(), Numbers(6, 10));
}

// Wherever a repair ends early, every whole frame is delivered once; and the next repair comes to its end.
TEST_F(FsckTest, LosesNothingWhereverARepairFails) {
  FillWithTraces(150, 10);
  const auto frames = FramesOf(Signal::kTraces);
  Flip(frames.at(20).name, frames.at(20).offset + 70);
  Flip(frames.at(100).name, frames.at(100).offset + 70);
  ASSERT_NE(frames.at(20).name, frames.at(100).name);
  std::filesystem::copy(directory_, root_ + "/kept", std::filesystem::copy_options::recursive);
  std::vector<uint64_t> expected = Numbers(11, 150);
  std::erase(expected, 20u);
  std::erase(expected, 100u);

  bool failed = true;
  int fail_at = 0;
  for (; failed; ++fail_at) {
    for (const bool again : {false, true}) {
      std::filesystem::remove_all(directory_);
      std::filesystem::copy(root_ + "/kept", directory_, std::filesystem::copy_options::recursive);
      FailingFileSystem failing(fail_at);
      for (const Repair& repair : Plan(Surveyed())) {
        if (!Do(failing, directory_, repair)) break;
      }
      failed = failing.failed();
      if (again) {
        Mend();
        EXPECT_TRUE(Plan(Surveyed()).empty()) << "after operation " << fail_at << "\n" << AsText(Surveyed());
      }
      EXPECT_EQ(ReadByALog(), expected) << "after operation " << fail_at;
    }
  }
  EXPECT_GT(fail_at, 10);
}

}  // namespace
}  // namespace tributary::cli
