// The call-frame information of single functions, as it lies in the memory of a process: each
// file's .eh_frame_hdr leads to the entry of an address. Nothing but that entry and its CIE is
// taken, and none that is too large. Code that .debug_frame alone describes is not found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "profiler/core/ids.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"

namespace jprof {

struct FrameCode {
  // Of 1.6 million FDEs in 1,079 files of a Debian 12 host 11 are larger, and no CIE has 50 bytes.
  static constexpr size_t kMaxEntryBytes = 4 << 10;

  uint64_t address = 0;      // of the FDE; 0: there is none
  std::vector<uint8_t> fde;  // from its length on
  std::vector<uint8_t> cie;
};

// Of each of these addresses what may be about it. `maps` are the process's, in their order. Reads
// files that are mapped, which may wait for ever: see target_file.h.
std::vector<FrameCode> FindFrameCode(std::span<const ProcMapping> maps, const MemoryReader& memory,
                                     std::span<const uint64_t> addresses);
// The same of a live process.
std::vector<FrameCode> FindFrameCode(Pid pid, std::span<const uint64_t> addresses);

}  // namespace jprof
