// Turns bytes that some profiler wrote into a Profile. One format is one file and one row in
// importers.cc. What a file does not say stays empty or 0 in the Profile; nothing is made up.
//
// The bytes are not trusted: every reader checks each index, bounds what it stores, and ends with
// DataLoss where the file is damaged. Single records that make no sense are skipped, counted, and
// told of in a note.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "import/code_names.h"
#include "import/input.h"
#include "profiler/core/profile.h"

namespace jprof {

struct Imported {
  Profile profile;
  std::vector<std::string> notes;  // for the user: what was skipped, and why
};

struct ImportFormat {
  absl::string_view name;  // "folded"
  absl::string_view help;  // one line
  // Whether a file that begins like this is of the format. The first row that says so reads it.
  bool (*recognises)(absl::string_view head);
  // `names`: for what the file has by address only; nullptr: that stays without names.
  absl::StatusOr<Imported> (*read)(Input& input, CodeNames* names);
};

std::span<const ImportFormat> ImportFormats();

// The format of a file that begins like this, or nullptr.
const ImportFormat* FindImportFormat(absl::string_view head);

// InvalidArgument: of no known format, or nothing in it; DataLoss: damaged; ResourceExhausted:
// larger than what a reader keeps in memory.
absl::StatusOr<Imported> ReadProfile(Input& input, CodeNames* names = nullptr);

// The readers. (For importers.cc and tests.)
bool LooksFolded(absl::string_view head);
absl::StatusOr<Imported> ReadFolded(Input& input);
bool LooksPerfScript(absl::string_view head);
absl::StatusOr<Imported> ReadPerfScript(Input& input);
bool LooksSpeedscope(absl::string_view head);
absl::StatusOr<Imported> ReadSpeedscope(Input& input);
bool LooksCpuprofile(absl::string_view head);
absl::StatusOr<Imported> ReadCpuprofile(Input& input);
bool LooksPerfData(absl::string_view head);
absl::StatusOr<Imported> ReadPerfData(Input& input, CodeNames* names);
bool LooksPprof(absl::string_view head);
absl::StatusOr<Imported> ReadPprof(Input& input);

}  // namespace jprof
