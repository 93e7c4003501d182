#include "tests/helpers/stopped_process.h"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

// Where the kernel put the stack of the main thread: field 28 of /proc/PID/stat, 0 if not known.
uint64_t StackBase(Tid tid) {
  std::ifstream in(absl::StrCat("/proc/", tid, "/stat"));
  const std::string stat((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  // The second field is a name in parentheses, in which there may be anything.
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(std::min(stat.rfind(')') + 1, stat.size())), ' ');
  uint64_t base = 0;
  if (fields.size() <= 26 || !absl::SimpleAtoi(fields[26], &base)) return 0;
  return base;
}

}  // namespace

bool RecordingSink::SetLayout(uint32_t index, std::span<const std::byte> layout) {
  if (layouts.size() <= index) layouts.resize(index + 1);
  layouts[index].assign(layout.begin(), layout.end());
  return true;
}

absl::StatusOr<StoppedThread> StoppedThread::Stop(Tid tid) {
  if (::ptrace(PTRACE_SEIZE, tid, 0, 0) != 0) return ErrnoStatus(errno, "PTRACE_SEIZE");
  StoppedThread thread(tid);
  if (::ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0) return ErrnoStatus(errno, "PTRACE_INTERRUPT");
  int status = 0;
  while (::waitpid(tid, &status, __WALL) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "waitpid");
  }
  if (!WIFSTOPPED(status)) {
    return absl::UnavailableError(absl::StrCat("thread did not stop: status ", status));
  }
  user_regs_struct regs;
  if (::ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0) return ErrnoStatus(errno, "PTRACE_GETREGS");
  thread.registers_ = {.pc = regs.rip,
                       .sp = regs.rsp,
                       .fp = regs.rbp,
                       .rdi = regs.rdi,
                       .r13 = regs.r13,
                       .others = {regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi,
                                  regs.rbp, regs.rsp, regs.r8, regs.r9, regs.r10, regs.r11,
                                  regs.r12, regs.r13, regs.r14, regs.r15},
                       .tid = tid,
                       .stack_base = StackBase(tid)};
  thread.registers_.others[9] = regs.r9;
  return thread;
}

StoppedThread::StoppedThread(StoppedThread&& other) noexcept
    : tid_(std::exchange(other.tid_, 0)), registers_(other.registers_) {}

StoppedThread::~StoppedThread() {
  if (tid_ != 0) ::ptrace(PTRACE_DETACH, tid_, 0, 0);
}

NativeSampler::NativeSampler(const RuntimeSet& set, Pid pid)
    : pid_(pid), memory_(pid), unwind_tables_(pid) {
  table_ = std::make_unique<RuntimeTable>(
      set, sink_,
      RuntimeTable::World{
          .open_image = [](const MapEvent& map) -> absl::StatusOr<ElfFile> {
            JPROF_ASSIGN_OR_RETURN(
                UniqueFd fd,
                OpenMappedFile(map.pid, Mapping{map.range, map.offset, map.file, map.path}));
            return ElfFile::Open(std::move(fd), map.path);
          },
          .read_maps = ReadProcMaps,
          .open_memory = [](Pid p) { return std::make_unique<LiveMemory>(p); },
          .now = [] { return uint64_t{0}; }});
  auto events = SynthesizeProcessEvents(pid, 0);
  if (events.ok()) {
    for (const Event& event : *events) {
      if (auto* map = std::get_if<MapEvent>(&event)) table_->OnMap(*map);
    }
  }
  runner_ = std::make_unique<NativeRunner>(set, memory_, sink_.layouts);
  runner_->SetTables(unwind_tables_.pool(), unwind_tables_.mappings());
}

absl::StatusOr<NativeSampler::Sample> NativeSampler::Take(Tid tid) {
  NativeRunner::Result walked;
  {
    JPROF_ASSIGN_OR_RETURN(StoppedThread thread, StoppedThread::Stop(tid));
    walked = runner_->Walk(process(), pid_, thread.registers());
  }
  Sample sample{std::move(walked.stack), {}, walked.unreadable, walked.corrupt};
  for (const SymbolEvent& symbol : walked.symbols) {
    RuntimeInstance* instance = table_->Instance(pid_, symbol.runtime);
    if (instance == nullptr) return absl::InternalError("a symbol of no runtime");
    JPROF_ASSIGN_OR_RETURN(FrameName name, instance->Describe(symbol.record));
    names_[symbol.number] = std::move(name);
  }
  for (auto it = sample.stack.frames.rbegin(); it != sample.stack.frames.rend(); ++it) {
    if (it->kind != RawFrame::Kind::kRuntime) continue;
    FrameName name = names_[it->symbol];
    if (name.kind == FrameKind::kUnknown) {
      std::vector<FrameLine> lines = table_->Instance(pid_, it->runtime)->Locate(*it);
      if (!lines.empty()) name = lines.back().function;
    }
    if (!name.name.empty()) sample.functions.push_back(TextOf(name));
  }
  return sample;
}

std::string TextOf(const FrameName& name) {
  if (name.file.empty()) return name.name;
  if (name.start_line == 0) return absl::StrCat(name.name, " ", name.file);
  return absl::StrCat(name.name, " ", name.file, ":", name.start_line);
}

}  // namespace jprof
