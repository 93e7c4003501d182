#include "profiler/stop/injected_call.h"

#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/live_memory.h"

namespace jprof {
namespace {

constexpr uint64_t kRedZoneBytes = 128;
constexpr uint64_t kMaxStateBytes = 64 << 10;  // of the floating point unit
constexpr uint64_t kSlackBytes = 4096;
// Of a frame rt_sigreturn reads no more than this.
constexpr uint64_t kContextBytes = offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t);
constexpr uint64_t kFrameBytes = sizeof(uint64_t) + kContextBytes;
constexpr int kMaxAttempts = 100;
constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kMaxSearchedBytes = 64 << 20;
constexpr uint64_t kSyscallBytes = 2;
// The kernel's, for its signal frames.
constexpr uint64_t kContextFlags =
    1 | 2 | 4;  // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
constexpr uint32_t kStateMagic1 = 0x46505853, kStateMagic2 = 0x46505845;
constexpr size_t kSoftwareBytesAt = 464, kInUseAt = 512, kMinStateBytes = 576;
constexpr unsigned kStateLeaf = 13, kTilesNumber = 18;  // of CPUID
constexpr uint64_t kTiles = 1 << kTilesNumber;
constexpr int kNoStackChange = 0x7f;  // no flags of an alternate stack: it stays what it is
constexpr int64_t kRestartNoIntr = -513, kRestartSys = -512, kRestartNoHand = -514,
                  kRestartBlock = -516;

struct Pattern {
  std::array<uint8_t, 9> bytes;
  size_t size;
};
constexpr Pattern kSyscallReturn = {{0x0f, 0x05, 0xc3}, 3};
constexpr Pattern kSigreturns[] = {{{0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}, 9},
                                   {{0xb8, 15, 0, 0, 0, 0x0f, 0x05}, 7}};
constexpr Pattern kExits[] = {{{0xb8, 60, 0, 0, 0, 0x0f, 0x05}, 7},
                              {{0xb8, 231, 0, 0, 0, 0x0f, 0x05}, 7}};

void Search(std::span<const std::byte> code, Address begin, const Pattern& pattern,
            Address& found) {
  if (found.value != 0) return;
  const auto* bytes = reinterpret_cast<const std::byte*>(pattern.bytes.data());
  auto it = std::search(code.begin(), code.end(), bytes, bytes + pattern.size);
  if (it != code.end()) found = begin + static_cast<uint64_t>(it - code.begin());
}

absl::Status CannotInject(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the process cannot be copied without risk to it: ", why));
}

bool WriteMemory(Pid pid, Address address, std::span<const std::byte> bytes) {
  iovec local = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  iovec remote = {reinterpret_cast<void*>(address.value), bytes.size()};
  return ::process_vm_writev(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes.size());
}

// As if the thread had touched it: the kernel makes the stack reach down to an address that is read
// this way, if it may. False: it may not.
bool GrowStack(Tid tid, uint64_t address) {
  const UniqueFd memory(::open(absl::StrCat("/proc/", tid, "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  char byte;
  return ::pread(memory.get(), &byte, 1, static_cast<off_t>(address)) == 1;
}

// What rt_sigreturn is to bring back: where the thread went on if it were let go now.
user_regs_struct WhereItGoesOn(user_regs_struct r) {
  const auto result = static_cast<int64_t>(r.rax);
  if (static_cast<int64_t>(r.orig_rax) < 0) return r;
  if (result == kRestartSys || result == kRestartNoIntr || result == kRestartNoHand) {
    r.rax = r.orig_rax;
    r.rip -= kSyscallBytes;
  } else if (result == kRestartBlock) {
    // The rest of the time is forgotten by rt_sigreturn: it ends as if by a signal.
    r.rax = static_cast<uint64_t>(-EINTR);
  }
  return r;
}

ucontext_t MakeContext(const user_regs_struct& r, uint64_t mask, uint64_t state_address) {
  ucontext_t context = {};
  context.uc_flags = kContextFlags;
  context.uc_stack.ss_flags = kNoStackChange;
  auto& g = context.uc_mcontext.gregs;
  const auto set = [&g](int index, uint64_t value) { g[index] = static_cast<greg_t>(value); };
  set(REG_R8, r.r8), set(REG_R9, r.r9), set(REG_R10, r.r10), set(REG_R11, r.r11);
  set(REG_R12, r.r12), set(REG_R13, r.r13), set(REG_R14, r.r14), set(REG_R15, r.r15);
  set(REG_RDI, r.rdi), set(REG_RSI, r.rsi), set(REG_RBP, r.rbp), set(REG_RBX, r.rbx);
  set(REG_RDX, r.rdx), set(REG_RAX, r.rax), set(REG_RCX, r.rcx), set(REG_RSP, r.rsp);
  set(REG_RIP, r.rip), set(REG_EFL, r.eflags);
  set(REG_CSGSFS, (r.cs & 0xffff) | (r.gs & 0xffff) << 16 | (r.fs & 0xffff) << 32 |
                      (r.ss & 0xffff) << 48);
  context.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(state_address);
  std::memcpy(&context.uc_sigmask, &mask, sizeof(mask));
  return context;
}

// The state as ptrace gives it, with what makes the kernel believe it in a frame.
std::vector<std::byte> StateForFrame(std::vector<std::byte> state) {
  uint64_t features, in_use;
  std::memcpy(&features, state.data() + kSoftwareBytesAt, sizeof(features));
  std::memcpy(&in_use, state.data() + kInUseAt, sizeof(in_use));
  // ptrace's has room for all that the machine has; the kernel takes no frame that is larger than
  // the thread's own, which gets room for the tiles of AMX when it first uses them.
  unsigned tile_bytes, tiles_at, unused;
  if ((features & ~in_use & kTiles) != 0 &&
      __get_cpuid_count(kStateLeaf, kTilesNumber, &tile_bytes, &tiles_at, &unused, &unused) != 0 &&
      tiles_at >= kMinStateBytes && tiles_at < state.size()) {
    features &= ~kTiles;
    state.resize(tiles_at);
  }
  const auto size = static_cast<uint32_t>(state.size());
  const uint32_t extended = size + sizeof(kStateMagic2);
  std::memcpy(state.data() + kSoftwareBytesAt, &kStateMagic1, 4);
  std::memcpy(state.data() + kSoftwareBytesAt + 4, &extended, 4);
  std::memcpy(state.data() + kSoftwareBytesAt + 8, &features, 8);
  std::memcpy(state.data() + kSoftwareBytesAt + 16, &size, 4);
  state.resize(size + sizeof(kStateMagic2));
  std::memcpy(state.data() + size, &kStateMagic2, sizeof(kStateMagic2));
  return state;
}

// Its code may be within a sequence that must not be interrupted (restartable sequences): it would
// not be told that it was.
bool IsInSequence(Tid tid, const MemoryReader& memory) {
  __ptrace_rseq_configuration configuration = {};
  if (::ptrace(static_cast<__ptrace_request>(PTRACE_GET_RSEQ_CONFIGURATION), tid,
               sizeof(configuration), &configuration) <= 0 ||
      configuration.rseq_abi_pointer == 0) {
    return false;
  }
  constexpr uint64_t kCurrentSequenceAt = 8;
  auto current =
      memory.ReadValue<uint64_t>(Address{configuration.rseq_abi_pointer + kCurrentSequenceAt});
  return !current || *current != 0;
}

absl::Status Lost(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("the process was let go: ", what));
}

// The next stop of a thread that was let go on; its status.
absl::StatusOr<int> NextStop(Tid tid) {
  int status = 0;
  while (::waitpid(tid, &status, __WALL) < 0) {
    if (errno != EINTR) return Lost("waitpid");
  }
  if (!WIFSTOPPED(status)) return Lost("it exited meanwhile");
  return status;
}

// The signal that the thread is about to receive, to be handed on: one that no mask keeps away,
// SIGSTOP. 0: it stopped for another reason.
int DeliveredSignal(int status) {
  const int signal = WSTOPSIG(status);
  return status >> 16 != 0 || signal == SIGTRAP || signal == (SIGTRAP | 0x80) ? 0 : signal;
}

// A thread that is made to execute calls.
class InjectedThread {
 public:
  InjectedThread(Tid tid, const CodePlaces& places, const Injection& injection)
      : tid_(tid), memory_(tid), places_(places), injection_(injection) {}

  // FailedPrecondition: it is in no state in which that is safe.
  absl::Status Prepare(const std::vector<ProcMapping>& maps);
  // From here on it comes back by itself.
  absl::Status Begin();
  absl::StatusOr<InjectedResult> MakeCalls();
  absl::Status Restore();

 private:
  absl::Status ReadState();
  absl::Status CheckRoom(const std::vector<ProcMapping>& maps);
  absl::Status CheckCode();
  absl::Status WriteStack();
  // Where it returns to when so many of the calls that undo are done.
  uint64_t ReturnAt(size_t undone) const { return child_at_ + 8 + undone * kFrameBytes; }
  user_regs_struct RegistersFor(const InjectedCall& call, size_t undone) const;
  absl::Status Make(const InjectedCall& call, size_t undone, InjectedResult& result);
  absl::StatusOr<int64_t> AwaitEnd(InjectedResult& result);

  const Tid tid_;
  const LiveMemory memory_;
  const CodePlaces places_;
  const Injection& injection_;
  user_regs_struct registers_ = {};
  uint64_t mask_ = 0;
  std::vector<std::byte> state_;  // of the floating point unit
  uint64_t child_at_ = 0;         // the lowest address that is written to
  std::vector<std::byte> before_;  // what was there
  int signal_ = 0;  // that it is to get when it goes on; 0: none
};

absl::Status InjectedThread::ReadState() {
  state_.resize(kMaxStateBytes);
  iovec vector = {state_.data(), state_.size()};
  if (::ptrace(PTRACE_GETREGS, tid_, 0, &registers_) != 0 ||
      ::ptrace(PTRACE_GETREGSET, tid_, NT_X86_XSTATE, &vector) != 0 ||
      vector.iov_len < kMinStateBytes ||
      ::ptrace(static_cast<__ptrace_request>(PTRACE_GETSIGMASK), tid_, sizeof(mask_), &mask_) !=
          0) {
    return CannotInject("its registers cannot be read");
  }
  state_.resize(vector.iov_len);
  state_ = StateForFrame(std::move(state_));
  return absl::OkStatus();
}

absl::Status InjectedThread::CheckRoom(const std::vector<ProcMapping>& maps) {
  const auto stack = std::find_if(maps.begin(), maps.end(), [](const ProcMapping& m) {
    return !m.file.valid() && m.path == "[stack]";
  });
  const uint64_t needed =
      kRedZoneBytes + state_.size() + (injection_.undo.size() + 1) * kFrameBytes + kSlackBytes;
  if (stack == maps.end() || !stack->range.Contains({registers_.rsp})) {
    return CannotInject("its main thread does not run on its own stack");
  }
  if (registers_.rsp - stack->range.begin.value < needed &&
      !GrowStack(tid_, registers_.rsp - needed)) {
    return CannotInject("its main thread's stack is full");
  }
  return absl::OkStatus();
}

// The code is looked at again now that nothing can change it.
absl::Status InjectedThread::CheckCode() {
  for (Address place : {places_.syscall_return, places_.sigreturn, places_.exit}) {
    std::array<std::byte, 9> code;
    if (memory_.Read(place, code) < 3) return CannotInject("its code has changed");
    Address found{0};
    Search(code, place, kSyscallReturn, found);
    for (const Pattern& p : kSigreturns) Search(code, place, p, found);
    for (const Pattern& p : kExits) Search(code, place, p, found);
    if (found != place) return CannotInject("its code has changed");
  }
  return absl::OkStatus();
}

user_regs_struct InjectedThread::RegistersFor(const InjectedCall& call, size_t undone) const {
  user_regs_struct r = registers_;
  r.rdi = call.arguments[0];
  r.rsi = call.makes_child ? child_at_ : call.arguments[1];
  r.rdx = call.arguments[2];
  r.r10 = call.arguments[3];
  r.r8 = call.arguments[4];
  r.rip = places_.syscall_return.value;
  r.rsp = ReturnAt(undone);
  r.rax = static_cast<uint64_t>(call.number);
  r.orig_rax = ~0ULL;
  return r;
}

absl::Status InjectedThread::WriteStack() {
  // From the top down.
  const uint64_t top = registers_.rsp - kRedZoneBytes;
  const uint64_t state_at = (top - state_.size()) & ~uint64_t{63};
  const size_t frames = injection_.undo.size() + 1;
  child_at_ = ((state_at - frames * kFrameBytes) & ~uint64_t{15}) - 8;
  std::vector<std::byte> written(top - child_at_);
  const auto put = [&](uint64_t at, const void* data, size_t size) {
    std::memcpy(written.data() + (at - child_at_), data, size);
  };
  put(child_at_, &places_.exit.value, 8);
  for (size_t i = 0; i < frames; ++i) {
    const bool undoes = i < injection_.undo.size();
    const ucontext_t context =
        undoes ? MakeContext(RegistersFor(injection_.undo[i], i + 1), ~uint64_t{0}, state_at)
               : MakeContext(WhereItGoesOn(registers_), mask_, state_at);
    put(ReturnAt(i), &places_.sigreturn.value, 8);
    put(ReturnAt(i) + 8, &context, kContextBytes);
  }
  put(state_at, state_.data(), state_.size());
  before_.resize(written.size());
  if (!memory_.ReadExactly({child_at_}, before_) || !WriteMemory(tid_, {child_at_}, written)) {
    return CannotInject("its stack cannot be written to");
  }
  return absl::OkStatus();
}

absl::Status InjectedThread::Prepare(const std::vector<ProcMapping>& maps) {
  if (IsInSequence(tid_, memory_)) {
    return CannotInject("its main thread is in a restartable sequence");
  }
  JPROF_RETURN_IF_ERROR(ReadState());
  JPROF_RETURN_IF_ERROR(CheckRoom(maps));
  JPROF_RETURN_IF_ERROR(CheckCode());
  return WriteStack();
}

absl::Status InjectedThread::Begin() {
  // In this order: whatever is done of it, the thread comes back.
  user_regs_struct first = RegistersFor(injection_.calls.front(), 0);
  if (::ptrace(PTRACE_SETREGS, tid_, 0, &first) != 0) return Lost("its registers cannot be set");
  const uint64_t all = ~0ULL;
  ::ptrace(static_cast<__ptrace_request>(PTRACE_SETSIGMASK), tid_, sizeof(all), &all);
  ::ptrace(PTRACE_SETOPTIONS, tid_, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE);
  if (injection_.before) injection_.before();
  return absl::OkStatus();
}

// Of the call at which it has been set; what that returns.
absl::StatusOr<int64_t> InjectedThread::AwaitEnd(InjectedResult& result) {
  for (bool entered = false;;) {
    if (::ptrace(PTRACE_SYSCALL, tid_, 0, signal_) != 0) return Lost("it does not go on");
    JPROF_ASSIGN_OR_RETURN(const int status, NextStop(tid_));
    signal_ = DeliveredSignal(status);
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      if (!std::exchange(entered, true)) continue;
      user_regs_struct after;
      if (::ptrace(PTRACE_GETREGS, tid_, 0, &after) != 0)
        return Lost("its registers cannot be read");
      return static_cast<int64_t>(after.rax);
    }
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) {
      unsigned long child = 0;
      ::ptrace(PTRACE_GETEVENTMSG, tid_, 0, &child);
      result.child = static_cast<Pid>(child);
      if (injection_.made) injection_.made(result.child);
      JPROF_RETURN_IF_ERROR(NextStop(result.child).status());
      // It ends with us, and never runs.
      ::ptrace(PTRACE_SETOPTIONS, result.child, 0, PTRACE_O_EXITKILL);
    }
  }
}

absl::Status InjectedThread::Make(const InjectedCall& call, size_t undone, InjectedResult& result) {
  int64_t value = kRestartNoIntr;
  // To be stopped by its owner, for one, interrupts a call that makes a child.
  for (int attempt = 0; value == kRestartNoIntr && attempt < kMaxAttempts; ++attempt) {
    user_regs_struct registers = RegistersFor(call, undone);
    if (::ptrace(PTRACE_SETREGS, tid_, 0, &registers) != 0) {
      return Lost("its registers cannot be set");
    }
    JPROF_ASSIGN_OR_RETURN(value, AwaitEnd(result));
  }
  result.values.push_back(value);
  return absl::OkStatus();
}

absl::StatusOr<InjectedResult> InjectedThread::MakeCalls() {
  InjectedResult result;
  result.values.reserve(injection_.calls.size() + injection_.undo.size());
  for (const InjectedCall& call : injection_.calls) {
    JPROF_RETURN_IF_ERROR(Make(call, 0, result));
  }
  for (size_t i = 0; i < injection_.undo.size(); ++i) {
    JPROF_RETURN_IF_ERROR(Make(injection_.undo[i], i + 1, result));
  }
  return result;
}

absl::Status InjectedThread::Restore() {
  // To an event stop before it is back in user space: only there the kernel sees to a system call
  // that was interrupted.
  ::ptrace(PTRACE_SETOPTIONS, tid_, 0, 0);
  if (::ptrace(PTRACE_INTERRUPT, tid_, 0, 0) != 0) return Lost("it cannot be stopped again");
  for (bool stopped = false; !stopped;) {
    if (::ptrace(PTRACE_CONT, tid_, 0, signal_) != 0) return Lost("it does not go on");
    JPROF_ASSIGN_OR_RETURN(const int status, NextStop(tid_));
    signal_ = DeliveredSignal(status);
    stopped = status >> 16 == PTRACE_EVENT_STOP;
    if (!stopped && signal_ == 0) return Lost("it stopped elsewhere");
  }
  ::ptrace(static_cast<__ptrace_request>(PTRACE_SETSIGMASK), tid_, sizeof(mask_), &mask_);
  if (::ptrace(PTRACE_SETREGS, tid_, 0, &registers_) != 0) {
    return Lost("its registers cannot be set");
  }
  WriteMemory(tid_, {child_at_}, before_);
  return absl::OkStatus();
}

}  // namespace

std::optional<CodePlaces> FindCodePlaces(const MemoryReader& memory,
                                         const std::vector<ProcMapping>& maps) {
  std::vector<const ProcMapping*> code;
  for (const ProcMapping& m : maps) {
    if (m.executable && m.file.valid() && m.range.size() <= kMaxSearchedBytes) code.push_back(&m);
  }
  // The C library is much smaller than the programs that are worth looking into.
  std::stable_sort(code.begin(), code.end(), [](const ProcMapping* a, const ProcMapping* b) {
    return a->range.size() < b->range.size();
  });
  CodePlaces places;
  std::vector<std::byte> bytes(kChunkBytes);
  for (const ProcMapping* m : code) {
    for (uint64_t at = 0; at < m->range.size(); at += kChunkBytes - 16) {
      const size_t wanted = std::min<uint64_t>(kChunkBytes, m->range.size() - at);
      const size_t size = memory.Read(m->range.begin + at, {bytes.data(), wanted});
      const std::span<const std::byte> chunk(bytes.data(), size);
      const Address begin = m->range.begin + at;
      Search(chunk, begin, kSyscallReturn, places.syscall_return);
      for (const Pattern& p : kSigreturns) Search(chunk, begin, p, places.sigreturn);
      for (const Pattern& p : kExits) Search(chunk, begin, p, places.exit);
      if (places.syscall_return.value != 0 && places.sigreturn.value != 0 &&
          places.exit.value != 0) {
        return places;
      }
    }
  }
  return std::nullopt;
}

absl::StatusOr<InjectedResult> Inject(Tid tid, const std::vector<ProcMapping>& maps,
                                      const CodePlaces& places, const Injection& injection) {
  InjectedThread thread(tid, places, injection);
  JPROF_RETURN_IF_ERROR(thread.Prepare(maps));
  JPROF_RETURN_IF_ERROR(thread.Begin());
  JPROF_ASSIGN_OR_RETURN(InjectedResult result, thread.MakeCalls());
  JPROF_RETURN_IF_ERROR(thread.Restore());
  return result;
}

}  // namespace jprof
