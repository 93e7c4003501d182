#include "profiler/process/process_access.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

constexpr size_t kMaxAuxiliaryBytes = 4096;
constexpr char kPtraceScope[] = "/proc/sys/kernel/yama/ptrace_scope";

bool FilesDenied(Pid pid) {
  UniqueFd root(
      ::open(absl::StrCat("/proc/", pid, "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return !root.valid() && (errno == EACCES || errno == EPERM);
}

// The kernel asks for the right before it looks at the address.
bool MemoryDenied(Pid pid) {
  char byte;
  iovec local = {&byte, 1};
  iovec remote = {nullptr, 1};
  return ::process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 && errno == EPERM;
}

}  // namespace

bool HaveCapability(int capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

absl::Status CheckProcFileSystem() {
  char text[32] = {};
  Pid self = 0;
  if (::readlink("/proc/self", text, sizeof(text) - 1) < 0 || !absl::SimpleAtoi(text, &self)) {
    return WithHint(absl::FailedPreconditionError("/proc does not show even jprof's own process"),
                    "mount -t proc proc /proc");
  }
  if (self == ::getpid()) return absl::OkStatus();
  return WithHint(
      absl::FailedPreconditionError(absl::StrCat(
          "/proc is that of another pid namespace: jprof is ", self, " there and ", ::getpid(),
          " here")),
      "mount the namespace's own (unshare --mount-proc), or run jprof outside of it");
}

absl::Status CheckAccess(Pid pid, bool memory_too) {
  const Tid living = LivingThread(pid).value_or(pid);
  const bool files_denied = FilesDenied(living);
  if (!files_denied && !(memory_too && MemoryDenied(living))) return absl::OkStatus();
  absl::StatusOr<std::string> scope = ReadProcFile(kPtraceScope, 64);
  return AccessDenied(HaveCapability(CAP_SYS_PTRACE), !files_denied,
                      absl::StripAsciiWhitespace(scope.ok() ? *scope : ""));
}

// By what the kernel told it at its start, since its file may lie where reading takes for ever.
absl::Status CheckProgram(Pid pid) {
  const absl::StatusOr<std::string> text = ReadProcFile(
      absl::StrCat("/proc/", LivingThread(pid).value_or(pid), "/auxv"), kMaxAuxiliaryBytes);
  Elf32_auxv_t entry;
  for (size_t at = 0; text.ok() && at + sizeof(entry) <= text->size(); at += sizeof(entry)) {
    std::memcpy(&entry, text->data() + at, sizeof(entry));
    if (entry.a_type == AT_NULL) break;
    // The upper halves of 64-bit types are 0.
    if (entry.a_type == AT_PHENT && entry.a_un.a_val == sizeof(Elf32_Phdr)) {
      return absl::FailedPreconditionError(
          absl::StrCat("process ", pid, " runs a 32-bit program: jprof reads 64-bit ones"));
    }
  }
  return absl::OkStatus();
}

absl::Status AccessDenied(bool have_cap_sys_ptrace, bool only_memory,
                          absl::string_view ptrace_scope) {
  const absl::string_view reading = only_memory ? "reading its memory" : "reading it";
  const std::string yama = only_memory && !ptrace_scope.empty() && ptrace_scope != "0"
                               ? absl::StrCat(" (kernel.yama.ptrace_scope is ", ptrace_scope, ")")
                               : "";
  if (only_memory && ptrace_scope == "3") {
    return WithHint(
        absl::PermissionDeniedError(absl::StrCat(reading, " is forbidden, to root as well", yama)),
        "boot with kernel.yama.ptrace_scope=2 or less, or do without: --no-helpers");
  }
  if (!have_cap_sys_ptrace) {
    return WithHint(absl::PermissionDeniedError(
                        absl::StrCat(reading, " takes CAP_SYS_PTRACE, which jprof lacks", yama)),
                    "run as root, or sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep "
                    "\"$(command -v jprof)\"");
  }
  return WithHint(absl::PermissionDeniedError(absl::StrCat(
                      reading,
                      " is forbidden although jprof has CAP_SYS_PTRACE: by a user namespace, a "
                      "container's seccomp profile or a security module",
                      yama)),
                  "run jprof as root outside of the container");
}

}  // namespace jprof
