#include "export/tracks.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr size_t kMaxUnitBytes = 64;

}  // namespace

size_t ShownType(const Profile& profile) {
  return BaseType(profile) || profile.sample_types.empty() ? 0 : profile.sample_types.size() - 1;
}

size_t SummedType(const Profile& profile) {
  if (BaseType(profile)) return 0;
  return CountedType(profile, ShownType(profile)).value_or(ShownType(profile));
}

std::string SummedUnit(const Profile& profile) {
  if (profile.sample_types.empty()) return "samples";
  const ValueType& type = profile.sample_types[SummedType(profile)];
  std::string text = ShownText(type.unit == "count" ? type.type : type.unit, kMaxUnitBytes);
  std::replace(text.begin(), text.end(), ' ', '_');
  return text.empty() ? "samples" : text;
}

absl::Status CheckTracks(const Profile& profile, const std::vector<Track>& tracks) {
  if (profile.samples.empty() || !tracks.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("this format shows how long samples last, by ",
                   ShownText(profile.sample_types[ShownType(profile)].type, kMaxUnitBytes),
                   ", and none has any"));
}

bool HasInstants(const Profile& profile) {
  return !profile.samples.empty() && profile.samples.back().time_ns > 0;
}

bool HasTime(const Profile& profile) {
  return HasInstants(profile) && profile.sample_types[ShownType(profile)].unit == "nanoseconds";
}

DistinctThreads DistinctThreadsOf(const Profile& profile) {
  DistinctThreads threads;
  threads.number.reserve(profile.threads.size());
  absl::flat_hash_map<std::tuple<Pid, Tid, StringId, StringId, StringId>, uint32_t> known;
  for (uint32_t i = 0; i < profile.threads.size(); ++i) {
    const Thread& t = profile.threads[i];
    const auto [it, added] = known.try_emplace(
        std::tuple(t.pid, t.tid, t.process_name, t.name, t.cgroup), threads.first.size());
    if (added) threads.first.push_back(ThreadId{i});
    threads.number.push_back(it->second);
  }
  return threads;
}

std::vector<Track> TracksOf(const Profile& profile) {
  constexpr int64_t kEnd = std::numeric_limits<int64_t>::max() / 2;
  const size_t type = ShownType(profile);
  const bool has_time = HasTime(profile);
  const DistinctThreads threads = DistinctThreadsOf(profile);
  std::vector<Track> tracks;
  for (ThreadId thread : threads.first) tracks.push_back({thread, {}});
  for (uint32_t i = 0; i < profile.samples.size(); ++i) {
    const ProfileSample& s = profile.samples[i];
    Track& track = tracks[threads.number[s.thread.value]];
    const int64_t begin = std::max(track.end(), has_time ? s.time_ns : 0);
    const int64_t weight = std::min(profile.Value(i, type), kEnd - std::min(begin, kEnd));
    if (weight > 0) track.spans.push_back({begin, weight, s.stack, i});
  }
  std::erase_if(tracks, [](const Track& track) { return track.spans.empty(); });
  std::stable_sort(tracks.begin(), tracks.end(), [&](const Track& a, const Track& b) {
    const Thread& x = profile.threads[a.thread.value];
    const Thread& y = profile.threads[b.thread.value];
    return std::tie(x.pid, x.tid) < std::tie(y.pid, y.tid);
  });
  return tracks;
}

std::string TrackName(const Profile& profile, const Thread& thread) {
  std::string text(profile.String(thread.process_name));
  // Where stacks begin with the thread (--by tid).
  if (absl::StrContains(text, absl::StrCat(" ", thread.pid, "/", thread.tid))) return text;
  if (thread.pid != 0) absl::StrAppend(&text, text.empty() ? "" : " ", thread.pid);
  if (thread.tid != thread.pid) absl::StrAppend(&text, "/", thread.tid);
  const absl::string_view name = profile.String(thread.name);
  if (!name.empty() && name != profile.String(thread.process_name)) {
    absl::StrAppend(&text, text.empty() ? "" : " ", name);
  }
  return text;
}

std::vector<ImageId> ImagesOfFunctions(const Profile& profile) {
  std::vector<ImageId> images(profile.functions.size());
  for (const Location& location : profile.locations) {
    for (const Line& line : profile.Lines(location)) {
      ImageId& image = images[line.function.value];
      if (!image.valid()) image = location.image;
    }
  }
  return images;
}

}  // namespace jprof
