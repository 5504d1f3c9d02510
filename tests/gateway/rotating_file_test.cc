#include "gateway/rotating_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace tributary::gateway {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

class RotatingFileTest : public ::testing::Test {
 protected:
  RotatingFileTest() {
    std::string pattern = (fs::temp_directory_path() / "rotating_file.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~RotatingFileTest() override { fs::remove_all(directory_); }

  std::string path() const { return directory_ / "telemetry.jsonl"; }
  RotatingFile Open(RotatingFile::Options options) const {
    options.path = path();
    auto file = RotatingFile::Open(std::move(options));
    EXPECT_TRUE(file) << file.error().message;
    return std::move(*file);
  }
  static std::string Read(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void Write(const fs::path& file, std::string_view content) {
    std::ofstream(file, std::ios::binary) << content;
  }
  // The files set aside, oldest first.
  std::vector<std::string> Backups() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      if (entry.path() != path()) names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path directory_;
};

TEST_F(RotatingFileTest, AppendsLinesToWhatIsThere) {
  Write(path(), "one\n");
  RotatingFile file = Open({});
  ASSERT_TRUE(file.Append("two\n"));
  ASSERT_TRUE(file.Append("three\n"));
  EXPECT_EQ(Read(path()), "one\ntwo\nthree\n");
}

TEST_F(RotatingFileTest, CutsOffTheHalfLineOfAnEarlierProcess) {
  Write(path(), "one\n{\"half");
  ASSERT_TRUE(Open({}).Append("two\n"));
  EXPECT_EQ(Read(path()), "one\ntwo\n");

  // One longer than a block of the search, and one that is the whole file.
  const std::string half(200'000, 'x');
  Write(path(), "one\n" + half);
  ASSERT_TRUE(Open({}).Append("two\n"));
  EXPECT_EQ(Read(path()), "one\ntwo\n");
  Write(path(), half);
  ASSERT_TRUE(Open({}).Append("two\n"));
  EXPECT_EQ(Read(path()), "two\n");
}

TEST_F(RotatingFileTest, SetsAFullFileAside) {
  RotatingFile file = Open({.bytes_max = 10});
  ASSERT_TRUE(file.Append("12345\n"));
  ASSERT_TRUE(file.Append("abc\n"));
  EXPECT_THAT(Backups(), IsEmpty());
  ASSERT_TRUE(file.Append("d\n"));
  EXPECT_EQ(Read(path()), "d\n");
  ASSERT_THAT(
      Backups(),
      ElementsAre(MatchesRegex("telemetry-[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}\\.[0-9]{3}\\.jsonl")));
  EXPECT_EQ(Read(directory_ / Backups()[0]), "12345\nabc\n");
  EXPECT_EQ(file.rotations(), 1);
}

TEST_F(RotatingFileTest, CountsWhatWasThereBeforeItOpened) {
  Write(path(), "12345678\n");
  ASSERT_TRUE(Open({.bytes_max = 10}).Append("ab\n"));
  EXPECT_EQ(Read(path()), "ab\n");
  EXPECT_THAT(Backups(), SizeIs(1));
}

TEST_F(RotatingFileTest, ALineLongerThanAFileGetsOneOfItsOwn) {
  RotatingFile file = Open({.bytes_max = 4});
  ASSERT_TRUE(file.Append("a\n"));
  ASSERT_TRUE(file.Append("longer than four\n"));
  ASSERT_TRUE(file.Append("b\n"));
  EXPECT_EQ(Read(path()), "b\n");
  ASSERT_THAT(Backups(), SizeIs(2));
  EXPECT_EQ(Read(directory_ / Backups()[0]), "a\n");
  EXPECT_EQ(Read(directory_ / Backups()[1]), "longer than four\n");
}

TEST_F(RotatingFileTest, KeepsTheNewestBackupsAndNothingElseOfOthers) {
  Write(directory_ / "telemetry-notes.jsonl", "mine");
  Write(directory_ / "telemetry-2020-01-01T00-00-00.000.jsonl", "oldest");
  RotatingFile file = Open({.bytes_max = 2, .backups_max = 2});
  for (const char* line : {"a\n", "b\n", "c\n", "d\n"}) ASSERT_TRUE(file.Append(line));
  EXPECT_EQ(Read(path()), "d\n");
  ASSERT_THAT(Backups(), SizeIs(3));
  EXPECT_EQ(Read(directory_ / Backups()[0]), "b\n");
  EXPECT_EQ(Read(directory_ / Backups()[1]), "c\n");
  EXPECT_EQ(Backups()[2], "telemetry-notes.jsonl");
}

TEST_F(RotatingFileTest, DeletesBackupsOfLongAgo) {
  Write(directory_ / "telemetry-2020-01-01T00-00-00.000.jsonl", "old");
  Write(directory_ / "telemetry-2999-01-01T00-00-00.000.jsonl", "young");
  RotatingFile file = Open({.bytes_max = 2, .days_max = 7, .backups_max = 0});
  ASSERT_TRUE(file.Append("a\n"));
  ASSERT_TRUE(file.Append("b\n"));
  ASSERT_THAT(Backups(), SizeIs(2));
  EXPECT_EQ(Read(directory_ / Backups()[0]), "a\n");
  EXPECT_EQ(Backups()[1], "telemetry-2999-01-01T00-00-00.000.jsonl");
}

TEST_F(RotatingFileTest, BeginsAnewWhenTheFileWasMovedOrDeleted) {
  RotatingFile file = Open({});
  ASSERT_TRUE(file.Append("one\n"));
  fs::rename(path(), directory_ / "moved");
  ASSERT_TRUE(file.Append("two\n"));
  EXPECT_EQ(Read(directory_ / "moved"), "one\n");
  EXPECT_EQ(Read(path()), "two\n");
  fs::remove(path());
  ASSERT_TRUE(file.Append("three\n"));
  EXPECT_EQ(Read(path()), "three\n");
}

TEST_F(RotatingFileTest, RefusesToOpenWhatIsNoPlaceForAFile) {
  auto no_directory = RotatingFile::Open({.path = directory_ / "missing" / "x.jsonl"});
  ASSERT_FALSE(no_directory);
  EXPECT_THAT(no_directory.error().message, HasSubstr("missing/x.jsonl: No such file or directory"));
  auto device = RotatingFile::Open({.path = "/dev/null"});
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().message, "/dev/null: not a regular file");
}

// The system's limit on file sizes makes write() do what a full disk makes it do: write a part, then fail.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = old_limit_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  sighandler_t old_handler_;
};

TEST_F(RotatingFileTest, LeavesNoHalfLineWhenTheDiskIsFull) {
  RotatingFile file = Open({});
  ASSERT_TRUE(file.Append("whole\n"));
  {
    FileSizeLimit limit(10);
    auto appended = file.Append("does not fit\n");
    ASSERT_FALSE(appended);
    EXPECT_THAT(appended.error().message, HasSubstr("telemetry.jsonl: File too large"));
    EXPECT_EQ(Read(path()), "whole\n");
    EXPECT_TRUE(file.Append("fit\n"));
  }
  EXPECT_TRUE(file.Append("fits again\n"));
  EXPECT_EQ(Read(path()), "whole\nfit\nfits again\n");
}

TEST_F(RotatingFileTest, TriesAgainAfterItCouldNotOpenTheNextFile) {
  RotatingFile file = Open({.bytes_max = 2});
  ASSERT_TRUE(file.Append("a\n"));
  fs::remove(path());
  fs::create_directory(path());
  EXPECT_FALSE(file.Append("b\n"));
  fs::remove(path());
  EXPECT_TRUE(file.Append("b\n"));
  EXPECT_EQ(Read(path()), "b\n");
}

}  // namespace
}  // namespace tributary::gateway
