#include "profiler/core/profile.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace jprof {

std::optional<size_t> BaseType(const Profile& profile) {
  const size_t half = profile.sample_types.size() / 2;
  if (profile.sample_types.size() % 2 != 0 || half == 0) return std::nullopt;
  if (profile.sample_types[half].type != kBaseType) return std::nullopt;
  return half;
}

std::optional<size_t> CountedType(const Profile& profile, size_t type) {
  const auto samples = std::find_if(profile.sample_types.begin(), profile.sample_types.end(),
                                    [](const ValueType& t) { return t.type == "samples"; });
  if (samples == profile.sample_types.end()) return std::nullopt;
  const auto counted = static_cast<size_t>(samples - profile.sample_types.begin());
  std::optional<size_t> first;  // that has a value
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const __int128 count = profile.Value(i, counted), value = profile.Value(i, type);
    if (!first && (count != 0 || value != 0)) {
      if (count == 0) return std::nullopt;
      first = i;
    }
    if (first && count * profile.Value(*first, type) != value * profile.Value(*first, counted)) {
      return std::nullopt;
    }
  }
  return counted;
}

std::string FunctionText(const Profile& profile, const Function& function, uint32_t line) {
  absl::string_view name = profile.String(function.name);
  if (profile.show_lines && line != 0 && !profile.String(function.file).empty()) {
    return absl::StrCat(name, " ", profile.String(function.file), ":", line);
  }
  if (!IsScript(function.kind) && function.kind != FrameKind::kAsync &&
      function.kind != FrameKind::kWasm && function.kind != FrameKind::kJit) {
    return std::string(name);
  }
  absl::string_view file = profile.String(function.file);
  if (file.empty()) return std::string(name);
  if (function.start_line == 0) return absl::StrCat(name, " ", file);
  return absl::StrCat(name, " ", file, ":", function.start_line);
}

}  // namespace jprof
