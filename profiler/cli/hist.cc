// The kernel half counts durations by their binary logarithm; what comes out of it meanwhile are
// those alone that take longer than all before, each with its stack.
#include "profiler/cli/hist.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "export/text.h"
#include "profiler/cli/command_main.h"
#include "profiler/cli/probe_run.h"
#include "profiler/cli/stack_report.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"
#include "profiler/trap/spec.h"

namespace jprof {
namespace {

constexpr size_t kBarWidth = 40;

struct HistOptions {
  std::string what;
  Pid pid = 0;  // 0: every process
  int64_t duration_ns = 0;
  bool json = false;
  bool help = false;
};

// V8's collections by kind: functions of its main thread. All official builds of Node 12 to 26 have
// these symbols. (Heap::MarkCompact() and Heap::Scavenge() are there as well, but inlined in some.)
struct Collection {
  absl::string_view name;
  std::vector<absl::string_view> symbols;
};
const std::array<Collection, JP_PROBE_KINDS>& Collections() {
  static const auto& collections = *new std::array<Collection, JP_PROBE_KINDS>{{
      {"scavenge (young generation)", {"_ZN2v88internal18ScavengerCollector14CollectGarbageEv*"}},
      {"minor mark-sweep (young generation)",
       {"_ZN2v88internal23MinorMarkSweepCollector14CollectGarbageEv*",
        "_ZN2v88internal25MinorMarkCompactCollector14CollectGarbageEv*"}},
      {"mark-compact (whole heap)", {"_ZN2v88internal20MarkCompactCollector14CollectGarbageEv*"}},
      {"any, from prologue to callbacks", {"_ZN2v88internal4Heap24PerformGarbageCollectionE*"}},
  }};
  return collections;
}

// What is measured, and what the kinds are called; "" where there is one without a name.
struct Measurement {
  Probe probe;
  std::array<std::string, JP_PROBE_KINDS> kinds;
  std::vector<std::string> notes;
};

absl::Status MeasureCollections(Pid pid, Measurement& measurement) {
  if (pid == 0) return absl::InvalidArgumentError("hist gc takes a process: -p PID");
  const std::string program = absl::StrCat("/proc/", pid, "/exe");
  for (uint32_t kind = 0; kind < JP_PROBE_KINDS; ++kind) {
    const Collection& collection = Collections()[kind];
    measurement.kinds[kind] = std::string(collection.name);
    size_t found = 0;
    for (absl::string_view symbol : collection.symbols) {
      absl::StatusOr<std::vector<ProbePlace>> places = FindFunctions(program, symbol);
      if (absl::IsNotFound(places.status())) continue;
      if (!places.ok()) return places.status();
      for (ProbePlace& place : *places) {
        place.kind = kind;
        measurement.probe.places.push_back(std::move(place));
        ++found;
      }
    }
    if (found == 0) {
      measurement.notes.push_back(
          absl::StrCat(collection.name, ": cannot be told, the program has no such symbol"));
    }
  }
  if (measurement.probe.places.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "process ", pid, ": its program has none of V8's collector's symbols, so its collections "
        "cannot be told"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Measurement> Measure(const HistOptions& options) {
  Measurement measurement;
  absl::string_view what = options.what;
  if (absl::ConsumePrefix(&what, "syscall:")) {
    const int number = SystemCallNumber(what);
    if (number < 0) {
      return absl::InvalidArgumentError(absl::StrCat("there is no system call '", what, "'"));
    }
    JPROF_ASSIGN_OR_RETURN(TrapSpec spec, ParseTrap(absl::StrCat(what, " duration>=0ns"), ""));
    measurement.probe = std::move(spec.probe);
    measurement.probe.config.max_hits = 0;
    measurement.probe.config.histogram = 1;
    return measurement;
  }
  if (what == "gc") {
    JPROF_RETURN_IF_ERROR(MeasureCollections(options.pid, measurement));
  } else if (absl::StartsWith(what, "uprobe:")) {
    JPROF_ASSIGN_OR_RETURN(TrapSpec spec, ParseTrap("", what));
    JPROF_RETURN_IF_ERROR(CheckReturns(spec.probe.places[0].path));
    measurement.probe = std::move(spec.probe);
    measurement.notes = std::move(spec.notes);
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "hist takes syscall:NAME, gc or uprobe:BINARY:SYMBOL, not '", options.what, "'"));
  }
  jp_probe_config& config = measurement.probe.config;
  config.points = JP_PROBE_AT_ENTRY | JP_PROBE_AT_RETURN;
  config.hit_point = JP_PROBE_AT_RETURN;
  config.max_hits = 0;
  config.histogram = 1;
  return measurement;
}

std::string TimeText(double ns) {
  if (ns < 1e3) return absl::StrFormat("%.0f ns", ns);
  if (ns < 1e6) return absl::StrFormat("%.3g us", ns / 1e3);
  if (ns < 1e9) return absl::StrFormat("%.3g ms", ns / 1e6);
  return absl::StrFormat("%.3g s", ns / 1e9);
}

struct Histogram {
  uint64_t count = 0;
  size_t first = 0, last = 0;  // buckets that are not empty
  uint64_t most = 0;
};
Histogram Look(const __u64 (&buckets)[JP_PROBE_BUCKETS]) {
  Histogram h;
  for (size_t i = 0; i < JP_PROBE_BUCKETS; ++i) {
    if (buckets[i] == 0) continue;
    if (h.count == 0) h.first = i;
    h.last = i;
    h.count += buckets[i];
    h.most = std::max<uint64_t>(h.most, buckets[i]);
  }
  return h;
}

// The hit of the slowest of a kind; none: it was lost.
std::optional<size_t> SlowestOf(const ProbeRunResult& result, uint32_t kind) {
  std::optional<size_t> slowest;
  for (size_t i = 0; i < result.hits.size(); ++i) {
    const jp_probe_hit& hit = result.hits[i];
    if (hit.kind == kind && hit.duration_ns >= result.state.max_ns[kind] &&
        (!slowest || hit.duration_ns > result.hits[*slowest].duration_ns)) {
      slowest = i;
    }
  }
  return slowest;
}

std::string KindText(const ProbeRunResult& result, const std::string& name, uint32_t kind) {
  const jp_probe_state& state = result.state;
  const Histogram h = Look(state.buckets[kind]);
  std::string text = absl::StrFormat(
      "%s%d times, %s in all, %s on average, %s at most\n",
      name.empty() ? "" : absl::StrCat(name, ": "), h.count,
      TimeText(static_cast<double>(state.sum_ns[kind])),
      TimeText(static_cast<double>(state.sum_ns[kind]) / static_cast<double>(h.count)),
      TimeText(static_cast<double>(state.max_ns[kind])));
  if (state.nested[kind] != 0) {
    absl::StrAppend(&text, "  and ", state.nested[kind],
                    " from within these, which are part of them\n");
  }
  for (size_t i = h.first; i <= h.last; ++i) {
    const uint64_t count = state.buckets[kind][i];
    const size_t width = static_cast<size_t>((count * kBarWidth + h.most - 1) / h.most);
    absl::StrAppendFormat(
        &text, "  %10s - %-10s %9d %s\n", TimeText(static_cast<double>(uint64_t{1} << i)),
        TimeText(2 * static_cast<double>(uint64_t{1} << i)), count, std::string(width, '#'));
  }
  if (const std::optional<size_t> slowest = SlowestOf(result, kind)) {
    const jp_probe_hit& hit = result.hits[*slowest];
    absl::StrAppend(&text, "  the slowest, ", TimeText(static_cast<double>(hit.duration_ns)),
                    ", in thread ", hit.tid, " of process ", hit.tgid, " when it returned:\n",
                    StackText(result.profile, result.stacks[*slowest]));
  }
  return text;
}

std::string KindJson(const ProbeRunResult& result, const std::string& name, uint32_t kind) {
  const jp_probe_state& state = result.state;
  std::vector<std::string> buckets;
  for (size_t i = 0; i < JP_PROBE_BUCKETS; ++i) {
    if (state.buckets[kind][i] == 0) continue;
    buckets.push_back(absl::StrCat("{\"from_ns\":", i == 0 ? 0 : uint64_t{1} << i,
                                   ",\"count\":", state.buckets[kind][i], "}"));
  }
  std::string text = absl::StrCat("{\"kind\":", JsonText(name), ",\"sum_ns\":", state.sum_ns[kind],
                                  ",\"max_ns\":", state.max_ns[kind], ",\"nested\":",
                                  state.nested[kind], ",\"buckets\":[",
                                  absl::StrJoin(buckets, ","), "]");
  if (const std::optional<size_t> slowest = SlowestOf(result, kind)) {
    absl::StrAppend(&text, ",\"slowest\":{\"tid\":", result.hits[*slowest].tid,
                    ",\"duration_ns\":", result.hits[*slowest].duration_ns,
                    ",\"frames\":", StackJson(result.profile, result.stacks[*slowest]), "}");
  }
  return absl::StrCat(text, "}");
}

absl::Status Run(const HistOptions& options, const RuntimeSet& runtimes) {
  if (options.pid != 0 && !ReadProcStat(options.pid).ok()) {
    return absl::NotFoundError(absl::StrCat("there is no process ", options.pid));
  }
  absl::StatusOr<Measurement> measurement = Measure(options);
  if (!measurement.ok()) return AsUsageError(measurement.status());
  measurement->probe.pid = options.pid;
  JPROF_ASSIGN_OR_RETURN(
      const ProbeRunResult result,
      RunProbe(
          {.probe = &measurement->probe,
           .duration_ns = options.duration_ns,
           .armed = absl::StrCat("measuring ", options.what, " (Ctrl-C ends it)"),
           .go_on = [](const std::vector<jp_probe_hit>&, const jp_probe_state&) { return true; }},
          runtimes));
  std::vector<std::string> kinds;
  for (uint32_t kind = 0; kind < JP_PROBE_KINDS; ++kind) {
    if (Look(result.state.buckets[kind]).count == 0) continue;
    kinds.push_back(options.json ? KindJson(result, measurement->kinds[kind], kind)
                                 : KindText(result, measurement->kinds[kind], kind));
  }
  const std::string text =
      options.json ? absl::StrCat("{\"what\":", JsonText(options.what), ",\"kinds\":[",
                                  absl::StrJoin(kinds, ",\n"), "]}\n")
                   : absl::StrJoin(kinds, "\n");
  JPROF_RETURN_IF_ERROR(WriteStandardOutput(text));
  for (const std::string& note : measurement->notes) PrintNote(note);
  for (const std::string& warning : ProbeWarnings(result)) PrintWarning(warning);
  if (kinds.empty())
    return absl::NotFoundError("nothing was measured: it did not happen meanwhile");
  return absl::OkStatus();
}

absl::Status Check(const Arguments& arguments, HistOptions& out) {
  if (arguments.words.empty()) {
    return WithHint(absl::InvalidArgumentError("hist takes what to measure"),
                    "use: jprof hist syscall:fsync -p PID");
  }
  if (arguments.words.size() > 1)
    return absl::InvalidArgumentError("hist takes one thing to measure");
  out.what = arguments.words[0];
  return absl::OkStatus();
}

CommandSyntax<HistOptions> Syntax() {
  using O = HistOptions;
  return {
      .text =
          {.name = "hist",
           .summary = "print how long system calls, collections or functions take",
           .usage = "hist syscall:NAME|gc|uprobe:BINARY:SYMBOL [options]\n",
           .about =
               "Measures how long each call takes, in the kernel, and prints how many took how long, in powers of\n"
               "two, and the stack of the slowest. Of calls within each other the outermost is measured.\n"
               "\n"
               "  jprof hist syscall:fsync -p 4711        a system call\n"
               "  jprof hist gc -p 4711 -d 30s            collections of V8, by kind\n"
               "  jprof hist uprobe:/usr/bin/app:work     a function of a program or library\n"},
      .options = {{{"-p", "--pid", "PID", "of this process (gc needs it; else of all)"}, &O::pid},
                  {{"-d", "--duration", "TIME",
                    "stop after 30s, 5m (default: Ctrl-C, or the process's end)"},
                   &O::duration_ns},
                  {{"", "--json", "", "for programs"}, &O::json}},
      .check = Check};
}

}  // namespace

CommandText HistText() { return TextOf(Syntax()); }

int HistMain(const std::vector<std::string>& arguments, const RuntimeSet& runtimes) {
  return CommandMain(Syntax(), arguments, [&](const HistOptions& options) {
    return ReportedStatus(Run(options, runtimes));
  });
}

}  // namespace jprof
