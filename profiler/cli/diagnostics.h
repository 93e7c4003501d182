// What the user reads on stderr: errors, warnings, progress. The one place of the program that
// writes there.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace jprof {

// One line each, "jprof: error: MESSAGE; HINT" and the like. They are shown as export/text.h has
// it, so a target's names never reach the terminal raw.
void PrintError(const absl::Status& status);
void PrintWarning(absl::string_view message);
void PrintNote(absl::string_view message);

// A line that is overwritten in place. Nothing at all where stderr is no terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void Show(absl::string_view text);
  void Clear();

 private:
  bool terminal_;
  bool shown_ = false;
};

}  // namespace jprof
