#include "import/transform.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "import/frame_text.h"
#include "import/profile_copy.h"
#include "profiler/core/container.h"
#include "profiler/core/labels.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr absl::string_view kKeys[] = {"comm",   "pid",       "tid", "thread",
                                       "cgroup", "container", "cpu"};

// Which frames of a profile an expression matches; each text is looked at once.
class Matcher {
 public:
  static absl::StatusOr<std::optional<Matcher>> Make(const Profile& profile, absl::string_view name,
                                                     const std::string& expression) {
    if (expression.empty()) return std::nullopt;
    RE2::Options options;
    options.set_log_errors(false);
    auto regex = std::make_unique<RE2>(expression, options);
    if (!regex->ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " takes a regular expression, not '",
                                                     expression, "': ", regex->error()));
    }
    return Matcher(profile, std::move(regex));
  }

  bool Matches(const Line& line) {
    const uint32_t number = profile_->show_lines ? line.line : 0;
    auto [it, added] = known_.try_emplace(std::pair(line.function, number), false);
    if (added) {
      const std::string text =
          FunctionText(*profile_, profile_->functions[line.function.value], number);
      it->second = RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex_);
    }
    return it->second;
  }

  // By stack: whether it has a frame that matches.
  std::vector<bool> Stacks() {
    std::vector<bool> matches(profile_->stacks.size());
    for (size_t i = 0; i < matches.size(); ++i) {
      const StackNode& node = profile_->stacks[i];
      if (node.caller.valid()) matches[i] = matches[node.caller.value];
      for (const Line& line : profile_->Lines(profile_->locations[node.location.value])) {
        matches[i] = matches[i] || Matches(line);
      }
    }
    return matches;
  }

 private:
  Matcher(const Profile& profile, std::unique_ptr<RE2> regex)
      : profile_(&profile), regex_(std::move(regex)) {}

  const Profile* profile_;
  std::unique_ptr<RE2> regex_;
  absl::flat_hash_map<std::pair<FunctionId, uint32_t>, bool> known_;
};

class Transformer {
 public:
  Transformer(const Profile& from, const Transform& transform)
      : from_(from),
        transform_(transform),
        builder_(from.sample_types, from.period_type, from.period),
        copy_(from, builder_) {}

  absl::StatusOr<Profile> Run() {
    JPROF_RETURN_IF_ERROR(CheckKey());
    const bool is_part = transform_.from_ns > 0 || transform_.to_ns < INT64_MAX;
    if (is_part && !from_.samples.empty() && from_.samples.back().time_ns <= 0) {
      return absl::InvalidArgumentError("it has no times for --from and --to");
    }
    JPROF_ASSIGN_OR_RETURN(auto focus, Matcher::Make(from_, "--focus", transform_.focus));
    JPROF_ASSIGN_OR_RETURN(auto ignore, Matcher::Make(from_, "--ignore", transform_.ignore));
    JPROF_ASSIGN_OR_RETURN(hide_, Matcher::Make(from_, "--hide", transform_.hide));
    const std::vector<bool> focused = focus ? focus->Stacks() : std::vector<bool>();
    const std::vector<bool> ignored = ignore ? ignore->Stacks() : std::vector<bool>();
    Heading();
    const size_t types = from_.sample_types.size();
    for (size_t i = 0; i < from_.samples.size(); ++i) {
      const ProfileSample& s = from_.samples[i];
      if (s.time_ns < transform_.from_ns || s.time_ns >= transform_.to_ns) continue;
      if (focus && !(s.stack.valid() && focused[s.stack.value])) continue;
      if (ignore && s.stack.valid() && ignored[s.stack.value]) continue;
      AddSample(builder_, s.time_ns - transform_.from_ns, ThreadOf(s), s.cpu, StackOf(s.stack),
                std::span(from_.values).subspan(i * types, types));
    }
    if (builder_.profile().samples.empty()) {
      return absl::InvalidArgumentError("no sample is left of it");
    }
    return std::move(builder_).Build();
  }

 private:
  absl::Status CheckKey() const {
    const std::string& by = transform_.by;
    auto is_told = [&](const struct Thread& t) {
      return (by == "pid" && t.pid != 0) || (by == "tid" && t.tid != 0) ||
             !LabelValue(from_.String(t.labels), by).empty();
    };
    auto has_cpu = [](const ProfileSample& s) { return s.cpu != kUnknownCpu; };
    if (by.empty() || std::any_of(from_.threads.begin(), from_.threads.end(), is_told) ||
        (by == "cpu" && std::any_of(from_.samples.begin(), from_.samples.end(), has_cpu))) {
      return absl::OkStatus();
    }
    if (std::find(std::begin(kKeys), std::end(kKeys), by) == std::end(kKeys)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--by takes comm, pid, tid, thread, cgroup, container, cpu or a label that its "
          "samples have, not '",
          by, "'"));
    }
    if (by != "pid" && by != "tid" && by != "cpu") return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("its samples have no ", by, " for --by"));
  }

  void Heading() {
    copy_.Heading();
    const int64_t duration = std::max<int64_t>(from_.duration_ns, 0);
    const int64_t from = std::min(transform_.from_ns, duration);
    const int64_t to = std::min(transform_.to_ns, duration);
    builder_.SetTimes(from_.start_time_ns <= 0 || from_.start_time_ns > INT64_MAX - from
                          ? 0
                          : from_.start_time_ns + from,
                      to - from);
  }

  ThreadId ThreadOf(const ProfileSample& s) {
    if (transform_.by.empty() || transform_.by == "comm") return copy_.Thread(s.thread);
    const Thread& t = from_.threads[s.thread.value];
    const absl::string_view process = from_.String(t.process_name), name = from_.String(t.name);
    const absl::string_view cgroup = from_.String(t.cgroup);
    std::string root;
    if (transform_.by == "pid") {
      root = Joined(process, IdOf(t, "pid", t.pid), " ");
    } else if (transform_.by == "tid") {
      const std::string ids = Joined(IdOf(t, "pid", t.pid), IdOf(t, "tid", t.tid), "/");
      root = Joined(Joined(process, ids, " "), name == process ? "" : name, " ");
    } else if (transform_.by == "thread") {
      root = std::string(name);
    } else if (transform_.by == "cgroup") {
      root = cgroup.empty() ? "[no cgroup]" : std::string(cgroup);
    } else if (transform_.by == "container") {
      const absl::string_view id = ContainerId(cgroup);
      root = id.empty() ? "[no container]" : std::string(id.substr(0, kShownIdDigits));
    } else if (transform_.by == "cpu") {
      root = CpuOf(s, t);
    } else {
      root = LabelValue(from_.String(t.labels), transform_.by);
      if (root.empty()) root = absl::StrCat("[no ", transform_.by, "]");
    }
    return builder_.AddThread(t.pid, t.tid, root, name, cgroup, from_.String(t.labels));
  }

  // As a number, or as a label says it; "": not known.
  std::string IdOf(const struct Thread& t, absl::string_view key, int32_t id) const {
    return id != 0 ? absl::StrCat(id) : LabelValue(from_.String(t.labels), key);
  }

  std::string CpuOf(const ProfileSample& s, const struct Thread& t) const {
    if (s.cpu == kSeveralCpus) return "[several CPUs]";
    if (s.cpu != kUnknownCpu) return absl::StrCat("cpu ", s.cpu);
    const std::string label = LabelValue(from_.String(t.labels), "cpu");
    return label.empty() ? "[no cpu]" : absl::StrCat("cpu ", label);
  }

  static std::string Joined(absl::string_view a, absl::string_view b, absl::string_view between) {
    return absl::StrCat(a, a.empty() || b.empty() ? "" : between, b);
  }

  StackId StackOf(StackId leaf) {
    if (!hide_ && !transform_.merge && !transform_.invert) return copy_.Stack(leaf);
    if (!leaf.valid()) return leaf;
    auto [it, added] = stacks_made_.try_emplace(leaf);
    if (added) it->second = Rebuilt(leaf);
    return it->second;
  }

  StackId Rebuilt(StackId leaf) {
    // Outermost first.
    path_.clear();
    for (StackId s = leaf; s.valid(); s = from_.stacks[s.value].caller) path_.push_back(s);
    std::reverse(path_.begin(), path_.end());
    std::vector<std::pair<ImageId, std::vector<Line>>> frames;
    seen_.clear();
    for (StackId s : path_) {
      const Location& location = from_.locations[from_.stacks[s.value].location.value];
      const auto lines = from_.Lines(location);
      std::vector<Line> kept;  // outermost first
      for (size_t i = lines.size(); i-- > 0;) {
        if (hide_ && hide_->Matches(lines[i])) continue;
        if (transform_.merge &&
            !seen_.insert({lines[i].function, from_.show_lines ? lines[i].line : 0}).second) {
          continue;
        }
        kept.push_back({copy_.Function(lines[i].function), lines[i].line, lines[i].column});
      }
      if (kept.empty()) continue;
      const ImageId image = copy_.Image(location.image);
      if (transform_.invert) {
        // What was inlined into what cannot be said in this order.
        for (const Line& line : kept) frames.push_back({image, {line}});
      } else {
        std::reverse(kept.begin(), kept.end());
        frames.push_back({image, std::move(kept)});
      }
    }
    if (transform_.invert) std::reverse(frames.begin(), frames.end());
    StackId stack;
    for (const auto& [image, lines] : frames) {
      stack = builder_.AddStack(stack, builder_.AddLocation(image, 0, lines));
    }
    return stack;
  }

  const Profile& from_;
  const Transform& transform_;
  ProfileBuilder builder_;
  ProfileCopy copy_;
  std::optional<Matcher> hide_;
  absl::flat_hash_map<StackId, StackId> stacks_made_;
  std::vector<StackId> path_;
  absl::flat_hash_set<std::pair<FunctionId, uint32_t>> seen_;
};

}  // namespace

absl::StatusOr<Profile> Transformed(const Profile& profile, const Transform& transform) {
  return Transformer(profile, transform).Run();
}

}  // namespace jprof
