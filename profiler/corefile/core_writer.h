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
#include "profiler/corefile/core_file.h"
#include "profiler/stop/stopped_process.h"

namespace jprof {

// What a core says of the process besides memory. Taken of the process itself.
struct CoreSubject {
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
absl::StatusOr<CoreSubject> DescribeProcess(Pid pid);

// The memory that a process does not share with its children (MADV_DONTFORK), as V8 has it for its
// heap: ranges in which there is no other. Device memory is not among it.
absl::StatusOr<std::vector<AddressRange>> NotForkedRanges(Pid pid);

// Where the bytes go, in order. A hole reads as zeros.
class CoreSink {
 public:
  virtual ~CoreSink() = default;
  virtual absl::Status Append(absl::string_view bytes) = 0;
  virtual absl::Status AppendHole(uint64_t bytes) = 0;
};

struct CoreFigures {
  uint64_t written_bytes = 0;  // of memory, without holes
  uint64_t left_out_bytes = 0;  // of memory that the process wants to be left out
};

// Memory is that of `source`, which this process traces. `progress` is called with the bytes done
// and those to do, now and then; an error that it returns ends the work. Unavailable: `source` is gone.
absl::StatusOr<CoreFigures> WriteCore(
    const CoreSubject& subject, Pid source, CoreSink& sink,
    const std::function<absl::Status(uint64_t done, uint64_t all)>& progress);

}  // namespace jprof
