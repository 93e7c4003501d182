// /proc/PID/maps as values. The text holds names that the target chose: they may contain spaces,
// the text " (deleted)" or an imitation of "[vdso]", so what a mapping is follows from device and
// inode.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/image.h"

namespace jprof {

struct ProcMapping {
  AddressRange range;
  FileOffset offset;  // 0 for anonymous memory
  FileIdentity file;  // all zero: no file
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  // As printed: "" for unnamed anonymous memory, a newline as "\012", " (deleted)" not taken off.
  std::string path;

  friend bool operator==(const ProcMapping&, const ProcMapping&) = default;
};

// Parses the text of a maps file. A line that is no mapping makes it DataLoss with the line's
// number; a last line without newline counts as a line.
absl::StatusOr<std::vector<ProcMapping>> ParseProcMaps(absl::string_view text);

// In address order. Reads the file in one pass; the kernel makes no promise that lines of different
// reads belong to one instant. NotFound: no such process. A zombie or kernel thread has no
// mappings.
absl::StatusOr<std::vector<ProcMapping>> ReadProcMaps(Pid pid);
// The same as text.
absl::StatusOr<std::string> ReadProcMapsText(Pid pid);

}  // namespace jprof
