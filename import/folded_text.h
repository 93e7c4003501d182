// What a line of folded stacks says. Shared by the readers of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/profile_builder.h"

namespace jprof {

// Takes a weight and the blanks before it from the end of `line`. Decimals are rounded.
bool TakeFoldedWeight(absl::string_view& line, int64_t& weight);

// Whether the lines of a file that begins like this have two weights: each whole line that has one
// does, a name may end in a number.
bool HasTwoWeights(absl::string_view head);

// The frame of `line` that begins there, up to the semicolon or the end.
absl::string_view FoldedFrame(absl::string_view line, size_t begin);

inline constexpr absl::string_view kInlinedSuffix = "_[i]";

// What is weighed: samples, in a comparison also those before.
std::vector<ValueType> FoldedTypes(bool is_comparison);

// "folded: 3 lines without a stack or a weight"; none if `lines` is 0.
void NoteSkippedFolded(uint64_t lines, std::vector<std::string>& notes);

// The function of a frame: its suffix and its name tell the kind.
FunctionId AddFoldedFunction(ProfileBuilder& builder, absl::string_view frame);

// Without the escapes of a name that looks like structure.
std::string UnescapedFolded(absl::string_view name);

// How many bytes two lines have in common at their beginnings.
size_t CommonBytes(absl::string_view a, absl::string_view b);

}  // namespace jprof
