// Frames that are only text: what a name says of the function that it stands for, and the tables of
// a profile that grow with text. Shared by the readers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

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

// As V8 writes its perf map: "JS:*render /srv/app.js:12:3", "LazyCompile:~main file:///app.mjs:1".
// Else the text is the name, and the kind kJit.
FrameText SplitJitName(absl::string_view text);

// Of a name that nothing else is known of: "[unknown] ..." is kUnknown, "--" is kMarker.
FrameKind KindOfName(absl::string_view name);

// Of code without a name: "[unknown] libfoo.so+0x1234", "[unknown] 0x1234" where it is in no file.
std::string UnknownName(absl::string_view path, uint64_t offset);

// ".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", or "node:".
bool IsScriptFile(absl::string_view file);

// Bounds of what a file may make us store. All indices stay far from the end of their type.
inline constexpr size_t kMaxStackNodes = 200'000'000;
inline constexpr size_t kMaxSamples = 200'000'000;
inline constexpr size_t kMaxFunctions = 50'000'000;
absl::Status CheckRoom(const ProfileBuilder& builder);

// What a reader keeps besides the profile: few bytes of a file may stand for many of a table.
class TableBudget {
 public:
  // False once there is no room.
  bool Take(size_t bytes) {
    left_ -= std::min(bytes, left_);
    return left_ > 0;
  }
  // ResourceExhausted: there was no room.
  absl::Status status() const;

 private:
  size_t left_ = size_t{1} << 30;
};

// Of a deeper stack the frames at the leaf are kept, "[truncated]" stands for those above: what is
// made of a profile takes time and room for each frame of each stack.
inline constexpr size_t kMaxStackDepth = 2'000;
// The stack of "[truncated]" alone.
StackId AddTruncated(ProfileBuilder& builder);
// `path`: leaf first. Counts in `truncated` whether it was too deep.
StackId AddPath(ProfileBuilder& builder, std::span<const LocationId> path, uint64_t& truncated);
// "folded: 3 stacks were deeper than 2000 frames ..."; none if `stacks` is 0.
void NoteTruncated(absl::string_view format, uint64_t stacks, std::vector<std::string>& notes);

// Adds a sample and accounts for it.
void AddSample(ProfileBuilder& builder, int64_t time_ns, ThreadId thread, uint32_t cpu,
               StackId stack, std::span<const int64_t> values);

}  // namespace jprof
