// Profiles that come from files and go into files, as `record`, `convert` and `diff` have it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "import/transform.h"
#include "profiler/cli/output_file.h"
#include "profiler/core/profile.h"

namespace jprof {

// InvalidArgument: `format` ("": none given) names none, or `output` has no suffix that names one.
// "" and devices need none.
absl::Status CheckFormat(absl::string_view output, absl::string_view format);

// By name, else by suffix, else SVG.
const ExportFormat& ChooseFormat(absl::string_view output, absl::string_view format);

// Text goes to a terminal when it was asked for (`format` is not ""), binary data never.
absl::Status CheckTerminal(absl::string_view output, absl::string_view format,
                           const OutputFile& file);

// A file in any format that import/ reads; "-": standard input. What was skipped in it is printed
// as a warning.
absl::StatusOr<Profile> LoadProfile(const std::string& path, const Transform& transform);

// Folded stacks, too many to keep, into a flame graph. False: these two files are none of that, and
// nothing was done; LoadProfile and SaveProfile do it.
absl::StatusOr<bool> DrawLargeFolded(const std::string& path, const std::string& output,
                                     const std::string& format);

// Writes and commits.
absl::Status SaveProfile(const Profile& profile, const std::string& output,
                         const std::string& format);

}  // namespace jprof
