// jprof top on a terminal of the test's own: what is drawn, keys, signals, and how the terminal is
// left.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "profiler/core/unique_fd.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr char kTakes[] = "\x1b[?1049h";
constexpr char kGivesBack[] = "\x1b[?1049l";

class TopOnTerminal {
 public:
  explicit TopOnTerminal(const std::vector<std::string>& arguments, unsigned short rows = 24,
                         unsigned short columns = 100) {
    int master, slave;
    winsize size = {rows, columns, 0, 0};
    if (::openpty(&master, &slave, nullptr, nullptr, &size) != 0) std::abort();
    master_ = UniqueFd(master);
    slave_ = UniqueFd(slave);
    ::tcgetattr(slave, &before_);
    std::vector<std::string> words = {JPROF_BINARY, "top", "--interval", "200ms"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setsid();
      ::ioctl(slave, TIOCSCTTY, 0);
      for (int fd : {0, 1, 2}) ::dup2(slave, fd);
      ::setenv("TERM", "xterm-256color", 1);
      ::setenv("LC_ALL", "C.UTF-8", 1);
      ::unsetenv("NO_COLOR");
      DefaultSignals();
      ::execv(JPROF_BINARY, argv.data());
      ::_exit(127);
    }
  }
  ~TopOnTerminal() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }

  // Until it has written this since `from`.
  bool WaitFor(absl::string_view text, size_t from = 0) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!absl::StrContains(absl::string_view(written_).substr(from), text)) {
      if (absl::Now() > deadline || !Read(100)) return false;
    }
    return true;
  }
  void Press(absl::string_view keys) {
    ASSERT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void Resize(unsigned short rows, unsigned short columns) {
    winsize size = {rows, columns, 0, 0};
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
  }
  void Signal(int number) { ::kill(pid_, number); }
  bool WaitUntilStopped() {
    int status = 0;
    return ::waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status);
  }
  // Its wait status.
  int WaitForEnd() {
    int status = -1;
    const absl::Time deadline = absl::Now() + kPatience;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (absl::Now() > deadline) return -1;
      Read(50);
    }
    pid_ = 0;
    while (Read(100)) {
    }
    return status;
  }
  bool IsRaw() const {
    termios now;
    return ::tcgetattr(slave_.get(), &now) == 0 && (now.c_lflag & ICANON) == 0;
  }
  bool IsAsBefore() const {
    termios now;
    return ::tcgetattr(slave_.get(), &now) == 0 && now.c_lflag == before_.c_lflag &&
           now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag &&
           std::memcmp(now.c_cc, before_.c_cc, sizeof(now.c_cc)) == 0;
  }
  size_t size() const { return written_.size(); }
  // On the normal screen, since it was given back.
  std::string AtTheEnd() const {
    return written_.substr(written_.rfind(kGivesBack) + sizeof(kGivesBack) - 1);
  }
  const std::string& written() const { return written_; }

 private:
  // False: there was nothing.
  bool Read(int timeout_ms) {
    pollfd fd = {master_.get(), POLLIN, 0};
    char bytes[4096];
    if (::poll(&fd, 1, timeout_ms) <= 0) return pid_ > 0;
    const ssize_t n = ::read(master_.get(), bytes, sizeof(bytes));
    if (n > 0) written_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }

  UniqueFd master_;
  UniqueFd slave_;
  termios before_;
  pid_t pid_ = 0;
  std::string written_;
};

Child Spin() {
  absl::StatusOr<Child> spin = Child::SpawnReady({TestProgram("spin")});
  if (!spin.ok()) std::abort();
  return *std::move(spin);
}

TEST(TopTest, ShowsTheHotFunctionAndItsStackOnATerminal) {
  const Child spin = Spin();
  TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
  ASSERT_TRUE(top.WaitFor("C++, native"));
  EXPECT_TRUE(top.IsRaw());
  size_t seen = top.size();
  top.Press("\r");
  EXPECT_TRUE(top.WaitFor("in process spin", seen));
  EXPECT_THAT(top.written().substr(seen), HasSubstr("stacks of "));
  seen = top.size();
  top.Press("\x1b");
  EXPECT_TRUE(top.WaitFor("function", seen));
  top.Press("t");
  EXPECT_TRUE(top.WaitFor("by total", seen));
  top.Press("q");
  EXPECT_EQ(top.WaitForEnd(), 0);
  EXPECT_TRUE(top.IsAsBefore());
  EXPECT_THAT(top.AtTheEnd(), AllOf(HasSubstr("jprof top: spin (pid "), HasSubstr("C++, native"),
                                    Not(HasSubstr("\x1b"))));
}

TEST(TopTest, FollowsTheSizeOfItsTerminal) {
  const Child spin = Spin();
  TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
  ASSERT_TRUE(top.WaitFor("C++, native"));
  const size_t seen = top.size();
  top.Resize(8, 30);
  const std::string kDrawsAllAnew = "\x1b[0m\x1b[2J";
  ASSERT_TRUE(top.WaitFor(kDrawsAllAnew, seen));
  const size_t anew = top.written().find(kDrawsAllAnew, seen);
  EXPECT_TRUE(top.WaitFor("\x1b[8;1H", anew));
  EXPECT_THAT(top.written().substr(anew), Not(HasSubstr("\x1b[9;1H")));
  top.Press("q");
  EXPECT_EQ(top.WaitForEnd(), 0);
}

TEST(TopTest, ASignalGivesTheTerminalBack) {
  const Child spin = Spin();
  for (int number : {SIGINT, SIGHUP}) {
    TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
    ASSERT_TRUE(top.WaitFor("C++, native"));
    top.Signal(number);
    EXPECT_EQ(top.WaitForEnd(), 0) << number;
    EXPECT_TRUE(top.IsAsBefore()) << number;
    EXPECT_THAT(top.written(), HasSubstr(kGivesBack));
  }
}

TEST(TopTest, ASignalThatKillsGivesTheTerminalBack) {
  const Child spin = Spin();
  TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
  ASSERT_TRUE(top.WaitFor("C++, native"));
  top.Signal(SIGQUIT);
  const int status = top.WaitForEnd();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT) << status;
  EXPECT_TRUE(top.IsAsBefore());
}

TEST(TopTest, StoppedItLeavesTheTerminalAndTakesItAgain) {
  const Child spin = Spin();
  TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
  ASSERT_TRUE(top.WaitFor("C++, native"));
  // Its session has no other process, so that a stop by the terminal is none.
  top.Signal(SIGSTOP);
  ASSERT_TRUE(top.WaitUntilStopped());
  const size_t seen = top.size();
  top.Signal(SIGCONT);
  EXPECT_TRUE(top.WaitFor(kTakes, seen));
  EXPECT_TRUE(top.WaitFor("C++, native", top.written().find(kTakes, seen)));
  const size_t running = top.size();
  top.Signal(SIGTSTP);
  EXPECT_TRUE(top.WaitFor(kGivesBack, running));
  EXPECT_TRUE(top.WaitFor(kTakes, top.written().find(kGivesBack, running)));
  top.Press("q");
  EXPECT_EQ(top.WaitForEnd(), 0);
  EXPECT_TRUE(top.IsAsBefore());
}

TEST(TopTest, TheTargetsEndIsToldOnTheNormalScreen) {
  Child spin = Spin();
  TopOnTerminal top({"-p", absl::StrCat(spin.pid())});
  ASSERT_TRUE(top.WaitFor("C++, native"));
  spin.Signal(SIGKILL);
  EXPECT_EQ(top.WaitForEnd(), 0);
  EXPECT_TRUE(top.IsAsBefore());
  EXPECT_THAT(top.AtTheEnd(), AllOf(HasSubstr("the target exited"), HasSubstr("C++, native")));
}

TEST(TopTest, ADrawnNameOfNodeIsThatOfARecording) {
  absl::StatusOr<Child> node = Child::SpawnReady(
      {JPROF_SOURCE_DIR "/build/nodes/22.23.3/bin/node", "-e",
       "function hotSpot(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i);"
       " return s; } console.log('ready'); function go() { hotSpot(1e6);"
       " setImmediate(go); } go();"});
  ASSERT_TRUE(node.ok()) << node.status();
  TopOnTerminal top({"-p", absl::StrCat(node->pid())});
  EXPECT_TRUE(top.WaitFor("hotSpot"));
  EXPECT_TRUE(top.WaitFor("JavaScript"));
  top.Press("q");
  EXPECT_EQ(top.WaitForEnd(), 0);
}

TEST(TopTest, WithoutATerminalItPrintsPlainText) {
  const Child spin = Spin();
  const JprofResult result =
      RunJprof({"top", "-p", absl::StrCat(spin.pid()), "-b", "2", "--rows", "3", "-i", "200ms"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("jprof top: spin (pid "),
                                ContainsRegex("[0-9]%.*C\\+\\+, native"), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(absl::string_view(result.out).find("jprof top"), 0u);
  EXPECT_NE(result.out.rfind("jprof top"), 0u);  // twice
}

TEST(TopTest, AClosedPipeIsAnError) {
  const Child spin = Spin();
  const JprofResult result = RunJprof({"top", "-p", absl::StrCat(spin.pid()), "-b", "2"},
                                      {.standard_output = JprofOptions::Stdout::kBrokenPipe});
  EXPECT_EQ(result.exit_code(), 1);
  EXPECT_THAT(result.err, HasSubstr("cannot write standard output"));
}

TEST(TopTest, ItsLineIsChecked) {
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"top"}, {"top", "-a", "--sort", "name"}, {"top", "-a", "--interval", "1ms"},
           {"top", "-a", "--filter", "(("}, {"top", "-a", "-b", "0"}, {"top", "-a", "-p", "1"}}) {
    EXPECT_EQ(RunJprof(line).exit_code(), 2) << line.back();
  }
}

}  // namespace
}  // namespace jprof
