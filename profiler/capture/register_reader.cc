#include "profiler/capture/register_reader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <optional>

#include "absl/strings/str_cat.h"
#include "profiler/capture/bpf_instructions.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// The kernel's pt_regs, with which user_regs_struct begins.
using KernelRegisters = std::array<std::byte, offsetof(user_regs_struct, fs_base)>;
constexpr size_t kThreadsAtOnce = 64;

// Of the kernel's bpf_iter__task and bpf_iter_meta.
constexpr int16_t kMetaOffset = 0, kTaskOffset = 8, kSequenceOffset = 0;

UniqueFd Attach(int program, bpf_iter_link_info threads) {
  bpf_link_create_opts options = {};
  options.sz = sizeof(options);
  options.iter_info = &threads;
  options.iter_info_len = sizeof(threads);
  return UniqueFd(::bpf_link_create(program, 0, BPF_TRACE_ITER, &options));
}

// Among the threads that the program is attached to.
absl::StatusOr<std::optional<user_regs_struct>> Find(const UniqueFd& link, uint64_t pc,
                                                     uint64_t sp) {
  const UniqueFd threads(link.valid() ? ::bpf_iter_create(link.get()) : -1);
  if (!threads.valid()) return ErrnoStatus(errno, "iterating over threads by BPF");
  std::array<KernelRegisters, kThreadsAtOnce> found;
  while (true) {
    const ssize_t size = ::read(threads.get(), found.data(), sizeof(found));
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) return ErrnoStatus(errno, "reading registers by BPF");
    if (size == 0) return std::nullopt;
    for (size_t i = 0; i < static_cast<size_t>(size) / sizeof(KernelRegisters); ++i) {
      user_regs_struct registers = {};
      std::memcpy(&registers, found[i].data(), sizeof(KernelRegisters));
      if (registers.rip == pc && registers.rsp == sp) return registers;
    }
  }
}

}  // namespace

absl::StatusOr<RegisterReader> RegisterReader::Make(Pid pid) {
  ::libbpf_set_print(nullptr);
  const int iterator = ::libbpf_find_vmlinux_btf_id("task", BPF_TRACE_ITER);
  if (iterator < 0) return ErrnoStatus(-iterator, "BTF of the kernel's iterator over threads");
  constexpr int16_t kPastWriting = 6, kPastReading = 7 + kPastWriting;
  constexpr auto kSize = static_cast<int32_t>(sizeof(KernelRegisters));
  // Called with each thread, and once without at the end:
  //   if (!task || bpf_probe_read_kernel(copy, kSize, bpf_task_pt_regs(task))) return 0;
  //   bpf_seq_write(meta->seq, copy, kSize);
  const bpf_insn program[] = {
      Copy(BPF_REG_6, BPF_REG_1),
      Load(BPF_REG_1, BPF_REG_6, kTaskOffset),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, kPastReading, 0),
      Call(BPF_FUNC_task_pt_regs),
      Copy(BPF_REG_3, BPF_REG_0),
      Copy(BPF_REG_1, BPF_REG_10),
      Add(BPF_REG_1, -kSize),
      Set(BPF_REG_2, kSize),
      Call(BPF_FUNC_probe_read_kernel),
      Instruction(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, kPastWriting, 0),
      Load(BPF_REG_1, BPF_REG_6, kMetaOffset),
      Load(BPF_REG_1, BPF_REG_1, kSequenceOffset),
      Copy(BPF_REG_2, BPF_REG_10),
      Add(BPF_REG_2, -kSize),
      Set(BPF_REG_3, kSize),
      Call(BPF_FUNC_seq_write),
      Set(BPF_REG_0, 0),
      Exit(),
  };
  bpf_prog_load_opts options = {};
  options.sz = sizeof(options);
  options.expected_attach_type = BPF_TRACE_ITER;
  options.attach_btf_id = static_cast<uint32_t>(iterator);
  UniqueFd loaded(::bpf_prog_load(BPF_PROG_TYPE_TRACING, "jprof_regs", "Dual MIT/GPL", program,
                                  std::size(program), &options));
  if (!loaded.valid()) return ErrnoStatus(errno, "a BPF program that reads registers");
  bpf_iter_link_info threads = {};
  threads.task.pid = static_cast<uint32_t>(pid);
  // Refused before Linux 6.1, which would have all processes' threads instead.
  UniqueFd process = Attach(loaded.get(), threads);
  if (!process.valid()) return ErrnoStatus(errno, "a BPF iterator over a process's threads");
  return RegisterReader(pid, std::move(loaded), std::move(process));
}

absl::StatusOr<user_regs_struct> RegisterReader::Read(Tid tid, uint64_t pc, uint64_t sp) const {
  bpf_iter_link_info threads = {};
  threads.task.tid = static_cast<uint32_t>(tid);
  JPROF_ASSIGN_OR_RETURN(std::optional<user_regs_struct> found,
                         Find(Attach(program_.get(), threads), pc, sp));
  if (!found && tid != pid_) {
    // Before Linux 6.12, and its patches to others, only main threads are found by number.
    JPROF_ASSIGN_OR_RETURN(found, Find(process_, pc, sp));
  }
  if (found) return *found;
  return absl::NotFoundError(absl::StrCat("thread ", tid, " has run meanwhile"));
}

}  // namespace jprof
