#include "export/cpuprofile.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "export/call_tree.h"
#include "export/figures.h"
#include "export/json.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr uint32_t kRoot = 0;

class Cpuprofile {
 public:
  Cpuprofile(const Profile& profile, OutputSink& sink)
      : profile_(profile), json_(sink), counted_(CountedType(profile, ShownType(profile))) {}

  absl::Status Write() {
    const std::vector<Track> tracks = TracksOf(profile_);
    JPROF_RETURN_IF_ERROR(CheckTracks(profile_, tracks));
    Collect(tracks);
    std::vector<std::vector<uint32_t>> children(nodes_.size());
    for (uint32_t i = 1; i < nodes_.size(); ++i) children[nodes_[i].parent].push_back(i);
    json_.Raw("{\"nodes\":");
    json_.List(nodes_.size(), [&](size_t i) {
      const Node& node = nodes_[i];
      json_.Raw("{\"id\":").Number(static_cast<int64_t>(i) + 1).Raw(",\"callFrame\":");
      CallFrame(node);
      json_.Raw(",\"hitCount\":").Number(node.hits).Raw(",\"children\":");
      json_.List(children[i].size(), [&](size_t c) { json_.Number(children[i][c] + int64_t{1}); });
      if (!node.ticks.empty()) {
        json_.Raw(",\"positionTicks\":");
        auto tick = node.ticks.begin();
        json_.List(node.ticks.size(), [&](size_t) {
          json_.Raw("{\"line\":")
              .Number(tick->first)
              .Raw(",\"ticks\":")
              .Number(tick->second)
              .Raw("}");
          ++tick;
        });
      }
      json_.Raw("}\n");
    });
    const int64_t start_us = std::max<int64_t>(profile_.start_time_ns / 1000, 0);
    json_.Raw(",\"startTime\":")
        .Number(start_us)
        .Raw(",\"endTime\":")
        .Number(SaturatingAdd(start_us, Us(end_)));
    json_.Raw(",\n\"samples\":");
    json_.List(rows_.size(), [&](size_t i) { json_.Number(rows_[i].node + int64_t{1}); });
    json_.Raw(",\n\"timeDeltas\":");
    json_.List(rows_.size(), [&](size_t i) {
      json_.Number(Us(rows_[i].start) - (i == 0 ? 0 : Us(rows_[i - 1].start)));
    });
    json_.Raw(",\n\"comments\":");  // readers pass over what they do not know
    json_.List(profile_.comments.size(), [&](size_t i) { json_.String(profile_.comments[i]); });
    return json_.Raw("}\n").Finish();
  }

 private:
  struct Node {
    uint32_t parent = 0;
    FunctionId function;  // invalid: `text` is all there is
    std::string text;
    int64_t hits = 0;
    std::map<uint32_t, int64_t> ticks;  // by line
  };
  struct Row {
    int64_t start;
    uint32_t node;
  };

  int64_t Us(int64_t weight) const {
    return profile_.sample_types[ShownType(profile_)].unit == "nanoseconds" ? weight / 1000
                                                                            : weight;
  }

  // DevTools gives a node the share of the time that its hits are of all. So where samples weigh
  // differently, they are what it weighs.
  int64_t Hits(const Span& span) const {
    if (counted_) return profile_.Value(span.sample, *counted_);
    return std::max<int64_t>(Us(span.weight), 1);
  }
  // Of a gap before `span`.
  int64_t IdleHits(const Span& span, int64_t gap) const {
    if (!counted_) return Us(gap);
    return std::max<int64_t>(
        Scale(gap, profile_.Value(span.sample, ShownType(profile_)), Hits(span)), 1);
  }

  void Hit(uint32_t node, int64_t hits) {
    nodes_[node].hits = SaturatingAdd(nodes_[node].hits, hits);
  }

  void Collect(const std::vector<Track>& tracks) {
    nodes_.push_back({.text = "(root)"});
    for (const Track& track : tracks) {
      const bool alone = tracks.size() == 1;
      const uint32_t root =
          alone ? kRoot : Named(kRoot, TrackName(profile_, profile_.threads[track.thread.value]));
      stack_nodes_.clear();
      for (const Span& span : track.spans) {
        if (alone && HasTime(profile_)) {
          if (span.start > end_) {
            const uint32_t idle = Named(kRoot, "(idle)");
            rows_.push_back({end_, idle});
            Hit(idle, IdleHits(span, span.start - end_));
          }
          end_ = span.start;
        }
        const uint32_t node =
            span.stack.valid() ? NodeOf(root, span.stack) : Named(root, "(program)");
        const int64_t hits = Hits(span);
        Hit(node, hits);
        if (span.stack.valid()) {
          const Location& leaf =
              profile_.locations[profile_.stacks[span.stack.value].location.value];
          const uint32_t line = profile_.Lines(leaf)[0].line;
          if (line != 0) {
            int64_t& ticks = nodes_[node].ticks[line];
            ticks = SaturatingAdd(ticks, hits);
          }
        }
        rows_.push_back({end_, node});
        end_ = SaturatingAdd(end_, span.weight);
      }
    }
  }

  uint32_t Named(uint32_t parent, const std::string& text) {
    auto [it, added] = named_.try_emplace(std::pair(parent, text), nodes_.size());
    if (added) nodes_.push_back({.parent = parent, .text = text});
    return it->second;
  }

  uint32_t NodeOf(uint32_t root, StackId leaf) {
    std::vector<StackId> walk;
    uint32_t node = root;
    for (StackId s = leaf; s.valid(); s = profile_.stacks[s.value].caller) {
      auto it = stack_nodes_.find(s);
      if (it != stack_nodes_.end()) {
        node = it->second;
        break;
      }
      walk.push_back(s);
    }
    for (; !walk.empty(); walk.pop_back()) {
      const StackId s = walk.back();
      const auto lines =
          profile_.Lines(profile_.locations[profile_.stacks[s.value].location.value]);
      for (size_t i = lines.size(); i-- > 0;) {
        auto [it, added] = children_.try_emplace(std::pair(node, lines[i].function), nodes_.size());
        if (added) nodes_.push_back({.parent = node, .function = lines[i].function});
        node = it->second;
      }
      stack_nodes_[s] = node;
    }
    return node;
  }

  // Lines are counted from 0 here, and -1 is none.
  void CallFrame(const Node& node) {
    int64_t line = -1;
    absl::string_view url;
    json_.Raw("{\"functionName\":");
    if (node.function.valid()) {
      const Function& f = profile_.functions[node.function.value];
      json_.String(ShownName(profile_, {f.name, f.system_name, {0}, 0, f.kind}, 0));
      url = profile_.String(f.file);
      line = int64_t{f.start_line} - 1;
    } else {
      json_.String(node.text);
    }
    json_.Raw(",\"scriptId\":\"0\",\"url\":").String(url).Raw(",\"lineNumber\":").Number(line);
    json_.Raw(",\"columnNumber\":-1}");
  }

  const Profile& profile_;
  JsonWriter json_;
  const std::optional<size_t> counted_;
  std::vector<Node> nodes_;
  std::vector<Row> rows_;
  int64_t end_ = 0;
  absl::flat_hash_map<std::pair<uint32_t, std::string>, uint32_t> named_;
  absl::flat_hash_map<std::pair<uint32_t, FunctionId>, uint32_t> children_;
  absl::flat_hash_map<StackId, uint32_t> stack_nodes_;  // of one thread
};

class CpuprofileExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    return Cpuprofile(profile, sink).Write();
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeCpuprofileExporter() {
  return std::make_unique<CpuprofileExporter>();
}

}  // namespace jprof
