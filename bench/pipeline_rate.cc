// How many samples a second one core names: mappings, functions, executing lines and inlined
// functions of each frame of each sample, as if no two samples had a stack in common. (In a
// recording most do, and the kernel half sends a stack once.) The stacks are a node's, taken live;
// then the pipeline gets them over and over, each time under a new number, and the process is asked
// as ever whether its code still is what it was.
//
//   pipeline_rate NODE SCRIPT
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "helpers/perfmap/perf_map.h"
#include "jprof_runtimes.h"
#include "profiler/capture/live_source.h"
#include "profiler/pipeline/pipeline.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr uint64_t kTakeNs = 2'000'000'000;
constexpr double kReplaySeconds = 3;  // of CPU time: others may want the core, too
constexpr double kAim = 100'000;

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "pipeline_rate: error: %s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}
void OrDie(absl::Status status) { OrDie<bool>(status.ok() ? absl::StatusOr<bool>(true) : status); }

double CpuSeconds() {
  timespec t;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void Run(const std::string& node, const std::string& script) {
  Child child = OrDie(Child::SpawnReady({node, script}));
  const RuntimeSet& set = BuiltinRuntimes();
  auto source = OrDie(LiveSource::Open({.pid = child.pid(), .frequency_hz = 999}, set));
  PipelineWorld world = {
      .open_file = [](const MapEvent& m) -> absl::StatusOr<UniqueFd> {
        return OpenMappedFile(m.pid, Mapping{m.range, m.offset, m.file, m.path});
      },
      .read_maps = ReadProcMaps,
      .open_memory = [](Pid pid) { return std::make_unique<LiveMemory>(pid); },
      .open_perf_map = [](Pid pid) { return PerfMap::Open(pid); },
      .now = MonotonicNow,
  };
  Pipeline pipeline({.only_pid = child.pid(), .period_ns = 1'001'001}, set, source->layouts(),
                    std::move(world));
  for (Event& e : OrDie(SynthesizeProcessEvents(child.pid(), MonotonicNow()))) {
    pipeline.Handle(std::move(e));
  }
  OrDie(source->Start());
  std::vector<StackEvent> stacks;
  std::vector<Event> events;
  uint32_t number = 0;
  uint64_t frames = 0;
  for (const uint64_t until = MonotonicNow() + kTakeNs; MonotonicNow() < until;) {
    source->Wait(50);
    OrDie(source->Drain(events, false));
    for (Event& e : events) {
      if (auto* stack = std::get_if<StackEvent>(&e)) {
        stacks.push_back(*stack);
        frames += stack->frames.size();
        number = std::max(number, stack->number);
      }
      pipeline.Handle(std::move(e));
    }
    events.clear();
  }
  OrDie(source->Stop());
  if (stacks.empty()) OrDie(absl::NotFoundError("no stacks: does the script run?"));

  uint64_t samples = 0;
  const double begin = CpuSeconds();
  double used = 0;
  for (; used < kReplaySeconds; used = CpuSeconds() - begin) {
    for (const StackEvent& taken : stacks) {
      StackEvent stack = taken;
      stack.number = ++number;
      pipeline.Handle(std::move(stack));
      pipeline.Handle(SampleEvent{.time_ns = MonotonicNow(),
                                  .pid = child.pid(),
                                  .tid = child.pid(),
                                  .user_stack = number});
      ++samples;
    }
  }
  const double rate = static_cast<double>(samples) / used;
  std::printf("%zu stacks of %.0f frames: %.0f samples/s on one core, %.2f of the aim of %.0f\n",
              stacks.size(), static_cast<double>(frames) / static_cast<double>(stacks.size()), rate,
              rate / kAim, kAim);
}

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: pipeline_rate NODE SCRIPT\n");
    return 2;
  }
  jprof::Run(argv[1], argv[2]);
  return 0;
}
