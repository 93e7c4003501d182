// A child process for tests, with pipes to its stdin and stdout. It is ended with its owner, by its
// number, which is ours until we wait for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class Child {
 public:
  // `command`: path of the program, then its arguments. The child dies with this process too.
  static absl::StatusOr<Child> Spawn(const std::vector<std::string>& command);
  // Spawn, then wait for the line "ready": the program has reached the state that its test is
  // about.
  static absl::StatusOr<Child> SpawnReady(const std::vector<std::string>& command);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();  // kills and waits

  Pid pid() const { return pid_; }

  // Without its newline. Unavailable: the child closed its stdout, or nothing came for 20 s.
  absl::StatusOr<std::string> ReadLine();
  absl::Status Write(absl::string_view text);
  void CloseStdin() { stdin_.Reset(); }
  void Signal(int signal) const;
  // Waits for the end; its wait status.
  int Wait();

 private:
  Child() = default;
  void Destroy();

  Pid pid_ = 0;  // 0: none, or waited for
  UniqueFd stdin_;
  UniqueFd stdout_;
  std::string buffer_;
};

// In a child, before it executes a program: signals that whoever started the tests has ignored
// (nohup, a shell's background jobs) mean to the program what they mean to a user's.
void DefaultSignals();

// Has `threads` (tests/programs), started with an argument, go on without its main thread.
absl::Status EndMainThread(Child& threads);

// Until the process has used so much more CPU time, however little of it others leave. False: it
// has not in a minute, or is gone.
bool AwaitCpuTime(Pid pid, uint64_t ns);

// The path of a program of tests/programs.
std::string TestProgram(absl::string_view name);

}  // namespace jprof
