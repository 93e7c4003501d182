#include "export/otlp.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "export/call_tree.h"
#include "export/text.h"
#include "export/wire.h"
#include "profiler/core/container.h"
#include "profiler/core/labels.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxBytes = size_t{2} << 30;

absl::string_view FrameType(FrameKind kind) {
  switch (kind) {
    case FrameKind::kNative:
      return "native";
    case FrameKind::kKernel:
      return "kernel";
    case FrameKind::kScript:
    case FrameKind::kLibraryScript:
    case FrameKind::kAsync:
    case FrameKind::kBuiltin:
    case FrameKind::kWasm:
      return "v8js";
    case FrameKind::kJit:
    case FrameKind::kUnknown:
    case FrameKind::kMarker:
      return "unknown";
  }
  return "unknown";
}

class Otlp {
 public:
  explicit Otlp(const Profile& profile) : profile_(profile) {
    String("");
    attributes_.emplace_back();
    stack_table_.AlwaysBytes(7, "");
  }

  // As soon as it is clear that it becomes too large: ResourceExhausted.
  absl::StatusOr<std::string> Write() {
    WireWriter scope;
    WireWriter name;
    name.Bytes(1, "jprof");
    name.Bytes(2, "opentelemetry-proto 1.10");
    scope.Message(1, name);
    Merge();
    const size_t types = BaseType(profile_).value_or(profile_.sample_types.size());
    for (size_t type = 0; type < types; ++type) {
      if (scope.bytes().size() + stack_table_.bytes().size() >= kMaxBytes) return TooLarge();
      scope.Message(2, OneType(type));
    }
    WireWriter resource;
    resource.AlwaysBytes(1, "");
    resource.Message(2, scope);

    WireWriter dictionary;
    Mappings(dictionary);
    Locations(dictionary);
    Functions(dictionary);
    WireWriter link;
    link.Bytes(1, std::string(16, '\0'));
    link.Bytes(2, std::string(8, '\0'));
    dictionary.Message(4, link);
    std::string tables = dictionary.bytes();
    dictionary.Clear();
    for (const std::string& text : strings_) dictionary.AlwaysBytes(5, text);
    for (const std::string& attribute : attributes_) dictionary.AlwaysBytes(6, attribute);
    absl::StrAppend(&tables, dictionary.bytes(), stack_table_.bytes());

    WireWriter data;
    data.Message(1, resource);
    data.AlwaysBytes(2, tables);
    if (data.bytes().size() >= kMaxBytes) return TooLarge();
    return data.bytes();
  }

 private:
  static absl::Status TooLarge() {
    return absl::ResourceExhaustedError("otlp: the profile has more than 2 GiB");
  }

  // All samples of one stack and thread.
  struct Identity {
    uint64_t stack = 0;
    std::vector<uint64_t> attributes;
    std::vector<uint32_t> samples;
  };

  uint64_t String(const std::string& text) {
    auto [it, added] = string_of_.try_emplace(text, strings_.size());
    if (added) strings_.push_back(text);
    return it->second;
  }

  uint64_t Attribute(absl::string_view key, absl::string_view text) {
    WireWriter value;
    value.AlwaysBytes(1, ShownText(text));
    return AddAttribute(key, value);
  }
  uint64_t Attribute(absl::string_view key, int64_t number) {
    WireWriter value;
    value.Signed(3, number);
    return AddAttribute(key, value);
  }
  uint64_t AddAttribute(absl::string_view key, const WireWriter& value) {
    WireWriter attribute;
    attribute.Number(1, String(std::string(key)));
    attribute.Message(2, value);
    auto [it, added] = attribute_of_.try_emplace(attribute.bytes(), attributes_.size());
    if (added) attributes_.push_back(attribute.bytes());
    return it->second;
  }

  WireWriter Type(const ValueType& type) {
    WireWriter out;
    out.Number(1, String(ShownText(type.type)));
    out.Number(2, String(ShownText(type.unit)));
    return out;
  }

  void Merge() {
    absl::flat_hash_map<StackId, uint64_t> stacks;
    absl::flat_hash_map<std::pair<StackId, ThreadId>, size_t> merged;
    for (uint32_t i = 0; i < profile_.samples.size(); ++i) {
      const ProfileSample& s = profile_.samples[i];
      auto [it, added] = merged.try_emplace(std::pair(s.stack, s.thread), identities_.size());
      if (stack_table_.bytes().size() >= kMaxBytes) return;
      if (added) {
        Identity& identity = identities_.emplace_back();
        identity.attributes = AttributesOf(profile_.threads[s.thread.value]);
        if (s.stack.valid()) {
          auto [stack, is_new] = stacks.try_emplace(s.stack, stacks.size() + 1);
          if (is_new) AddStack(s.stack);
          identity.stack = stack->second;
        }
      }
      identities_[it->second].samples.push_back(i);
    }
  }

  void AddStack(StackId leaf) {
    std::vector<uint64_t> path;
    for (StackId s = leaf; s.valid(); s = profile_.stacks[s.value].caller) {
      path.push_back(profile_.stacks[s.value].location.value + uint64_t{1});
    }
    WireWriter stack;
    stack.Packed(1, path);
    stack_table_.Message(7, stack);
  }

  std::vector<uint64_t> AttributesOf(const Thread& thread) {
    std::vector<uint64_t> out;
    if (thread.pid != 0) out.push_back(Attribute("process.pid", thread.pid));
    if (thread.tid != 0) out.push_back(Attribute("thread.id", thread.tid));
    const absl::string_view process = profile_.String(thread.process_name);
    if (!process.empty()) out.push_back(Attribute("process.executable.name", process));
    const absl::string_view name = profile_.String(thread.name);
    if (!name.empty()) out.push_back(Attribute("thread.name", name));
    const absl::string_view container = ContainerId(profile_.String(thread.cgroup));
    if (!container.empty()) out.push_back(Attribute("container.id", container));
    for (const Label& label : SplitLabels(profile_.String(thread.labels))) {
      const std::string key = ShownText(label.key);
      out.push_back(label.is_number ? Attribute(key, label.number) : Attribute(key, label.text));
    }
    return out;
  }

  WireWriter OneType(size_t type) {
    const bool has_time = !profile_.samples.empty() && profile_.samples.back().time_ns > 0;
    WireWriter out;
    out.Message(1, Type(profile_.sample_types[type]));
    std::vector<int64_t> values;
    for (const Identity& identity : identities_) {
      values.clear();
      for (uint32_t i : identity.samples) values.push_back(profile_.Value(i, type));
      if (!has_time) {
        int64_t sum = 0;
        for (int64_t value : values) sum = SaturatingAdd(sum, std::max<int64_t>(value, 0));
        values = {sum};
      }
      WireWriter sample;
      sample.Number(1, identity.stack);
      sample.Packed(2, identity.attributes);
      sample.Packed(4, values);
      if (has_time) {
        for (uint32_t i : identity.samples) {
          uint64_t t = static_cast<uint64_t>(profile_.start_time_ns) +
                       static_cast<uint64_t>(profile_.samples[i].time_ns);
          char bytes[8];
          for (char& byte : bytes) {
            byte = static_cast<char>(t);
            t >>= 8;
          }
          times_.append(bytes, sizeof(bytes));
        }
        sample.Bytes(5, times_);
        times_.clear();
      }
      out.Message(2, sample);
    }
    out.Fixed64(3, static_cast<uint64_t>(profile_.start_time_ns));
    out.Signed(4, profile_.duration_ns);
    out.Message(5, Type(profile_.period_type));
    out.Signed(6, profile_.period);
    out.Bytes(7, ProfileId(type));
    return out;
  }

  // 16 bytes, the same for the same profile; never all zero.
  std::string ProfileId(size_t type) const {
    uint64_t hash[2] = {14695981039346656037u, 1099511628211u + type};
    auto mix = [&](uint64_t n) {
      for (uint64_t& h : hash) {
        h = (h ^ n) * 1099511628211u;
        h ^= h >> 29;
      }
    };
    mix(static_cast<uint64_t>(profile_.start_time_ns));
    mix(static_cast<uint64_t>(profile_.duration_ns));
    mix(profile_.samples.size());
    for (char c : profile_.title) mix(static_cast<unsigned char>(c));
    for (const ProfileSample& s : profile_.samples)
      mix(static_cast<uint64_t>(s.time_ns) ^ s.stack.value);
    hash[0] |= 1;
    std::string out;
    for (uint64_t h : hash) {
      for (int i = 0; i < 8; ++i, h >>= 8) out += static_cast<char>(h);
    }
    return out;
  }

  void Mappings(WireWriter& dictionary) {
    dictionary.AlwaysBytes(1, "");
    for (const ProfileImage& image : profile_.images) {
      WireWriter mapping;
      mapping.Number(1, image.memory_start);
      mapping.Number(2, image.memory_limit);
      mapping.Number(3, image.file_offset);
      mapping.Number(4, String(ShownText(profile_.String(image.path))));
      const absl::string_view build_id = profile_.String(image.build_id);
      if (!build_id.empty()) {
        mapping.Packed(
            5, std::vector<uint64_t>{Attribute("process.executable.build_id.gnu", build_id)});
      }
      dictionary.Message(1, mapping);
    }
  }

  void Locations(WireWriter& dictionary) {
    dictionary.AlwaysBytes(2, "");
    for (const Location& l : profile_.locations) {
      WireWriter location;
      if (l.image.valid()) location.Number(1, l.image.value + uint64_t{1});
      location.Number(2, l.address);
      for (const Line& n : profile_.Lines(l)) {
        WireWriter line;
        line.Number(1, n.function.value + uint64_t{1});
        line.Number(2, n.line);
        line.Number(3, n.column);
        location.Message(3, line);
      }
      const Line& physical = profile_.Lines(l).back();
      location.Packed(4, std::vector<uint64_t>{Attribute(
                             "profile.frame.type",
                             FrameType(profile_.functions[physical.function.value].kind))});
      dictionary.Message(2, location);
    }
  }

  void Functions(WireWriter& dictionary) {
    dictionary.AlwaysBytes(3, "");
    for (const Function& f : profile_.functions) {
      WireWriter function;
      std::string name = ShownText(profile_.String(f.name));
      if (name.empty()) name = "[unknown]";
      function.Number(1, String(name));
      function.Number(2, String(ValidUtf8(profile_.String(f.system_name))));
      function.Number(3, String(ShownText(profile_.String(f.file))));
      function.Number(4, f.start_line);
      dictionary.Message(3, function);
    }
  }

  const Profile& profile_;
  std::vector<std::string> strings_;
  absl::flat_hash_map<std::string, uint64_t> string_of_;
  std::vector<std::string> attributes_;  // as messages
  absl::flat_hash_map<std::string, uint64_t> attribute_of_;
  WireWriter stack_table_;
  std::vector<Identity> identities_;
  std::string times_;
};

class OtlpExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    JPROF_ASSIGN_OR_RETURN(const std::string bytes, Otlp(profile).Write());
    return sink.Append(bytes);
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeOtlpExporter() { return std::make_unique<OtlpExporter>(); }

}  // namespace jprof
