#include "base/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/loop.h"

namespace tributary::base {
namespace {

std::vector<uint8_t> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& under) : path_(under + "/tributary_io_test.XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Parameters {
  IoKind kind;
  const char* directory;
};

void PrintTo(const Parameters& parameters, std::ostream* out) {
  *out << (parameters.kind == IoKind::kThread ? "thread" : "io_uring") << " in " << parameters.directory;
}

class IoTest : public testing::TestWithParam<Parameters> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(GetParam().directory)) GTEST_SKIP() << "there is no " << GetParam().directory;
    directory_.emplace(GetParam().directory);
    auto opened = OpenIo(loop_, file_system_, GetParam().kind);
    if (!opened) GTEST_SKIP() << "no io_uring here: " << opened.error().message;
    io_ = std::move(*opened);
  }

  Fd Open(const std::string& name, int flags = O_RDWR | O_CREAT) {
    auto fd = file_system_.Open(name.starts_with('/') ? name : directory_->path() + "/" + name, flags);
    EXPECT_TRUE(fd.has_value()) << name << ": errno " << fd.error();
    return fd ? std::move(*fd) : Fd();
  }

  int Write(int fd, std::vector<ByteView> pieces, uint64_t offset, Io::Sync sync) {
    int result = -1;
    io_->Write(fd, std::move(pieces), offset, sync, [&](int error) {
      result = error;
      loop_.Stop();
    });
    EXPECT_EQ(result, -1) << "told inside the call";
    loop_.Run();
    return result;
  }

  IoResult<size_t> Read(int fd, std::span<uint8_t> into, uint64_t offset) {
    std::optional<IoResult<size_t>> result;
    io_->Read(fd, into, offset, [&](IoResult<size_t> bytes) {
      result = bytes;
      loop_.Stop();
    });
    EXPECT_FALSE(result.has_value()) << "told inside the call";
    loop_.Run();
    return *result;
  }

  // What is in the file, not asking Io.
  std::vector<uint8_t> Content(int fd) {
    std::vector<uint8_t> content(file_system_.Size(fd).value());
    EXPECT_EQ(file_system_.Read(fd, content, 0).value(), content.size());
    return content;
  }

  FileSystem file_system_;
  std::optional<TemporaryDirectory> directory_;
  Loop loop_;
  std::unique_ptr<Io> io_;
};

TEST_P(IoTest, SaysWhatItIs) {
  EXPECT_EQ(io_->name(), GetParam().kind == IoKind::kThread ? "thread" : "io_uring");
  EXPECT_EQ(io_->reason(), GetParam().kind == IoKind::kThread ? "configured" : "");
}

TEST_P(IoTest, WritesThePiecesInOrderAtTheOffset) {
  for (const Io::Sync sync : {Io::Sync::kNo, Io::Sync::kYes}) {
    const Fd fd = Open(sync == Io::Sync::kYes ? "synced" : "written");
    EXPECT_EQ(Write(fd.get(), {AsBytes("one "), AsBytes(""), AsBytes("two "), AsBytes("three")}, 3, sync), 0);
    const std::vector<uint8_t> content = Content(fd.get());
    EXPECT_EQ(AsText(content), std::string_view("\0\0\0one two three", 16));
  }
}

TEST_P(IoTest, WritesAndReadsMoreThanOneCallMoves) {
  const std::vector<uint8_t> bytes = RandomBytes(3'000'000, 1);
  std::vector<ByteView> pieces;
  for (size_t at = 0; at < bytes.size(); at += 1000) pieces.push_back(ByteView(bytes).subspan(at, 1000));  // > IOV_MAX
  const Fd fd = Open("file");
  EXPECT_EQ(Write(fd.get(), pieces, 0, Io::Sync::kYes), 0);
  EXPECT_EQ(Content(fd.get()), bytes);
  std::vector<uint8_t> read(bytes.size());
  EXPECT_EQ(Read(fd.get(), read, 0), bytes.size());
  EXPECT_EQ(read, bytes);
}

// The kernel moves just under 2 GiB in one call, whatever is asked for.
TEST_P(IoTest, ContinuesAShortWrite) {
  const std::vector<uint8_t> mebibyte(1 << 20);
  const std::vector<ByteView> pieces(500, mebibyte);
  std::vector<ByteView> many;
  for (int i = 0; i < 10; ++i) many.insert(many.end(), pieces.begin(), pieces.end());
  const Fd nowhere = Open("/dev/null", O_WRONLY);
  EXPECT_EQ(Write(nowhere.get(), many, 0, Io::Sync::kNo), 0);
}

TEST_P(IoTest, NoPiecesOnlySync) {
  const Fd fd = Open("file");
  EXPECT_EQ(Write(fd.get(), {}, 0, Io::Sync::kYes), 0);
  EXPECT_EQ(Write(fd.get(), {}, 0, Io::Sync::kNo), 0);
  EXPECT_EQ(Write(fd.get(), {ByteView()}, 7, Io::Sync::kNo), 0);
  EXPECT_EQ(file_system_.Size(fd.get()), 0u);
  // What cannot be synced says so, so the sync was asked for.
  const Fd null = Open("/dev/null", O_RDWR);
  EXPECT_EQ(Write(null.get(), {}, 0, Io::Sync::kYes), EINVAL);
  EXPECT_EQ(Write(null.get(), {AsBytes("x")}, 0, Io::Sync::kYes), EINVAL);
}

TEST_P(IoTest, ReadsFewerBytesOnlyAtTheEnd) {
  const Fd fd = Open("file");
  ASSERT_TRUE(file_system_.Write(fd.get(), AsBytes("0123456789"), 0).has_value());
  std::vector<uint8_t> into(6);
  EXPECT_EQ(Read(fd.get(), into, 2), 6u);
  EXPECT_EQ(AsText(into), "234567");
  EXPECT_EQ(Read(fd.get(), into, 7), 3u);
  EXPECT_EQ(AsText(into).substr(0, 3), "789");
  EXPECT_EQ(Read(fd.get(), into, 10), 0u);
  EXPECT_EQ(Read(fd.get(), into, 1'000'000), 0u);
  EXPECT_EQ(Read(fd.get(), {}, 0), 0u);
}

TEST_P(IoTest, ManyAtOnceAllArriveWhereTheyBelong) {
  constexpr size_t kEach = 5000;
  constexpr size_t kMany = 1000;
  const std::vector<uint8_t> bytes = RandomBytes(kEach * kMany, 2);
  const Fd fd = Open("file");
  size_t told = 0;
  for (size_t i = 0; i < kMany; ++i) {
    const ByteView part = ByteView(bytes).subspan(i * kEach, kEach);
    io_->Write(fd.get(), {part.first(i), part.subspan(i)}, i * kEach, i % 50 == 0 ? Io::Sync::kYes : Io::Sync::kNo,
               [&](int error) {
                 EXPECT_EQ(error, 0);
                 if (++told == kMany) loop_.Stop();
               });
  }
  loop_.Run();
  EXPECT_EQ(Content(fd.get()), bytes);

  std::vector<uint8_t> read(bytes.size());
  told = 0;
  for (size_t i = 0; i < kMany; ++i) {
    io_->Read(fd.get(), std::span(read).subspan(i * kEach, kEach), i * kEach, [&](IoResult<size_t> got) {
      EXPECT_EQ(got, kEach);
      if (++told == kMany) loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(read, bytes);
}

TEST_P(IoTest, ADoneMayAskForMore) {
  const Fd fd = Open("file");
  const std::string digits = "0123456789";
  size_t written = 0;
  std::function<void(int)> next = [&](int error) {
    EXPECT_EQ(error, 0);
    if (++written == digits.size()) return loop_.Stop();
    io_->Write(fd.get(), {AsBytes(digits).subspan(written, 1)}, written, Io::Sync::kNo, next);
  };
  io_->Write(fd.get(), {AsBytes(digits).first(1)}, 0, Io::Sync::kNo, next);
  loop_.Run();
  EXPECT_EQ(AsText(Content(fd.get())), digits);
}

TEST_P(IoTest, HandsBackErrors) {
  std::vector<uint8_t> into(10);
  const Fd full = Open("/dev/full", O_RDWR);
  EXPECT_EQ(Write(full.get(), {AsBytes("x")}, 0, Io::Sync::kNo), ENOSPC);
  EXPECT_EQ(Write(full.get(), {AsBytes("x")}, 0, Io::Sync::kYes), ENOSPC);
  const Fd read_only = Open("file", O_RDONLY | O_CREAT);
  EXPECT_EQ(Write(read_only.get(), {AsBytes("x")}, 0, Io::Sync::kYes), EBADF);
  const Fd write_only = Open("file", O_WRONLY);
  EXPECT_EQ(Read(write_only.get(), into, 0).error(), EBADF);
  EXPECT_EQ(Read(-1, into, 0).error(), EBADF);
  const Fd directory = Open(directory_->path(), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(Read(directory.get(), into, 0).error(), EISDIR);
  // And is well after them.
  EXPECT_EQ(Write(write_only.get(), {AsBytes("well")}, 0, Io::Sync::kYes), 0);
}

// The kernel writes up to the limit, which is a short write, and the next call fails.
TEST_P(IoTest, ReportsWhatBecomesOfTheRestOfAShortWrite) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit = {.rlim_cur = 100'000, .rlim_max = before.rlim_max};
  const std::vector<uint8_t> bytes = RandomBytes(150'000, 3);
  for (const Io::Sync sync : {Io::Sync::kNo, Io::Sync::kYes}) {
    const Fd fd = Open(sync == Io::Sync::kYes ? "synced" : "written");
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_EQ(Write(fd.get(), {ByteView(bytes).first(70'000), ByteView(bytes).subspan(70'000)}, 0, sync), EFBIG);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_TRUE(std::ranges::equal(Content(fd.get()), ByteView(bytes).first(100'000)));
    // The rest fits once the limit is gone.
    EXPECT_EQ(Write(fd.get(), {ByteView(bytes).subspan(100'000)}, 100'000, sync), 0);
    EXPECT_EQ(Content(fd.get()), bytes);
  }
}

TEST_P(IoTest, ReportsAFullDisk) {
  const std::string path = directory_->path() + "/small";
  std::filesystem::create_directory(path);
  if (::mount("none", path.c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "may not mount a small tmpfs";
  const std::vector<uint8_t> bytes = RandomBytes(3 << 20, 4);
  for (const Io::Sync sync : {Io::Sync::kNo, Io::Sync::kYes}) {
    const Fd fd = Open("small/file", O_RDWR | O_CREAT | O_TRUNC);
    EXPECT_EQ(Write(fd.get(), {bytes}, 0, sync), ENOSPC);
    EXPECT_EQ(Write(fd.get(), {ByteView(bytes).first(1000)}, 0, sync), 0) << "what is there may be written again";
  }
  EXPECT_EQ(::umount(path.c_str()), 0);
}

TEST_P(IoTest, DestructionWaitsForWhatIsUnderWayAndTellsNobody) {
  constexpr size_t kMany = 300;
  const Fd fd = Open("file");
  auto held = std::make_shared<int>();
  auto bytes = std::make_unique<std::vector<uint8_t>>(RandomBytes(100'000, 5));
  auto into = std::make_unique<std::vector<uint8_t>>(100'000);
  const auto alive = [&, held] { EXPECT_NE(io_, nullptr) << "told after destruction"; };
  for (size_t i = 0; i < kMany; ++i) {
    io_->Write(fd.get(), {*bytes}, i * bytes->size(), Io::Sync::kYes, [alive](int) { alive(); });
    io_->Read(fd.get(), *into, 0, [alive](IoResult<size_t>) { alive(); });
  }
  // By now much of it has begun.
  loop_.AtEndOfTurn([&] {
    io_.reset();
    bytes.reset();
    into.reset();
  });
  loop_.RunOnce(Nanos(0));
  loop_.RunOnce(Nanos(0));
  EXPECT_EQ(held.use_count(), 2);  // and `alive`'s
}

TEST_P(IoTest, DestructionForgetsWhatHasNotBegun) {
  const Fd fd = Open("file");
  auto held = std::make_shared<int>();
  io_->Write(fd.get(), {AsBytes("x")}, 0, Io::Sync::kNo, [held](int) { FAIL() << "told"; });
  io_.reset();
  loop_.RunOnce(Nanos(0));
  EXPECT_EQ(held.use_count(), 1);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, IoTest,
                         testing::Values(Parameters{IoKind::kIoUring, "/tmp"}, Parameters{IoKind::kIoUring, "/dev/shm"},
                                         Parameters{IoKind::kThread, "/tmp"}, Parameters{IoKind::kThread, "/dev/shm"}),
                         [](const auto& test) {
                           return std::string(test.param.kind == IoKind::kThread ? "Thread" : "IoUring") +
                                  (std::string_view(test.param.directory) == "/tmp" ? "InTmp" : "InShm");
                         });

// Three bytes at a time, either way.
class TricklingFileSystem : public FileSystem {
 public:
  IoResult<size_t> Write(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    const iovec first = {pieces[0].iov_base, std::min<size_t>(pieces[0].iov_len, 3)};
    return FileSystem::Write(fd, std::span(&first, 1), offset);
  }
  IoResult<size_t> Read(int fd, std::span<uint8_t> into, uint64_t offset) override {
    return FileSystem::Read(fd, into.first(std::min<size_t>(into.size(), 3)), offset);
  }
};

TEST(ThreadIo, ContinuesShortWritesAndReads) {
  TricklingFileSystem file_system;
  Loop loop;
  const std::unique_ptr<Io> io = OpenIo(loop, file_system, IoKind::kThread).value();
  const TemporaryDirectory directory("/tmp");
  const Fd fd = file_system.Open(directory.path() + "/file", O_RDWR | O_CREAT).value();
  std::vector<uint8_t> into(20);
  io->Write(fd.get(), {AsBytes("one two"), AsBytes(" "), AsBytes("three four")}, 0, Io::Sync::kYes,
            [](int error) { EXPECT_EQ(error, 0); });
  io->Read(fd.get(), into, 0, [&](IoResult<size_t> bytes) {
    EXPECT_EQ(bytes, 18u);
    EXPECT_EQ(AsText(into).substr(0, 18), "one two three four");
    loop.Stop();
  });
  loop.Run();
}

// Filters are a thread's own, so what is refused here ends with the thread.
void RefuseIoUringInThisThread(int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {.len = std::size(program), .filter = program};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), 0);
}

TEST(OpenIo, TakesAThreadWhereIoUringIsRefusedAndSaysWhy) {
  for (const int error : {EPERM, ENOSYS, ENOMEM}) {
    std::thread([error] {
      RefuseIoUringInThisThread(error);
      FileSystem file_system;
      Loop loop;
      const std::string reason = std::string("io_uring_setup: ") + ::strerror(error);
      const std::unique_ptr<Io> io = OpenIo(loop, file_system).value();
      EXPECT_EQ(io->name(), "thread");
      EXPECT_EQ(io->reason(), reason);
      const auto forced = OpenIo(loop, file_system, IoKind::kIoUring);
      ASSERT_FALSE(forced.has_value());
      EXPECT_EQ(forced.error().message, reason);
    }).join();
  }
}

TEST(OpenIo, RestrictsTheRing) {
  FileSystem file_system;
  Loop loop;
  const auto io = OpenIo(loop, file_system, IoKind::kIoUring);
  if (!io) GTEST_SKIP() << "no io_uring here: " << io.error().message;
  int rings = 0;
  for (const auto& open : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(open, gone) != "anon_inode:[io_uring]") continue;
    ++rings;
    // A ring without restrictions takes this, and a restricted one only what it is restricted to.
    constexpr int kRegisterPersonality = 9;
    EXPECT_EQ(::syscall(SYS_io_uring_register, std::stoi(open.path().filename()), kRegisterPersonality, nullptr, 0),
              -1);
    EXPECT_EQ(errno, EACCES);
  }
  EXPECT_EQ(rings, 1);
}

}  // namespace
}  // namespace tributary::base
