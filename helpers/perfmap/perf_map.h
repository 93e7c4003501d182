// The names that a process writes to a file perf-PID.map about code that it compiled into anonymous
// memory, in /tmp or where it was told to (map_folders.h): one line `START SIZE name` for each
// piece, hexadecimal, in the order of writing. Memory is reused, so a later line is right about all
// that it covers and an older one only about the rest.
//
// The file is written by the target and is hostile. It is opened without following a link, its
// type, owner and mode are checked on the descriptor before the first byte is read, bad lines are
// skipped and counted, and what is read and kept has a budget.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/perfmap/growing_file.h"
#include "helpers/perfmap/name_store.h"
#include "helpers/perfmap/painted_ranges.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/target_file.h"

namespace jprof {

struct PerfMapOptions {
  // Looked at first, before those that the process names and /tmp; absolute, in the target's root.
  // "": there is none.
  std::string folder;
  // Opens a path as OpenInProcessRoot() does, or one that is not absolute as
  // OpenInWorkingDirectory(); empty: those do.
  std::function<absl::StatusOr<UniqueFd>(const UniqueFd& process, const std::string& path,
                                         LinkPolicy links, absl::string_view name)>
      open = nullptr;
  // Reads what `open` opened by its path alone.
  ReadFilePart read_part = nullptr;
  // Of all that is ever read through one PerfMap, so that a target that rewrites its file does not
  // cost more than one with a large file.
  uint64_t max_bytes = uint64_t{1} << 30;
  size_t max_entries = 4'000'000;
  size_t max_name_bytes = size_t{192} << 20;
};

class PerfMap {
 public:
  // Opens the map of process `pid` under the number that the process itself knows. Reads nothing
  // yet. NotFound: no such process, or it has no map; says where. FailedPrecondition: there is a
  // file, but not one to believe: behind a link, no regular file, hard-linked, owned by somebody
  // other than the process or its root, writable by others, or older than the process.
  static absl::StatusOr<PerfMap> Open(Pid pid, const PerfMapOptions& options = {});

  // Of an open file, without questions about its origin. `name` is for messages.
  static absl::StatusOr<PerfMap> OpenFile(UniqueFd fd, absl::string_view name,
                                          const PerfMapOptions& options = {});

  PerfMap(PerfMap&&) noexcept = default;
  PerfMap& operator=(PerfMap&&) noexcept = default;

  // Reads what was written since the last call, up to the last newline. A file that shrank, was
  // rewritten or replaced by another one is read from its start, and nothing that was known before
  // is kept. On an error what was known stays. A map that was deleted, or whose process ended, is
  // no error.
  absl::Status Update();

  // The name of the code at `address`: the target's own bytes, NUL and control characters included.
  // Valid until the next Update().
  std::optional<absl::string_view> Find(Address address) const;

  // Changes with each Update() that changed an answer of Find().
  uint64_t generation() const { return generation_; }

  // Over the life of the object.
  struct Counters {
    uint64_t lines = 0;              // complete lines, the skipped ones included
    uint64_t skipped_malformed = 0;  // not START SIZE name
    uint64_t skipped_empty = 0;      // size 0
    uint64_t skipped_wrapping = 0;   // ends beyond the address space
    uint64_t names_cut = 0;          // kept, but cut to kMaxNameBytes
    uint64_t restarts = 0;           // file found shrunk, rewritten or replaced
  };
  const Counters& counters() const { return counters_; }
  // A budget is used up: the rest of the file is not read, newer code has no name or an old one.
  bool exhausted() const { return exhausted_; }

  uint64_t bytes_read() const { return bytes_read_; }
  size_t size() const { return code_.size(); }
  size_t memory_bytes() const { return names_.memory_bytes() + code_.memory_bytes(); }  // about
  const std::string& name() const { return file_.name(); }
  // Its file system may stop to answer.
  bool is_remote() const { return file_.is_remote(); }

  static constexpr size_t kMaxNameBytes = NameStore::kMaxNameBytes;

 private:
  PerfMap(UniqueFd fd, absl::string_view name, const PerfMapOptions& options);

  absl::Status FollowReplacement();
  absl::Status CheckContinuity();
  void StartOver();
  void AddLine(absl::string_view line);
  void Insert(uint64_t begin, uint64_t end, absl::string_view name);

  GrowingFile file_;
  PerfMapOptions options_;
  // As OpenProcess has it; not valid after OpenFile(). The root directory is not kept open, because
  // that would keep a container's file system mounted.
  UniqueFd process_;
  std::string path_;  // in the target's root, or its working directory

  uint64_t offset_ = 0;        // all before it is parsed
  bool in_long_line_ = false;  // offset_ is inside a line of which the start was used
  std::string before_offset_;  // the bytes that end at offset_, to notice a rewritten file
  uint64_t bytes_read_ = 0;
  bool exhausted_ = false;
  bool changed_ = false;
  uint64_t generation_ = 0;
  Counters counters_;

  PaintedRanges<absl::string_view> code_;
  NameStore names_;
};

}  // namespace jprof
