#include "profiler/pipeline/profile_draft.h"

#include <array>

#include "profiler/core/profile_builder.h"
#include "profiler/core/status.h"

namespace jprof {

absl::StatusOr<NamedProfile> BuildProfile(Sampled sampled, const RecordingEnd& end,
                                          int64_t period_ns, KernelNames& kernel,
                                          const NamerOptions& options, bool places) {
  ProfileBuilder builder({{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"},
                         period_ns);
  builder.SetTimes(end.start_time_ns, end.duration_ns);
  const FrameTable& frames = sampled.frames;
  const Namer namer(frames, sampled.images, sampled.builtins, builder, kernel, options);
  NamedProfile named;
  named.troubles = namer.troubles();
  for (size_t node = 0; places && node < frames.stacks().size(); ++node) {
    const StackId id = namer.Find(static_cast<uint32_t>(node)).id;
    const bool is_shown = id != namer.Find(frames.stacks()[node].caller).id;
    named.places.push_back(is_shown ? id : StackId{});
  }
  if (options.lines) builder.ShowLines();
  std::vector<Namer::SampledStack> stacks;
  stacks.reserve(sampled.samples.size());
  for (const KeptSamples::Sample& sample : sampled.samples) {
    stacks.emplace_back(sample.stack, sample.count);
  }
  builder.SetUnnamed(namer.Explain(std::move(stacks)));
  Accounting& a = sampled.accounting;
  for (const KeptSamples::Sample& sample : sampled.samples) {
    const ThreadId thread_id = builder.AddThread(
        sample.pid, sample.tid, sampled.comms[sample.process_name],
        sampled.comms[sample.thread_name], sampled.comms[sample.cgroup]);
    const Namer::Stack stack = namer.Find(sample.stack);
    static_assert(KeptSamples::kManyCpus == kSeveralCpus);
    const auto period_ns_scaled = static_cast<int64_t>(sample.period_ns / end.rate.counted_share);
    const std::array<int64_t, 2> values = {sample.count, sample.count * period_ns_scaled};
    builder.AddSample(static_cast<int64_t>(sample.time_ns - end.start_monotonic_ns), thread_id,
                      sample.cpu, stack.id, values, sample.count);
    const uint64_t count = sample.count;
    a.left_out += frames.IsLeftOut(sample.stack) ? count : 0;
    a.rooted += count * stack.rooted;
    a.frames += count * stack.counts.frames;
    a.frames_unnamed += count * stack.counts.unnamed;
    a.script_frames += count * stack.counts.script;
    a.script_frames_unnamed += count * stack.counts.script_unnamed;
    a.script_frames_unreadable += count * stack.counts.script_unreadable;
    a.script_frames_corrupt += count * stack.counts.script_corrupt;
    a.script_frames_stale += count * stack.counts.script_stale;
  }
  a.rate = end.rate;
  builder.accounting() = a;
  JPROF_ASSIGN_OR_RETURN(named.profile, std::move(builder).Build());
  return named;
}

absl::StatusOr<Profile> ProfileDraft::Build() {
  JPROF_ASSIGN_OR_RETURN(
      NamedProfile named,
      BuildProfile({frames_, images_, comms_, builtins_, std::move(samples_), accounting_}, end_,
                   period_ns_, *kernel_, namer_));
  return std::move(named.profile);
}

}  // namespace jprof
