// Names for the code of recordings by other tools, from the files of this host: those that are
// proven to be the same as were mapped when the recording was made. Read by processes that can do
// nothing else (symbolize/symbolizer_process.h).
#pragma once

#include <cstdint>
#include <vector>

#include "import/code_names.h"

namespace jprof {

class CodeFinder : public CodeNames {
 public:
  // `recorded_ns`: when the recording was written, Unix time; 0: not known.
  explicit CodeFinder(int64_t recorded_ns) : recorded_ns_(recorded_ns) {}

  // Forks: call it while the process has one thread.
  void Name(std::vector<Image>& images) override;
  // By /proc/kallsyms, if this host runs that kernel; it may lie elsewhere than it did, its modules
  // may not.
  void Name(Kernel& kernel) override;
  // By the perf map of the process, if it is as old as the recording: written to between the
  // beginning of the process and the end of the recording, or by a process that still runs.
  void Name(Jit& code) override;

 private:
  const int64_t recorded_ns_;
};

}  // namespace jprof
