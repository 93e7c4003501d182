// Two profiles as one that says what changed between them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/profile.h"

namespace jprof {

// A comparison (profiler/core/profile.h) of all sample types that both have. First comes the one
// that `after` has last, which is the one to show; "samples" if in each of the two all weigh alike.
// A function whose first line alone differs is one, with the line that it has in `after`, unless
// its file has several of that name, or the profiles are by line. If each has one process, they are
// one, named as in `after`. InvalidArgument: they have no type in common.
absl::StatusOr<Profile> Compare(const Profile& before, const Profile& after);

// Of one function, by the text that pictures show; shares of all samples, 0 to 1.
struct FunctionChange {
  std::string text;
  double self_before = 0;
  double self_after = 0;
  double total_before = 0;  // with what it calls; once for each stack
  double total_after = 0;

  double self_growth() const { return self_after - self_before; }
  // By percentage points. What differs by rounding alone is equal.
  bool GrewMoreThan(double points) const { return 100 * self_growth() > points + 1e-9; }
};

// All functions of a comparison, those whose self share grew most first, equal ones by name.
std::vector<FunctionChange> FunctionChanges(const Profile& comparison);

}  // namespace jprof
