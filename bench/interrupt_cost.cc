// What a sample costs in the interrupt: jprof's whole program (walk, names, hash, record) against
// the kernel's own callchain code (bpf_get_stack of the user stack, its result thrown away),
// attached by turns to the same kind of event on the same busy program, each timed by the kernel's
// own BPF run-time statistics. The target has one CPU nearly to itself, by real-time priority: a
// hit of another process costs jprof a comparison and the kernel a whole stack, which would flatter
// jprof. The share of hits that were the target's is printed; a figure with less than 90 % says
// nothing.
//
// The same recursion is walked by frame pointers and, built without them, by call-frame tables;
// node with its tables and without. WHAT: only the stacks whose names contain it.
//
//   interrupt_cost PROGRAM_DEEP PROGRAM_DEEP_BY_TABLE NODE DEEP_STACK_JS AWAIT_STACK_JS [WHAT]
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/callchain_object.h"
#include "helpers/runtime_table.h"
#include "jprof_runtimes.h"
#include "profiler/capture/bpf_sampler.h"
#include "profiler/capture/live_source.h"
#include "profiler/capture/perf_event.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/process_table.h"
#include "profiler/process/target_file.h"
#include "profiler/unwind/unwind_tables.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr int kRounds = 7;
constexpr uint64_t kTablesNs = 5'000'000'000;

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "interrupt_cost: error: %s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}
void OrDie(absl::Status status) { OrDie<bool>(status.ok() ? absl::StatusOr<bool>(true) : status); }

absl::StatusOr<ElfFile> OpenImage(const MapEvent& m) {
  auto file = OpenMappedFile(m.pid, Mapping{m.range, m.offset, m.file, m.path});
  if (!file.ok()) return file.status();
  return ElfFile::Open(*std::move(file), m.path);
}

struct RunTime {
  uint64_t ns = 0;
  uint64_t count = 0;
};

RunTime ReadRunTime(int program_fd) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  bpf_obj_get_info_by_fd(program_fd, &info, &size);
  return {info.run_time_ns, info.run_cnt};
}

// Nanoseconds per hit of `program` on `cpu` within `seconds`.
double MeasureOnce(int program_fd, int cpu, uint64_t hz, double seconds,
                   const std::function<void()>& drain) {
  SamplingEvent event = OrDie(OpenSamplingEvent(cpu, hz));
  if (::ioctl(event.fd.get(), PERF_EVENT_IOC_SET_BPF, program_fd) != 0) {
    OrDie(absl::InternalError("cannot attach"));
  }
  const RunTime before = ReadRunTime(program_fd);
  OrDie(EnableEvent(event.fd));
  for (double left = seconds; left > 0; left -= 0.1) {
    ::usleep(100'000);
    drain();
  }
  OrDie(DisableEvent(event.fd));
  const RunTime after = ReadRunTime(program_fd);
  return static_cast<double>(after.ns - before.ns) /
         static_cast<double>(std::max<uint64_t>(after.count - before.count, 1));
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Pin(Pid pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(pid, sizeof(set), &set);
}

void TakeWholeCpu(Pid pid) {
  const sched_param lowest = {.sched_priority = 1};
  if (::sched_setscheduler(pid, SCHED_FIFO, &lowest) != 0) {
    OrDie(absl::PermissionDeniedError("cannot give the target real-time priority: run as root"));
  }
}

class Bench {
 public:
  explicit Bench(std::string only)
      : only_(std::move(only)), stats_(bpf_enable_stats(BPF_STATS_RUN_TIME)) {
    cpu_ = OrDie(OnlineCpus()).back();
    Pin(0, OrDie(OnlineCpus()).front());
    bpf_object_open_opts options = {};
    options.sz = sizeof(options);
    auto object = assets::callchain_bpf_o();
    peer_ = bpf_object__open_mem(object.data(), object.size(), &options);
    if (peer_ == nullptr || bpf_object__load(peer_) != 0) {
      OrDie(absl::InternalError("cannot load the peer: run as root"));
    }
    peer_fd_ = bpf_program__fd(bpf_object__find_program_by_name(peer_, "on_sample"));
  }
  ~Bench() {
    bpf_object__close(peer_);
    ::close(stats_);
  }

  enum Tables { kNoTables, kTables };
  void Run(const char* what, std::vector<std::string> command, Tables with_tables,
           bool async = false) {
    if (std::string(what).find(only_) == std::string::npos) return;
    Child child = OrDie(Child::SpawnReady(command));
    for (Tid tid : OrDie(ListThreads(child.pid()))) {
      Pin(tid, cpu_);
      TakeWholeCpu(tid);
    }
    const RuntimeSet& set = BuiltinRuntimes();
    auto sampler = OrDie(BpfSampler::Load(set.bpf_object, {.only_pid = child.pid()}));
    RuntimeTable table(
        set, *sampler,
        {.open_image = OpenImage,
         .read_maps = ReadProcMaps,
         .open_memory = [](Pid pid) { return std::make_unique<LiveMemory>(pid); },
         .now = MonotonicNow},
        {.async = async});
    ProcessTable processes;
    for (Event& e : OrDie(SynthesizeProcessEvents(child.pid(), MonotonicNow()))) {
      processes.Apply(e);
      if (auto* map = std::get_if<MapEvent>(&e)) table.OnMap(*map);
    }
    UnwindTables tables(*sampler, {.open_image = OpenImage, .now = MonotonicNow}, {});
    if (with_tables == kTables) {
      tables.OnChange(child.pid());
      tables.Update(processes, kTablesNs);
    }
    size_t frames = 0;
    auto drain = [&] {
      OrDie(sampler->Drain([&](Event e) {
        if (auto* stack = std::get_if<StackEvent>(&e))
          frames = std::max(frames, stack->frames.size());
      }));
    };
    for (auto [hz, seconds] : {std::pair<uint64_t, double>{4999, 0.5}, {99, 3.0}}) {
      std::vector<double> ours, kernels, ratios;
      const uint64_t hits_before = ReadRunTime(sampler->program_fd()).count;
      const uint64_t samples_before = OrDie(sampler->ReadCounters()).samples;
      for (int round = 0; round < kRounds; ++round) {
        ours.push_back(MeasureOnce(sampler->program_fd(), cpu_, hz, seconds, drain));
        kernels.push_back(MeasureOnce(peer_fd_, cpu_, hz, seconds, [] {}));
        ratios.push_back(ours.back() / kernels.back());
      }
      const uint64_t hits = ReadRunTime(sampler->program_fd()).count - hits_before;
      const uint64_t samples = OrDie(sampler->ReadCounters()).samples - samples_before;
      std::printf(
          "%-30s %4lu Hz %3zu frames  jprof %6.2f us  kernel callchain %6.2f us  ratio %.2f"
          "  (%.0f %% of hits)\n",
          what, static_cast<unsigned long>(hz), frames, Median(ours) / 1000, Median(kernels) / 1000,
          Median(ratios),
          100.0 * static_cast<double>(samples) / static_cast<double>(std::max<uint64_t>(hits, 1)));
    }
  }

 private:
  std::string only_;
  int stats_;
  int cpu_ = 0;
  bpf_object* peer_ = nullptr;
  int peer_fd_ = -1;
};

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    std::fprintf(stderr,
                 "usage: interrupt_cost PROGRAM_DEEP PROGRAM_DEEP_BY_TABLE NODE DEEP_STACK_JS "
                 "AWAIT_STACK_JS [WHAT]\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a row takes most of a minute
  using jprof::Bench;
  Bench bench(argc == 7 ? argv[6] : "");
  bench.Run("native, recursion", {argv[1], "27"}, Bench::kNoTables);
  bench.Run("native, recursion, with tables", {argv[1], "27"}, Bench::kTables);
  bench.Run("native, recursion, by table", {argv[2], "27"}, Bench::kTables);
  std::vector<std::string> node = {argv[3], "--no-opt", "--no-sparkplug", argv[4], "120", "22"};
  bench.Run("node, 30 JavaScript functions", node, Bench::kNoTables);
  bench.Run("node, the same with tables", node, Bench::kTables);
  node.push_back("new");
  bench.Run("node, 30 new ones each time", node, Bench::kTables);
  const std::vector<std::string> few = {argv[3], argv[5], "120", "10"};
  bench.Run("node, 10 who await, not shown", few, Bench::kTables);
  bench.Run("node, 10 who await, --async", few, Bench::kTables, true);
  bench.Run("node, 48 who await, --async", {argv[3], argv[5], "120", "48"}, Bench::kTables, true);
  return 0;
}
