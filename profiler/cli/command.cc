#include "profiler/cli/command.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/capture/priority.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

absl::Status MakePipe(UniqueFd& from, UniqueFd& to) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  from = UniqueFd(ends[0]);
  to = UniqueFd(ends[1]);
  return absl::OkStatus();
}

ssize_t ReadAll(int fd, void* data, size_t size) {
  ssize_t n;
  while ((n = ::read(fd, data, size)) < 0 && errno == EINTR) {
  }
  return n;
}

// The program among its mappings: so all that is learned of it at length, its runtime and its
// call-frame tables, is known before the first sample. One that cannot be mapped, or is a script,
// is learned of when it executes.
void MapProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> places = {name};
  if (name.find('/') == std::string::npos && path != nullptr) {
    places.clear();
    for (absl::string_view folder : absl::StrSplit(path, ':')) {
      places.push_back(absl::StrCat(folder, folder.empty() ? "" : "/", name));
    }
  }
  for (const std::string& place : places) {
    struct stat file;
    if (::access(place.c_str(), X_OK) != 0 || ::stat(place.c_str(), &file) != 0 ||
        !S_ISREG(file.st_mode)) {
      continue;
    }
    UniqueFd fd(::open(place.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid() && file.st_size > 0) {
      ::mmap(nullptr, static_cast<size_t>(file.st_size), PROT_READ | PROT_EXEC, MAP_PRIVATE,
             fd.get(), 0);
    }
    return;
  }
}

}  // namespace

absl::StatusOr<Command> Command::Fork(const std::vector<std::string>& words, int niceness) {
  Command command;
  command.name_ = words[0];
  UniqueFd child_go, child_failure;
  JPROF_RETURN_IF_ERROR(MakePipe(child_go, command.go_));
  JPROF_RETURN_IF_ERROR(MakePipe(command.failure_, child_failure));
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  command.pid_ = ::fork();
  if (command.pid_ < 0) return ErrnoStatus(errno, absl::StrCat("cannot start ", words[0]));
  if (command.pid_ == 0) {
    SetNiceness(niceness);
    command.go_.Reset();  // or we would wait for ourselves when jprof dies
    MapProgram(words[0]);
    char go = 0;
    static_cast<void>(::write(child_failure.get(), &go, 1));
    if (ReadAll(child_go.get(), &go, 1) != 1) ::_exit(1);
    ::execvp(argv[0], argv.data());
    const int err = errno;
    static_cast<void>(::write(child_failure.get(), &err, sizeof(err)));
    ::_exit(err == ENOENT ? 127 : 126);
  }
  child_failure.Reset();
  char ready;
  if (ReadAll(command.failure_.get(), &ready, 1) != 1) {
    return absl::UnavailableError(absl::StrCat("cannot start ", words[0], ": it was killed"));
  }
  return command;
}

Command::Command(Command&& other) noexcept
    : name_(std::move(other.name_)),
      pid_(std::exchange(other.pid_, 0)),
      go_(std::move(other.go_)),
      failure_(std::move(other.failure_)),
      started_(other.started_) {}

Command::~Command() {
  if (pid_ <= 0 || started_) return;
  go_.Reset();
  Reap();
}

absl::Status Command::Start() {
  started_ = true;
  // Fails when somebody has killed it meanwhile; then its end is told as any other.
  static_cast<void>(::write(go_.get(), "", 1));
  int err = 0;
  if (ReadAll(failure_.get(), &err, sizeof(err)) != sizeof(err)) return absl::OkStatus();
  return ErrnoStatus(err, absl::StrCat("cannot start ", name_));
}

void Command::AwaitEnd() const {
  siginfo_t info;
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
}

int Command::Reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace jprof
