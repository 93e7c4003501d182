#include "profiler/top/hot_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr uint32_t kNotYet = UINT32_MAX;
constexpr uint32_t kLeftOut = 0;
constexpr size_t kMaxPlaceBytes = 1024;

absl::string_view BaseName(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

// "[unknown] libc.so.6+0x27249" is one of the file's unnamed functions: they are one row.
absl::string_view WithoutOffset(absl::string_view name) {
  return name.substr(0, name.rfind("+0x"));
}

size_t BytesOf(const HotFunction& f) { return 2 * (sizeof(f) + f.name.size() + f.place.size()); }

}  // namespace

HotTotals& HotTotals::operator+=(const HotTotals& other) {
  duration_ns += other.duration_ns;
  samples += other.samples;
  lost += other.lost;
  rooted += other.rooted;
  frames += other.frames;
  frames_unnamed += other.frames_unnamed;
  return *this;
}

HotTable::HotTable(size_t window, const Limits& limits)
    : window_(std::max<size_t>(window, 1)), limits_(limits) {
  Reset();
}

void HotTable::Reset() {
  functions_.clear();
  function_ids_.clear();
  name_bytes_ = 0;
  stacks_.clear();
  stack_ids_.clear();
  frames_ = 0;
  InternStack({InternFunction({.name = "[left out]"})});
}

void HotTable::Clear() {
  Reset();
  intervals_.clear();
  since_start_ = last_ = {};
}

uint32_t HotTable::InternFunction(HotFunction function) {
  auto [known, added] =
      function_ids_.try_emplace(function, static_cast<uint32_t>(functions_.size()));
  if (added) {
    name_bytes_ += BytesOf(function);
    functions_.push_back(std::move(function));
  }
  return known->second;
}

uint32_t HotTable::InternStack(std::vector<uint32_t> functions) {
  auto [known, added] = stack_ids_.try_emplace(functions, static_cast<uint32_t>(stacks_.size()));
  if (added) {
    frames_ += functions.size() + 8;
    stacks_.push_back({std::move(functions), 0});
  }
  return known->second;
}

HotFunction HotTable::Describe(const Profile& profile, const Location& location,
                               const Line& line) const {
  const Function& function = profile.functions[line.function.value];
  absl::string_view name = profile.String(function.name);
  const absl::string_view file = profile.String(function.file);
  const absl::string_view image =
      location.image.valid() ? profile.String(profile.images[location.image.value].path) : "";
  HotFunction described;
  described.kind = KindOf(profile, function);
  described.is_marker = function.kind == FrameKind::kMarker;
  if (function.kind == FrameKind::kUnknown) name = WithoutOffset(name);
  described.name = ShownText(name);
  if (described.name.find_first_not_of(' ') == std::string::npos) described.name = "[unknown]";
  if (!file.empty()) {
    described.place = function.start_line == 0 ? std::string(file)
                                               : absl::StrCat(file, ":", function.start_line);
  } else if (function.kind == FrameKind::kKernel && image == "[kernel.kallsyms]") {
    described.place = "[kernel]";
  } else if (function.kind == FrameKind::kNative || function.kind == FrameKind::kKernel) {
    described.place = std::string(BaseName(image));
  }
  described.place = ShownText(described.place, kMaxPlaceBytes);
  return described;
}

uint32_t HotTable::StackOf(const Profile& profile, const ProfileSample& sample,
                           std::vector<uint32_t>& functions_of) {
  std::vector<uint32_t> functions;
  for (StackId at = sample.stack; at.valid(); at = profile.stacks[at.value].caller) {
    const Location& location = profile.locations[profile.stacks[at.value].location.value];
    for (uint32_t i = 0; i < location.line_count; ++i) {
      uint32_t& function = functions_of[location.first_line + i];
      if (function == kNotYet) {
        function = InternFunction(
            Describe(profile, location, profile.lines[location.first_line + i]));
      }
      functions.push_back(function);
    }
  }
  if (functions.empty()) functions.push_back(InternFunction({.name = "[no stack]"}));
  const Thread& thread = profile.threads[sample.thread.value];
  functions.push_back(InternFunction(
      {.name = ShownText(profile.String(thread.process_name)), .kind = CodeKind::kBase}));
  return InternStack(std::move(functions));
}

void HotTable::Add(const Profile& snapshot) {
  const Accounting& a = snapshot.accounting;
  Interval interval;
  interval.totals = {snapshot.duration_ns, a.kept,   a.taken - a.kept,
                     a.rooted,             a.frames, a.frames_unnamed};
  // The rest of an interval, at the end, says nothing of a second.
  if (snapshot.duration_ns >= limits_.interval_ns / 2) last_ = interval.totals;
  since_start_ += interval.totals;
  ++snapshots_;
  std::vector<uint32_t> functions_of(snapshot.lines.size(), kNotYet);
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, uint32_t> known;  // by stack and thread
  for (size_t i = 0; i < snapshot.samples.size(); ++i) {
    const ProfileSample& sample = snapshot.samples[i];
    auto [stack, added] = known.try_emplace({sample.stack.value, sample.thread.value}, 0);
    if (added) stack->second = StackOf(snapshot, sample, functions_of);
    const uint64_t count = static_cast<uint64_t>(std::max<int64_t>(snapshot.Value(i, 0), 0));
    interval.samples[stack->second] += count;
    stacks_[stack->second].since_start += count;
  }
  intervals_.push_back(std::move(interval));
  if (intervals_.size() > window_) intervals_.pop_front();
  if (IsFull()) LeaveOutRareStacks();
}

// The hottest stacks are kept until half of what may be is.
void HotTable::LeaveOutRareStacks() {
  const std::vector<HotFunction> functions = std::exchange(functions_, {});
  const std::vector<Stack> stacks = std::exchange(stacks_, {});
  std::vector<uint32_t> order(stacks.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&stacks](uint32_t a, uint32_t b) {
    return std::pair(stacks[b].since_start, a) < std::pair(stacks[a].since_start, b);
  });
  Reset();
  std::vector<uint32_t> renumbered(stacks.size(), kLeftOut);
  for (uint32_t number : order) {
    if (number != kLeftOut && frames_ < limits_.stack_frames / 2 &&
        name_bytes_ < limits_.name_bytes / 2) {
      std::vector<uint32_t> kept;
      for (uint32_t function : stacks[number].functions) {
        kept.push_back(InternFunction(functions[function]));
      }
      renumbered[number] = InternStack(std::move(kept));
    }
    stacks_[renumbered[number]].since_start += stacks[number].since_start;
  }
  for (Interval& interval : intervals_) {
    const absl::flat_hash_map<uint32_t, uint64_t> samples = std::exchange(interval.samples, {});
    for (const auto& [stack, count] : samples) interval.samples[renumbered[stack]] += count;
  }
}

HotTotals HotTable::Totals(const HotView& view) const {
  if (view.since_start) return since_start_;
  HotTotals totals;
  for (const Interval& interval : intervals_) totals += interval.totals;
  return totals;
}

std::vector<std::pair<uint32_t, uint64_t>> HotTable::Samples(const HotView& view) const {
  std::vector<std::pair<uint32_t, uint64_t>> samples;
  if (view.since_start) {
    for (uint32_t i = 0; i < stacks_.size(); ++i) {
      if (stacks_[i].since_start != 0) samples.emplace_back(i, stacks_[i].since_start);
    }
    return samples;
  }
  absl::flat_hash_map<uint32_t, uint64_t> sums;
  for (const Interval& interval : intervals_) {
    for (const auto& [stack, count] : interval.samples) sums[stack] += count;
  }
  samples.assign(sums.begin(), sums.end());
  return samples;
}

std::vector<uint32_t> HotTable::Shown(const Stack& stack, const HotView& view) const {
  if (!view.hide_kernel) return stack.functions;
  std::vector<uint32_t> shown;
  for (uint32_t function : stack.functions) {
    if (functions_[function].kind != CodeKind::kKernel) shown.push_back(function);
  }
  return shown;
}

std::vector<HotTable::Row> HotTable::Rows(const HotView& view) const {
  std::vector<Row> rows(functions_.size());
  std::vector<uint32_t> counted_for(functions_.size(), kNotYet);
  for (const auto& [stack, count] : Samples(view)) {
    bool has_leaf = false;
    for (uint32_t function : Shown(stacks_[stack], view)) {
      const HotFunction& f = functions_[function];
      if (f.is_marker || f.kind == CodeKind::kBase) continue;
      Row& row = rows[function];
      row.function = function;
      if (!std::exchange(has_leaf, true)) row.self += count;
      if (std::exchange(counted_for[function], stack) != stack) row.total += count;
    }
  }
  std::erase_if(rows, [](const Row& row) { return row.total == 0; });
  return rows;
}

std::vector<HotTable::HotStack> HotTable::StacksOf(uint32_t function, const HotView& view) const {
  absl::flat_hash_map<std::vector<uint32_t>, uint64_t> sums;  // hiding makes stacks equal
  for (const auto& [stack, count] : Samples(view)) {
    std::vector<uint32_t> shown = Shown(stacks_[stack], view);
    if (std::find(shown.begin(), shown.end(), function) == shown.end()) continue;
    sums[std::move(shown)] += count;
  }
  std::vector<HotStack> stacks;
  for (const auto& [functions, count] : sums) stacks.push_back({functions, count});
  std::sort(stacks.begin(), stacks.end(), [](const HotStack& a, const HotStack& b) {
    return std::tie(b.samples, a.functions) < std::tie(a.samples, b.functions);
  });
  return stacks;
}

size_t HotTable::Find(const HotFunction& function) const {
  const auto known = function_ids_.find(function);
  return known == function_ids_.end() ? SIZE_MAX : known->second;
}

}  // namespace jprof
