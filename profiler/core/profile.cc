#include "profiler/core/profile.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace jprof {

std::optional<size_t> BaseType(const Profile& profile) {
  const size_t half = profile.sample_types.size() / 2;
  if (profile.sample_types.size() % 2 != 0 || half == 0) return std::nullopt;
  if (profile.sample_types[half].type != kBaseType) return std::nullopt;
  return half;
}

std::string FunctionText(const Profile& profile, const Function& function, uint32_t line) {
  absl::string_view name = profile.String(function.name);
  if (profile.show_lines && line != 0 && !profile.String(function.file).empty()) {
    return absl::StrCat(name, " ", profile.String(function.file), ":", line);
  }
  if (function.kind != FrameKind::kScript && function.kind != FrameKind::kAsync &&
      function.kind != FrameKind::kWasm && function.kind != FrameKind::kJit) {
    return std::string(name);
  }
  absl::string_view file = profile.String(function.file);
  if (file.empty()) return std::string(name);
  if (function.start_line == 0) return absl::StrCat(name, " ", file);
  return absl::StrCat(name, " ", file, ":", function.start_line);
}

}  // namespace jprof
