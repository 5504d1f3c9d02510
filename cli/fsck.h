// `tributary fsck`: looks at the directory of a Log, and mends it if it is told to. Runs to its end in the calling
// thread.
#pragma once

#include <optional>
#include <string>

#include "otlp/signal.h"

namespace tributary::cli {

struct FsckOptions {
  std::string directory;
  bool json = false;
  std::string export_file;  // empty: no export
  std::optional<otlp::Signal> signal;
  bool unacknowledged = false;
  bool repair = false;
  bool write = false;
};

// 0: nothing is wrong; 1: damage; 2: the directory could not be read, or what was asked for not be done.
int Fsck(const FsckOptions& options);

}  // namespace tributary::cli
