#include "tests/testing/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "tests/testing/paths.h"

namespace jprof {
namespace {

constexpr int kPatienceMs = 20'000;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

absl::StatusOr<Child> Child::Spawn(const std::vector<std::string>& command) {
  JPROF_ASSIGN_OR_RETURN(Pipe in, MakePipe());
  JPROF_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    // Only calls that are safe between fork and exec.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::dup2(in.read.get(), STDIN_FILENO);
    ::dup2(out.write.get(), STDOUT_FILENO);
    DefaultSignals();
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  Child child;
  child.pid_ = pid;
  child.stdin_ = std::move(in.write);
  child.stdout_ = std::move(out.read);
  return child;
}

absl::StatusOr<Child> Child::SpawnReady(const std::vector<std::string>& command) {
  JPROF_ASSIGN_OR_RETURN(Child child, Spawn(command));
  JPROF_ASSIGN_OR_RETURN(std::string line, child.ReadLine());
  if (line != "ready") return absl::UnavailableError(absl::StrCat("child said: ", line));
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      stdin_(std::move(other.stdin_)),
      stdout_(std::move(other.stdout_)),
      buffer_(std::move(other.buffer_)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    Destroy();
    pid_ = std::exchange(other.pid_, 0);
    stdin_ = std::move(other.stdin_);
    stdout_ = std::move(other.stdout_);
    buffer_ = std::move(other.buffer_);
  }
  return *this;
}

Child::~Child() { Destroy(); }

void Child::Destroy() {
  if (pid_ == 0) return;
  Signal(SIGKILL);
  Wait();
}

absl::StatusOr<std::string> Child::ReadLine() {
  while (true) {
    size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    pollfd waiting = {stdout_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, kPatienceMs) <= 0) {
      return absl::UnavailableError("no line from the child");
    }
    char chunk[256];
    ssize_t n = ::read(stdout_.get(), chunk, sizeof(chunk));
    if (n <= 0) return absl::UnavailableError("the child closed its stdout");
    buffer_.append(chunk, static_cast<size_t>(n));
  }
}

absl::Status Child::Write(absl::string_view text) {
  // The pipe of a dead child must not end the test program.
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  absl::Status status;
  while (!text.empty()) {
    ssize_t n = ::write(stdin_.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = ErrnoStatus(errno, "write to child");
      break;
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  return status;
}

void Child::Signal(int signal) const {
  if (pid_ != 0) ::kill(pid_, signal);
}

int Child::Wait() {
  int status = 0;
  if (pid_ != 0) {
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }
  return status;
}

void DefaultSignals() {
  for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGPIPE}) ::signal(number, SIG_DFL);
}

absl::Status EndMainThread(Child& threads) {
  JPROF_RETURN_IF_ERROR(threads.Write("x"));
  JPROF_RETURN_IF_ERROR(threads.ReadLine().status());
  for (int waited_ms = 0; waited_ms < kPatienceMs; ++waited_ms) {
    std::ifstream file(absl::StrCat("/proc/", threads.pid(), "/stat"));
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    if (stat.find(") Z ") != std::string::npos) return absl::OkStatus();
    ::poll(nullptr, 0, 1);
  }
  return absl::UnavailableError("the main thread lives on");
}

bool AwaitCpuTime(Pid pid, uint64_t ns) {
  clockid_t clock;
  if (::clock_getcpuclockid(pid, &clock) != 0) return false;
  const auto now_ns = [](clockid_t of) {
    timespec t;
    if (::clock_gettime(of, &t) != 0) return uint64_t{0};
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  const uint64_t before_ns = now_ns(clock), end_ns = now_ns(CLOCK_MONOTONIC) + 60'000'000'000;
  for (uint64_t used_ns = before_ns; used_ns < before_ns + ns; used_ns = now_ns(clock)) {
    if (used_ns == 0 || now_ns(CLOCK_MONOTONIC) > end_ns) return false;
    const timespec pause = {0, 100'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

std::string TestProgram(absl::string_view name) {
  return absl::StrCat(JPROF_BINARY_DIR, "/tests/programs/", name);
}

}  // namespace jprof
