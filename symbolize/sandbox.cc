#include "symbolize/sandbox.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace jprof {
namespace {

constexpr rlim_t kMaxDescriptors = 64;
constexpr rlim_t kMaxFileBytes = rlim_t{256} << 20;  // of memory files, for what is unpacked

bool SetLimit(__rlimit_resource resource, rlim_t value) {
  const rlimit limit = {value, value};
  return ::setrlimit(resource, &limit) == 0;
}

// Kills the process at any other system call. Memory, once mapped, cannot be made executable.
bool AllowFewSystemCalls() {
  constexpr uint32_t kX32 = 0x40000000;
  constexpr uint16_t kNumber = offsetof(seccomp_data, nr);
  constexpr uint32_t kProtection = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);
  constexpr int kAllowed[] = {
      SYS_read,       SYS_write,        SYS_pread64,       SYS_lseek,   SYS_close,
      SYS_fstat,      SYS_newfstatat,   SYS_recvmsg,       SYS_sendmsg, SYS_recvfrom,
      SYS_sendto,     SYS_munmap,       SYS_brk,           SYS_mremap,  SYS_madvise,
      SYS_futex,      SYS_memfd_create, SYS_clock_gettime, SYS_getpid,  SYS_setitimer,
      SYS_exit_group, SYS_exit,         SYS_rt_sigreturn,  SYS_gettid,  SYS_getrandom,
#ifdef JPROF_ADDRESS_SANITIZER  // its runtime's own
      SYS_pipe2, SYS_sigaltstack,
#endif
  };
  constexpr int kProtected[] = {SYS_mmap, SYS_mprotect};
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  for (int number : kAllowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  for (int number : kProtected) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 4));
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kProtection));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr struct {
  uint32_t part;
  absl::string_view name;
} kParts[] = {{kSandboxPrivileges, "no privileges"},
              {kSandboxResources, "few resources"},
              {kSandboxMemory, "bounded memory"},
              {kSandboxCalls, "few system calls (seccomp)"}};

bool GiveUpPrivileges() {
  const bool no_new = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  for (int number = 0; ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0; ++number) {
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0 && no_new;
}

bool GiveUpResources() {
  // Each of them, whatever becomes of the others.
  const bool done[] = {SetLimit(RLIMIT_CORE, 0), SetLimit(RLIMIT_FSIZE, kMaxFileBytes),
                       SetLimit(RLIMIT_NPROC, 0), SetLimit(RLIMIT_NOFILE, kMaxDescriptors)};
  return std::all_of(std::begin(done), std::end(done), [](bool one) { return one; });
}

bool GiveUpMemory([[maybe_unused]] uint64_t memory_bytes) {
#ifdef JPROF_ADDRESS_SANITIZER  // whose shadow is larger than any limit
  return true;
#else
  return SetLimit(RLIMIT_AS, memory_bytes);
#endif
}

}  // namespace

std::string SandboxText(uint32_t parts) {
  std::vector<absl::string_view> there, missing;
  for (const auto& part : kParts) (parts & part.part ? there : missing).push_back(part.name);
  std::string text = absl::StrJoin(there, ", ");
  if (!missing.empty()) {
    absl::StrAppend(&text, there.empty() ? "none of: " : "; refused: ",
                    absl::StrJoin(missing, ", "));
  }
  return text;
}

uint32_t GiveUpEverything(uint64_t memory_bytes) {
  uint32_t parts = 0;
  if (GiveUpPrivileges()) parts |= kSandboxPrivileges;
  if (GiveUpResources()) parts |= kSandboxResources;
  if (GiveUpMemory(memory_bytes)) parts |= kSandboxMemory;
  if (AllowFewSystemCalls()) parts |= kSandboxCalls;
  return parts;
}

uint32_t TrySandbox() {
  constexpr uint64_t kMemoryBytes = uint64_t{1} << 30;
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(static_cast<int>(GiveUpEverything(kMemoryBytes)));
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return 0;
  return static_cast<uint32_t>(WEXITSTATUS(status));
}

}  // namespace jprof
