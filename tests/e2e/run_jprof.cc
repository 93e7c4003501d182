#include "tests/e2e/run_jprof.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "profiler/core/status.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr uid_t kNobody = 65534;
constexpr absl::string_view kOverwrite = "\r\033[K";  // begins each showing of the progress line

struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};

absl::StatusOr<Terminal> OpenTerminal() {
  Terminal t;
  t.master = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!t.master.valid() || ::grantpt(t.master.get()) != 0 || ::unlockpt(t.master.get()) != 0) {
    return ErrnoStatus(errno, "pseudo-terminal");
  }
  t.slave = UniqueFd(::open(::ptsname(t.master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios mode;
  if (!t.slave.valid() || ::tcgetattr(t.slave.get(), &mode) != 0) {
    return ErrnoStatus(errno, "pseudo-terminal");
  }
  ::cfmakeraw(&mode);
  ::tcsetattr(t.slave.get(), TCSANOW, &mode);
  return t;
}

absl::Status MakePipe(UniqueFd& reader, UniqueFd& writer) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  reader = UniqueFd(fds[0]);
  writer = UniqueFd(fds[1]);
  return absl::OkStatus();
}

// The number of samples that the progress line shows last; -1 when there is no such line yet.
int64_t ShownSamples(absl::string_view raw) {
  const size_t word = raw.rfind(" samples");
  const size_t line = raw.rfind("recording: ");
  if (line == absl::string_view::npos) return -1;
  if (word == absl::string_view::npos || word < line) return 0;
  const size_t begin = raw.rfind(' ', word - 1) + 1;
  int64_t count = 0;
  return absl::SimpleAtoi(raw.substr(begin, word - begin), &count) ? count : 0;
}

std::string WithoutProgress(absl::string_view raw) {
  std::string text;
  while (!raw.empty()) {
    const size_t at = raw.find(kOverwrite);
    absl::StrAppend(&text, raw.substr(0, at));
    if (at == absl::string_view::npos) break;
    raw.remove_prefix(at + kOverwrite.size());
    // What follows is a showing, up to the next one, unless it is the last: cleared, then messages.
    const size_t next = raw.find(kOverwrite);
    if (next != absl::string_view::npos) raw.remove_prefix(next);
  }
  return text;
}

// For whole suites to be run at another level of capture; "" for the one that jprof chooses.
std::string Level() {
  const char* level = std::getenv("JPROF_TEST_LEVEL");
  return level == nullptr ? "" : level;
}

}  // namespace

int JprofResult::exit_code() const {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}
int JprofResult::signal() const { return WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0; }

std::vector<std::string> JprofResult::messages() const {
  return absl::StrSplit(err, '\n', absl::SkipEmpty());
}

absl::StatusOr<Jprof> Jprof::Start(const std::vector<std::string>& arguments,
                                   const JprofOptions& options) {
  Jprof jprof;
  UniqueFd child_out, child_err;
  switch (options.standard_output) {
    case JprofOptions::Stdout::kCaptured:
      child_out = UniqueFd(::memfd_create("stdout", MFD_CLOEXEC));
      jprof.out_ = UniqueFd(::fcntl(child_out.get(), F_DUPFD_CLOEXEC, 0));
      jprof.captured_ = true;
      break;
    case JprofOptions::Stdout::kFullDevice:
      child_out = UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC));
      break;
    case JprofOptions::Stdout::kBrokenPipe:
    case JprofOptions::Stdout::kStuckPipe:
      JPROF_RETURN_IF_ERROR(MakePipe(jprof.out_, child_out));
      if (options.standard_output == JprofOptions::Stdout::kBrokenPipe) jprof.out_.Reset();
      ::fcntl(child_out.get(), F_SETPIPE_SZ, 4096);
      break;
    case JprofOptions::Stdout::kTerminal: {
      JPROF_ASSIGN_OR_RETURN(Terminal terminal, OpenTerminal());
      jprof.out_ = std::move(terminal.master);
      child_out = std::move(terminal.slave);
    }
  }
  if (options.stderr_is_terminal) {
    JPROF_ASSIGN_OR_RETURN(Terminal terminal, OpenTerminal());
    jprof.err_ = std::move(terminal.master);
    child_err = std::move(terminal.slave);
  } else {
    JPROF_RETURN_IF_ERROR(MakePipe(jprof.err_, child_err));
  }

  const std::string binary = options.binary.empty() ? JPROF_BINARY : options.binary;
  std::vector<char*> argv = {const_cast<char*>(binary.c_str())};
  const std::string level = absl::StrCat("--level=", Level());
  if (!Level().empty()) argv.push_back(const_cast<char*>(level.c_str()));
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  jprof.pid_ = ::fork();
  if (jprof.pid_ < 0) return ErrnoStatus(errno, "fork");
  if (jprof.pid_ == 0) {
    // Only calls that are safe between fork and exec.
    ::dup2(child_out.get(), STDOUT_FILENO);
    ::dup2(child_err.get(), STDERR_FILENO);
    if (options.as_nobody && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    DefaultSignals();
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return jprof;
}

Jprof::Jprof(Jprof&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      captured_(other.captured_),
      raw_err_(std::move(other.raw_err_)) {}

Jprof::~Jprof() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Jprof::ReadStderr(int timeout_ms) {
  pollfd fd = {err_.get(), POLLIN, 0};
  if (::poll(&fd, 1, timeout_ms) <= 0) return true;
  char chunk[4096];
  const ssize_t n = ::read(err_.get(), chunk, sizeof(chunk));  // a terminal ends with EIO
  if (n <= 0) return false;
  raw_err_.append(chunk, static_cast<size_t>(n));
  return true;
}

bool Jprof::WaitForProgress(uint64_t samples) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (ShownSamples(raw_err_) < static_cast<int64_t>(samples)) {
    if (absl::Now() > deadline || !ReadStderr(1000)) return false;
  }
  return true;
}

bool Jprof::WaitForRecording() { return WaitForProgress(0); }
bool Jprof::WaitForSamples(uint64_t count) { return WaitForProgress(count); }

bool Jprof::WaitForText(absl::string_view text) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!absl::StrContains(raw_err_, text)) {
    if (absl::Now() > deadline || !ReadStderr(1000)) return false;
  }
  return true;
}

bool Jprof::WaitUntilStuck() {
  const absl::Time deadline = absl::Now() + kPatience;
  for (int queued = 0; queued == 0;) {
    if (absl::Now() > deadline || !ReadStderr(10)) return false;
    if (::ioctl(out_.get(), FIONREAD, &queued) != 0) return false;
  }
  return true;
}

void Jprof::Signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void Jprof::SignalUntilEnd(int number) {
  const absl::Time deadline = absl::Now() + kPatience;
  do {
    Signal(number);
  } while (absl::Now() < deadline && ReadStderr(20));
}

JprofResult Jprof::Wait() {
  JprofResult result;
  const absl::Time deadline = absl::Now() + 2 * kPatience;
  while (ReadStderr(1000)) {
    if (absl::Now() > deadline) Signal(SIGKILL);
  }
  while (::waitpid(pid_, &result.wait_status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  result.err = WithoutProgress(raw_err_);
  if (captured_) {
    char chunk[1 << 16];
    off_t at = 0;
    for (ssize_t n; (n = ::pread(out_.get(), chunk, sizeof(chunk), at)) > 0; at += n) {
      result.out.append(chunk, static_cast<size_t>(n));
    }
  }
  return result;
}

JprofResult RunJprof(const std::vector<std::string>& arguments, const JprofOptions& options) {
  absl::StatusOr<Jprof> jprof = Jprof::Start(arguments, options);
  if (!jprof.ok()) {
    ADD_FAILURE() << jprof.status();
    return {};
  }
  return jprof->Wait();
}

JprofResult RunJprofFor(uint64_t samples, const std::vector<std::string>& arguments) {
  absl::StatusOr<Jprof> jprof = Jprof::Start(arguments);
  if (!jprof.ok()) {
    ADD_FAILURE() << jprof.status();
    return {};
  }
  EXPECT_TRUE(jprof->WaitForSamples(samples)) << "no " << samples << " samples";
  jprof->Signal(SIGINT);
  JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  return result;
}

size_t FoldedStack::Count(absl::string_view frame) const {
  return static_cast<size_t>(std::count(frames.begin(), frames.end(), frame));
}
bool FoldedStack::Has(absl::string_view frame) const { return Count(frame) > 0; }

uint64_t FoldedProfile::total() const {
  uint64_t sum = 0;
  for (const FoldedStack& s : stacks) sum += s.count;
  return sum;
}
uint64_t FoldedProfile::With(absl::string_view frame) const {
  uint64_t sum = 0;
  for (const FoldedStack& s : stacks) sum += s.Has(frame) ? s.count : 0;
  return sum;
}
uint64_t FoldedProfile::Leaf(absl::string_view frame) const {
  uint64_t sum = 0;
  for (const FoldedStack& s : stacks) {
    auto leaf = std::find_if(s.frames.rbegin(), s.frames.rend(),
                             [](const std::string& f) { return !absl::EndsWith(f, "_[k]"); });
    sum += leaf != s.frames.rend() && *leaf == frame ? s.count : 0;
  }
  return sum;
}

FoldedProfile ParseFolded(absl::string_view text) {
  FoldedProfile profile;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const size_t blank = line.rfind(' ');
    FoldedStack stack;
    if (blank == absl::string_view::npos ||
        !absl::SimpleAtoi(line.substr(blank + 1), &stack.count)) {
      ADD_FAILURE() << "no folded stack: " << line;
      continue;
    }
    stack.frames = absl::StrSplit(line.substr(0, blank), ';');
    profile.stacks.push_back(std::move(stack));
  }
  return profile;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = testing::TempDir() + "jprof-test-XXXXXX";
  path_ = ::mkdtemp(name.data()) == nullptr ? "" : name;
  EXPECT_NE(path_, "");
  ::chmod(path_.c_str(), 0755);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::operator/(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

std::vector<std::string> TemporaryFolder::Names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string CopyForAll(const std::string& from, const std::string& to) {
  std::error_code error;
  EXPECT_TRUE(std::filesystem::copy_file(from, to, error)) << from << ": " << error.message();
  EXPECT_EQ(::chmod(to.c_str(), 0755), 0);
  return to;
}

std::string ReadWholeFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace jprof
