#include "profiler/process/proc_status.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxStatBytes = 64 << 10;
constexpr int kEndPauses = 100;  // in which threads that were killed begin to exit
constexpr useconds_t kEndPauseUs = 2000;

template <typename T>
bool ParseNumber(absl::string_view text, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Takes the next word off `text`; "" at the end.
absl::string_view NextWord(absl::string_view& text) {
  size_t begin = text.find_first_not_of(" \t\n");
  if (begin == absl::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(begin);
  size_t end = std::min(text.find_first_of(" \t\n"), text.size());
  absl::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// Entries of a /proc folder whose names are numbers, ascending.
absl::StatusOr<std::vector<int32_t>> ListNumbers(int folder, const std::string& path) {
  struct Closer {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  UniqueFd fd(::openat(folder, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  std::unique_ptr<DIR, Closer> dir(::fdopendir(fd.get()));
  if (dir == nullptr) return ErrnoStatus(errno, path);
  fd.Release();
  std::vector<int32_t> numbers;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) return ErrnoStatus(errno, path);
      break;
    }
    int32_t number = 0;
    if (ParseNumber(absl::string_view(entry->d_name), number)) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::StatusOr<std::string> ReadAt(int folder, const std::string& path, size_t max_bytes) {
  UniqueFd fd(::openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  std::string text;
  size_t size = 0;
  // The kernel makes the text while it is read, a page or so at a time; the size is not known
  // before.
  while (true) {
    if (text.size() - size < (size_t{32} << 10)) {
      text.resize(std::max<size_t>(text.size() * 2, size_t{64} << 10));
    }
    ssize_t n = ::read(fd.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path);
    if (n == 0) break;
    size += static_cast<size_t>(n);
    if (size > max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, ": longer than ", max_bytes, " bytes"));
    }
  }
  text.resize(size);
  return text;
}

// `read` on the folder of a process, with that process in the message.
template <typename T>
absl::StatusOr<T> OfProcess(Pid pid, absl::StatusOr<T> (*read)(const UniqueFd&)) {
  JPROF_ASSIGN_OR_RETURN(UniqueFd process, OpenProcess(pid));
  absl::StatusOr<T> result = read(process);
  if (!result.ok()) return Annotate(result.status(), absl::StrCat("/proc/", pid));
  return result;
}

}  // namespace

absl::StatusOr<std::string> ReadProcFile(const std::string& path, size_t max_bytes) {
  return ReadAt(AT_FDCWD, path, max_bytes);
}

absl::StatusOr<std::string> ReadProcFile(const UniqueFd& process, const std::string& name,
                                         size_t max_bytes) {
  return ReadAt(process.get(), name, max_bytes);
}

absl::StatusOr<UniqueFd> OpenProcess(Pid pid) {
  const std::string path = absl::StrCat("/proc/", pid);
  UniqueFd process(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!process.valid()) return ErrnoStatus(errno, path);
  return process;
}

absl::StatusOr<ProcStat> ParseProcStat(absl::string_view text) {
  ProcStat stat;
  absl::Status bad = absl::DataLossError("not the text of a stat file");
  // "PID (COMM) STATE PPID ...": the command name may hold anything, but what follows it has no
  // parenthesis.
  size_t open = text.find(" (");
  size_t close = text.rfind(')');
  if (open == absl::string_view::npos || close == absl::string_view::npos || close < open + 2) {
    return bad;
  }
  absl::string_view comm = text.substr(open + 2, close - open - 2);
  stat.comm.assign(comm.data(), comm.size());
  text.remove_prefix(close + 1);

  // Numbered as in proc(5).
  constexpr int kState = 3, kParent = 4, kFlags = 9, kChildrenUser = 16, kChildrenKernel = 17,
                kStartTime = 22;
  constexpr uint32_t kEnding = 0x4, kKernelThread = 0x00200000;  // PF_EXITING, PF_KTHREAD
  for (int field = kState; field <= kStartTime; ++field) {
    absl::string_view word = NextWord(text);
    if (word.empty()) return bad;
    if (field == kState) {
      if (word.size() != 1) return bad;
      stat.state = word[0];
    } else if (field == kParent) {
      if (!ParseNumber(word, stat.parent)) return bad;
    } else if (field == kFlags) {
      uint32_t flags = 0;
      if (!ParseNumber(word, flags)) return bad;
      stat.kernel_thread = (flags & kKernelThread) != 0;
      stat.ending = (flags & kEnding) != 0 || stat.dead();
    } else if (field == kChildrenUser || field == kChildrenKernel) {
      uint64_t ticks = 0;
      if (!ParseNumber(word, ticks)) return bad;
      stat.children_cpu_ticks += ticks;
    } else if (field == kStartTime) {
      if (!ParseNumber(word, stat.start_time_ticks)) return bad;
    }
  }
  return stat;
}

absl::StatusOr<ProcStatus> ParseProcStatus(absl::string_view text) {
  ProcStatus status;
  // The name is the one field that the target chooses; the kernel escapes newlines in it.
  bool have_group = false;
  while (!text.empty()) {
    size_t end = text.find('\n');
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    absl::string_view key = NextWord(line);
    bool ok = true;
    if (key == "Tgid:") {
      have_group = ok = ParseNumber(NextWord(line), status.thread_group);
    } else if (key == "TracerPid:") {
      ok = ParseNumber(NextWord(line), status.tracer);
    } else if (key == "Uid:") {
      NextWord(line);  // real
      ok = ParseNumber(NextWord(line), status.effective_uid);
    } else if (key == "Gid:") {
      NextWord(line);  // real
      ok = ParseNumber(NextWord(line), status.groups.emplace_back());
    } else if (key == "Groups:") {
      for (absl::string_view word = NextWord(line); ok && !word.empty(); word = NextWord(line)) {
        ok = ParseNumber(word, status.groups.emplace_back());
      }
    } else if (key == "NStgid:") {  // one number per nested pid namespace, ours first
      for (absl::string_view word = NextWord(line); ok && !word.empty(); word = NextWord(line)) {
        ok = ParseNumber(word, status.innermost_pid);
      }
    }
    if (!ok) return absl::DataLossError(absl::StrCat("bad field ", key));
  }
  if (!have_group) return absl::DataLossError("not the text of a status file");
  if (status.innermost_pid == 0) status.innermost_pid = status.thread_group;
  return status;
}

absl::StatusOr<ProcStat> ReadProcStat(const UniqueFd& process) {
  JPROF_ASSIGN_OR_RETURN(std::string text, ReadProcFile(process, "stat", kMaxStatBytes));
  return ParseProcStat(text);
}

absl::StatusOr<ProcStatus> ReadProcStatus(const UniqueFd& process) {
  JPROF_ASSIGN_OR_RETURN(std::string text, ReadProcFile(process, "status", kMaxStatBytes));
  return ParseProcStatus(text);
}

absl::StatusOr<ProcStat> ReadProcStat(Pid pid) { return OfProcess<ProcStat>(pid, ReadProcStat); }

absl::StatusOr<ProcStatus> ReadProcStatus(Pid pid) {
  return OfProcess<ProcStatus>(pid, ReadProcStatus);
}

absl::StatusOr<std::string> ReadThreadComm(Pid pid, Tid tid) {
  JPROF_ASSIGN_OR_RETURN(
      std::string comm,
      ReadProcFile(absl::StrCat("/proc/", pid, "/task/", tid, "/comm"), kMaxStatBytes));
  // Only the last newline is the kernel's.
  if (!comm.empty() && comm.back() == '\n') comm.pop_back();
  return comm;
}

absl::StatusOr<Tid> LivingThread(Pid pid) {
  auto lives = [](Tid tid) {
    const absl::StatusOr<ProcStat> stat = ReadProcStat(tid);
    return stat.ok() && !stat->dead();
  };
  if (lives(pid)) return pid;
  JPROF_ASSIGN_OR_RETURN(std::vector<Tid> threads, ListThreads(pid));
  for (Tid tid : threads) {
    if (tid != pid && lives(tid)) return tid;
  }
  return absl::NotFoundError(absl::StrCat("pid ", pid, " has exited"));
}

bool HasExited(Pid pid) {
  for (int i = 0; i < kEndPauses; ++i) {
    if (i != 0) ::usleep(kEndPauseUs);
    const absl::StatusOr<std::vector<Tid>> threads = ListThreads(pid);
    if (!threads.ok()) return absl::IsNotFound(threads.status());
    if (std::all_of(threads->begin(), threads->end(), [](Tid tid) {
          const absl::StatusOr<ProcStat> stat = ReadProcStat(tid);
          return stat.ok() ? stat->ending : absl::IsNotFound(stat.status());
        })) {
      return true;
    }
  }
  return false;
}

absl::Status UnlessExited(Pid pid, const absl::Status& status) {
  if (status.ok() || !HasExited(pid)) return status;
  return absl::NotFoundError(absl::StrCat("process ", pid, " exited meanwhile"));
}

absl::StatusOr<std::vector<Pid>> ListProcesses() { return ListNumbers(AT_FDCWD, "/proc"); }

absl::StatusOr<std::vector<Tid>> ListThreads(Pid pid) {
  return ListNumbers(AT_FDCWD, absl::StrCat("/proc/", pid, "/task"));
}

absl::StatusOr<std::vector<Tid>> ListThreads(const UniqueFd& process) {
  return ListNumbers(process.get(), "task");
}

}  // namespace jprof
