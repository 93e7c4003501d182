// Writes a core file of a process that stands still: a stopped one, or a copy of it.
//
// Its size on disk is that of the pages that are in memory: all others are holes. Left out is what
// the process says (MADV_DONTDUMP), device memory, and pages that are as they are in their file; of
// an ELF file the first page is written, since its build ID is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/corefile/core_areas.h"
#include "profiler/corefile/core_file.h"
#include "profiler/stop/stopped_process.h"

namespace jprof {

// What a core says of the process besides memory. Taken of the process itself.
struct CoreProcess {
  Pid pid = 0;
  std::vector<ThreadRegisters> threads;  // the main one first
  std::vector<ThreadNote> notes;         // of them
  std::string auxv;                      // /proc/PID/auxv
  std::string comm, arguments;
  char state = 'S';
  Pid parent = 0, group = 0, session = 0;
  uint32_t uid = 0, gid = 0;
};

// All but the registers. Before the process is stopped.
absl::StatusOr<CoreProcess> DescribeProcess(Pid pid);

// Where the bytes go, in order. A hole reads as zeros.
class CoreSink {
 public:
  virtual ~CoreSink() = default;
  virtual absl::Status Append(absl::string_view bytes) = 0;
  virtual absl::Status AppendHole(uint64_t bytes) = 0;
};

struct CoreFigures {
  uint64_t written_bytes = 0;  // of memory, without holes
  uint64_t untold_bytes =
      0;  // of shared memory, of which those pages alone are written that the process has used
};

// Memory is that of `source`, which this process traces, and `areas` its. `only`: of memory that
// files do not have, these pages; nullptr: all. `progress` is called with the bytes done and those
// to do, now and then; an error that it returns ends the work. Unavailable: `source` is gone.
absl::StatusOr<CoreFigures> WriteCore(
    const CoreProcess& process, Pid source, const std::vector<CoreArea>& areas, const PageSet* only,
    CoreSink& sink, const std::function<absl::Status(uint64_t done, uint64_t all)>& progress);

// The same without any memory: what it would say of the process.
absl::Status WriteCoreWithoutMemory(const CoreProcess& process, const std::vector<CoreArea>& areas,
                                    CoreSink& sink);

}  // namespace jprof
