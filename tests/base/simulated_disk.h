// SimulatedDisk: a file system in memory that fails and forgets as a real one may, for tests of whatever must survive.
//
// What a live process sees is the page cache: every write shows at once. What a power loss leaves is less. Crash()
// brings the disk to a state that it may leave, by POSIX's promises and no file system's habits:
//   - what was written before a successful Sync() of the file is there;
//   - each write since is there, or not, or some of its sectors are (512 or 4096 bytes), whatever came before or after
//   it;
//     where a file had grown, its size may be any that it had on the way, with zeros where nothing was written;
//   - each create, rename, unlink and directory made since the SyncDirectory() of its directory is there, or not. (A
//   file
//     whose name is lost is lost with all its syncs.)
// A Sync() that fails loses what it was to save as a crash would; the page cache still shows it, and the next Sync() of
// the file says OK (as ext4 has it: "fsyncgate").
//
// A process that is killed loses nothing: CrashAfter() says when, and Kill() brings the disk back as it was then.
//
// Everything is drawn from the seed: the same calls in the same order give the same disk. Any thread. Paths are
// absolute; the root is there from the beginning. A descriptor is a real one (of /dev/null), so that Fd may close it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace tributary::base {

class SimulatedDisk : public FileSystem {
 public:
  explicit SimulatedDisk(uint64_t seed);
  ~SimulatedDisk() override;

  // --- Faults. Operations are counted from 0 over the disk's life, Size() aside: it cannot fail.
  uint64_t operations() const;
  // "write /log/0001", for messages.
  std::string Describe(uint64_t operation) const;
  // The operation has no effect and fails with `error`; a Sync() that fails has its effect described above.
  void FailOperation(uint64_t operation, int error) { FailOperations(operation, 1, error); }
  void FailOperations(uint64_t first, uint64_t count, int error);
  // The operation, if it is a write of more than one byte, writes only its beginning.
  void ShortenWrite(uint64_t operation);
  // From this operation on all fail with EIO, and nothing reaches the disk, until Crash() or Kill().
  void CrashAfter(uint64_t operation);
  // The power is lost and comes back: see above. All descriptors are dead, and all faults are over.
  void Crash();
  // The process ended, the machine did not: descriptors are dead and faults over, the page cache is as it was.
  void Kill();

  // --- What is in a file, past all counting and failing; what is put there is there for good.
  std::vector<uint8_t> Content(const std::string& path) const;
  void SetContent(const std::string& path, std::vector<uint8_t> content);

  // --- FileSystem
  IoResult<Fd> Open(const std::string& path, int flags, mode_t mode = 0600) override;
  IoResult<size_t> Read(int fd, std::span<uint8_t> into, uint64_t offset) override;
  using FileSystem::Write;
  IoResult<size_t> Write(int fd, std::span<const iovec> pieces, uint64_t offset) override;
  IoResult<void> Sync(int fd) override;
  IoResult<void> SyncDirectory(const std::string& path) override;
  IoResult<void> Allocate(int fd, uint64_t bytes) override;
  IoResult<uint64_t> Size(int fd) override;
  IoResult<void> Lock(int) override { return {}; }
  IoResult<void> Rename(const std::string& from, const std::string& to) override;
  IoResult<void> Unlink(const std::string& path) override;
  IoResult<void> MakeDirectory(const std::string& path, mode_t mode = 0700) override;
  IoResult<void> RemoveDirectory(const std::string& path) override;
  IoResult<std::vector<std::string>> List(const std::string& directory) override;

 private:
  struct Node;
  struct Place;
  using NodePtr = std::shared_ptr<Node>;
  struct OpenFile {
    NodePtr node;
    int flags;
    std::string path;
  };
  struct Faults {
    uint64_t first;
    uint64_t count;
    int error;  // 0: a short write
  };

  // Counts an operation; the error it is to fail with, or 0.
  int Begin(std::string_view what, const std::string& path);
  bool IsShort(uint64_t operation) const;
  NodePtr Find(const std::string& path) const;
  IoResult<Place> FindPlace(const std::string& path) const;
  OpenFile* FindOpen(int fd);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  NodePtr root_;
  std::map<int, OpenFile> open_;  // also of descriptors long closed: the number's next opening replaces them
  std::vector<std::string> operations_;
  std::vector<Faults> faults_;
  uint64_t crash_after_ = UINT64_MAX;
};

}  // namespace tributary::base
