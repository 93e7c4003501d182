// The manual page and the completions say what --help says, and their readers read them.
#include "profiler/cli/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "profiler/cli/command_line.h"
#include "profiler/cli/completions.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

// A file that goes with its owner.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text, absl::string_view suffix = "")
      : path_(absl::StrCat(testing::TempDir(), "/manual_test.", ::getpid(), suffix)) {
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// What the command prints, errors included.
std::string OutputOf(const std::string& command) {
  FILE* pipe = ::popen(absl::StrCat(command, " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string text;
  char bytes[4096];
  for (size_t n; (n = ::fread(bytes, 1, sizeof(bytes), pipe)) > 0;) text.append(bytes, n);
  const int status = ::pclose(pipe);
  return status == 0 ? text : absl::StrCat(text, "status ", status);
}

// The words that bash would offer, as it calls the function.
std::set<std::string> Completed(const std::vector<std::string>& words) {
  const TemporaryFile script(BashCompletion(AllCommands()));
  std::string line = absl::StrCat("source ", script.path(), "; COMP_WORDS=(jprof");
  for (const std::string& word : words) absl::StrAppend(&line, " \"", word, "\"");
  absl::StrAppend(&line, "); COMP_CWORD=", words.size(),
                  "; _jprof; printf \"%s\\n\" \"${COMPREPLY[@]}\"");
  return absl::StrSplit(OutputOf(absl::StrCat("bash --norc -c '", line, "'")), '\n',
                        absl::SkipEmpty());
}

TEST(ManualTest, HasEachOptionOfEachCommandWithItsHelp) {
  const std::string page =
      absl::StrReplaceAll(ManualPage(AllCommands(), "1"),
                          {{"\\-", "-"}, {"\\(ti", "~"}, {"\\(ha", "^"}, {"\\(aq", "'"}});
  for (const CommandText& command : AllCommands()) {
    const size_t at = page.find(absl::StrCat(".SS jprof ", command.name, "\n"));
    ASSERT_NE(at, std::string::npos) << command.name;
    const std::string section = page.substr(at, page.find("\n.S", at + 1) - at);
    for (const OptionText& option : command.options) {
      EXPECT_THAT(section, HasSubstr(absl::StrCat("\\fB", option.long_name, "\\fR")))
          << command.name;
      EXPECT_THAT(section, HasSubstr(option.help)) << command.name;
    }
  }
}

TEST(ManualTest, IsReadWithoutAWarning) {
  const TemporaryFile page(ManualPage(AllCommands(), "1"));
  EXPECT_EQ(OutputOf(absl::StrCat("groff -man -Tutf8 -ww -z ", page.path())), "")
      << "it takes groff-base: tools/setup tests";
}

TEST(CompletionsTest, EachShellKnowsEachOptionOfEachCommand) {
  const std::vector<CommandText> commands = AllCommands();
  const std::string bash = BashCompletion(commands), zsh = ZshCompletion(commands),
                    fish = FishCompletion(commands);
  for (const CommandText& command : commands) {
    EXPECT_THAT(fish, HasSubstr(absl::StrCat("-a ", command.name, " -d ")));
    EXPECT_THAT(zsh, HasSubstr(absl::StrCat("'", command.name, ":")));
    const std::string zsh_own = zsh.substr(zsh.find(absl::StrCat("\n    ", command.name, ")\n")));
    for (const OptionText& option : command.options) {
      EXPECT_THAT(zsh_own.substr(0, zsh_own.find(";;")), HasSubstr(option.long_name))
          << command.name;
      EXPECT_THAT(fish, HasSubstr(absl::StrCat(" -l ", option.long_name.substr(2), " ")));
    }
  }
  EXPECT_THAT(bash, HasSubstr("complete -F _jprof jprof"));
}

TEST(CompletionsTest, BashOffersEachOptionOfEachCommand) {
  for (const CommandText& command : AllCommands()) {
    const std::set<std::string> offered = Completed({std::string(command.name), "-"});
    for (const OptionText& option : command.options) {
      EXPECT_THAT(offered, Contains(std::string(option.long_name))) << command.name;
    }
  }
}

TEST(CompletionsTest, BashOffersCommandsAndTheirValues) {
  EXPECT_THAT(Completed({"st"}), Contains("stacks"));
  EXPECT_THAT(Completed({"--cgr"}), Contains("--cgroup"));
  EXPECT_THAT(Completed({"top", "--sort", ""}), IsSupersetOf({"self", "total"}));
  EXPECT_THAT(Completed({"top", "--sort", "=", "to"}), Contains("total"));
  EXPECT_THAT(Completed({"convert", "x", "--format", "s"}), IsSupersetOf({"svg", "speedscope"}));
  EXPECT_THAT(Completed({"-p", ""}), Contains("1"));
  EXPECT_THAT(Completed({"why", ""}), Contains("1"));
  EXPECT_THAT(Completed({"convert", "/etc/host"}), Contains("/etc/hosts"));
  EXPECT_THAT(Completed({"top", "/etc/host"}), Not(Contains("/etc/hosts")));
  EXPECT_THAT(Completed({"hist", "sy"}), Contains("syscall:"));
  EXPECT_THAT(Completed({"-o", "x.svg", "--", "bas"}), Contains("bash"));
}

TEST(CompletionsTest, ShellsThatAreThereReadThem) {
  const std::vector<CommandText> commands = AllCommands();
  const TemporaryFile bash(BashCompletion(commands));
  EXPECT_EQ(OutputOf(absl::StrCat("bash -n ", bash.path())), "");
  const TemporaryFile zsh(ZshCompletion(commands), ".zsh");
  EXPECT_EQ(OutputOf(absl::StrCat("! command -v zsh >/dev/null || zsh -n ", zsh.path())), "");
  const TemporaryFile fish(FishCompletion(commands), ".fish");
  EXPECT_EQ(OutputOf(absl::StrCat("! command -v fish >/dev/null || fish -n ", fish.path())), "");
}

bool HasShell(const std::string& shell) {
  return absl::StartsWith(OutputOf("command -v " + shell), "/");
}

// What fish offers behind `line`, with what it says of each.
std::string OfferedByFish(const std::string& line) {
  const TemporaryFile script(FishCompletion(AllCommands()), ".fish");
  return OutputOf(absl::StrCat("HOME=/nonexistent fish --no-config -c 'source ", script.path(),
                               "; complete -C \"", line, "\"'"));
}

TEST(CompletionsTest, FishOffersCommandsOptionsAndValues) {
  if (!HasShell("fish")) GTEST_SKIP() << "it takes fish";
  EXPECT_THAT(OfferedByFish("jprof "), HasSubstr("stacks\tprint what every thread"));
  EXPECT_THAT(OfferedByFish("jprof stacks --"), HasSubstr("--no-stop\t"));
  EXPECT_THAT(OfferedByFish("jprof stacks --"), Not(HasSubstr("--frequency")));
  EXPECT_THAT(OfferedByFish("jprof --freq"), HasSubstr("--frequency\t"));
  EXPECT_THAT(OfferedByFish("jprof convert --format "), HasSubstr("speedscope"));
  EXPECT_THAT(OfferedByFish("jprof record --source-maps "), HasSubstr("auto"));
}

// What zsh lists behind `line` on a terminal of its own.
std::string OfferedByZsh(const std::string& line) {
  const TemporaryFile script(ZshCompletion(AllCommands()), "_zsh");
  const TemporaryFile driver(absl::StrCat(R"sh(
zmodload zsh/zpty
zpty shell "PS1='%% ' TERM=dumb zsh -f -i"
zpty -w shell 'autoload -Uz compinit; compinit -D -u; source )sh",
                                          script.path(), R"sh(
compdef _jprof jprof; LISTMAX=1000; bindkey ^X list-choices; stty cols 200 rows 100; PS1=rea"dy> "'
# A prompt is drawn when the line editor has the terminal: what is written before is echoed, not edited.
zpty -r shell out '*ready> *'
zpty -n -w shell "$1"$'\x18'
# The list, and below it the line again.
zpty -r shell out "*$1*$1*"
print -r -- "$out"
zpty -d shell
)sh"),
                             ".zsh");
  return OutputOf(absl::StrCat("timeout 60 zsh -f ", driver.path(), " '", line, "'"));
}

TEST(CompletionsTest, ZshOffersCommandsOptionsAndValues) {
  if (!HasShell("zsh")) GTEST_SKIP() << "it takes zsh";
  const std::string options = OfferedByZsh("jprof stacks --");
  EXPECT_THAT(options, HasSubstr("--no-stop"));
  EXPECT_THAT(options, Not(HasSubstr("bad option")));
  EXPECT_THAT(options, Not(HasSubstr("--frequency")));
  EXPECT_THAT(OfferedByZsh("jprof record --source-maps "), HasSubstr("auto"));
  EXPECT_THAT(OfferedByZsh("jprof hist "), HasSubstr("syscall:"));
  EXPECT_THAT(OfferedByZsh(absl::StrCat("jprof stacks ", ::getpid())),
              HasSubstr(absl::StrCat(::getpid(), "  -- cli_test")));
}

}  // namespace
}  // namespace jprof
