// Golden files: what a test printed when somebody last looked at it and found it right.
#pragma once

#include "absl/strings/string_view.h"

namespace jprof {

// Fails the running test if `actual` is not what tests/`path` holds. With JPROF_BLESS=1 in the
// environment the file is written instead; the change then shows in the diff.
void ExpectGolden(absl::string_view actual, absl::string_view path);

}  // namespace jprof
