// `tributary doctor`: what the agent finds on this node, thing by thing. Runs to its end in the calling thread.
#pragma once

#include <string>

namespace tributary::cli {

struct DoctorOptions {
  std::string config_file;  // the agent's; empty: there is none
  bool json = false;
};

// 0: nothing is lacking; 1: something is; 2: the configuration cannot be read.
int Doctor(const DoctorOptions& options);

}  // namespace tributary::cli
