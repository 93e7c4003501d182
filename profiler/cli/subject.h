// One process whose threads are looked at once, live or in a core file: what is there, how to read
// it, and from it a report of each thread's stack and wait.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "helpers/runtime.h"
#include "profiler/cli/stack_report.h"
#include "profiler/core/event.h"
#include "profiler/core/profile.h"
#include "profiler/corefile/core_file.h"
#include "profiler/corefile/mapped_files.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/cli/thread_samples.h"
#include "profiler/process/live_memory.h"
#include "profiler/stop/system_call.h"
#include "profiler/stop/thread_capture.h"
#include "profiler/unwind/frame_stepper.h"

namespace jprof {

struct Subject {
  Pid pid = 0;
  std::string title;
  PipelineWorld world;
  std::vector<Event> events;  // that made it what it is
  const MemoryReader* memory = nullptr;
  bool is_core = false;
  std::function<std::vector<CapturedThread>(const WalkFunction&, const WalkSampleFunction&)>
      capture;
  FrameStepper::Find find_frame_code;  // asked for while no thread stands; a live one has none yet
  CallContext calls;
  std::vector<std::string> notes;
};

struct StackNaming {
  bool tiers = false;
  bool async = false;
  bool arguments = false;
  bool lines = false;       // of native functions, and what is inlined in them
  std::string source_maps;  // as RecordingOptions has it
};

// How the stacks of threads that run are taken.
enum class Running {
  kStop,
  kStopWithRegisters,  // and of those that sleep all registers (CaptureOptions::wants_registers)
  kSample,
  kLeave,  // not at all
};

// NotFound, PermissionDenied, ...: as CheckTarget(). `memory` outlives the result.
absl::StatusOr<Subject> LiveSubject(Pid pid, const LiveMemory& memory, Running running);

// All but the name outlive the result.
Subject CoreSubject(const CoreFile& core, const MappedFiles& files, const CoreMemory& memory,
                    const std::string& name);
// The same, with files and memory that lie elsewhere.
Subject CoreSubject(const CoreFile& core,
                    std::function<absl::StatusOr<UniqueFd>(const MapEvent&)> open_file,
                    const MemoryReader& memory, const std::string& name);

// Takes the threads' stacks and names them. Within RunGuarded() when the process is live.
absl::Status TakeStacks(Subject subject, const StackNaming& naming, const RuntimeSet& runtimes,
                        StackReport& report, Profile& profile);

}  // namespace jprof
