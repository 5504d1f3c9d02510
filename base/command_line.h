// ParseCommandLine: what a program's arguments are read by, so that all of ours answer alike. --help and --version are
// answered on stdout; a wrong argument with one line on stderr which says what is wrong and where to read more.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

namespace tributary::base {

inline constexpr int kExitWrongArgument = 2;

// Reads the arguments into what `app` was told of. The code to exit with, when there is nothing left to do.
std::optional<int> ParseCommandLine(CLI::App& app, int argc, char** argv);

}  // namespace tributary::base
