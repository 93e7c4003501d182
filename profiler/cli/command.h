// A command that jprof starts: it waits before its first instruction until the recording has begun.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class Command {
 public:
  // A child that waits, of this niceness (priority.h). To be called while there is one thread, and
  // before signals and limits are changed: the command gets them as they are.
  static absl::StatusOr<Command> Fork(const std::vector<std::string>& words, int niceness);
  Command(Command&& other) noexcept;
  ~Command();  // one that was not started ends, one that was goes on

  Pid pid() const { return pid_; }
  bool started() const { return started_; }

  // Lets it execute. NotFound: there is no such program; PermissionDenied: it cannot be executed.
  absl::Status Start();

  // Until it has ended, but leaves it a zombie, so that its number stays its own.
  void AwaitEnd() const;
  // Then its exit status, 128 + its signal when it was killed.
  int Reap();

 private:
  Command() = default;

  std::string name_;
  Pid pid_ = 0;       // 0: moved from, or reaped
  UniqueFd go_;       // written to, the child executes; closed, it exits
  UniqueFd failure_;  // its errno, nothing when it could execute
  bool started_ = false;
};

}  // namespace jprof
