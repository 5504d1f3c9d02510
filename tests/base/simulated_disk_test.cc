#include "tests/base/simulated_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "tests/base/simulated_io.h"

namespace tributary::base {
namespace {

constexpr uint64_t kSeeds = 300;

std::string Text(const SimulatedDisk& disk, const std::string& path) {
  const std::vector<uint8_t> content = disk.Content(path);
  return std::string(AsText(content));
}

bool Exists(SimulatedDisk& disk, const std::string& name) {
  const std::vector<std::string> names = disk.List("/").value();
  return std::ranges::find(names, name) != names.end();
}

Fd Create(SimulatedDisk& disk, const std::string& path, std::string_view content = "") {
  Fd fd = disk.Open(path, O_RDWR | O_CREAT).value();
  if (!content.empty()) {
    EXPECT_EQ(disk.Write(fd.get(), AsBytes(content), 0), content.size());
  }
  return fd;
}

// A file that is there for good.
Fd CreateSynced(SimulatedDisk& disk, const std::string& path, std::string_view content) {
  Fd fd = Create(disk, path, content);
  EXPECT_TRUE(disk.Sync(fd.get()).has_value());
  EXPECT_TRUE(disk.SyncDirectory("/").has_value());
  return fd;
}

// What `scenario` and a crash leave, over many seeds.
template <typename Scenario>
std::set<std::string> Outcomes(Scenario scenario) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimulatedDisk disk(seed);
    outcomes.insert(scenario(disk));
  }
  return outcomes;
}

using Set = std::set<std::string>;

TEST(SimulatedDisk, ShowsEveryWriteAtOnceToTheLiving) {
  SimulatedDisk disk(1);
  const Fd fd = Create(disk, "/file", "0123456789");
  EXPECT_EQ(disk.Write(fd.get(), AsBytes("xy"), 12), 2u);
  EXPECT_EQ(disk.Size(fd.get()), 14u);
  std::vector<uint8_t> into(20);
  EXPECT_EQ(disk.Read(fd.get(), into, 8), 6u);
  EXPECT_EQ(AsText(into).substr(0, 6), std::string_view("89\0\0xy", 6));
  EXPECT_EQ(disk.Read(fd.get(), into, 14), 0u);
  const Fd again = disk.Open("/file", O_RDONLY).value();
  EXPECT_EQ(disk.Size(again.get()), 14u);
  EXPECT_EQ(disk.Write(again.get(), AsBytes("x"), 0).error(), EBADF);
}

TEST(SimulatedDisk, KnowsItsErrors) {
  SimulatedDisk disk(1);
  const Fd fd = Create(disk, "/file");
  EXPECT_EQ(disk.Open("/none", O_RDWR).error(), ENOENT);
  EXPECT_EQ(disk.Open("/none/file", O_RDWR | O_CREAT).error(), ENOENT);
  EXPECT_EQ(disk.Open("/file/file", O_RDWR | O_CREAT).error(), ENOTDIR);
  EXPECT_EQ(disk.Open("/file", O_RDWR | O_CREAT | O_EXCL).error(), EEXIST);
  EXPECT_EQ(disk.Unlink("/none").error(), ENOENT);
  EXPECT_EQ(disk.Rename("/none", "/other").error(), ENOENT);
  EXPECT_EQ(disk.List("/none").error(), ENOENT);
  EXPECT_EQ(disk.SyncDirectory("/none").error(), ENOENT);
  EXPECT_TRUE(disk.MakeDirectory("/directory").has_value());
  EXPECT_EQ(disk.MakeDirectory("/directory").error(), EEXIST);
  EXPECT_EQ(disk.Open("/directory", O_RDWR).error(), EISDIR);
  EXPECT_EQ(disk.Sync(-1).error(), EBADF);
  EXPECT_EQ(disk.List("/").value(), (std::vector<std::string>{"directory", "file"}));
}

TEST(SimulatedDisk, WhatWasSyncedAlwaysSurvives) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    const Fd fd = CreateSynced(disk, "/file", "old");
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("new and longer"), 0), 14u);
    EXPECT_TRUE(disk.Sync(fd.get()).has_value());
    disk.Crash();
    return Text(disk, "/file");
  });
  EXPECT_EQ(outcomes, (Set{"new and longer"}));
}

TEST(SimulatedDisk, WhatWasNotSyncedSometimesSurvives) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    const Fd fd = CreateSynced(disk, "/file", "aaaa");
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("b"), 1), 1u);
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("c"), 2), 1u);
    EXPECT_EQ(Text(disk, "/file"), "abca");
    disk.Crash();
    return Text(disk, "/file");
  });
  EXPECT_EQ(outcomes, (Set{"aaaa", "abaa", "aaca", "abca"}));  // the later without the earlier, too
}

TEST(SimulatedDisk, TwoWritesOfOneSectorLeaveEitherOrTheOld) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    const Fd fd = CreateSynced(disk, "/file", "a");
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("b"), 0), 1u);
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("c"), 0), 1u);
    disk.Crash();
    return Text(disk, "/file");
  });
  EXPECT_EQ(outcomes, (Set{"a", "b", "c"}));
}

TEST(SimulatedDisk, AWriteIsTornAtSectorsOnly) {
  bool half = false;     // 512 B differs within 4 KiB
  bool torn = false;     // between two of 4 KiB
  bool nothing = false;  // and the extremes
  bool all = false;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimulatedDisk disk(seed);
    const Fd fd = CreateSynced(disk, "/file", std::string(16384, 'a'));
    // From the middle of a sector to the middle of one.
    EXPECT_EQ(disk.Write(fd.get(), AsBytes(std::string(12000, 'b')), 100), 12000u);
    disk.Crash();
    const std::string text = Text(disk, "/file");
    ASSERT_EQ(text.size(), 16384u);
    EXPECT_EQ(text.substr(0, 100), std::string(100, 'a'));
    EXPECT_EQ(text.substr(12100), std::string(4284, 'a'));
    for (size_t i = 101; i < 12100; ++i) {
      if (text[i] == text[i - 1]) continue;
      EXPECT_EQ(i % 512, 0u) << i;
      (i % 4096 == 0 ? torn : half) = true;
    }
    nothing |= !text.contains('b');
    all |= text.substr(100, 12000) == std::string(12000, 'b');
  }
  EXPECT_TRUE(half && torn && nothing && all);
}

TEST(SimulatedDisk, AFileThatGrewMayHaveAnySizeItHadAndZerosInIt) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    const Fd fd = CreateSynced(disk, "/file", "a");
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("b"), 1), 1u);
    EXPECT_TRUE(disk.Allocate(fd.get(), 3).has_value());
    EXPECT_EQ(disk.Size(fd.get()), 3u);
    disk.Crash();
    return Text(disk, "/file");
  });
  using namespace std::string_literals;
  EXPECT_EQ(outcomes, (Set{"a", "a\0"s, "ab", "a\0\0"s, "ab\0"s}));
}

TEST(SimulatedDisk, ATruncationSurvivesOrDoesNot) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    CreateSynced(disk, "/file", "old");
    const Fd fd = disk.Open("/file", O_RDWR | O_TRUNC).value();
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("n"), 0), 1u);
    EXPECT_EQ(Text(disk, "/file"), "n");
    disk.Crash();
    return Text(disk, "/file");
  });
  EXPECT_EQ(outcomes, (Set{"old", "", std::string(1, '\0'), "n"}));
}

TEST(SimulatedDisk, ACreatedFileSurvivesForCertainOnlyWithItsDirectorySynced) {
  const auto scenario = [](bool sync_directory) {
    return Outcomes([&](SimulatedDisk& disk) -> std::string {
      const Fd fd = Create(disk, "/file", "content");
      EXPECT_TRUE(disk.Sync(fd.get()).has_value());
      if (sync_directory) {
        EXPECT_TRUE(disk.SyncDirectory("/").has_value());
      }
      disk.Crash();
      return Exists(disk, "file") ? Text(disk, "/file") : "none";
    });
  };
  EXPECT_EQ(scenario(true), (Set{"content"}));
  EXPECT_EQ(scenario(false), (Set{"content", "none"}));
}

TEST(SimulatedDisk, ARenameIsUndoneUnlessItsDirectoryIsSynced) {
  const auto scenario = [](bool sync_directory) {
    return Outcomes([&](SimulatedDisk& disk) {
      CreateSynced(disk, "/file", "old");
      CreateSynced(disk, "/new", "new");
      EXPECT_TRUE(disk.Rename("/new", "/file").has_value());
      EXPECT_EQ(Text(disk, "/file"), "new");
      if (sync_directory) {
        EXPECT_TRUE(disk.SyncDirectory("/").has_value());
      }
      disk.Crash();
      return Text(disk, "/file") + (Exists(disk, "new") ? " and " + Text(disk, "/new") : "");
    });
  };
  EXPECT_EQ(scenario(true), (Set{"new"}));
  EXPECT_EQ(scenario(false), (Set{"new", "old and new"}));
}

TEST(SimulatedDisk, AnUnlinkedFileComesBackUnlessItsDirectoryIsSynced) {
  const auto scenario = [](bool sync_directory) {
    return Outcomes([&](SimulatedDisk& disk) -> std::string {
      CreateSynced(disk, "/file", "content");
      EXPECT_TRUE(disk.Unlink("/file").has_value());
      EXPECT_FALSE(Exists(disk, "file"));
      if (sync_directory) {
        EXPECT_TRUE(disk.SyncDirectory("/").has_value());
      }
      disk.Crash();
      return Exists(disk, "file") ? Text(disk, "/file") : "none";
    });
  };
  EXPECT_EQ(scenario(true), (Set{"none"}));
  EXPECT_EQ(scenario(false), (Set{"content", "none"}));
}

TEST(SimulatedDisk, ALostDirectoryTakesAllInItAlong) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) -> std::string {
    EXPECT_TRUE(disk.MakeDirectory("/directory").has_value());
    const Fd fd = Create(disk, "/directory/file", "content");
    EXPECT_TRUE(disk.Sync(fd.get()).has_value());
    EXPECT_TRUE(disk.SyncDirectory("/directory").has_value());
    disk.Crash();
    return Exists(disk, "directory") ? Text(disk, "/directory/file") : "none";
  });
  EXPECT_EQ(outcomes, (Set{"content", "none"}));
}

TEST(SimulatedDisk, AFailedSyncLosesWhatItWasToSaveAndTheNextSaysOk) {
  const Set outcomes = Outcomes([](SimulatedDisk& disk) {
    const Fd fd = CreateSynced(disk, "/file", "aa");
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("b"), 0), 1u);
    disk.FailOperation(disk.operations(), EIO);
    EXPECT_EQ(disk.Sync(fd.get()).error(), EIO);
    EXPECT_EQ(Text(disk, "/file"), "ba");  // the page cache has it
    EXPECT_EQ(disk.Write(fd.get(), AsBytes("c"), 1), 1u);
    EXPECT_TRUE(disk.Sync(fd.get()).has_value());
    disk.Crash();
    return Text(disk, "/file");
  });
  EXPECT_EQ(outcomes, (Set{"ac", "bc"}));
}

TEST(SimulatedDisk, FailsTheOperationItIsToldToAndNoOther) {
  SimulatedDisk disk(1);
  const uint64_t first = disk.operations();
  disk.FailOperations(first + 1, 2, ENOSPC);
  const Fd fd = Create(disk, "/file");
  EXPECT_EQ(disk.Write(fd.get(), AsBytes("x"), 0).error(), ENOSPC);
  EXPECT_EQ(disk.Allocate(fd.get(), 10).error(), ENOSPC);
  EXPECT_EQ(disk.Size(fd.get()), 0u);
  EXPECT_EQ(disk.Write(fd.get(), AsBytes("x"), 0), 1u);
  EXPECT_EQ(disk.operations(), first + 4);
  EXPECT_EQ(disk.Describe(first + 1), "write /file");
  for (const int error : {EIO, EROFS}) {
    std::vector<uint8_t> into(1);
    disk.FailOperations(disk.operations(), 5, error);
    EXPECT_EQ(disk.Open("/file", O_RDONLY).error(), error);
    EXPECT_EQ(disk.Read(fd.get(), into, 0).error(), error);
    EXPECT_EQ(disk.Rename("/file", "/other").error(), error);
    EXPECT_EQ(disk.Unlink("/file").error(), error);
    EXPECT_EQ(disk.SyncDirectory("/").error(), error);
    EXPECT_EQ(disk.List("/").value(), std::vector<std::string>{"file"});
  }
}

TEST(SimulatedDisk, ShortensTheWriteItIsToldTo) {
  SimulatedDisk disk(1);
  const Fd fd = Create(disk, "/file");
  disk.ShortenWrite(disk.operations());
  const size_t written = disk.Write(fd.get(), AsBytes("0123456789"), 0).value();
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, 10u);
  EXPECT_EQ(Text(disk, "/file"), std::string("0123456789").substr(0, written));
  EXPECT_EQ(disk.Write(fd.get(), AsBytes("0123456789"), 0), 10u);
}

TEST(SimulatedDisk, AfterTheCrashPointNothingReachesTheDisk) {
  SimulatedDisk disk(1);
  const Fd fd = CreateSynced(disk, "/file", "before");
  disk.CrashAfter(disk.operations());
  EXPECT_EQ(disk.Write(fd.get(), AsBytes("after!"), 0).error(), EIO);
  EXPECT_EQ(disk.Sync(fd.get()).error(), EIO);
  EXPECT_EQ(disk.Unlink("/file").error(), EIO);
  EXPECT_EQ(disk.Open("/file", O_RDONLY).error(), EIO);
  disk.Crash();
  EXPECT_EQ(disk.Size(fd.get()).error(), EBADF) << "descriptors are those of a dead process";
  EXPECT_EQ(Text(disk, "/file"), "before");
  EXPECT_TRUE(disk.Open("/file", O_RDONLY).has_value());
}

TEST(SimulatedDisk, TheSameSeedLeavesTheSameDisk) {
  const auto run = [](uint64_t seed) {
    SimulatedDisk disk(seed);
    const Fd fd = CreateSynced(disk, "/file", std::string(100'000, 'a'));
    EXPECT_EQ(disk.Write(fd.get(), AsBytes(std::string(100'000, 'b')), 0), 100'000u);
    disk.Crash();
    return Text(disk, "/file");
  };
  Set different;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(run(seed), run(seed));
    different.insert(run(seed));
  }
  EXPECT_GT(different.size(), 5u);
}

TEST(SimulatedIo, CompletesInAnOrderDrawnFromTheSeed) {
  const auto run = [](uint64_t seed) {
    Loop loop;
    SimulatedDisk disk(seed);
    SimulatedIo io(loop, disk, seed);
    const Fd fd = Create(disk, "/file");
    const std::string letters = "abcdef";
    std::string order;
    for (size_t i = 0; i < letters.size(); ++i) {
      io.Write(fd.get(), {AsBytes(letters).subspan(i, 1)}, i, i % 2 == 0 ? Io::Sync::kYes : Io::Sync::kNo,
               [&, i](int error) {
                 EXPECT_EQ(error, 0);
                 order += letters[i];
                 if (order.size() == letters.size()) loop.Stop();
               });
    }
    EXPECT_EQ(order, "") << "told inside the call";
    loop.Run();
    EXPECT_EQ(Text(disk, "/file"), letters);
    return order;
  };
  Set orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(run(seed), run(seed));
    orders.insert(run(seed));
  }
  EXPECT_GT(orders.size(), 10u);
}

TEST(SimulatedIo, ContinuesShortWritesAndReadsAndSyncsWhatItWasAskedTo) {
  Loop loop;
  SimulatedDisk disk(1);
  SimulatedIo io(loop, disk, 1);
  const Fd fd = CreateSynced(disk, "/file", "");
  disk.ShortenWrite(disk.operations());
  disk.ShortenWrite(disk.operations() + 1);
  io.Write(fd.get(), {AsBytes("01234"), AsBytes("56789")}, 0, Io::Sync::kYes, [&](int error) {
    EXPECT_EQ(error, 0);
    loop.Stop();
  });
  loop.Run();
  std::vector<uint8_t> into(20);
  io.Read(fd.get(), into, 3, [&](IoResult<size_t> bytes) {
    EXPECT_EQ(bytes, 7u);
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(AsText(into).substr(0, 7), "3456789");
  disk.Crash();
  EXPECT_EQ(Text(disk, "/file"), "0123456789");
}

TEST(SimulatedIo, HandsBackErrors) {
  Loop loop;
  SimulatedDisk disk(1);
  SimulatedIo io(loop, disk, 1);
  const Fd fd = Create(disk, "/file");
  disk.FailOperation(disk.operations() + 1, EIO);  // the sync
  io.Write(fd.get(), {AsBytes("x")}, 0, Io::Sync::kYes, [&](int error) {
    EXPECT_EQ(error, EIO);
    loop.Stop();
  });
  loop.Run();
  disk.FailOperation(disk.operations(), EIO);
  std::vector<uint8_t> into(1);
  io.Read(fd.get(), into, 0, [&](IoResult<size_t> bytes) {
    EXPECT_EQ(bytes, std::unexpected(EIO));
    loop.Stop();
  });
  loop.Run();
}

TEST(SimulatedIo, DestroyedItMayHaveDoneItOrNotAndTellsNobody) {
  Set outcomes;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Loop loop;
    SimulatedDisk disk(seed);
    auto io = std::make_unique<SimulatedIo>(loop, disk, seed);
    const Fd fd = CreateSynced(disk, "/file", "old");
    io->Write(fd.get(), {AsBytes("new")}, 0, Io::Sync::kYes, [](int) { FAIL() << "told"; });
    io.reset();
    loop.RunOnce(Nanos(0));
    outcomes.insert(Text(disk, "/file"));
  }
  EXPECT_EQ(outcomes, (Set{"old", "new"}));
}

}  // namespace
}  // namespace tributary::base
