#include "base/file_system.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

namespace tributary::base {
namespace {

class FileSystemTest : public testing::Test {
 protected:
  FileSystemTest() : path_("/tmp/tributary_file_system_test.XXXXXX") { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~FileSystemTest() override { std::filesystem::remove_all(path_); }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  Fd Create(const std::string& name) { return files_.Open(Path(name), O_RDWR | O_CREAT | O_EXCL).value(); }

  FileSystem files_;
  std::string path_;
};

TEST_F(FileSystemTest, WritesPiecesAndReadsThemBack) {
  const Fd fd = Create("file");
  const std::string one = "one ";
  const std::string two = "two";
  const std::vector<iovec> pieces = {{const_cast<char*>(one.data()), one.size()},
                                     {const_cast<char*>(two.data()), two.size()}};
  EXPECT_EQ(files_.Write(fd.get(), pieces, 2), 7u);
  EXPECT_EQ(files_.Write(fd.get(), AsBytes("ab"), 0), 2u);
  EXPECT_TRUE(files_.Sync(fd.get()).has_value());
  EXPECT_EQ(files_.Size(fd.get()), 9u);
  std::vector<uint8_t> into(20);
  EXPECT_EQ(files_.Read(fd.get(), into, 1), 8u);
  EXPECT_EQ(AsText(into).substr(0, 8), "bone two");
  EXPECT_EQ(files_.Read(fd.get(), into, 9), 0u);
}

TEST_F(FileSystemTest, TakesIovMaxPiecesAtMostInOneCall) {
  const Fd fd = Create("file");
  uint8_t byte = 1;
  const std::vector<iovec> pieces(5000, {&byte, 1});
  EXPECT_EQ(files_.Write(fd.get(), pieces, 0), 1024u);
}

TEST_F(FileSystemTest, AllocatesWithoutTouchingWhatIsThere) {
  const Fd fd = Create("file");
  ASSERT_EQ(files_.Write(fd.get(), AsBytes("x"), 0), 1u);
  const IoResult<void> allocated = files_.Allocate(fd.get(), 100'000);
  if (!allocated && allocated.error() == EOPNOTSUPP) GTEST_SKIP() << "no fallocate under /tmp";
  ASSERT_TRUE(allocated.has_value());
  EXPECT_EQ(files_.Size(fd.get()), 100'000u);
  std::vector<uint8_t> into(2);
  EXPECT_EQ(files_.Read(fd.get(), into, 0), 2u);
  EXPECT_EQ(into, (std::vector<uint8_t>{'x', 0}));
}

TEST_F(FileSystemTest, ListsRenamesAndUnlinks) {
  EXPECT_TRUE(files_.MakeDirectory(Path("directory")).has_value());
  for (const char* name : {"b", "c", "a"}) Create(name);
  EXPECT_EQ(files_.List(path_).value(), (std::vector<std::string>{"a", "b", "c", "directory"}));
  EXPECT_TRUE(files_.Rename(Path("c"), Path("a")).has_value());
  EXPECT_TRUE(files_.Unlink(Path("b")).has_value());
  EXPECT_TRUE(files_.SyncDirectory(path_).has_value());
  EXPECT_EQ(files_.List(path_).value(), (std::vector<std::string>{"a", "directory"}));
  EXPECT_EQ(files_.List(Path("directory")).value(), std::vector<std::string>());
}

TEST_F(FileSystemTest, HandsBackErrno) {
  const std::string none = Path("none");
  EXPECT_EQ(files_.Open(none, O_RDWR).error(), ENOENT);
  EXPECT_EQ(files_.Unlink(none).error(), ENOENT);
  EXPECT_EQ(files_.Rename(none, Path("other")).error(), ENOENT);
  EXPECT_EQ(files_.List(none).error(), ENOENT);
  EXPECT_EQ(files_.SyncDirectory(none).error(), ENOENT);
  EXPECT_EQ(files_.MakeDirectory(path_).error(), EEXIST);
  EXPECT_EQ(files_.Sync(-1).error(), EBADF);
  EXPECT_EQ(files_.Size(-1).error(), EBADF);
  EXPECT_EQ(files_.Allocate(-1, 1).error(), EBADF);
  const Fd full = files_.Open("/dev/full", O_RDWR).value();
  EXPECT_EQ(files_.Write(full.get(), AsBytes("x"), 0).error(), ENOSPC);
}

}  // namespace
}  // namespace tributary::base
