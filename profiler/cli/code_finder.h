// Names for the code of recordings by other tools, from the files of this host: those that are
// proven to be the same as were mapped when the recording was made. Read by processes that can do
// nothing else (symbolize/symbolizer_process.h).
#pragma once

#include <vector>

#include "import/code_names.h"

namespace jprof {

class CodeFinder : public CodeNames {
 public:
  // Forks: call it while the process has one thread.
  void Name(std::vector<Image>& images) override;
  // By /proc/kallsyms, if this host runs that kernel; it may lie elsewhere than it did, its modules
  // may not.
  void Name(Kernel& kernel) override;
};

}  // namespace jprof
