// A Survey in words, for people or for programs. Pure; any thread.
#pragma once

#include <string>

#include "cli/survey.h"

namespace tributary::cli {

// Tables of segments and cursors, what is wrong and where, and one line that sums it up.
std::string AsText(const Survey& survey);
// One JSON object in one line; docs/fsck.md has its keys.
std::string AsJson(const Survey& survey);

}  // namespace tributary::cli
