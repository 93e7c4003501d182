// A part of a profile, or the whole of it seen otherwise.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "profiler/core/profile.h"

namespace jprof {

struct Transform {
  // Regular expressions (RE2's, so in linear time) for the text of frames as pictures show it.
  std::string focus;   // keep stacks with a frame that matches; "": all
  std::string ignore;  // drop those with one
  std::string hide;    // leave frames out, not stacks
  // What the outermost level of pictures is: comm, pid, tid, thread, cgroup, container, cpu, or a
  // label of the samples; "": as it is
  std::string by;
  int64_t from_ns = 0;
  int64_t to_ns = INT64_MAX;
  bool merge = false;   // a function that is on the stack already is not shown again
  bool invert = false;  // the leaf outermost, its callers above it

  friend bool operator==(const Transform&, const Transform&) = default;
};

// InvalidArgument: an expression is none, `by` is unknown, or nothing is left.
absl::StatusOr<Profile> Transformed(const Profile& profile, const Transform& transform);

}  // namespace jprof
