// What a file says of where its names are, when they are not in itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/unique_fd.h"
#include "symbolize/elf_file.h"
#include "symbolize/work_budget.h"

namespace jprof {

// .gnu_debuglink: a file name without directories, and the checksum of that file.
struct DebugLink {
  std::string name;
  uint32_t checksum = 0;
};
// nullopt: none, or one that is no plain file name.
std::optional<DebugLink> ReadDebugLink(const ElfFile& file);

// The checksum that a debug link has of `file`. nullopt: it cannot be read, or not within the
// budget.
std::optional<uint32_t> DebugLinkChecksum(const ElfFile& file, WorkBudget& budget);

// .gnu_debugdata: a small ELF file with the symbols that the file's own table lacks, packed by xz.
// NotFound: there is none.
absl::StatusOr<ElfFile> UnpackDebugData(const ElfFile& file, WorkBudget& budget);

// Opens what may be the separate debug file of image `image` (by its number among the queries).
// Several threads ask at once. One that is owned by a shared_ptr may be kept by who asks.
class DebugFileFinder : public std::enable_shared_from_this<DebugFileFinder> {
 public:
  struct Request {
    std::string build_id;          // lower-case hex of 1 to 64 bytes, or ""
    std::optional<DebugLink> link;  // of the image
    std::string common;            // name below .dwz/ of what several debug files share, or ""
    bool download = false;         // from debuginfod, not from this host
  };
  virtual ~DebugFileFinder() = default;

  // Candidates, likely ones first; whether one is it, is checked by whoever asked.
  virtual std::vector<UniqueFd> Find(size_t image, const Request& request) = 0;
};

}  // namespace jprof
