#include "profiler/pipeline/verdict.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// Fewer samples say nothing of the rate.
constexpr double kFewSamples = 30;
constexpr uint64_t kFewOfSamples = 20;  // one of so many
constexpr double kMuchLess = 0.9;
constexpr double kAlmostAll = 0.99;

double ExpectedSamples(const SamplingRate& rate) {
  return rate.granted_hz * static_cast<double>(rate.target_cpu_ns) * 1e-9;
}

// "99 Hz"; "98.7 of 99 Hz"; "949.2 of 1000 Hz, 5000 asked".
std::string ShortRate(const Accounting& a) {
  const SamplingRate& rate = a.rate;
  std::string text = absl::StrFormat("%g Hz", rate.granted_hz);
  if (ExpectedSamples(rate) >= kFewSamples) {
    text = absl::StrFormat("%.1f of %s", rate.AchievedHz(a.taken), text);
  }
  if (rate.granted_hz != rate.asked_hz) absl::StrAppendFormat(&text, ", %g asked", rate.asked_hz);
  return text;
}

// `is_steady`: the rate was the same all the time.
void WarnOfRate(const Accounting& a, bool is_steady, std::vector<std::string>& warnings) {
  const SamplingRate& rate = a.rate;
  if (rate.granted_hz < rate.asked_hz) {
    warnings.push_back(absl::StrFormat(
        "%g Hz asked; sampled at %g Hz, which kernel.perf_event_max_sample_rate allows",
        rate.asked_hz, rate.granted_hz));
  }
  if (rate.lowered_to_hz != 0) {
    warnings.push_back(absl::StrFormat(
        "the kernel lowered kernel.perf_event_max_sample_rate to %g while it was sampled at %g Hz: "
        "samples are missing; a lower -F takes them all",
        rate.lowered_to_hz, rate.granted_hz));
  }
  if (rate.throttled_times != 0) {
    warnings.push_back(absl::StrFormat(
        "the kernel stopped the sampling %d times, for %.3f s of all CPUs together",
        rate.throttled_times, rate.throttled_ns * 1e-9));
  }
  if (rate.counted_share < kAlmostAll) {
    warnings.push_back(absl::StrFormat(
        "others use the CPU's counters too, so that cycles were counted %.0f %% of the time: the CPU "
        "times of samples are scaled by that",
        rate.counted_share * 100));
  }
  const double expected = ExpectedSamples(rate) * rate.counted_share;
  if (is_steady && expected >= 10 * kFewSamples &&
      static_cast<double>(a.taken) < kMuchLess * expected) {
    warnings.push_back(absl::StrFormat(
        "%d samples where the targets' CPU time of %.1f s at %g Hz makes %.0f: the others did not "
        "happen (the sampling was throttled, the virtual machine stood still, or another BPF program "
        "ran)",
        a.taken, rate.target_cpu_ns * 1e-9, rate.granted_hz, expected));
  }
}

// "" when none was lost.
// `cure`: what would lose none; "": nothing that the user could do.
std::string LossText(const Accounting& a, absl::string_view cure) {
  if (a.taken == a.kept) return "";
  std::vector<std::string> reasons;
  auto add = [&reasons](uint64_t count, absl::string_view why) {
    if (count != 0) reasons.push_back(absl::StrCat(count, " ", why));
  };
  add(a.dropped_ring_full, "found no room in the ring");
  add(a.dropped_queue_full, "came faster than they could be named");
  add(a.dropped_no_stack, "came without their stack");
  return absl::StrCat(a.taken - a.kept, " of ", a.taken, " samples lost: ",
                      absl::StrJoin(reasons, ", "), cure.empty() ? "" : "; ", cure);
}

// " (0.2 % unreadable, 0.1 % stale)"; "" where there is none of that.
std::string LossesOfScripts(const Accounting& a) {
  std::vector<std::string> parts;
  auto add = [&](uint64_t frames, absl::string_view what) {
    if (frames == 0) return;
    const double share = static_cast<double>(frames) / static_cast<double>(a.script_frames);
    parts.push_back(absl::StrFormat("%.1f %% %s", 100 * share, what));
  };
  add(a.script_frames_unreadable, "unreadable");
  add(a.script_frames_corrupt, "not understood");
  add(a.script_frames_stale, "stale");
  return parts.empty() ? "" : absl::StrCat(" (", absl::StrJoin(parts, ", "), ")");
}

}  // namespace

std::string SamplesText(const Accounting& a) {
  return absl::StrCat("samples: ", a.taken, " taken = ", a.kept, " kept + ", a.dropped_ring_full,
                      " without room in the ring + ", a.dropped_no_stack, " without their stack + ",
                      a.dropped_queue_full, " the reader was late for");
}

std::string RateText(const Accounting& a) {
  const SamplingRate& rate = a.rate;
  std::string text =
      absl::StrFormat("rate: %g Hz asked, %g granted", rate.asked_hz, rate.granted_hz);
  if (rate.target_cpu_ns != 0) {
    absl::StrAppendFormat(&text,
                          ", %.1f achieved: %d samples taken in %.3f s of the targets' CPU time",
                          rate.AchievedHz(a.taken), a.taken, rate.target_cpu_ns * 1e-9);
  }
  if (rate.throttled_times != 0) {
    absl::StrAppendFormat(&text, "; throttled %d times, for %.3f s of all CPUs",
                          rate.throttled_times, rate.throttled_ns * 1e-9);
  }
  return text;
}

std::string LevelText(const LiveSource& source) {
  if (source.ring() == nullptr) {
    return absl::StrCat("level kernel (", source.event_name(), ")");
  }
  return absl::StrCat("level ring (", source.event_name(),
                      source.ring()->kernel_too() ? ")" : " of user code, nothing of the kernel)");
}

std::string RingQualityText(const RingSampler& ring) {
  RingSampler::Quality q = ring.quality();
  auto delay_ms = [&q](size_t percent) {
    if (q.delays_us.empty()) return 0.0;
    auto at =
        q.delays_us.begin() + static_cast<ptrdiff_t>((q.delays_us.size() - 1) * percent / 100);
    std::nth_element(q.delays_us.begin(), at, q.delays_us.end());
    return *at * 1e-3;
  };
  return absl::StrFormat(
      "level ring: stacks of the instant, up to %d KiB, their functions read after it: 50 %% within "
      "%.2f ms, 99 %% within %.2f ms; %d samples read too late for names; %d stacks reach beyond the "
      "copy, %d of them changed before they were read, and are cut",
      ring.stack_bytes() >> 10, delay_ms(50), delay_ms(99), q.late, q.beyond, q.cut);
}

std::string VerdictText(const Profile& profile, const std::string& level,
                        const std::vector<std::string>& runtimes, double cpu_s) {
  const Accounting& a = profile.accounting;
  auto percent = [](uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  const double seconds = profile.duration_ns * 1e-9;
  std::vector<std::string> parts = {
      absl::StrFormat("%d samples in %.1f s", a.kept, seconds),
      absl::StrFormat("%d lost", a.taken - a.kept),
      absl::StrFormat("%.1f %% rooted", percent(a.rooted, a.kept)),
      absl::StrFormat("%.1f %% of frames unnamed", percent(a.frames_unnamed, a.frames)),
  };
  if (a.script_frames != 0) {
    parts.push_back(absl::StrFormat("%.1f %% of script frames not resolved%s",
                                    percent(a.script_frames_unnamed, a.script_frames),
                                    LossesOfScripts(a)));
  }
  if (a.silent_processes != 0) {
    parts.push_back(absl::StrCat("files of ", a.silent_processes,
                                 a.silent_processes == 1 ? " process" : " processes",
                                 " did not answer"));
  }
  parts.push_back(ShortRate(a));
  parts.push_back(level);
  for (const std::string& version : runtimes) {
    parts.push_back(version);
  }
  parts.push_back(absl::StrFormat("own CPU %.2f s (%.2f %%)", cpu_s,
                                  seconds == 0 ? 0.0 : 100 * cpu_s / seconds));
  return absl::StrJoin(parts, ", ");
}

std::vector<std::string> ChangesText(const LiveSource& source, uint64_t started_ns) {
  auto seconds = [started_ns](uint64_t ns) {
    return ns < started_ns ? 0.0 : static_cast<double>(ns - started_ns) * 1e-9;
  };
  std::vector<std::string> lines;
  for (const LiveSource::Rate& rate : source.rates()) {
    lines.push_back(absl::StrFormat("sampled at %.3g Hz since %.0f s, to take less CPU time itself",
                                    rate.hz(), seconds(rate.since_ns)));
  }
  for (const CpuEvents::Change& change : source.cpu_changes()) {
    lines.push_back(absl::StrFormat("CPU %d %s at %.0f s%s", change.cpu,
                                    change.online ? "came online" : "went offline",
                                    seconds(change.time_ns),
                                    change.trouble.empty()
                                        ? ""
                                        : absl::StrCat(" and is not sampled: ", change.trouble)));
  }
  return lines;
}

Shortcomings ShortcomingsOf(const LiveSource& source, const Pipeline& pipeline,
                            uint64_t started_ns, bool has_rate) {
  const RuntimeTable& runtimes = pipeline.runtimes();
  const KeptSamples& kept = pipeline.kept_samples();
  const absl::btree_set<Pid>& jvms = pipeline.resolver().jvms_without_map();
  Shortcomings s = {.kernel_level = source.kernel_level(),
                    .ring_has_kernel = source.ring() != nullptr && source.ring()->kernel_too(),
                    .silent_events = source.silent_events(),
                    .event_name = std::string(source.event_name()),
                    .accounting = pipeline.accounting(),
                    .has_rate = has_rate,
                    .is_steady = source.rates().empty(),
                    .changes = ChangesText(source, started_ns),
                    .refused_runtimes = runtimes.rejected(),
                    .jvms_without_map = {jvms.begin(), jvms.end()},
                    .perf_maps = pipeline.PerfMapTroubles(),
                    .jit_dumps = pipeline.JitDumpTroubles(),
                    .symbols = pipeline.symbol_troubles(),
                    .damaged_records = source.damaged_records(),
                    .unopened_images = pipeline.unopened_images(),
                    .images_over_limit = pipeline.images_over_limit(),
                    .names_dropped = pipeline.symbols_dropped(),
                    .processes_without_room = runtimes.processes_without_room(),
                    .ranges_without_room = runtimes.ranges_without_room(),
                    .time_step_ns = kept.time_step_ns(),
                    .processes_by_name = kept.processes_by_name(),
                    .threads_by_name = kept.threads_by_name()};
  if (const UnwindTables* tables = pipeline.unwind_tables()) {
    s.tables_without_room = tables->tables_without_room();
    s.walks_without_room = tables->processes_without_room();
  }
  if (absl::StatusOr<jp_counters> counters = source.ReadCounters(); counters.ok()) {
    s.names_lost = counters->symbols_lost;
    s.no_rule = counters->no_rule;
  }
  return s;
}

std::vector<std::string> WarningTexts(const Shortcomings& s) {
  std::vector<std::string> warnings;
  auto warn = [&warnings](uint64_t count, absl::string_view what) {
    if (count != 0) warnings.push_back(absl::StrCat(count, " ", what));
  };
  auto append = [&warnings](const std::vector<std::string>& texts) {
    warnings.insert(warnings.end(), texts.begin(), texts.end());
  };
  constexpr size_t kNamed = 3;
  auto name_some = [&](absl::string_view prefix, const std::vector<std::string>& troubles) {
    for (size_t i = 0; i < std::min(troubles.size(), kNamed); ++i) {
      warnings.push_back(absl::StrCat(prefix, troubles[i]));
    }
  };
  if (!s.kernel_level.ok()) {
    warnings.push_back(absl::StrCat(
        "level ring, ", s.ring_has_kernel ? "" : "without the kernel's part, ", "since ",
        s.kernel_level.message(), HintOf(s.kernel_level).empty() ? "" : "; ",
        HintOf(s.kernel_level)));
  }
  for (const std::string& silent : s.silent_events) {
    warnings.push_back(absl::StrCat("the kernel's event ", silent, " takes no samples; sampled by ",
                                    s.event_name));
  }
  for (const std::string& refused : s.refused_runtimes) {
    warnings.push_back(absl::StrCat(
        refused, ": its functions are named by a jitdump or perf map alone, if there is one"));
  }
  if (!s.jvms_without_map.empty()) {
    const size_t count = s.jvms_without_map.size();
    const Pid pid = s.jvms_without_map[0];
    warnings.push_back(absl::StrCat(
        count == 1
            ? absl::StrCat("process ", pid, " is a JVM without a perf map")
            : absl::StrCat(count, " processes, such as ", pid, ", are JVMs without a perf map"),
        ": Java functions have no names; jcmd ", pid,
        " Compiler.perfmap (JDK 17 or newer) writes one of what is compiled by then"));
  }
  name_some("perf map of ", s.perf_maps);
  name_some("jitdump of ", s.jit_dumps);
  warn(s.perf_maps.size() - std::min(s.perf_maps.size(), kNamed),
       "more perf maps are not used, or not in full");
  warn(s.jit_dumps.size() - std::min(s.jit_dumps.size(), kNamed),
       "more jitdumps are not used, or not in full");
  const Accounting& a = s.accounting;
  if (const std::string loss = LossText(a, s.has_rate ? "a lower -F loses none" : "");
      !loss.empty()) {
    warnings.push_back(loss);
  }
  WarnOfRate(a, s.is_steady, warnings);
  append(s.changes);
  warn(a.sideband_lost,
       "records of mappings, execs, exits and functions lost: stacks below [mapping records lost] "
       "are of meanwhile, and named by what was mapped later");
  warn(s.damaged_records, "records of mappings, execs and exits damaged");
  warn(s.unopened_images,
       "mapped files could not be opened: their frames are unnamed, and without call-frame tables "
       "(files that their owner alone may read take CAP_DAC_READ_SEARCH; --explain says why)");
  warn(s.images_over_limit,
       "mapped files are more than may be kept open (ulimit -n): their frames are unnamed");
  append(s.symbols);
  warn(s.names_dropped, "function names could not be read");
  warn(s.processes_without_room,
       "processes found no room in the kernel: their functions have no names");
  warn(s.ranges_without_room,
       "small ranges of code found no room in the kernel: their functions have no names");
  warn(s.tables_without_room,
       "call-frame tables are too large or found no room: that code is walked by frame pointers");
  warn(s.walks_without_room,
       "processes have more mappings than there was room for: walked by frame pointers");
  if (s.time_step_ns != 0) {
    warnings.push_back(absl::StrFormat(
        "more samples than are kept one by one: times are exact to %g s%s", s.time_step_ns * 1e-9,
        s.processes_by_name ? ", threads and processes are told apart by name alone"
        : s.threads_by_name ? ", threads of a process by name alone"
                            : ""));
  }
  warn(a.left_out, "samples are of more functions and stacks than are kept: shown as [left out]");
  warn(s.names_lost, "function names found no room in the ring");
  if (s.no_rule > a.kept / kFewOfSamples) {
    warn(s.no_rule, "stacks are cut where call-frame information says what the walk cannot follow");
  }
  return warnings;
}

}  // namespace jprof
