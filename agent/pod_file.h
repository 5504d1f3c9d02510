// PodFile: pods told by a file instead of a cluster, the answer of `kubectl get pods -o json`: for bare hosts, whose
// operator knows what runs where, and for trying things out. Looked at each second; a file that cannot be read or is
// not a list changes nothing of what is known. Lives on the loop's thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/pods.h"
#include "base/loop.h"

namespace tributary::agent {

class PodFile {
 public:
  // `pods` outlives it, and has what the file says when this returns.
  PodFile(base::Loop& loop, Pods& pods, std::string path, PodFields fields);

  // What is wrong with it now, for people; empty when nothing is.
  const std::string& error() const { return error_; }

 private:
  void Look();

  base::Loop& loop_;
  Pods& pods_;
  const std::string path_;
  const PodFields fields_;
  std::optional<std::filesystem::file_time_type> read_;  // its age, when it was read last
  std::string error_;
  base::Loop::Timer again_;
};

}  // namespace tributary::agent
