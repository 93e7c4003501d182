// Whether the kernel lets us look into another process: asked before a recording, which would come
// out without names otherwise.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"

namespace jprof {

// Whether /proc tells of the processes that jprof's calls mean. FailedPrecondition, with a hint: it
// is not mounted, or is that of another pid namespace, where the same number is another process.
absl::Status CheckProcFileSystem();

// OK: its files can be opened and, if that is asked for, its memory read; or it is gone, or it has
// neither (a kernel thread). PermissionDenied, with a hint: what forbids it.
absl::Status CheckAccess(Pid pid, bool memory_too);

// Whether jprof has one of CAP_... (linux/capability.h), of those in effect.
bool HaveCapability(int capability);

// FailedPrecondition: it runs a 32-bit program, of which nothing can be read.
absl::Status CheckProgram(Pid pid);

// What forbids it, in words. `ptrace_scope` is the setting of Yama, "" where there is none.
absl::Status AccessDenied(bool have_cap_sys_ptrace, bool only_memory,
                          absl::string_view ptrace_scope);

}  // namespace jprof
