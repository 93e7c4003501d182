#include "tests/helpers/folded_text.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"
#include "tests/testing/spawn.h"

namespace jprof {

std::vector<std::string> FoldedStack::Functions() const {
  std::vector<std::string> functions;
  for (absl::string_view frame : frames) {
    if (absl::ConsumeSuffix(&frame, "_[j]")) functions.emplace_back(frame);
  }
  return functions;
}

absl::StatusOr<std::vector<FoldedStack>> RunFolded(const std::vector<std::string>& command) {
  JPROF_ASSIGN_OR_RETURN(Child child, Child::Spawn(command));
  std::vector<FoldedStack> stacks;
  for (;;) {
    absl::StatusOr<std::string> line = child.ReadLine();
    if (!line.ok()) break;  // its end
    const size_t blank = line->rfind(' ');
    FoldedStack stack;
    if (blank == std::string::npos ||
        !absl::SimpleAtoi(line->substr(blank + 1), &stack.samples)) {
      return absl::DataLossError(absl::StrCat("not a folded stack: ", *line));
    }
    stack.frames = absl::StrSplit(line->substr(0, blank), ';');
    stack.frames.erase(stack.frames.begin());
    stacks.push_back(std::move(stack));
  }
  if (int status = child.Wait(); status != 0) {
    return absl::UnavailableError(
        absl::StrCat(absl::StrJoin(command, " "), " ended with status ", status));
  }
  return stacks;
}

std::string WhyNoSampling() {
  return ::geteuid() == 0 ? "" : "sampling in the kernel needs root (or CAP_BPF and CAP_PERFMON)";
}

}  // namespace jprof
