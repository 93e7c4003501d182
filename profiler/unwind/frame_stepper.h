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
// all registers are known, frame by frame, up to the frame in question. Where both do not agree,
// and where nothing is said of a frame (JIT code), only what the walk knows is known from there on.
// A register that is not known ends it: nothing is guessed.
//
// The bytes. They are read from the process's memory, where each file's .eh_frame_hdr leads to the
// entry of an address: nothing but that entry, 64 KiB at most, is taken, and it is parsed where it
// was copied to, by the reader that makes the tables. Programs and expressions are bounded in their
// steps. Why not by libunwind: it would parse hostile bytes in our own process, by code that was
// not written for that, be one more library to install, and could no more be asked for its opinion
// in the tests. Code that .debug_frame alone describes is not stepped; no such row is known.
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

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "helpers/native_runner.h"
#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"
#include "profiler/unwind/frame_registers.h"

namespace jprof {

class FrameStepper {
 public:
  using ReadMaps = std::function<absl::StatusOr<std::vector<ProcMapping>>(Pid)>;
  explicit FrameStepper(ReadMaps read_maps);
  ~FrameStepper();

  // From the last of `frames` to its caller; they are those of a walk from `start` on. `stack` is
  // memory as it was then, `files` what is mapped from files. nullopt: it cannot be told.
  std::optional<FrameCaller> Step(Pid pid, const Registers& start,
                                  std::span<const FramePlace> frames, const MemoryReader& stack,
                                  const MemoryReader& files);

  // Its mappings are not what they were.
  void Forget(Pid pid);

 private:
  struct Entry;    // of a frame's code
  struct Process;  // what is known of one
  static constexpr size_t kMaxProcesses = 64;
  static constexpr size_t kMaxEntries = 1 << 12;

  const Entry* FindEntry(Process& process, const MemoryReader& files, uint64_t address);
  // Where the .eh_frame_hdr of the file is that is mapped at `address`; 0: nowhere.
  uint64_t FindIndex(Process& process, const MemoryReader& files, uint64_t address);

  const ReadMaps read_maps_;
  absl::flat_hash_map<Pid, std::unique_ptr<Process>> processes_;
};

}  // namespace jprof
