// The table of options: how a line is read by it, and what is told of each command.
#include "profiler/cli/command_syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "profiler/cli/command_line.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Tool {
  bool help = false;
  bool loud = false;
  bool untold = false;
  std::string name;
  Pid pid = 0;
  int64_t time_ns = 0;
  std::vector<std::string> steps;
  std::vector<std::string> words;
  std::vector<std::string> command;
};

CommandSyntax<Tool> ToolSyntax(bool starts_command = false) {
  return {.text = {.name = "tool",
                   .summary = "do",
                   .usage = "tool WORD\ntool --loud\n",
                   .about = "Does.\n",
                   .more = "more:\n",
                   .starts_command = starts_command},
          .options = {{{"-l", "--loud", "", "say\nmuch"}, &Tool::loud},
                      {{"-n", "--name", "NAME", "its name"}, &Tool::name},
                      {{"-p", "--pid", "PID", "a process"}, &Tool::pid},
                      {{"", "--time", "TIME", "a time"}, &Tool::time_ns},
                      {{"", "--step", "STEP", "a step", true},
                       [](absl::string_view value, Tool& out) -> absl::Status {
                         if (value == "bad") return absl::InvalidArgumentError("a bad step");
                         out.steps.emplace_back(value);
                         return absl::OkStatus();
                       }},
                      {{"", "--untold", "", ""}, &Tool::untold}},
          .check = [](const Arguments& arguments, Tool& out) {
            out.words = arguments.words;
            out.command = arguments.command;
            return absl::OkStatus();
          }};
}

absl::StatusOr<Tool> Parse(absl::string_view line, bool starts_command = false) {
  return ParseCommand(ToolSyntax(starts_command),
                      std::vector<std::string>(absl::StrSplit(line, ' ', absl::SkipEmpty())));
}
std::string Complaint(absl::string_view line) {
  return std::string(Parse(line).status().message());
}

TEST(CommandSyntaxTest, ValuesGoWhereTheTableSays) {
  for (absl::string_view line : {"-l -n x -p 7 --time 5ms", "--loud -nx -p7 --time=5ms",
                                 "--name=x --pid=7 --loud --time 5ms"}) {
    const auto tool = Parse(line);
    ASSERT_TRUE(tool.ok()) << line << ": " << tool.status();
    EXPECT_TRUE(tool->loud) << line;
    EXPECT_EQ(tool->name, "x") << line;
    EXPECT_EQ(tool->pid, 7) << line;
    EXPECT_EQ(tool->time_ns, 5'000'000) << line;
  }
}

TEST(CommandSyntaxTest, WhatIsNoOptionIsAWordAndSoIsAllBehindTwoDashes) {
  EXPECT_THAT(Parse("a -l b - -- -l --help")->words, ElementsAre("a", "b", "-", "-l", "--help"));
  const auto starts = Parse("a -- b -l", true);
  EXPECT_THAT(starts->words, ElementsAre("a"));
  EXPECT_THAT(starts->command, ElementsAre("b", "-l"));
}

TEST(CommandSyntaxTest, OnlyAnOptionThatRepeatsTakesTwoValues) {
  EXPECT_THAT(Parse("--step a --step=b")->steps, ElementsAre("a", "b"));
  EXPECT_EQ(Complaint("-n a --name b"), "option '--name' is given twice (a, b), keep one of them");
}

TEST(CommandSyntaxTest, MistakesAreNamed) {
  EXPECT_EQ(Complaint("--nmae x"), "unknown option '--nmae', did you mean '--name'?");
  EXPECT_EQ(Complaint("-x"), "unknown option '-x'; see jprof tool --help");
  EXPECT_EQ(Complaint("-n"), "option '-n' needs a value: NAME");
  EXPECT_EQ(Complaint("--loud=1"), "option '--loud' takes no value");
  EXPECT_EQ(Complaint("-p 0"), "'0' is no process");
  EXPECT_EQ(Complaint("--step bad"), "a bad step");
}

TEST(CommandSyntaxTest, BehindHelpNothingIsLookedAt) {
  const auto tool = Parse("-l --help --nonsense");
  ASSERT_TRUE(tool.ok()) << tool.status();
  EXPECT_TRUE(tool->help);
}

TEST(CommandSyntaxTest, TheHelpIsMadeOfTheTable) {
  EXPECT_EQ(HelpOf(TextOf(ToolSyntax())),
            "usage: jprof tool WORD\n"
            "       jprof tool --loud\n"
            "\n"
            "Does.\n"
            "\n"
            "options:\n"
            "  -l, --loud                say\n"
            "                            much\n"
            "  -n, --name NAME           its name\n"
            "  -p, --pid PID             a process\n"
            "      --time TIME           a time\n"
            "      --step STEP           a step\n"
            "  -h, --help                print this help\n"
            "\n"
            "more:\n");
}

TEST(CommandSyntaxTest, AnOptionForJprofItselfIsTakenAndToldNobody) {
  EXPECT_TRUE(Parse("--untold")->untold);
  EXPECT_THAT(HelpOf(TextOf(ToolSyntax())), testing::Not(HasSubstr("--untold")));
  EXPECT_EQ(Complaint("--untol"), "unknown option '--untol'; see jprof tool --help");
}

TEST(CommandsTest, EachTellsWhatAHelpAndAManualPageNeed) {
  std::set<absl::string_view> names;
  for (const CommandText& command : AllCommands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_THAT(command.summary, testing::Not(IsEmpty())) << command.name;
    EXPECT_THAT(command.usage, HasSubstr(std::string(command.name)));
    for (absl::string_view text : {command.usage, command.about}) {
      EXPECT_TRUE(absl::EndsWith(text, "\n")) << command.name;
    }
    std::set<absl::string_view> options;
    for (const OptionText& option : command.options) {
      EXPECT_TRUE(absl::StartsWith(option.long_name, "--")) << option.long_name;
      EXPECT_TRUE(options.insert(option.long_name).second) << option.long_name;
      if (!option.short_name.empty()) {
        EXPECT_EQ(option.short_name.size(), 2u);
        EXPECT_TRUE(options.insert(option.short_name).second) << option.short_name;
      }
      EXPECT_THAT(option.help, testing::Not(IsEmpty())) << option.long_name;
    }
    for (absl::string_view line : absl::StrSplit(HelpOf(command), '\n')) {
      EXPECT_LE(line.size(), 100u) << command.name << ": " << line;
    }
  }
}

}  // namespace
}  // namespace jprof
