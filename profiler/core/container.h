// The container that a control group is of.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace jprof {

inline constexpr size_t kContainerIdDigits = 64;
inline constexpr size_t kShownIdDigits = 12;  // as docker shows it

// Lower-case hexadecimal digits alone.
bool IsHexText(absl::string_view text);

// The id of the container, 64 hexadecimal digits, whose group or a part of it this path is of; ""
// for none. docker, containerd, cri-o, podman and Kubernetes all have it in a folder's name. A
// container's monitor (conmon) is not in it.
absl::string_view ContainerId(absl::string_view cgroup);

}  // namespace jprof
