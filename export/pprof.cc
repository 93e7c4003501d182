// From Profile to pprof's message. Tables are taken over in the profile's order, so ids are its
// indices + 1, with one exception: the image of the main executable moves to the front.
//
// Which image that is, a profile does not say. The rule: the first one, in the order of first use,
// that is a file (no "[...]") and is not named like a shared library ("libc.so.6", "x.so"); failing
// that, the first file; failing that, the first image.
#include "export/pprof.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/profile.pb.h"
#include "export/text.h"
#include "export/wire.h"
#include "profiler/core/container.h"
#include "profiler/core/index_table.h"
#include "profiler/core/labels.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

namespace pb = ::perftools::profiles;

constexpr absl::string_view kKernelName = "[kernel.kallsyms]";
constexpr absl::string_view kBaseLabel = "pprof::base";
constexpr absl::string_view kKindLetters = "nkslabwjum";  // by FrameKind; see Origin

bool IsFile(absl::string_view path) { return !path.empty() && path[0] != '['; }

bool IsSharedLibrary(absl::string_view path) {
  absl::string_view base = path.substr(path.rfind('/') + 1);
  return absl::EndsWith(base, ".so") || absl::StrContains(base, ".so.");
}

uint32_t MainImage(const Profile& profile) {
  uint32_t first_file = UINT32_MAX;
  for (uint32_t i = 0; i < profile.images.size(); ++i) {
    absl::string_view path = profile.String(profile.images[i].path);
    if (!IsFile(path)) continue;
    if (!IsSharedLibrary(path)) return i;
    first_file = std::min(first_file, i);
  }
  return first_file == UINT32_MAX ? 0 : first_file;
}

std::string MappingName(absl::string_view path) {
  if (absl::StartsWith(path, "[kernel")) return std::string(kKernelName);
  return ShownText(path);
}

class Converter {
 public:
  Converter(const Profile& profile, pb::Profile& out)
      : profile_(profile),
        out_(out),
        is_comparison_(BaseType(profile).has_value()),
        types_(BaseType(profile).value_or(profile.sample_types.size())) {
    String("");
  }

  void Convert() {
    for (size_t i = 0; i < types_; ++i) FillType(profile_.sample_types[i], *out_.add_sample_type());
    if (types_ > 0) {
      // What a comparison compares is its first type; counts have a time beside them that says the
      // same.
      const bool is_first = is_comparison_ && profile_.sample_types[0].type != "samples";
      const size_t shown = is_first ? 0 : types_ - 1;
      out_.set_default_sample_type(out_.sample_type(static_cast<int>(shown)).type());
    }
    FillType(profile_.period_type, *out_.mutable_period_type());
    out_.set_period(profile_.period);
    out_.set_time_nanos(profile_.start_time_ns);
    out_.set_duration_nanos(profile_.duration_ns);
    if (!profile_.title.empty()) out_.add_comment(String(ShownText(profile_.title)));
    for (const std::string& comment : profile_.comments) {
      out_.add_comment(String(ShownText(comment)));
    }
    AddMappings();
    AddFunctions();
    AddLocations();
    MergeSamples();
    if (is_comparison_) ScaleBase();
    WriteSamples();
    AddOrigin();
  }

  // What is not in the message: it is appended to its bytes. There may be millions of them, and as
  // messages they would cost more than all else.
  const std::string& samples() const { return samples_.bytes(); }

 private:
  int64_t String(const std::string& text) {
    auto [it, added] = strings_.try_emplace(text, out_.string_table_size());
    if (added) out_.add_string_table(text);
    return it->second;
  }

  void FillType(const ValueType& type, pb::ValueType& out) {
    out.set_type(String(absl::StrReplaceAll(ShownText(type.type), {{"-", "_"}})));
    out.set_unit(String(ShownText(type.unit)));
  }

  void AddMappings() {
    if (profile_.images.empty()) return;
    std::vector<uint32_t> order = {MainImage(profile_)};
    for (uint32_t i = 0; i < profile_.images.size(); ++i) {
      if (i != order[0]) order.push_back(i);
    }
    mapping_ids_.resize(order.size());
    for (uint32_t i : order) {
      const ProfileImage& image = profile_.images[i];
      pb::Mapping& mapping = *out_.add_mapping();
      mapping_ids_[i] = out_.mapping_size();
      mapping.set_id(mapping_ids_[i]);
      mapping.set_memory_start(image.memory_start);
      mapping.set_memory_limit(image.memory_limit);
      mapping.set_file_offset(image.file_offset);
      mapping.set_filename(String(MappingName(profile_.String(image.path))));
      mapping.set_build_id(String(ShownText(profile_.String(image.build_id))));
      mapping.set_has_functions(true);
      mapping.set_has_filenames(true);
      mapping.set_has_line_numbers(true);
      mapping.set_has_inline_frames(true);
    }
  }

  void AddFunctions() {
    for (const Function& f : profile_.functions) {
      pb::Function& function = *out_.add_function();
      function.set_id(out_.function_size());
      std::string name = ShownText(profile_.String(f.name));
      if (name.empty()) name = "[unknown]";
      function.set_name(String(name));
      std::string system_name = ValidUtf8(profile_.String(f.system_name));
      function.set_system_name(String(system_name.empty() ? name : system_name));
      function.set_filename(String(ShownText(profile_.String(f.file))));
      function.set_start_line(f.start_line);
    }
  }

  void AddLocations() {
    for (const Location& l : profile_.locations) {
      pb::Location& location = *out_.add_location();
      location.set_id(out_.location_size());
      if (l.image.valid()) location.set_mapping_id(mapping_ids_[l.image.value]);
      location.set_address(l.address);
      for (const Line& n : profile_.Lines(l)) {
        pb::Line& line = *location.add_line();
        line.set_function_id(n.function.value + uint64_t{1});
        line.set_line(n.line);
        line.set_column(n.column);
      }
    }
  }

  // A sample without a stack is kept, below a frame that says so: readers drop empty stacks.
  uint64_t NoStackLocation() {
    if (no_stack_location_ == 0) {
      pb::Function& function = *out_.add_function();
      function.set_id(out_.function_size());
      function.set_name(String("[no stack]"));
      function.set_system_name(function.name());
      pb::Location& location = *out_.add_location();
      location.set_id(out_.location_size());
      location.add_line()->set_function_id(function.id());
      no_stack_location_ = location.id();
    }
    return no_stack_location_;
  }

  // Samples of equal stack and thread are one. Those of a comparison's base come behind the others.
  void MergeSamples() {
    for (size_t half = 0; half < (is_comparison_ ? 2 : 1); ++half) {
      first_of_half_[half] = merged_.size();
      IndexTable index;
      for (size_t i = 0; i < profile_.samples.size(); ++i) {
        const size_t first_type = half * types_;
        if (is_comparison_ && !HasValue(i, first_type)) continue;
        const Merged row{profile_.samples[i].stack, profile_.samples[i].thread};
        const auto [at, added] =
            index.FindOrAdd(absl::HashOf(row.stack, row.thread), merged_.size(), [&](uint32_t m) {
              return merged_[m].stack == row.stack && merged_[m].thread == row.thread;
            });
        if (added) {
          merged_.push_back(row);
          values_.resize(values_.size() + types_);
        }
        for (size_t type = 0; type < types_; ++type) {
          int64_t& sum = values_[at * types_ + type];
          sum = SaturatingAdd(sum, profile_.Value(i, first_type + type));
        }
        if (!is_comparison_) sample_of_.push_back(at);
      }
    }
  }

  bool HasValue(size_t sample, size_t first_type) const {
    for (size_t type = 0; type < types_; ++type) {
      if (profile_.Value(sample, first_type + type) != 0) return true;
    }
    return false;
  }

  // As `pprof -diff_base -normalize` has it: negative, scaled to the totals of the others.
  void ScaleBase() {
    const size_t first = first_of_half_[1];
    for (size_t type = 0; type < types_; ++type) {
      __int128 after = 0, before = 0;
      for (size_t i = 0; i < merged_.size(); ++i) {
        (i < first ? after : before) += values_[i * types_ + type];
      }
      for (size_t i = first; i < merged_.size() && before > 0; ++i) {
        int64_t& value = values_[i * types_ + type];
        const __int128 scaled = after > 0
                                    ? static_cast<__int128>(static_cast<long double>(value) *
                                                                static_cast<long double>(after) /
                                                                static_cast<long double>(before) +
                                                            0.5L)
                                    : static_cast<__int128>(value);
        value = -static_cast<int64_t>(std::min<__int128>(scaled, INT64_MAX));
      }
    }
  }

  void WriteSamples() {
    constexpr uint32_t kLocations = 1, kValues = 2, kSample = 2;
    std::vector<std::string> labels(profile_.threads.size());
    std::vector<uint64_t> path;
    WireWriter sample, base_label;
    if (is_comparison_) AddLabel(kBaseLabel, "true", base_label);
    for (size_t i = 0; i < merged_.size(); ++i) {
      path.clear();
      for (StackId node = merged_[i].stack; node.valid();
           node = profile_.stacks[node.value].caller) {
        path.push_back(profile_.stacks[node.value].location.value + uint64_t{1});
      }
      if (path.empty()) path.push_back(NoStackLocation());
      sample.Clear();
      sample.Packed(kLocations, path);
      sample.Packed(kValues, std::span(values_).subspan(i * types_, types_));
      std::string& of_thread = labels[merged_[i].thread.value];
      if (of_thread.empty()) of_thread = LabelsOf(profile_.threads[merged_[i].thread.value]);
      sample.Raw(of_thread);
      if (is_comparison_ && i >= first_of_half_[1]) sample.Raw(base_label.bytes());
      samples_.Message(kSample, sample);
    }
  }

  void AddOrigin() {
    pb::Origin& origin = *out_.mutable_jprof();
    std::string kinds;
    for (const Function& f : profile_.functions) kinds += kKindLetters[static_cast<size_t>(f.kind)];
    kinds.resize(static_cast<size_t>(out_.function_size()), 'm');  // "[no stack]"
    origin.set_kinds(kinds);
    origin.set_has_title(!profile_.title.empty());
    origin.set_show_lines(profile_.show_lines);
    const std::vector<ProfileSample>& samples = profile_.samples;
    const bool has_cpus = std::any_of(samples.begin(), samples.end(),
                                      [](const ProfileSample& s) { return s.cpu != kUnknownCpu; });
    // Of others there is no more than the sums.
    if (is_comparison_ || samples.empty() || samples.front().time_ns < 0 ||
        (samples.back().time_ns == 0 && !has_cpus)) {
      return;
    }
    int64_t time_ns = 0, sample = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      origin.add_time_ns(static_cast<uint64_t>(samples[i].time_ns - time_ns));
      origin.add_sample(static_cast<int64_t>(sample_of_[i]) - sample);
      if (has_cpus) origin.add_cpu(samples[i].cpu);
      time_ns = samples[i].time_ns;
      sample = sample_of_[i];
    }
    AddParts(origin);
  }

  // Of the types whose sums do not say what each sample had of them.
  void AddParts(pb::Origin& origin) const {
    std::vector<int64_t> counts(merged_.size());
    for (uint32_t m : sample_of_) ++counts[m];
    for (size_t type = 0; type < types_; ++type) {
      if (AreEqualParts(type, counts)) continue;
      pb::Parts& parts = *origin.add_parts();
      parts.set_type(static_cast<uint32_t>(type));
      uint64_t before = 0;
      for (size_t i = 0; i < sample_of_.size(); ++i) {
        const auto value = static_cast<uint64_t>(profile_.Value(i, type));
        parts.add_value(static_cast<int64_t>(value - before));
        before = value;
      }
    }
  }

  // `counts`: of samples, by what they are merged into.
  bool AreEqualParts(size_t type, const std::vector<int64_t>& counts) const {
    for (size_t i = 0; i < sample_of_.size(); ++i) {
      const size_t m = sample_of_[i];
      int64_t product = 0;
      if (__builtin_mul_overflow(profile_.Value(i, type), counts[m], &product) ||
          product != values_[m * types_ + type]) {
        return false;
      }
    }
    return true;
  }

  // Few values each: every distinct set splits a sample.
  std::string LabelsOf(const Thread& thread) {
    WireWriter out;
    if (thread.pid != 0) AddLabel("pid", thread.pid, out);
    if (thread.tid != 0) AddLabel("tid", thread.tid, out);
    AddLabel("comm", profile_.String(thread.process_name), out);
    AddLabel("thread", profile_.String(thread.name), out);
    const absl::string_view cgroup = profile_.String(thread.cgroup);
    if (cgroup != "/") {  // of no group
      AddLabel("cgroup", cgroup, out);
      AddLabel("container", ContainerId(cgroup).substr(0, kShownIdDigits), out);
    }
    for (const Label& label : SplitLabels(profile_.String(thread.labels))) {
      if (label.is_number) {
        AddLabel(ShownText(label.key), label.number, out, ShownText(label.unit));
      } else {
        AddLabel(ShownText(label.key), label.text, out);
      }
    }
    return out.bytes();
  }

  void AddLabel(const std::string& key, int64_t number, WireWriter& out,
                const std::string& unit = "") {
    WireWriter label;
    label.Signed(1, String(key));
    label.Signed(3, number);
    if (!unit.empty()) label.Signed(4, String(unit));
    out.Message(kLabels, label);
  }

  void AddLabel(absl::string_view key, absl::string_view value, WireWriter& out) {
    if (value.empty()) return;
    WireWriter label;
    label.Signed(1, String(std::string(key)));
    label.Signed(2, String(ShownText(value)));
    out.Message(kLabels, label);
  }

  static constexpr uint32_t kLabels = 3;
  struct Merged {
    StackId stack;
    ThreadId thread;
  };

  const Profile& profile_;
  pb::Profile& out_;
  const bool is_comparison_;
  const size_t types_;  // that are written
  absl::flat_hash_map<std::string, int64_t> strings_;
  std::vector<uint64_t> mapping_ids_;  // by image
  uint64_t no_stack_location_ = 0;
  std::vector<Merged> merged_;
  std::vector<int64_t> values_;  // types_ of each in merged_
  std::array<size_t, 2> first_of_half_ = {};
  std::vector<uint32_t> sample_of_;  // in merged_, by the profile's; not of a comparison
  WireWriter samples_;
};

// Same bytes in, same bytes out: zlib writes no time and no name into the header.
absl::Status WriteGzip(std::span<const std::string* const> parts, OutputSink& sink) {
  constexpr int kGzipWindow = 15 + 16;
  // A large one is packed faster, 7 % larger.
  constexpr size_t kLarge = size_t{8} << 20;
  size_t size = 0;
  for (const std::string* part : parts) size += part->size();
  z_stream stream = {};
  if (deflateInit2(&stream, size < kLarge ? Z_DEFAULT_COMPRESSION : 3, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: out of memory");
  }
  absl::Status status = absl::OkStatus();
  std::string buffer(256 * 1024, '\0');
  int result = Z_OK;
  for (size_t i = 0; i < parts.size() && status.ok(); ++i) {
    // Below 2 GiB together, as protobuf itself sets it.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(parts[i]->data()));
    stream.avail_in = static_cast<uInt>(parts[i]->size());
    const bool is_last = i + 1 == parts.size();
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      result = deflate(&stream, is_last ? Z_FINISH : Z_NO_FLUSH);
      status = sink.Append(absl::string_view(buffer.data(), buffer.size() - stream.avail_out));
    } while (status.ok() && (is_last ? result == Z_OK : stream.avail_in > 0));
  }
  deflateEnd(&stream);
  if (status.ok() && result != Z_STREAM_END) return absl::InternalError("gzip: deflate failed");
  return status;
}

class PprofExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    pb::Profile message;
    Converter converter(profile, message);
    converter.Convert();
    const size_t size = message.ByteSizeLong() + converter.samples().size();
    if (size > std::numeric_limits<int32_t>::max()) {
      return WithHint(absl::ResourceExhaustedError(absl::StrCat(
                          "pprof: the profile has ", size, " bytes, the format ends at 2 GiB")),
                      "use the folded format");
    }
    std::string bytes;
    if (!message.SerializeToString(&bytes)) return absl::InternalError("pprof: not serializable");
    const std::string* const parts[] = {&bytes, &converter.samples()};
    return WriteGzip(parts, sink);
  }
};

}  // namespace

std::unique_ptr<Exporter> MakePprofExporter() { return std::make_unique<PprofExporter>(); }

}  // namespace jprof
