#include "base/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace tributary::base {
namespace {

// With a line between what a program is for and how it is called.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return "\n" + CLI::Formatter::make_usage(app, std::move(name));
  }
};

// As it was called: the program and its subcommand.
std::string CalledName(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* command : app.get_subcommands()) name += " " + command->get_name();
  return name;
}

// Arguments nobody knows are told first: they are why a required one seems to be missing.
std::string Fault(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  return unknown.empty() ? error.what() : fmt::format("unexpected argument: {}", fmt::join(unknown, " "));
}

}  // namespace

std::optional<int> ParseCommandLine(CLI::App& app, int argc, char** argv) {
  const auto formatter = std::make_shared<HelpFormatter>();
  app.formatter(formatter);
  for (CLI::App* command : app.get_subcommands({})) command->formatter(formatter);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success& question) {
    return app.exit(question);
  } catch (const CLI::ParseError& error) {
    const std::string name = CalledName(app);
    fmt::print(stderr, "{}: {} ({} --help says what there is)\n", name, Fault(app, error), name);
    return kExitWrongArgument;
  }
}

}  // namespace tributary::base
