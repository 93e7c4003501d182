// Memory of a recording that lasts for months: ten million samples of changing stacks, threads and
// processes, scripted, through the pipeline. Every third sample is of a stack, every fourth of a
// process, that was never seen before; the rest are of stacks of the last minute.
//
//   months [MILLIONS OF SAMPLES]
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "helpers/layout_sink.h"
#include "profiler/pipeline/pipeline.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

constexpr uint64_t kPeriodNs = 52'631'579;  // 19 Hz
constexpr uint64_t kCode = 0x7e'0000'0000;
constexpr uint64_t kCodeBytes = 1 << 30;
constexpr uint64_t kDepth = 20;
constexpr uint64_t kDepthOfNew = 3;    // the innermost frames of a new stack; its callers are known
constexpr uint64_t kPlaces = 1 << 16;  // that those may be at
constexpr uint64_t kPaths = 1000;      // to their callers

class NoSink : public LayoutSink {
 public:
  bool SetLayout(uint32_t, std::span<const std::byte>) override { return true; }
  bool SetProcess(Pid, const jp_process&) override { return true; }
  void RemoveProcess(Pid) override {}
  void ForgetSymbols() override {}
  void ForgetStacks() override { ++forgotten; }
  int forgotten = 0;
};

double ResidentMb() {
  std::ifstream statm("/proc/self/statm");
  uint64_t all = 0, resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void Run(uint64_t samples) {
  uint64_t now_ns = 1'000'000'000;
  NoSink sink;
  const RuntimeSet set;
  Pipeline pipeline(
      {.period_ns = kPeriodNs}, set, sink,
      {.open_file = [](const MapEvent&) -> absl::StatusOr<UniqueFd> {
         return UniqueFd(::memfd_create("code", MFD_CLOEXEC));
       },
       .read_maps = [](Pid) -> absl::StatusOr<std::vector<ProcMapping>> {
         return absl::NotFoundError("gone");
       },
       .open_memory = [](Pid) { return std::make_unique<FakeMemory>(); },
       .open_perf_map = [](Pid) -> absl::StatusOr<PerfMap> { return absl::NotFoundError("none"); },
       .now = [&now_ns] { return now_ns; },
       .kallsyms = "/dev/null"});
  uint64_t random = 88172645463325252;
  auto next = [&random] {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  };
  uint32_t number = 0;
  Pid pid = 1000;
  auto start_process = [&] {
    pipeline.Handle(ForkEvent{now_ns, ++pid, pid, 1, 1});
    pipeline.Handle(CommEvent{now_ns, pid, pid, true, absl::StrCat("job-", pid % 5000)});
    pipeline.Handle(
        MapEvent{now_ns, pid, {{kCode}, {kCode + kCodeBytes}}, {0}, {8, 1, 7}, "/bin/job"});
    if (pid > 1100) pipeline.Handle(ExitEvent{now_ns, pid - 100, pid - 100});
  };
  start_process();
  int forgotten = -1;
  uint32_t oldest = 1;
  for (uint64_t i = 0; i < samples; ++i, now_ns += kPeriodNs) {
    if (i % 4 == 0) start_process();
    if (std::exchange(forgotten, sink.forgotten) != sink.forgotten) oldest = number + 1;
    if (i % 3 == 0 || oldest > number) {
      StackEvent stack{++number, pid, WalkEnd::kRoot, {}};
      const uint64_t path = next() % kPaths;
      for (uint64_t depth = 0; depth < kDepth; ++depth) {
        const uint64_t at = depth < kDepthOfNew ? next() % kPlaces : path * kDepth + depth;
        stack.frames.push_back({.address = kCode + at * 16, .is_return_address = depth > 0});
      }
      pipeline.Handle(std::move(stack));
    }
    const uint32_t recent = std::min(number - oldest + 1, uint32_t{400});
    const uint32_t user_stack = number - static_cast<uint32_t>(next() % recent);
    pipeline.Handle(
        SampleEvent{.time_ns = now_ns, .pid = pid, .tid = pid, .user_stack = user_stack});
    if ((i + 1) % 1'000'000 == 0) {
      std::printf(
          "%3llu million samples, %4.1f days: %.0f MB resident, %zu entries, times exact to %g s\n",
          static_cast<unsigned long long>((i + 1) / 1'000'000),
          static_cast<double>(now_ns) * 1e-9 / 86400, ResidentMb(), pipeline.kept_samples().size(),
          static_cast<double>(pipeline.kept_samples().time_step_ns()) * 1e-9);
      std::fflush(stdout);
    }
  }
  const auto profile = pipeline.Finish({});
  if (!profile.ok()) {
    std::fprintf(stderr, "months: error: %s\n", profile.status().ToString().c_str());
    std::exit(1);
  }
  const Accounting& a = profile->accounting;
  std::printf(
      "the profile: %.0f MB resident; %llu kept, %llu of them left out in part, %llu dropped\n",
      ResidentMb(), static_cast<unsigned long long>(a.kept),
      static_cast<unsigned long long>(a.left_out),
      static_cast<unsigned long long>(a.taken - a.kept));
}

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  const double millions = argc > 1 ? std::atof(argv[1]) : 10;
  jprof::Run(static_cast<uint64_t>(millions * 1e6));
  return 0;
}
