// The files that a core's process had mapped, as they lie on this host: the same files by their
// build IDs, or none. And with them the memory that the core leaves out, since it is theirs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "profiler/core/event.h"
#include "profiler/core/unique_fd.h"
#include "profiler/corefile/core_file.h"
#include "profiler/process/memory_reader.h"

namespace jprof {

class MappedFiles {
 public:
  struct Places {
    std::string program;  // --exe: taken for the program's file; "": by its path
    std::string sysroot;  // --sysroot: paths are looked up in it; ""
  };

  // `core` outlives this object.
  MappedFiles(const CoreFile& core, Places places);

  // The file behind a mapping, its descriptor a new one; the vDSO as it lies in the core.
  // NotFound: none is there; FailedPrecondition: one is, of another build.
  absl::StatusOr<UniqueFd> Open(const MapEvent& map) const;

  // The folder that paths are looked up in, O_PATH.
  absl::StatusOr<UniqueFd> OpenSysroot() const;

  // Files that are missing or of another build: a sentence each.
  std::vector<std::string> Troubles() const;

 private:
  friend class CoreMemory;
  struct File {
    UniqueFd fd;  // invalid: none
    absl::Status status;
  };
  // `wanted`: the build ID that the core says it has; "": it does not say.
  File Find(uint32_t index, const std::string& wanted) const;
  std::string BuildIdAt(Address begin) const;
  absl::StatusOr<UniqueFd> OpenVdso(const MapEvent& map) const;

  const CoreFile& core_;
  const Places places_;
  std::vector<File> files_;  // as core_.files()
};

// The memory of a core's process: what the core holds, then what its files do, where they were
// mapped and the process had not written.
class CoreMemory : public MemoryReader {
 public:
  // Both outlive this object.
  CoreMemory(const CoreFile& core, const MappedFiles& files) : core_(core), files_(files) {}
  size_t Read(Address address, std::span<std::byte> out) const override;

 private:
  const CoreFile& core_;
  const MappedFiles& files_;
};

}  // namespace jprof
