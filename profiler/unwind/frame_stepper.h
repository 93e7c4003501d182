// The step from a frame to its caller where a table cannot express it (JP_RULE_OTHER): by the
// program of the frame itself, DWARF's expressions included, from all registers. For native walks,
// which have the time.
//
// How much code that is: of 1,215 MB that 2,282 libraries and programs of a Debian 12 host
// describe, 47 KB in 51 files, and 877 KB in 75 whose CFA is counted from a register besides rsp
// and rbp, which tables follow in a leaf alone. Nearly all of it is hand-written: libcrypto (3 and
// 52 KB, in node and chromium, too), libgcrypt, libgnutls, ld.so's trampolines.
//
// The registers. Tables follow pc, sp and rbp. An expression, or a CFA that is counted from rbx,
// refers to another one, which a callee may have saved: so the walk is made once more, from where
// all registers are known, frame by frame, up to the frame in question, and goes on from there when
// the walk comes to another one. Where both do not agree, and where nothing is said of a frame (JIT
// code), only what the walk knows is known from there on. A register that is not known ends it:
// nothing is guessed.
//
// The bytes. They are the process's own (frame_code.h), fetched once by whoever may wait for them,
// kept as they are, and run by the reader that makes the tables. They are believed in nothing: all
// that one walk makes of them is bounded (kMaxSteps), and so is what is kept. Why not by libunwind:
// it would parse hostile bytes in our own process, by code that was not written for that, be one
// more library to install, and could no more be asked for its opinion in the tests.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "helpers/native_runner.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"
#include "profiler/unwind/frame_code.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

class FrameStepper {
 public:
  // Of one walk: bytes of programs and operations of expressions, and reads for so many. A walk of
  // 512 frames that each save all registers takes three quarters of it.
  static constexpr int kMaxSteps = 1 << 17;
  static constexpr int kStepsOfRead = 8;
  // Questions of one walk, and addresses of each.
  static constexpr int kMaxQuestions = 8;
  static constexpr size_t kMaxAddresses = 64;
  static constexpr size_t kMaxBytes = 4 << 20;  // that are kept of all processes

  // As FindFrameCode() of the process; what is not there, or did not answer in time, is missed.
  using Find =
      std::function<std::vector<FrameCode>(Pid, std::span<const uint64_t> addresses)>;
  // `find`, empty: nothing is found.
  explicit FrameStepper(Find find);
  ~FrameStepper();

  bool can_find() const { return find_ != nullptr; }

  // From the last of the walk's frames to its caller. `stack` is memory as it was then. nullopt: it
  // cannot be told, or this walk has taken too much.
  std::optional<FrameCaller> Step(const WalkSoFar& walk, const MemoryReader& stack);

  // Its mappings are not what they were.
  void Forget(Pid pid);

  // Are left to the walk.
  int steps() const { return steps_; }
  // That are kept.
  size_t bytes() const { return bytes_; }

 private:
  struct Entry;  // of a frame's code
  struct Process {
    absl::btree_map<uint64_t, std::unique_ptr<const Entry>> entries;  // by where the code begins
    absl::flat_hash_set<uint64_t> without;  // addresses of which nothing is said
  };

  static const Entry* Known(const Process& process, uint64_t address);
  const Entry* FindEntry(const WalkSoFar& walk, uint64_t address);
  void Keep(Pid pid, uint64_t address, FrameCode code);
  // Finds the caller of the frame at hand.
  void Leave(const WalkSoFar& walk, const MemoryReader& stack);

  const Find find_;
  absl::flat_hash_map<Pid, Process> processes_;
  size_t bytes_ = 0;

  // The walk at hand, and the frame that it has come to.
  size_t at_ = 0;
  FrameRegisters registers_;
  bool is_leaf_ = true;                   // its pc is no return address
  std::optional<FrameRegisters> caller_;  // nullopt: not known
  bool is_signal_ = false;                // that frame is a signal's
  int steps_ = 0;
  int questions_ = 0;
};

}  // namespace jprof
