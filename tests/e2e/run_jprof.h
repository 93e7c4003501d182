// Runs the built program as a user does: arguments, a terminal on stderr, signals. What it tells on
// its progress line lets a test wait for states ("so many samples") instead of times.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

struct JprofOptions {
  enum class Stdout {
    kCaptured,
    kFullDevice,   // /dev/full
    kBrokenPipe,   // nobody reads
    kStuckPipe,    // of one page, and its reader never reads
    kTerminal,
  };
  Stdout standard_output = Stdout::kCaptured;
  bool stderr_is_terminal = true;
  bool as_nobody = false;  // without any capability
  std::string binary;      // "": the built one
};

struct JprofResult {
  int wait_status = 0;
  std::string out;
  std::string err;  // without the progress line

  int exit_code() const;  // -1: ended by a signal
  int signal() const;     // 0: exited
  // The lines of `err` that are messages: all, if jprof keeps its promise.
  std::vector<std::string> messages() const;
};

// A child process; killed with its owner, or when the test program dies.
class Jprof {
 public:
  static absl::StatusOr<Jprof> Start(const std::vector<std::string>& arguments,
                                     const JprofOptions& options = {});
  Jprof(Jprof&&) noexcept;
  ~Jprof();

  // False: it ended before, or a minute went by. Need stderr to be a terminal.
  bool WaitForRecording();
  bool WaitForSamples(uint64_t count);
  // Until its stderr, or that of a command that it started, has the text.
  bool WaitForText(absl::string_view text);
  // Until it has filled its stdout, a stuck pipe.
  bool WaitUntilStuck();
  pid_t pid() const { return pid_; }
  void Signal(int number) const;
  // Again and again until it ends, a minute at most: signals in short succession count as one.
  void SignalUntilEnd(int number);
  JprofResult Wait();  // kills it after two minutes

 private:
  Jprof() = default;
  bool ReadStderr(int timeout_ms);  // false at the end
  bool WaitForProgress(uint64_t samples);

  pid_t pid_ = 0;
  UniqueFd out_;  // the memory behind stdout, or the reading end of a stuck pipe
  UniqueFd err_;  // the terminal's other end, or a pipe's
  bool captured_ = false;
  std::string raw_err_;
};

JprofResult RunJprof(const std::vector<std::string>& arguments, const JprofOptions& options = {});

// Interrupts the recording once it has `samples` samples.
JprofResult RunJprofFor(uint64_t samples, const std::vector<std::string>& arguments);

// A line of folded stacks: frames from the root, the process first.
struct FoldedStack {
  std::vector<std::string> frames;
  uint64_t count = 0;

  bool Has(absl::string_view frame) const;
  size_t Count(absl::string_view frame) const;
};
struct FoldedProfile {
  std::vector<FoldedStack> stacks;

  uint64_t total() const;
  uint64_t With(absl::string_view frame) const;  // samples that have the frame
  uint64_t Leaf(absl::string_view frame) const;  // samples whose innermost user-space frame it is
};
// Fails the running test at a line that is not of the format.
FoldedProfile ParseFolded(absl::string_view text);

// An empty folder that goes with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(absl::string_view name) const;
  const std::string& path() const { return path_; }
  std::vector<std::string> Names() const;

 private:
  std::string path_;
};

// A copy that everybody may execute, wherever the original lies; returns `to`.
std::string CopyForAll(const std::string& from, const std::string& to);

std::string ReadWholeFile(const std::string& path);  // "" when there is none

}  // namespace jprof
