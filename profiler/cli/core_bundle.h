// A core with the files that it takes to read it elsewhere, packed:
//
//   core.PID/core
//   core.PID/root    the program and its libraries, by their paths,
//                    and what debug files this host has of them
//
// so that `jprof stacks core.PID/core --sysroot core.PID/root` finds them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/corefile/core_areas.h"
#include "profiler/corefile/core_writer.h"
#include "symbolize/elf_file.h"

namespace jprof {

class CoreBundle {
 public:
  // Opens the ELF files among `areas`, deleted ones too, and their debug files. `source` has the
  // areas: the process, or a copy of it.
  CoreBundle(Pid source, const std::vector<CoreArea>& areas);

  // Mapped files that cannot be had: a sentence each.
  const std::vector<std::string>& troubles() const { return troubles_; }

  // `progress` is called with the bytes done and those to do; an error that it returns ends the
  // work.
  absl::Status Write(
      const std::string& folder, const UniqueFd& core, CoreSink& sink,
      const std::function<absl::Status(uint64_t done, uint64_t all)>& progress) const;

 private:
  struct File {
    std::string path;  // absolute
    UniqueFd fd;
  };
  void AddMapped(Pid source, const ProcMapping& mapping);
  void AddDebugFiles(Pid source, const std::string& path, const ElfFile& file);
  // False: there is one of that path, or the path leads elsewhere.
  bool Add(const std::string& path, const UniqueFd& fd);

  std::vector<File> files_;
  absl::flat_hash_set<std::string> paths_;
  std::vector<std::string> troubles_;
};

}  // namespace jprof
