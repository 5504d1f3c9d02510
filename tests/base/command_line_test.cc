#include "base/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tributary::base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Answer {
  std::optional<int> code;
  std::string out, err;
};

// A program with an option and a command that has one required argument.
struct Program {
  Program() : app("Pours water.", "pour") {
    app.add_option("--litres", litres, "How much")->check(CLI::Range(1, 9));
    command = app.add_subcommand("into", "Pours it somewhere");
    command->add_option("VESSEL", vessel, "Where")->required();
  }

  Answer Parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/pour");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    Answer answer;
    answer.code = ParseCommandLine(app, static_cast<int>(argv.size()), argv.data());
    answer.out = ::testing::internal::GetCapturedStdout();
    answer.err = ::testing::internal::GetCapturedStderr();
    return answer;
  }

  CLI::App app;
  CLI::App* command = nullptr;
  int litres = 1;
  std::string vessel;
};

TEST(CommandLine, ReadsWhatIsRightAndSaysNothing) {
  Program program;
  const Answer answer = program.Parse({"--litres", "3", "into", "jug"});
  EXPECT_EQ(answer.code, std::nullopt);
  EXPECT_THAT(answer.out + answer.err, IsEmpty());
  EXPECT_EQ(program.litres, 3);
  EXPECT_EQ(program.vessel, "jug");
}

TEST(CommandLine, AnswersHelpOnStdoutWithSuccess) {
  const Answer answer = Program().Parse({"--help"});
  EXPECT_EQ(answer.code, 0);
  EXPECT_THAT(answer.out, AllOf(HasSubstr("Pours water.\n\nUsage: pour"), HasSubstr("--litres"), HasSubstr("into")));
  EXPECT_THAT(answer.err, IsEmpty());
}

TEST(CommandLine, TellsAWrongArgumentInOneLineWithExitCodeTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--colour"}, "pour: unexpected argument: --colour (pour --help says what there is)\n"},
      {{"jug"}, "pour: unexpected argument: jug (pour --help says what there is)\n"},
      {{"into"}, "pour into: VESSEL is required (pour into --help says what there is)\n"},
      {{"into", "jug", "cup"}, "pour into: unexpected argument: cup (pour into --help says what there is)\n"},
  };
  for (const auto& [arguments, line] : wrong) {
    const Answer answer = Program().Parse(arguments);
    EXPECT_EQ(answer.code, 2) << line;
    EXPECT_EQ(answer.err, line);
    EXPECT_THAT(answer.out, IsEmpty()) << line;
  }
}

TEST(CommandLine, NamesTheOptionWhoseValueIsWrong) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--litres", "some"}, {"--litres", "10"}, {"--litres"}}) {
    const Answer answer = Program().Parse(arguments);
    EXPECT_EQ(answer.code, 2);
    EXPECT_THAT(answer.err, HasSubstr("pour: --litres: "));
  }
}

TEST(CommandLine, TellsTheUnknownArgumentBeforeTheMissingOne) {
  const Answer answer = Program().Parse({"into", "--colour"});
  EXPECT_EQ(answer.err, "pour into: unexpected argument: --colour (pour into --help says what there is)\n");
}

}  // namespace
}  // namespace tributary::base
