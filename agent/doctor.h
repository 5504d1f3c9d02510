// Doctor: tries what the agent needs of this node, each thing by doing it, and says what follows when it is not there.
// Nothing that it finds keeps an agent from running. Blocks, for seconds where a server does not answer; any one
// thread.
#pragma once

#include <string>
#include <vector>

#include "agent/config.h"

namespace tributary::agent {

struct Finding {
  std::string what;  // "bpf"
  bool good = false;
  std::string detail;  // what was found, or what is wrong
  std::string advice;  // what follows and what to do; empty when good
};

// `config` is the running agent's; its ports and its Log are left alone.
std::vector<Finding> Examine(const Config& config);

}  // namespace tributary::agent
