#include "profiler/pipeline/perf_maps.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr uint64_t kRetryAfterNs = 1'000'000'000;
constexpr uint64_t kUpdateAfterNs = 50'000'000;
constexpr uint64_t kRemoteShare = 20;  // one of so many parts of the time goes into slow files
constexpr size_t kMaxTroubles = 256;

}  // namespace

PerfMap* PerfMaps::Find(Pid pid, uint64_t time_ns) {
  auto it = maps_.find(pid);
  if (it == maps_.end()) {
    if (maps_.size() >= kMaxMaps) return nullptr;
    it = maps_.try_emplace(pid).first;
  }
  State& state = it->second;
  const uint64_t now = std::max<uint64_t>(time_ns, 1);
  if (!state.map && !state.given_up &&
      (state.tried_at_ns == 0 || now >= state.tried_at_ns + kRetryAfterNs)) {
    state.tried_at_ns = now;
    Open(pid, state);
  }
  if (state.map && now >= state.update_at_ns) {
    const auto began = std::chrono::steady_clock::now();
    Update(state);
    const auto took = std::chrono::nanoseconds(std::chrono::steady_clock::now() - began);
    const bool is_remote = state.map && state.map->is_remote();
    const uint64_t rest_ns = kRemoteShare * maps_.size() * static_cast<uint64_t>(took.count());
    state.update_at_ns = now + std::max(kUpdateAfterNs, is_remote ? rest_ns : 0);
  }
  return state.map ? &*state.map : nullptr;
}

void PerfMaps::Open(Pid pid, State& state) const {
  absl::StatusOr<PerfMap> map = opener_(pid);
  state.trouble.clear();
  state.absence.clear();
  if (map.ok()) {
    state.map = *std::move(map);
  } else if (absl::IsNotFound(map.status())) {
    state.absence = std::string(map.status().message());  // it may come later
  } else {
    state.trouble = absl::StrCat(map.status().message(), "; its names are not used");
  }
}

void PerfMaps::Update(State& state) {
  if (read_bytes_ >= limits_.read_bytes) {
    state.trouble = absl::StrCat(state.map->name(), ": ", limits_.read_bytes >> 20,
                                 " MB of perf maps were read; its newer names are not used");
    return;
  }
  const uint64_t read_before = state.map->bytes_read();
  absl::Status updated = state.map->Update();
  read_bytes_ += state.map->bytes_read() - read_before;
  if (!updated.ok()) {
    state.trouble = absl::StrCat(updated.message(), "; its newer names are not used");
  } else if (state.map->exhausted()) {
    state.trouble = absl::StrCat(state.map->name(), ": too large; only the first ",
                                 state.map->size(), " pieces of code have names");
  } else {
    state.trouble.clear();
  }
  bytes_ -= state.bytes;
  state.bytes = state.map->memory_bytes();
  bytes_ += state.bytes;
  if (bytes_ <= limits_.memory_bytes) return;
  // Not read any further it would name new code by what lay there before.
  bytes_ -= std::exchange(state.bytes, 0);
  state.trouble = absl::StrCat(state.map->name(), ": all perf maps together exceed ",
                               limits_.memory_bytes >> 20, " MB; its names are not used");
  state.map.reset();
  state.given_up = true;
}

bool PerfMaps::IsAbsent(Pid pid) const {
  auto it = maps_.find(pid);
  return it != maps_.end() && !it->second.absence.empty();
}

bool PerfMaps::GivenUp(Pid pid) const {
  auto it = maps_.find(pid);
  return it != maps_.end() && it->second.given_up;
}

void PerfMaps::Forget(Pid pid) {
  auto it = maps_.find(pid);
  if (it == maps_.end()) return;
  if (!it->second.trouble.empty() && troubles_.size() < kMaxTroubles) {
    troubles_.push_back(std::move(it->second.trouble));
  }
  bytes_ -= it->second.bytes;
  maps_.erase(it);
}

std::string PerfMaps::WhyNoName(Pid pid, bool asked) const {
  auto it = maps_.find(pid);
  if (it == maps_.end()) {
    return absl::StrCat("perf maps are read of ", kMaxMaps, " processes only");
  }
  if (!it->second.trouble.empty()) return absl::StrCat("perf map of ", it->second.trouble);
  return asked ? "its perf map does not name it" : it->second.absence;
}

std::vector<std::string> PerfMaps::Troubles() const {
  std::vector<std::string> troubles = troubles_;
  for (const auto& [pid, state] : maps_) {
    if (!state.trouble.empty()) troubles.push_back(state.trouble);
  }
  std::sort(troubles.begin(), troubles.end());
  return troubles;
}

}  // namespace jprof
