#include "export/speedscope.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "export/json.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

absl::string_view Unit(absl::string_view unit) {
  for (absl::string_view known :
       {"nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}) {
    if (unit == known) return known;
  }
  return "none";
}

class Speedscope {
 public:
  Speedscope(const Profile& profile, OutputSink& sink) : profile_(profile), json_(sink) {}

  absl::Status Write() {
    const std::vector<Track> tracks = TracksOf(profile_);
    JPROF_RETURN_IF_ERROR(CheckTracks(profile_, tracks));
    json_.Raw(
        "{\"$schema\":\"https://www.speedscope.app/"
        "file-format-schema.json\",\"shared\":{\"frames\":");
    Frames();
    json_.Raw("},\n\"profiles\":");
    json_.List(tracks.size(), [&](size_t i) { Sampled(tracks[i]); });
    json_.Raw(",\n\"name\":").String(profile_.title.empty() ? "profile" : profile_.title);
    json_.Raw(",\"activeProfileIndex\":").Number(Heaviest(tracks));
    json_.Raw(",\"exporter\":\"jprof\",\"comments\":");  // readers pass over what they do not know
    json_.List(profile_.comments.size(), [&](size_t i) { json_.String(profile_.comments[i]); });
    json_.Raw("}\n");
    return json_.Finish();
  }

 private:
  static int64_t Heaviest(const std::vector<Track>& tracks) {
    size_t heaviest = 0;
    for (size_t i = 0; i < tracks.size(); ++i) {
      if (tracks[i].spans.size() > tracks[heaviest].spans.size()) heaviest = i;
    }
    return static_cast<int64_t>(heaviest);
  }

  // One for each function; of a profile by line, for each executing line.
  void Frames() {
    const std::vector<ImageId> images = ImagesOfFunctions(profile_);
    std::vector<std::pair<FunctionId, uint32_t>> frames;
    for (const Line& line : profile_.lines) {
      const std::pair key(line.function, profile_.show_lines ? line.line : 0);
      auto [it, added] = frame_of_.try_emplace(key, frames.size());
      if (added) frames.push_back(key);
    }
    json_.List(frames.size(), [&](size_t i) {
      const auto& [id, line] = frames[i];
      const Function& f = profile_.functions[id.value];
      json_.Raw("{\"name\":")
          .String(ShownName(profile_, {f.name, f.system_name, {0}, 0, f.kind}, 0));
      absl::string_view file = profile_.String(f.file);
      const uint32_t shown_line = line != 0 ? line : f.start_line;
      if (file.empty() && images[id.value].valid()) {
        file = profile_.String(profile_.images[images[id.value].value].path);
      }
      if (!file.empty()) json_.Raw(",\"file\":").String(file);
      if (shown_line != 0 && !profile_.String(f.file).empty()) {
        json_.Raw(",\"line\":").Number(shown_line);
      }
      json_.Raw("}\n");
    });
  }

  void Sampled(const Track& track) {
    const bool has_time = HasTime(profile_);
    // Spans, and the gaps between them where there is time.
    std::vector<std::pair<StackId, int64_t>> rows;
    int64_t at = 0;
    for (const Span& span : track.spans) {
      if (has_time && span.start > at) rows.push_back({StackId{}, span.start - at});
      rows.push_back({span.stack, span.weight});
      at = span.start + span.weight;
    }
    json_.Raw("{\"type\":\"sampled\",\"name\":")
        .String(TrackName(profile_, profile_.threads[track.thread.value]));
    json_.Raw(",\"unit\":").String(Unit(profile_.sample_types[ShownType(profile_)].unit));
    json_.Raw(",\"startValue\":0,\"endValue\":").Number(track.end());
    json_.Raw(",\n\"samples\":");
    json_.List(rows.size(), [&](size_t i) { Stack(rows[i].first); });
    json_.Raw(",\n\"weights\":");
    json_.List(rows.size(), [&](size_t i) { json_.Number(rows[i].second); });
    json_.Raw("}\n");
  }

  void Stack(StackId leaf) {
    path_.clear();
    for (StackId s = leaf; s.valid(); s = profile_.stacks[s.value].caller) {
      for (const Line& line :
           profile_.Lines(profile_.locations[profile_.stacks[s.value].location.value])) {
        path_.push_back(
            frame_of_.find(std::pair(line.function, profile_.show_lines ? line.line : 0))->second);
      }
    }
    json_.List(path_.size(),
               [&](size_t i) { json_.Number(static_cast<int64_t>(path_[path_.size() - 1 - i])); });
  }

  const Profile& profile_;
  JsonWriter json_;
  absl::flat_hash_map<std::pair<FunctionId, uint32_t>, size_t> frame_of_;
  std::vector<size_t> path_;
};

class SpeedscopeExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    return Speedscope(profile, sink).Write();
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeSpeedscopeExporter() {
  return std::make_unique<SpeedscopeExporter>();
}

}  // namespace jprof
