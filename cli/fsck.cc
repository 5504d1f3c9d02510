#include "cli/fsck.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/fd.h"
#include "base/file_system.h"
#include "base/result.h"
#include "cli/export.h"
#include "cli/repair.h"
#include "cli/report.h"
#include "cli/survey.h"

namespace tributary::cli {
namespace {

constexpr int kNothingWrong = 0;
constexpr int kDamage = 1;
constexpr int kFailed = 2;

int Fail(const base::Error& error) {
  fmt::print(stderr, "tributary fsck: {}\n", error.message);
  return kFailed;
}

// The lock that a Log holds as long as it lives. An invalid Fd when no Log ever took one here.
base::Result<base::Fd> Lock(base::FileSystem& file_system, const std::string& directory) {
  const std::string path = directory + "/lock";
  auto fd = file_system.Open(path, O_RDONLY);
  if (!fd && fd.error() == ENOENT) return base::Fd();
  if (!fd) return base::FailErrno(fd.error(), "open " + path);
  const auto locked = file_system.Lock(fd->get());
  if (locked) return std::move(*fd);
  if (locked.error() != EWOULDBLOCK) return base::FailErrno(locked.error(), "lock " + path);
  return base::Fail("a running process has {} ({} is locked)", directory, path);
}

// One line on a terminal's standard error, which goes when the work is done.
class Progress {
 public:
  void Show(std::string_view name, uint64_t bytes, uint64_t of_bytes) const {
    if (!terminal_) return;
    fmt::print(stderr, "\r\033[K{} ({} of {} MiB)", name, bytes >> 20, of_bytes >> 20);
  }
  ~Progress() {
    if (terminal_) fmt::print(stderr, "\r\033[K");
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
};

base::Result<Survey> LookWithProgress(base::FileSystem& file_system, const std::string& directory, Watch watch = {}) {
  const Progress progress;
  watch.progress = [&progress](std::string_view name, uint64_t bytes, uint64_t of_bytes) {
    progress.Show(name, bytes, of_bytes);
  };
  return Look(file_system, directory, watch);
}

int ExitCode(const Survey& survey) { return survey.damaged() ? kDamage : kNothingWrong; }

int ShowSurvey(base::FileSystem& file_system, const FsckOptions& options) {
  auto survey = LookWithProgress(file_system, options.directory);
  if (!survey) return Fail(survey.error());
  survey->in_use = !Lock(file_system, options.directory);
  fmt::print("{}", options.json ? AsJson(*survey) : AsText(*survey));
  return ExitCode(*survey);
}

int ExportFrames(base::FileSystem& file_system, const FsckOptions& options) {
  auto lines =
      Export::Open({.file = options.export_file, .signal = options.signal, .unacknowledged = options.unacknowledged});
  if (!lines) return Fail(lines.error());
  const auto survey = LookWithProgress(file_system, options.directory,
                                       {.frame = [&lines](const FrameFound& frame) { lines->Take(frame); }});
  if (!survey) return Fail(survey.error());
  if (const base::Status closed = lines->Close(); !closed) return Fail(closed.error());
  fmt::print(
      stderr, "{} frames with {} items exported{}{}\n", lines->frames(), lines->items(),
      lines->malformed() > 0 ? fmt::format("; {} are no OTLP requests and were left out", lines->malformed()) : "",
      survey->damaged() ? "; there is damage, which `tributary fsck` without --export shows" : "");
  return ExitCode(*survey);
}

int ShowPlan(const Survey& survey, const std::vector<Repair>& repairs) {
  for (const Repair& repair : repairs) {
    switch (repair.kind) {
      case Repair::Kind::kRewrite:
        fmt::print("{}: would write its whole frames to {} and set it aside: {}\n", repair.name, repair.new_name,
                   repair.why);
        break;
      case Repair::Kind::kSetAside:
        fmt::print("{}: would set it aside: {}\n", repair.name, repair.why);
        break;
      case Repair::Kind::kRemove:
        fmt::print("{}: would remove it: {}\n", repair.name, repair.why);
        break;
      case Repair::Kind::kNothing:
        fmt::print("{}: would leave it as it is: {}\n", repair.name, repair.why);
        break;
    }
  }
  fmt::print("{}",
             repairs.empty() ? "There is nothing to repair.\n" : "Nothing was changed. Give --write to do this.\n");
  return ExitCode(survey);
}

int RepairDirectory(base::FileSystem& file_system, const FsckOptions& options) {
  base::Result<base::Fd> lock;
  if (options.write) lock = Lock(file_system, options.directory);
  if (!lock) return Fail({lock.error().message + ": stop it first; only what nobody writes to can be repaired"});
  const auto survey = LookWithProgress(file_system, options.directory);
  if (!survey) return Fail(survey.error());
  const std::vector<Repair> repairs = Plan(*survey);
  if (!options.write) return ShowPlan(*survey, repairs);
  for (const Repair& repair : repairs) {
    const auto done = Do(file_system, options.directory, repair);
    if (!done) return Fail(done.error());
    fmt::print("{}: {}\n", repair.name, *done);
  }
  const auto after = LookWithProgress(file_system, options.directory);
  if (!after) return Fail(after.error());
  fmt::print("\n{}", AsText(*after));
  return ExitCode(*after);
}

}  // namespace

int Fsck(const FsckOptions& options) {
  base::FileSystem file_system;
  if (options.repair) return RepairDirectory(file_system, options);
  if (!options.export_file.empty()) return ExportFrames(file_system, options);
  return ShowSurvey(file_system, options);
}

}  // namespace tributary::cli
