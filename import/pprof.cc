// pprof's profile.proto. What export/pprof.h writes comes back as it was, with the help of the
// field that only jprof writes (see `Origin` in export/profile.proto); the kinds of other
// producers' frames are guessed from their mapping and file.
//
// Read in place, in two passes: a message may have its tables in any order.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "import/frame_text.h"
#include "import/importer.h"
#include "import/wire.h"
#include "profiler/core/labels.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxTypes = 64;
constexpr size_t kMaxLines = 10'000;  // of one location
constexpr size_t kMaxPath = 10'000'000;
constexpr size_t kMaxLabelBytes = 64 << 10;  // of one sample, with some for each label
constexpr uint32_t kOriginField = 1000;
constexpr absl::string_view kNoStack = "[no stack]";
constexpr absl::string_view kBaseLabel = "pprof::base";

struct Mapping {
  uint64_t start = 0;
  uint64_t limit = 0;
  uint64_t offset = 0;
  uint64_t file = 0;
  uint64_t build_id = 0;
  ImageId image;
};

struct RawFunction {
  uint64_t id = 0;
  uint64_t name = 0;
  uint64_t system_name = 0;
  uint64_t file = 0;
  int64_t start_line = 0;
};

// What each sample that was taken had of a type.
struct Parts {
  uint64_t type = 0;
  std::vector<int64_t> value;
};

// What only jprof writes.
struct Origin {
  absl::string_view kinds;  // a letter for each function
  bool has_title = false;
  bool show_lines = false;
  std::vector<uint64_t> time_ns;  // since the sample before
  std::vector<uint64_t> sample;   // zigzag of the difference
  std::vector<uint64_t> cpu;      // empty: none is known
  std::vector<Parts> parts;
};

uint64_t Unzigzag(uint64_t n) { return (n >> 1) ^ (~(n & 1) + 1); }

uint32_t Bounded(int64_t n) {
  return n < 0 || n > std::numeric_limits<uint32_t>::max() ? 0 : static_cast<uint32_t>(n);
}

std::optional<FrameKind> KindOfLetter(char letter) {
  constexpr absl::string_view kLetters = "nkslabwjum";  // as export/pprof.cc has them
  const size_t at = kLetters.find(letter);
  if (at == absl::string_view::npos) return std::nullopt;
  return static_cast<FrameKind>(at);
}

class PprofReader {
 public:
  absl::StatusOr<Imported> Read(absl::string_view message) {
    JPROF_RETURN_IF_ERROR(ReadTables(message));
    std::vector<ValueType> types;
    for (const absl::string_view& type : types_) types.push_back(TypeOf(type));
    is_comparison_ = HasBaseLabel(message);
    if (default_type_ != 0 && !is_comparison_) {
      for (size_t i = 0; i < types.size(); ++i) {
        if (types[i].type == String(default_type_)) shown_ = i;
      }
      PutShownLast(types);
    }
    if (is_comparison_) {
      for (size_t i = 0; i < types_.size(); ++i) {
        types.push_back(
            {i == 0 ? kBaseType : absl::StrCat(kBaseType, "_", types[i].type), types[i].unit});
      }
    }
    if (types.empty()) return absl::DataLossError("no sample type");
    builder_.emplace(std::move(types), TypeOf(period_type_), period_);
    builder_->SetTimes(start_time_ns_, duration_ns_);
    for (uint64_t comment : comments_) budget_.Take(String(comment).size() + sizeof(std::string));
    JPROF_RETURN_IF_ERROR(budget_.status());
    for (size_t i = 0; i < comments_.size(); ++i) {
      if (i == 0 && origin_ && origin_->has_title) {
        builder_->SetTitle(String(comments_[i]));
      } else {
        builder_->AddComment(String(comments_[i]));
      }
    }
    JPROF_RETURN_IF_ERROR(ReadFunctions(message));
    JPROF_RETURN_IF_ERROR(ReadLocations(message));
    JPROF_RETURN_IF_ERROR(ReadSamples(message));
    Imported out;
    NoteTruncated("pprof", truncated_, out.notes);
    if (negative_ > 0) {
      out.notes.push_back(absl::StrCat("pprof: ", negative_,
                                       " samples have negative values, which "
                                       "pictures leave out"));
    }
    if (labels_left_out_ > 0) {
      out.notes.push_back(absl::StrCat("pprof: ", labels_left_out_,
                                       " labels are left out, of samples with more than ",
                                       kMaxLabelBytes >> 10, " KiB of them"));
    }
    JPROF_RETURN_IF_ERROR(AddSamples(out));
    JPROF_ASSIGN_OR_RETURN(out.profile, std::move(*builder_).Build());
    return out;
  }

 private:
  static absl::Status Damaged(absl::string_view what) {
    return absl::DataLossError(absl::StrCat("damaged ", what));
  }

  template <typename T>
  void Append(std::vector<T>& to, T number) {
    if (budget_.Take(sizeof(number))) to.push_back(number);
  }

  // What is by type of the file.
  template <typename T>
  void PutShownLast(std::vector<T>& by_type) const {
    if (shown_ >= by_type.size()) return;
    const auto shown = by_type.begin() + static_cast<ptrdiff_t>(shown_);
    std::rotate(shown, shown + 1, by_type.end());
  }

  absl::string_view String(uint64_t index) const {
    return index < strings_.size() ? strings_[index] : absl::string_view();
  }

  ValueType TypeOf(absl::string_view message) const {
    ValueType type;
    for (WireReader f(message); f.Next();) {
      if (f.field() == 1) type.type = std::string(String(f.number()));
      if (f.field() == 2) type.unit = std::string(String(f.number()));
    }
    return type;
  }

  absl::Status ReadTables(absl::string_view message) {
    WireReader f(message);
    bool good = true;
    while (f.Next()) {
      switch (f.field()) {
        case 1:
          if (types_.size() == kMaxTypes) return Damaged("list of sample types");
          types_.push_back(f.bytes());
          break;
        case 3:
          good = good && ReadMapping(f.bytes());
          budget_.Take(2 * sizeof(Mapping));
          break;
        case 6:
          strings_.push_back(f.bytes());
          budget_.Take(sizeof(absl::string_view));
          break;
        case 9:
          start_time_ns_ = f.integer();
          break;
        case 10:
          duration_ns_ = f.integer();
          break;
        case 11:
          period_type_ = f.bytes();
          break;
        case 12:
          period_ = f.integer();
          break;
        case 13:
          good = good && f.Numbers([&](uint64_t n) { Append(comments_, n); });
          break;
        case 14:
          default_type_ = f.number();
          break;
        case kOriginField:
          good = good && ReadOrigin(f.bytes());
          break;
      }
      JPROF_RETURN_IF_ERROR(budget_.status());
    }
    return f.ok() && good ? absl::OkStatus() : Damaged("message");
  }

  bool HasBaseLabel(absl::string_view message) const {
    if (std::find(strings_.begin(), strings_.end(), kBaseLabel) == strings_.end()) return false;
    for (WireReader f(message); f.Next();) {
      if (f.field() != 2 || !f.is_bytes()) continue;
      for (WireReader g(f.bytes()); g.Next();) {
        if (g.field() != 3 || !g.is_bytes()) continue;
        for (WireReader h(g.bytes()); h.Next();) {
          if (h.field() == 1 && String(h.number()) == kBaseLabel) return true;
        }
      }
    }
    return false;
  }

  bool ReadMapping(absl::string_view message) {
    uint64_t id = 0;
    Mapping mapping;
    WireReader f(message);
    while (f.Next()) {
      if (f.field() == 1) id = f.number();
      if (f.field() == 2) mapping.start = f.number();
      if (f.field() == 3) mapping.limit = f.number();
      if (f.field() == 4) mapping.offset = f.number();
      if (f.field() == 5) mapping.file = f.number();
      if (f.field() == 6) mapping.build_id = f.number();
    }
    if (id != 0) mappings_.try_emplace(id, mapping);
    return f.ok();
  }

  bool ReadOrigin(absl::string_view message) {
    origin_.emplace();
    WireReader f(message);
    bool good = true;
    auto append = [&](std::vector<uint64_t>& to) {
      good = good && f.Numbers([&](uint64_t n) { Append(to, n); });
    };
    while (f.Next()) {
      if (f.field() == 1) origin_->kinds = f.bytes();
      if (f.field() == 2) origin_->has_title = f.number() != 0;
      if (f.field() == 3) append(origin_->time_ns);
      if (f.field() == 4) append(origin_->sample);
      if (f.field() == 5) append(origin_->cpu);
      if (f.field() == 6) origin_->show_lines = f.number() != 0;
      if (f.field() == 7) good = good && ReadParts(f.bytes());
    }
    return f.ok() && good;
  }

  bool ReadParts(absl::string_view message) {
    if (origin_->parts.size() == kMaxTypes) return false;
    Parts& parts = origin_->parts.emplace_back();
    uint64_t value = 0;
    auto append = [&](uint64_t difference) {
      value += Unzigzag(difference);
      Append(parts.value, static_cast<int64_t>(value));
    };
    WireReader f(message);
    bool good = true;
    while (f.Next()) {
      if (f.field() == 1) parts.type = f.number();
      if (f.field() == 2) good = good && f.Numbers(append);
    }
    return f.ok() && good;
  }

  absl::Status ReadFunctions(absl::string_view message) {
    for (WireReader f(message); f.Next();) {
      if (f.field() != 5 || !f.is_bytes()) continue;
      RawFunction raw;
      WireReader g(f.bytes());
      while (g.Next()) {
        if (g.field() == 1) raw.id = g.number();
        if (g.field() == 2) raw.name = g.number();
        if (g.field() == 3) raw.system_name = g.number();
        if (g.field() == 4) raw.file = g.number();
        if (g.field() == 5) raw.start_line = g.integer();
      }
      if (!g.ok()) return Damaged("function");
      function_index_.try_emplace(raw.id, functions_.size());
      functions_.push_back(raw);
      budget_.Take(sizeof(RawFunction) + 4 * sizeof(uint64_t));
      JPROF_RETURN_IF_ERROR(budget_.status());
    }
    if (origin_ && origin_->kinds.size() != functions_.size()) origin_.reset();
    if (!origin_) return absl::OkStatus();
    builder_->ShowLines(origin_->show_lines);
    for (size_t i = 0; i < functions_.size(); ++i) {
      if (String(functions_[i].name) != kNoStack) FunctionOf(i, "");
    }
    return absl::OkStatus();
  }

  FrameKind KindOf(size_t index, absl::string_view image) const {
    if (origin_) {
      if (auto kind = KindOfLetter(origin_->kinds[index])) return *kind;
    }
    const RawFunction& raw = functions_[index];
    if (absl::StartsWith(image, "[kernel") || image == "vmlinux") return FrameKind::kKernel;
    const FrameKind kind = KindOfName(String(raw.name));
    if (kind != FrameKind::kNative) return kind;
    if (IsScriptFile(String(raw.file))) return FrameKind::kScript;
    if (image == "[v8]") return FrameKind::kBuiltin;
    if (absl::StrContains(image, "/perf-") || absl::StrContains(image, "/jitted-") ||
        image == "[jit]") {
      return FrameKind::kJit;
    }
    return FrameKind::kNative;
  }

  FunctionId FunctionOf(size_t index, absl::string_view image) {
    const RawFunction& raw = functions_[index];
    absl::string_view name = String(raw.name), system_name = String(raw.system_name);
    if (name.empty()) name = system_name;
    return builder_->AddFunction(name, system_name.empty() ? name : system_name, String(raw.file),
                                 Bounded(raw.start_line), KindOf(index, image));
  }

  // An image is stored once: an address of another mapping of it is moved into the first.
  ImageId ImageOf(uint64_t id, uint64_t& address) {
    auto it = mappings_.find(id);
    if (it == mappings_.end()) return {};
    Mapping& m = it->second;
    if (!m.image.valid()) {
      m.image = builder_->AddImage(String(m.file), String(m.build_id), m.start, m.limit, m.offset);
    }
    const ProfileImage& image = builder_->profile().images[m.image.value];
    if (address != 0) address += (image.memory_start - image.file_offset) - (m.start - m.offset);
    if (address < image.memory_start || address >= image.memory_limit) address = 0;
    return m.image;
  }

  absl::Status ReadLocations(absl::string_view message) {
    for (WireReader f(message); f.Next();) {
      if (f.field() != 4 || !f.is_bytes()) continue;
      uint64_t id = 0, mapping = 0, address = 0;
      std::vector<std::pair<uint64_t, Line>> raw_lines;  // function's id
      WireReader g(f.bytes());
      while (g.Next()) {
        if (g.field() == 1) id = g.number();
        if (g.field() == 2) mapping = g.number();
        if (g.field() == 3) address = g.number();
        if (g.field() != 4 || !g.is_bytes() || raw_lines.size() == kMaxLines) continue;
        std::pair<uint64_t, Line>& line = raw_lines.emplace_back();
        WireReader h(g.bytes());
        while (h.Next()) {
          if (h.field() == 1) line.first = h.number();
          if (h.field() == 2) line.second.line = Bounded(h.integer());
          if (h.field() == 3) line.second.column = Bounded(h.integer());
        }
        if (!h.ok()) return Damaged("line");
      }
      if (!g.ok()) return Damaged("location");
      const uint64_t given_address = address;
      const ImageId image = ImageOf(mapping, address);
      const absl::string_view path =
          image.valid() ? builder_->profile().String(builder_->profile().images[image.value].path)
                        : absl::string_view();
      const std::string path_copy(path);  // the table grows below
      std::vector<Line> lines;
      for (auto& [function, line] : raw_lines) {
        auto it = function_index_.find(function);
        if (it == function_index_.end()) continue;
        line.function = FunctionOf(it->second, path_copy);
        lines.push_back(line);
      }
      if (lines.empty()) lines.push_back({Unnamed(path_copy, OffsetOf(mapping, given_address))});
      const LocationId location = builder_->AddLocation(image, address, lines);
      if (lines.size() == 1 && !image.valid() &&
          String(raw_lines.empty() ? 0 : NameOf(raw_lines[0].first)) == kNoStack) {
        no_stack_ = id;
      }
      locations_.try_emplace(id, location);
      budget_.Take(4 * sizeof(uint64_t));
      JPROF_RETURN_IF_ERROR(budget_.status());
      JPROF_RETURN_IF_ERROR(CheckRoom(*builder_));
    }
    return absl::OkStatus();
  }

  uint64_t NameOf(uint64_t function) const {
    auto it = function_index_.find(function);
    return it == function_index_.end() ? 0 : functions_[it->second].name;
  }

  // In the mapped file, which is the same in each run; the address where it is in no mapping.
  uint64_t OffsetOf(uint64_t mapping, uint64_t address) const {
    const auto it = mappings_.find(mapping);
    if (it == mappings_.end() || address < it->second.start || address >= it->second.limit) {
      return address;
    }
    return address - it->second.start + it->second.offset;
  }

  FunctionId Unnamed(absl::string_view path, uint64_t address) {
    const std::string name = UnknownName(path, address);
    budget_.Take(name.size() + sizeof(name));
    return builder_->AddFunction(name, name, "", 0, FrameKind::kUnknown);
  }

  absl::Status ReadSamples(absl::string_view message) {
    for (WireReader f(message); f.Next();) {
      if (f.field() != 2 || !f.is_bytes()) continue;
      path_.clear();
      values_.clear();
      Labels labels;
      WireReader g(f.bytes());
      bool good = true;
      while (g.Next()) {
        if (g.field() == 1) {
          good = good && g.Numbers([&](uint64_t n) {
            if (path_.size() <= kMaxPath) path_.push_back(n);
          });
          good = good && path_.size() <= kMaxPath;
        }
        if (g.field() == 2) {
          good = good && g.Numbers([&](uint64_t n) {
            if (values_.size() <= kMaxTypes) values_.push_back(static_cast<int64_t>(n));
          });
        }
        if (g.field() == 3) good = good && ReadLabel(g.bytes(), labels);
      }
      if (!g.ok() || !good) return Damaged("sample");
      if (values_.size() != types_.size()) return Damaged("sample: as many values as types");
      PutShownLast(values_);
      if (path_.size() == 1 && path_[0] == no_stack_ && no_stack_ != 0) path_.clear();
      located_.clear();
      for (uint64_t id : path_) {
        auto it = locations_.find(id);
        if (it == locations_.end()) return Damaged("sample: its location is not there");
        located_.push_back(it->second);
      }
      const StackId stack = AddPath(*builder_, located_, truncated_);
      budget_.Take(sizeof(Merged) + 2 * values_.size() * sizeof(int64_t));
      JPROF_RETURN_IF_ERROR(budget_.status());
      merged_.push_back({stack, ThreadOf(labels)});
      AppendValues(labels.is_base);
      JPROF_RETURN_IF_ERROR(CheckRoom(*builder_));
    }
    return absl::OkStatus();
  }

  void AppendValues(bool is_base) {
    if (!is_base && std::any_of(values_.begin(), values_.end(), [](int64_t v) { return v < 0; })) {
      ++negative_;
    }
    if (is_comparison_ && is_base) {
      merged_values_.resize(merged_values_.size() + values_.size());
      for (int64_t& value : values_) value = value == INT64_MIN ? INT64_MAX : -value;
    }
    merged_values_.insert(merged_values_.end(), values_.begin(), values_.end());
    if (is_comparison_ && !is_base) merged_values_.resize(merged_values_.size() + values_.size());
  }

  struct Labels {
    bool is_base = false;
    Pid pid = 0;
    Tid tid = 0;
    absl::string_view comm;
    absl::string_view thread;
    absl::string_view cgroup;
    std::vector<Label> others;
    size_t bytes = 0;  // of these
  };

  bool ReadLabel(absl::string_view message, Labels& labels) {
    Label label{.is_number = true};
    WireReader f(message);
    while (f.Next()) {
      if (f.field() == 1) label.key = String(f.number());
      if (f.field() == 2) label.text = String(f.number());
      if (f.field() == 2) label.is_number = f.number() == 0;
      if (f.field() == 3) label.number = f.integer();
      if (f.field() == 4) label.unit = String(f.number());
    }
    if (label.key == "pid" && IsId(label)) {
      labels.pid = static_cast<Pid>(label.number);
    } else if ((label.key == "tid" || label.key == "thread_id") && IsId(label)) {
      labels.tid = static_cast<Tid>(label.number);
    } else if (label.key == "comm") {
      labels.comm = label.text;
    } else if (label.key == "thread" || label.key == "thread_name" || label.key == "thread_comm") {
      labels.thread = label.text;
    } else if (label.key == kBaseLabel) {
      labels.is_base = label.text == "true";
    } else if (label.key == "cgroup") {
      labels.cgroup = label.text;
    } else if (!label.key.empty() &&
               !(origin_ && label.key == "container")) {  // jprof's: from the group
      AddOther(label, labels);
    }
    return f.ok();
  }

  // Whether it is a number of the kernel's; decimal text becomes one. What is not stays a label.
  static bool IsId(Label& label) {
    if (!label.is_number && !absl::SimpleAtoi(label.text, &label.number)) return false;
    return label.number >= 0 && label.number <= INT32_MAX;
  }

  // A few bytes of the file name a text of any length.
  void AddOther(const Label& label, Labels& labels) {
    const size_t bytes = sizeof(Label) + label.key.size() + label.text.size() + label.unit.size();
    if (bytes > kMaxLabelBytes - labels.bytes) {
      ++labels_left_out_;
      return;
    }
    labels.bytes += bytes;
    labels.others.push_back(label);
  }

  ThreadId ThreadOf(Labels& labels) {
    absl::string_view process = labels.comm;
    if (process.empty() && !origin_) process = ProgramName();
    const std::string others = JoinLabels(labels.others);
    budget_.Take(others.size());
    return builder_->AddThread(labels.pid, labels.tid, process, labels.thread, labels.cgroup,
                               others);
  }

  // The main executable's, as pprof takes it: the first mapping's.
  absl::string_view ProgramName() const {
    auto first = mappings_.find(1);
    if (first == mappings_.end()) return "";
    const absl::string_view file = String(first->second.file);
    return file.substr(file.rfind('/') + 1);
  }

  struct Merged {
    StackId stack;
    ThreadId thread;
  };

  absl::Status AddSamples(Imported& out) {
    const size_t types = types_.size() * (is_comparison_ ? 2 : 1);
    if (origin_ && !is_comparison_ && !origin_->time_ns.empty()) {
      if (AddInTime()) return CheckRoom(*builder_);
      out.notes.push_back("pprof: the times of its samples do not fit its samples");
    }
    for (size_t i = 0; i < merged_.size(); ++i) {
      AddSample(*builder_, 0, merged_[i].thread, kUnknownCpu, merged_[i].stack,
                std::span(merged_values_).subspan(i * types, types));
    }
    return CheckRoom(*builder_);
  }

  // Each sample that was taken. False: what tells of them does not fit what was merged.
  bool AddInTime() {
    const Origin& o = *origin_;
    const size_t types = types_.size();
    if (o.sample.size() != o.time_ns.size() || o.time_ns.size() > kMaxSamples ||
        (!o.cpu.empty() && o.cpu.size() != o.time_ns.size())) {
      return false;
    }
    std::vector<int64_t> counts(merged_.size());
    std::vector<uint64_t> index(o.sample.size());
    uint64_t at = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      at += Unzigzag(o.sample[i]);
      if (at >= merged_.size()) return false;
      index[i] = at;
      ++counts[at];
    }
    if (std::find(counts.begin(), counts.end(), 0) != counts.end()) return false;
    std::vector<const std::vector<int64_t>*> parts(types);  // nullptr: equal ones
    for (const Parts& p : o.parts) {
      if (p.type >= types || p.value.size() != index.size()) return false;
      parts[p.type] = &p.value;
    }
    PutShownLast(parts);
    for (size_t t = 0; t < types; ++t) {
      if (!Fit(t, parts[t], index, counts)) return false;
    }
    std::vector<int64_t> values(types);
    uint64_t time_ns = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      time_ns += o.time_ns[i];
      const size_t m = index[i];
      for (size_t t = 0; t < types; ++t) {
        values[t] =
            parts[t] == nullptr ? merged_values_[m * types + t] / counts[m] : (*parts[t])[i];
      }
      AddSample(*builder_, static_cast<int64_t>(time_ns & INT64_MAX), merged_[m].thread,
                o.cpu.empty() ? kUnknownCpu : Bounded(static_cast<int64_t>(o.cpu[i])),
                merged_[m].stack, values);
    }
    return true;
  }

  // Whether the parts of a type make up what was merged. `index`: by sample that was taken, what it
  // was merged into; `counts`: of samples, by the latter.
  bool Fit(size_t type, const std::vector<int64_t>* parts, const std::vector<uint64_t>& index,
           const std::vector<int64_t>& counts) const {
    std::vector<int64_t> sums(parts == nullptr ? 0 : merged_.size());
    for (size_t i = 0; parts != nullptr && i < index.size(); ++i) {
      sums[index[i]] = SaturatingAdd(sums[index[i]], (*parts)[i]);
    }
    for (size_t i = 0; i < merged_.size(); ++i) {
      const int64_t merged = merged_values_[i * types_.size() + type];
      if (parts == nullptr ? merged % counts[i] != 0 : merged != sums[i]) return false;
    }
    return true;
  }

  std::vector<absl::string_view> strings_;
  std::vector<absl::string_view> types_;
  absl::string_view period_type_;
  int64_t period_ = 0;
  uint64_t default_type_ = 0;
  size_t shown_ = SIZE_MAX;  // of the file's types, the one that becomes the last
  int64_t start_time_ns_ = 0;
  int64_t duration_ns_ = 0;
  std::vector<uint64_t> comments_;
  absl::flat_hash_map<uint64_t, Mapping> mappings_;
  std::vector<RawFunction> functions_;
  absl::flat_hash_map<uint64_t, size_t> function_index_;
  absl::flat_hash_map<uint64_t, LocationId> locations_;
  std::optional<Origin> origin_;
  bool is_comparison_ = false;
  uint64_t no_stack_ = 0;
  std::optional<ProfileBuilder> builder_;
  std::vector<uint64_t> path_;
  std::vector<LocationId> located_;  // the same
  std::vector<int64_t> values_;
  std::vector<Merged> merged_;
  std::vector<int64_t> merged_values_;
  uint64_t truncated_ = 0;
  uint64_t negative_ = 0;
  uint64_t labels_left_out_ = 0;
  TableBudget budget_;
};

}  // namespace

// The beginning is fields of Profile, each of its type; the last may go beyond what is to be seen.
bool LooksPprof(absl::string_view head) {
  constexpr size_t kEnough = 1000;
  size_t fields = 0;
  while (!head.empty() && fields < kEnough) {
    uint64_t tag = 0, number = 0;
    if (!WireReader::TakeVarint(head, tag)) break;
    const uint64_t field = tag >> 3;
    const bool is_message = (field >= 1 && field <= 6) || field == 11 || field == kOriginField;
    if (!is_message && !(field >= 7 && field <= 15)) return false;
    if ((tag & 7) != (is_message ? 2u : 0u) && !(field == 13 && (tag & 7) == 2)) return false;
    if (!WireReader::TakeVarint(head, number)) break;
    ++fields;
    if ((tag & 7) == 2) head.remove_prefix(std::min<uint64_t>(number, head.size()));
  }
  return fields > 0;
}

absl::StatusOr<Imported> ReadPprof(Input& input) {
  JPROF_ASSIGN_OR_RETURN(const std::string message, input.Rest());
  return PprofReader().Read(message);
}

}  // namespace jprof
