// What /proc/PID says about a process besides its mappings.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

// /proc/ID/stat. For the number of a thread, that thread's.
struct ProcStat {
  std::string comm;  // raw: at most 63 bytes of anything, newlines and parentheses included
  char state = '?';  // R S D T t Z X I ...
  Pid parent = 0;    // 0: none, or outside of jprof's pid namespace
  bool kernel_thread = false;
  bool ending = false;  // it exits or has exited: its memory may be gone already
  uint64_t children_cpu_ticks = 0;  // user and kernel, of the children that it has waited for
  uint64_t start_time_ticks = 0;    // since boot; a second has sysconf(_SC_CLK_TCK) of them

  bool dead() const { return state == 'Z' || state == 'X'; }
};

// /proc/ID/status. For the number of a thread, that thread's.
struct ProcStatus {
  Pid thread_group = 0;     // the process; differs from ID when ID is that of a thread
  uid_t effective_uid = 0;  // in jprof's user namespace
  std::vector<gid_t> groups;  // the effective one, and the supplementary ones
  Pid innermost_pid = 0;    // the process's number in its own pid namespace: what perf-PID.map uses
  Pid tracer = 0;           // that may stop it, by ptrace; 0: none
};

// DataLoss: not the text of such a file.
absl::StatusOr<ProcStat> ParseProcStat(absl::string_view text);
absl::StatusOr<ProcStatus> ParseProcStatus(absl::string_view text);

// /proc/PID, to be read through: a pid alone is no identity, its number is given away again, but
// what is read through the descriptor is NotFound once that very process is gone.
absl::StatusOr<UniqueFd> OpenProcess(Pid pid);

// NotFound: no such process or thread.
absl::StatusOr<ProcStat> ReadProcStat(Pid pid);
absl::StatusOr<ProcStat> ReadProcStat(const UniqueFd& process);
absl::StatusOr<ProcStatus> ReadProcStatus(Pid pid);
absl::StatusOr<ProcStatus> ReadProcStatus(const UniqueFd& process);

// The command name of one thread: /proc/PID/task/TID/comm without its newline.
absl::StatusOr<std::string> ReadThreadComm(Pid pid, Tid tid);

// The process's number; or, if its main thread has ended before the others, that of one which
// lives. Maps, root and memory are to be had of a thread that lives alone. NotFound: all have
// ended.
absl::StatusOr<Tid> LivingThread(Pid pid);

// Whether all threads of the process have exited, or are about to; a moment is waited for it.
bool HasExited(Pid pid);
// What failed of a process, as it is to be told: NotFound where that one has exited, since that is
// why.
absl::Status UnlessExited(Pid pid, const absl::Status& status);

// All processes / all threads of a process that exist now, ascending.
absl::StatusOr<std::vector<Pid>> ListProcesses();
absl::StatusOr<std::vector<Tid>> ListThreads(Pid pid);
absl::StatusOr<std::vector<Tid>> ListThreads(const UniqueFd& process);

// Reads a whole /proc file, by its path or by its name in a process's folder. ResourceExhausted
// beyond `max_bytes`.
absl::StatusOr<std::string> ReadProcFile(const std::string& path, size_t max_bytes);
absl::StatusOr<std::string> ReadProcFile(const UniqueFd& process, const std::string& name,
                                         size_t max_bytes);

}  // namespace jprof
