// Frames that are only text: what a name says of the function that it stands for, and the tables of
// a profile that grow with text. Shared by the readers.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "profiler/core/profile_builder.h"

namespace jprof {

struct FrameText {
  absl::string_view name;
  absl::string_view file;   // "" where the text says none
  uint32_t start_line = 0;  // 0 where it says none
  FrameKind kind = FrameKind::kNative;
};

// "render /srv/app.js:12": a name, a blank, and a place that begins with a slash or a scheme, its
// line without leading zeros. Else the text is the name. The kind is kScript or kNative.
FrameText SplitPlace(absl::string_view text);

// Of a name that nothing else is known of: "[unknown] ..." is kUnknown, "--" is kMarker.
FrameKind KindOfName(absl::string_view name);

// ".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", or "node:".
bool IsScriptFile(absl::string_view file);

// Bounds of what a file may make us store. All indices stay far from the end of their type.
inline constexpr size_t kMaxStackNodes = 200'000'000;
inline constexpr size_t kMaxSamples = 200'000'000;
inline constexpr size_t kMaxFunctions = 50'000'000;
absl::Status CheckRoom(const ProfileBuilder& builder);

// Adds a sample and accounts for it.
void AddSample(ProfileBuilder& builder, int64_t time_ns, ThreadId thread, uint32_t cpu,
               StackId stack, std::span<const int64_t> values);

}  // namespace jprof
