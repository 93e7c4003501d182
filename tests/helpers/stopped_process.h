// A live process as the native walk needs it: its runtimes, found by the same RuntimeTable as in
// production, and a thread that is held still while it is walked.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "helpers/layout_sink.h"
#include "helpers/native_runner.h"
#include "helpers/runtime.h"
#include "helpers/runtime_table.h"
#include "profiler/process/live_memory.h"
#include "tests/unwind/process_tables.h"

namespace jprof {

// Keeps what it is told.
class RecordingSink : public LayoutSink {
 public:
  bool SetLayout(uint32_t index, std::span<const std::byte> layout) override;
  bool SetProcess(Pid pid, const jp_process& process) override {
    processes[pid] = process;
    return true;
  }
  void RemoveProcess(Pid pid) override { processes.erase(pid); }

  std::vector<std::vector<std::byte>> layouts;
  absl::flat_hash_map<Pid, jp_process> processes;
};

// Holds the main thread of a child of this process, from Stop() to its own end.
class StoppedThread {
 public:
  static absl::StatusOr<StoppedThread> Stop(Tid tid);
  StoppedThread(StoppedThread&& other) noexcept;
  StoppedThread& operator=(StoppedThread&&) = delete;
  ~StoppedThread();

  const Registers& registers() const { return registers_; }

 private:
  explicit StoppedThread(Tid tid) : tid_(tid) {}
  Tid tid_;  // 0: moved from
  Registers registers_;
};

// Walks threads of a live process natively, with its call-frame tables as they were at the
// beginning.
class NativeSampler {
 public:
  // `set` outlives the sampler. Learns the process's mappings and runtimes as they are now.
  NativeSampler(const RuntimeSet& set, Pid pid);

  struct Sample {
    StackEvent stack;
    std::vector<std::string> functions;  // of runtimes, outermost first, by TextOf(); no plumbing
    uint64_t unreadable = 0;
    uint64_t corrupt = 0;
  };
  // Stops the main thread, or another, for the time of the walk; names are resolved when it runs
  // again.
  absl::StatusOr<Sample> Take() { return Take(pid_); }
  absl::StatusOr<Sample> Take(Tid tid);

  const RuntimeTable& table() const { return *table_; }
  const jp_process& process() { return sink_.processes[pid_]; }

 private:
  Pid pid_;
  LiveMemory memory_;
  ProcessTables unwind_tables_;
  RecordingSink sink_;
  std::unique_ptr<RuntimeTable> table_;
  std::unique_ptr<NativeRunner> runner_;
  absl::flat_hash_map<uint32_t, FrameName> names_;  // by symbol number
};

// "name file:line", as pictures show a function of a runtime; without what is not known.
std::string TextOf(const FrameName& name);

}  // namespace jprof
