#include "export/firefox.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "export/code_kind.h"
#include "export/json.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

struct Category {
  const char* name;
  const char* color;  // one of the viewer's own
};
// By CodeKind.
constexpr std::array<Category, kCodeKinds> kCategories = {{
    {"Other", "grey"},
    {"JavaScript", "yellow"},
    {"node_modules", "purple"},
    {"Node library", "green"},
    {"Builtins", "lightblue"},
    {"WebAssembly", "brown"},
    {"Awaiting", "grey"},
    {"Native", "blue"},
    {"GC", "red"},
    {"Kernel", "orange"},
    {"JIT", "magenta"},
    {"Unnamed", "darkgrey"},
}};

constexpr int64_t kResourceLibrary = 1, kResourceUrl = 5;

class Firefox {
 public:
  Firefox(const Profile& profile, OutputSink& sink)
      : profile_(profile), json_(sink), images_(ImagesOfFunctions(profile)) {}

  absl::Status Write() {
    const std::vector<Track> tracks = TracksOf(profile_);
    JPROF_RETURN_IF_ERROR(CheckTracks(profile_, tracks));
    Meta();
    json_.Raw(",\n\"libs\":[],\"pages\":[],\"counters\":[],\"threads\":");
    json_.List(tracks.size(), [&](size_t i) { OneThread(tracks[i]); });
    return json_.Raw("}\n").Finish();
  }

 private:
  // Of one thread.
  struct Tables {
    std::vector<std::string> strings;
    absl::flat_hash_map<std::string, int64_t> string_of;
    std::vector<std::pair<FunctionId, std::pair<uint32_t, bool>>> frames;  // line, inlined
    absl::flat_hash_map<std::pair<FunctionId, std::pair<uint32_t, bool>>, size_t> frame_of;
    std::vector<FunctionId> functions;
    absl::flat_hash_map<FunctionId, size_t> function_of;
    std::vector<std::pair<int64_t, size_t>> stacks;  // prefix or -1, frame
    absl::flat_hash_map<std::pair<int64_t, size_t>, int64_t> stack_number;
    absl::flat_hash_map<StackId, int64_t> stack_of;
    std::vector<std::string> resources;
    absl::flat_hash_map<std::string, int64_t> resource_of;

    int64_t String(const std::string& text) {
      auto [it, added] = string_of.try_emplace(text, strings.size());
      if (added) strings.push_back(text);
      return it->second;
    }
  };

  bool IsTime() const { return profile_.sample_types[ShownType(profile_)].unit == "nanoseconds"; }

  void Meta() {
    json_.Raw("{\"meta\":{\"interval\":");
    const bool known = IsTime() && profile_.period > 0;
    json_.Millionths(known ? profile_.period : 1'000'000);
    json_.Raw(",\"startTime\":").Millionths(profile_.start_time_ns);
    json_.Raw(
        ",\"processType\":0,\"product\":\"jprof\",\"stackwalk\":1,\"version\":27,"
        "\"preprocessedProfileVersion\":48,\"symbolicated\":true,\"symbolicationNotSupported\":"
        "true,"
        "\"usesOnlyOneStackType\":true,\"markerSchema\":[],\"importedFrom\":\"jprof\","
        "\"arguments\":");
    json_.String(profile_.title).Raw(",\"extra\":[{\"label\":\"Recording\",\"entries\":");
    json_.List(profile_.comments.size(), [&](size_t i) {
      json_.Raw("{\"label\":\"comment\",\"format\":\"string\",\"value\":");
      json_.String(profile_.comments[i]).Raw("}");
    });
    json_.Raw("}],\"categories\":");
    json_.List(kCategories.size(), [&](size_t i) {
      json_.Raw("{\"name\":")
          .String(kCategories[i].name)
          .Raw(",\"color\":")
          .String(kCategories[i].color);
      json_.Raw(",\"subcategories\":[\"Other\"]}");
    });
    json_.Raw("}");
  }

  void OneThread(const Track& track) {
    const Thread& thread = profile_.threads[track.thread.value];
    const bool is_main = thread.pid == thread.tid;
    Tables t;
    std::vector<int64_t> leaves;
    for (const Span& span : track.spans) leaves.push_back(StackOf(span.stack, t));
    // The viewer draws what is equally far apart: without instants, samples stand for milliseconds.
    const bool has_instants = HasInstants(profile_);
    json_.Raw(
        "{\"processType\":\"default\",\"processStartupTime\":0,\"processShutdownTime\":null,"
        "\"registerTime\":0,\"unregisterTime\":null,\"pausedRanges\":[],\"showMarkersInTimeline\":"
        "false,"
        "\"name\":");
    json_.String(profile_.String(thread.name).empty() ? profile_.String(thread.process_name)
                                                      : profile_.String(thread.name));
    if (is_main) {
      json_.Raw(",\"isMainThread\":true");
    } else {
      json_.Raw(",\"isMainThread\":false");
    }
    json_.Raw(",\"processName\":").String(profile_.String(thread.process_name));
    json_.Raw(",\"pid\":").String(absl::StrCat(thread.pid)).Raw(",\"tid\":").Number(thread.tid);
    json_.Raw(",\n\"samples\":{\"weightType\":").String(WeightType()).Raw(",\"weight\":");
    const size_t n = track.spans.size();
    json_.List(n, [&](size_t i) { Weight(track.spans[i]); });
    json_.Raw(",\"stack\":");
    json_.List(n, [&](size_t i) { Index(leaves[i]); });
    json_.Raw(",\"time\":");
    json_.List(n, [&](size_t i) {
      json_.Millionths(has_instants ? profile_.samples[track.spans[i].sample].time_ns
                                    : static_cast<int64_t>(i) * 1'000'000);
    });
    json_.Raw(",\"length\":").Number(static_cast<int64_t>(n));
    json_.Raw(
        "},\"markers\":{\"data\":[],\"name\":[],\"startTime\":[],\"endTime\":[],\"phase\":[],"
        "\"category\":[],\"length\":0}");
    WriteTables(t);
    json_.Raw("}\n");
  }

  absl::string_view WeightType() const {
    const std::string& unit = profile_.sample_types[ShownType(profile_)].unit;
    return unit == "bytes" ? "bytes" : unit == "nanoseconds" ? "tracing-ms" : "samples";
  }

  void Weight(const Span& span) {
    IsTime() ? json_.Millionths(span.weight) : json_.Number(span.weight);
  }

  void Index(int64_t index) {
    if (index < 0) {
      json_.Raw("null");
    } else {
      json_.Number(index);
    }
  }

  int64_t StackOf(StackId leaf, Tables& t) const {
    std::vector<StackId> walk;
    int64_t prefix = -1;
    for (StackId s = leaf; s.valid(); s = profile_.stacks[s.value].caller) {
      auto it = t.stack_of.find(s);
      if (it != t.stack_of.end()) {
        prefix = it->second;
        break;
      }
      walk.push_back(s);
    }
    for (; !walk.empty(); walk.pop_back()) {
      const StackId s = walk.back();
      const auto lines =
          profile_.Lines(profile_.locations[profile_.stacks[s.value].location.value]);
      for (size_t i = lines.size(); i-- > 0;) {
        const std::pair key(lines[i].function, std::pair(lines[i].line, i + 1 < lines.size()));
        auto [frame, new_frame] = t.frame_of.try_emplace(key, t.frames.size());
        if (new_frame) {
          t.frames.push_back(key);
          if (t.function_of.try_emplace(key.first, t.functions.size()).second) {
            t.functions.push_back(key.first);
          }
        }
        auto [stack, new_stack] =
            t.stack_number.try_emplace(std::pair(prefix, frame->second), t.stacks.size());
        if (new_stack) t.stacks.push_back({prefix, frame->second});
        prefix = stack->second;
      }
      t.stack_of[s] = prefix;
    }
    return prefix;
  }

  int64_t CategoryOf(const std::pair<FunctionId, std::pair<uint32_t, bool>>& frame) const {
    return static_cast<int64_t>(KindOf(profile_, profile_.functions[frame.first.value]));
  }

  void WriteTables(Tables& t) {
    json_.Raw(",\n\"stackTable\":{\"frame\":");
    json_.List(t.stacks.size(),
               [&](size_t i) { json_.Number(static_cast<int64_t>(t.stacks[i].second)); });
    json_.Raw(",\"prefix\":");
    json_.List(t.stacks.size(), [&](size_t i) { Index(t.stacks[i].first); });
    json_.Raw(",\"category\":");
    json_.List(t.stacks.size(),
               [&](size_t i) { json_.Number(CategoryOf(t.frames[t.stacks[i].second])); });
    json_.Raw(",\"subcategory\":");
    json_.List(t.stacks.size(), [&](size_t) { json_.Raw("0"); });
    json_.Raw(",\"length\":").Number(static_cast<int64_t>(t.stacks.size()));

    const size_t frames = t.frames.size();
    auto nulls = [&](size_t count) { json_.List(count, [&](size_t) { json_.Raw("null"); }); };
    json_.Raw("},\n\"frameTable\":{\"address\":");
    json_.List(frames, [&](size_t) { json_.Raw("-1"); });
    json_.Raw(",\"inlineDepth\":");
    json_.List(frames, [&](size_t i) { json_.Number(t.frames[i].second.second ? 1 : 0); });
    json_.Raw(",\"category\":");
    json_.List(frames, [&](size_t i) { json_.Number(CategoryOf(t.frames[i])); });
    json_.Raw(",\"subcategory\":");
    json_.List(frames, [&](size_t) { json_.Raw("0"); });
    json_.Raw(",\"func\":");
    json_.List(frames, [&](size_t i) {
      json_.Number(static_cast<int64_t>(t.function_of[t.frames[i].first]));
    });
    for (int i = 0; i < 3; ++i) {
      if (i == 0) json_.Raw(",\"nativeSymbol\":");
      if (i == 1) json_.Raw(",\"innerWindowID\":");
      if (i == 2) json_.Raw(",\"implementation\":");
      nulls(frames);
    }
    json_.Raw(",\"line\":");
    json_.List(frames, [&](size_t i) {
      const uint32_t line = t.frames[i].second.first;
      Index(line == 0 ? -1 : int64_t{line});
    });
    json_.Raw(",\"column\":");
    nulls(frames);
    json_.Raw(",\"length\":").Number(static_cast<int64_t>(frames));
    Functions(t);
  }

  void Functions(Tables& t) {
    const size_t count = t.functions.size();
    auto function = [&](size_t i) -> const Function& {
      return profile_.functions[t.functions[i].value];
    };
    auto is_script = [&](size_t i) {
      return IsScript(function(i).kind) || function(i).kind == FrameKind::kAsync;
    };
    json_.Raw("},\n\"funcTable\":{\"name\":");
    json_.List(count, [&](size_t i) {
      const Function& f = function(i);
      json_.Number(t.String(ShownName(profile_, {f.name, f.system_name, {0}, 0, f.kind}, 0)));
    });
    for (int column = 0; column < 2; ++column) {
      if (column == 0) json_.Raw(",\"isJS\":");
      if (column == 1) json_.Raw(",\"relevantForJS\":");
      json_.List(count, [&](size_t i) {
        if (column == 0 && is_script(i)) {
          json_.Raw("true");
        } else {
          json_.Raw("false");
        }
      });
    }
    json_.Raw(",\"resource\":");
    json_.List(count, [&](size_t i) { json_.Number(ResourceOf(t, t.functions[i])); });
    json_.Raw(",\"fileName\":");
    json_.List(count, [&](size_t i) {
      const absl::string_view file = profile_.String(function(i).file);
      Index(file.empty() ? -1 : t.String(ShownText(file)));
    });
    json_.Raw(",\"lineNumber\":");
    json_.List(count, [&](size_t i) {
      Index(function(i).start_line == 0 ? -1 : int64_t{function(i).start_line});
    });
    json_.Raw(",\"columnNumber\":");
    json_.List(count, [&](size_t) { json_.Raw("null"); });
    json_.Raw(",\"length\":").Number(static_cast<int64_t>(count));

    const size_t resources = t.resources.size();
    json_.Raw("},\n\"resourceTable\":{\"lib\":");
    json_.List(resources, [&](size_t) { json_.Raw("null"); });
    json_.Raw(",\"name\":");
    json_.List(resources, [&](size_t i) { json_.Number(t.String(t.resources[i])); });
    json_.Raw(",\"host\":");
    json_.List(resources, [&](size_t) { json_.Raw("null"); });
    json_.Raw(",\"type\":");
    json_.List(resources, [&](size_t i) {
      json_.Number(absl::StrContains(t.resources[i], ":") ? kResourceUrl : kResourceLibrary);
    });
    json_.Raw(",\"length\":").Number(static_cast<int64_t>(resources));
    json_.Raw(
        "},\n\"nativeSymbols\":{\"libIndex\":[],\"address\":[],\"name\":[],\"functionSize\":[],"
        "\"length\":0},\n\"stringArray\":");
    json_.List(t.strings.size(), [&](size_t i) { json_.String(t.strings[i]); });
  }

  // The image of native code, the script of JavaScript.
  int64_t ResourceOf(Tables& t, FunctionId id) const {
    const Function& f = profile_.functions[id.value];
    absl::string_view name = profile_.String(f.file);
    if (!IsScript(f.kind) && images_[id.value].valid()) {
      name = profile_.String(profile_.images[images_[id.value].value].path);
    }
    if (name.empty()) return -1;
    const std::string shown = ShownText(name.substr(name.rfind('/') + 1));
    auto [it, added] = t.resource_of.try_emplace(shown, t.resources.size());
    if (added) t.resources.push_back(shown);
    return it->second;
  }

  const Profile& profile_;
  JsonWriter json_;
  const std::vector<ImageId> images_;
};

class FirefoxExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    return Firefox(profile, sink).Write();
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeFirefoxExporter() { return std::make_unique<FirefoxExporter>(); }

}  // namespace jprof
