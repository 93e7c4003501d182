#include "profiler/why/busy.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr size_t kHottestNamed = 4;
// In so many of ten samples a function is what they have in common.
constexpr size_t kNearlyAllOfTen = 8;

bool IsNamed(const FrameFacts& frame) {
  return frame.kind != FrameKind::kUnknown && frame.kind != FrameKind::kMarker &&
         frame.kind != FrameKind::kAsync;
}

bool IsOwn(const FrameFacts& frame) {
  return IsScript(frame.kind) || frame.kind == FrameKind::kWasm;
}

std::string FileOf(const std::string& place) { return place.substr(0, place.find(':')); }

// Nodes of the tree of callers that nearly all samples go through, from the root.
struct Common {
  const FrameFacts* frame;
  std::vector<const std::vector<FrameFacts>*> stacks;
  size_t depth;  // from the root
};

const FrameFacts* FromRoot(const std::vector<FrameFacts>& stack, size_t depth) {
  return depth < stack.size() ? &stack[stack.size() - 1 - depth] : nullptr;
}

std::vector<Common> CommonPath(std::vector<const std::vector<FrameFacts>*> stacks) {
  const size_t needed = (stacks.size() * kNearlyAllOfTen + 9) / 10;
  std::vector<Common> path;
  for (size_t depth = 0;; ++depth) {
    std::map<std::pair<std::string, std::string>, Common> groups;
    for (const auto* stack : stacks) {
      const FrameFacts* frame = FromRoot(*stack, depth);
      if (frame == nullptr) continue;
      Common& group = groups[{frame->name, FileOf(frame->place)}];
      group.frame = frame;
      group.stacks.push_back(stack);
      group.depth = depth;
    }
    Common* largest = nullptr;
    for (auto& [name, group] : groups) {
      if (largest == nullptr || group.stacks.size() > largest->stacks.size()) largest = &group;
    }
    if (largest == nullptr || largest->stacks.size() < std::max<size_t>(needed, 1)) return path;
    stacks = largest->stacks;
    path.push_back(std::move(*largest));
  }
}

// With the line that most of its samples execute.
HotPlace HotPlaceOf(const Common& common) {
  std::map<std::string, size_t> places;
  for (const auto* stack : common.stacks) ++places[PlaceOf(*FromRoot(*stack, common.depth))];
  auto most = std::max_element(places.begin(), places.end(), [](const auto& a, const auto& b) {
    return a.second < b.second;
  });
  return {most->first, common.frame->kind, common.stacks.size()};
}

// Of a path from the root: the one to name. What a script's function calls belongs to it; what
// calls scripts does not tell anything while they differ.
HotPlace Choose(const std::vector<Common>& path, bool any_script) {
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    if (IsOwn(*at->frame)) return HotPlaceOf(*at);
  }
  if (any_script) return {};
  for (auto at = path.rbegin(); at != path.rend(); ++at) {
    if (IsNamed(*at->frame) && at->frame->kind != FrameKind::kKernel) return HotPlaceOf(*at);
  }
  return {};
}

// What is in front of it works for it; what is behind it, calls it.
std::vector<FrameFacts>::const_iterator InnermostOwn(const std::vector<FrameFacts>& stack) {
  return std::find_if(stack.begin(), stack.end(), IsOwn);
}

}  // namespace

bool IsCollector(const FrameFacts& frame) {
  if (IsScript(frame.kind)) return false;
  const absl::string_view name = frame.name;
  if (absl::StrContains(name, "v8::internal::")) {
    for (absl::string_view part :
         {"Heap::CollectGarbage", "Heap::PerformGarbageCollection", "Scavenge", "MarkCompact",
          "MinorMarkSweep", "MinorMarkCompact", "ConcurrentMarking", "IncrementalMarking",
          "Sweeper", "MarkingVisitor", "Evacuat"}) {
      if (absl::StrContains(name, part)) return true;
    }
  }
  return absl::StartsWith(name, "runtime.gc") || absl::StrContains(name, "cppgc::internal::Marker");
}

bool IsRegExp(const FrameFacts& frame) {
  if (IsScript(frame.kind) || frame.kind == FrameKind::kKernel) return false;
  const absl::string_view name = frame.name;
  return absl::StrContains(name, "RegExp") || absl::StrContains(name, "Irregexp") ||
         absl::StrContains(name, "pcre2_match") || absl::StrContains(name, "regexec");
}

std::string PlaceOf(const FrameFacts& frame) {
  return frame.place.empty() ? frame.name : absl::StrCat(frame.name, " ", frame.place);
}

std::string TellingPlace(const std::vector<FrameFacts>& frames) {
  for (const FrameFacts& frame : frames) {
    if (IsOwn(frame) && !absl::StartsWith(frame.place, "node:")) return PlaceOf(frame);
  }
  for (const FrameFacts& frame : frames) {
    if (IsOwn(frame)) return PlaceOf(frame);
  }
  for (const FrameFacts& frame : frames) {
    if (IsNamed(frame) && frame.of_program && frame.name != "_start") return PlaceOf(frame);
  }
  for (const FrameFacts& frame : frames) {
    if (IsNamed(frame) && frame.kind != FrameKind::kKernel && !frame.of_libc &&
        frame.name != "_start") {
      return PlaceOf(frame);
    }
  }
  return "";
}

BusyFacts LookAtSamples(const Facts& facts, Tid tid) {
  BusyFacts busy;
  std::map<Tid, size_t> of_thread;
  for (const SampleFacts& sample : facts.samples) {
    ++busy.all;
    const std::vector<FrameFacts>& stack = facts.stacks[sample.stack];
    busy.gc += std::any_of(stack.begin(), InnermostOwn(stack), IsCollector);
    if (++of_thread[sample.tid] > busy.of_thread && tid == 0) {
      busy.of_thread = of_thread[sample.tid];
      busy.tid = sample.tid;
    }
  }
  if (tid != 0) {
    busy.tid = tid;
    busy.of_thread = of_thread[tid];
  }
  std::vector<const std::vector<FrameFacts>*> stacks;
  std::map<std::string, HotPlace> tops;
  bool any_script = false;
  for (const SampleFacts& sample : facts.samples) {
    if (sample.tid != busy.tid) continue;
    const std::vector<FrameFacts>& stack = facts.stacks[sample.stack];
    stacks.push_back(&stack);
    busy.regexp += std::any_of(stack.begin(), InnermostOwn(stack), IsRegExp);
    busy.kernel += !stack.empty() && stack[0].kind == FrameKind::kKernel;
    any_script |= std::any_of(stack.begin(), stack.end(), IsOwn);
    auto top = std::find_if(stack.begin(), stack.end(), [](const FrameFacts& frame) {
      return IsNamed(frame) && frame.kind != FrameKind::kKernel;
    });
    if (top == stack.end()) continue;
    HotPlace& place = tops[absl::StrCat(top->name, " ", FileOf(top->place))];
    place.text = PlaceOf(*top);
    place.kind = top->kind;
    ++place.samples;
  }
  busy.common = Choose(CommonPath(std::move(stacks)), any_script);
  for (auto& [name, place] : tops) busy.hottest.push_back(std::move(place));
  std::stable_sort(busy.hottest.begin(), busy.hottest.end(),
                   [](const HotPlace& a, const HotPlace& b) { return a.samples > b.samples; });
  if (busy.hottest.size() > kHottestNamed) busy.hottest.resize(kHottestNamed);
  return busy;
}

}  // namespace jprof
