// From Profile to pprof's message. Tables are taken over in the profile's order, so ids are its
// indices + 1, with one exception: the image of the main executable moves to the front.
//
// Which image that is, a profile does not say. The rule: the first one, in the order of first use,
// that is a file (no "[...]") and is not named like a shared library ("libc.so.6", "x.so"); failing
// that, the first file; failing that, the first image.
#include "export/pprof.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/profile.pb.h"
#include "export/text.h"
#include "profiler/core/container.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

namespace pb = ::perftools::profiles;

constexpr absl::string_view kKernelName = "[kernel.kallsyms]";
constexpr absl::string_view kBaseLabel = "pprof::base";
constexpr absl::string_view kKindLetters = "nksabwjum";  // by FrameKind; see Origin

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
      out_.set_default_sample_type(out_.sample_type(out_.sample_type_size() - 1).type());
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
    AddSamples(0, "");
    if (is_comparison_) AddBase();
    AddOrigin();
  }

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

  // Values from `first_type` on. `label`: "" or one that they all get.
  void AddSamples(size_t first_type, absl::string_view label) {
    absl::flat_hash_map<std::pair<StackId, ThreadId>, int> merged;
    for (size_t i = 0; i < profile_.samples.size(); ++i) {
      if (is_comparison_ && !HasValue(i, first_type)) continue;
      const ProfileSample& s = profile_.samples[i];
      auto [it, added] = merged.try_emplace(std::pair(s.stack, s.thread), out_.sample_size());
      sample_of_.push_back(it->second);
      if (added) {
        pb::Sample& sample = *out_.add_sample();
        for (StackId node = s.stack; node.valid(); node = profile_.stacks[node.value].caller) {
          sample.add_location_id(profile_.stacks[node.value].location.value + uint64_t{1});
        }
        if (sample.location_id_size() == 0) sample.add_location_id(NoStackLocation());
        for (size_t type = 0; type < types_; ++type) {
          sample.add_value(profile_.Value(i, first_type + type));
        }
        AddLabels(profile_.threads[s.thread.value], sample);
        if (!label.empty()) AddLabel(label, "true", sample);
        continue;
      }
      pb::Sample& sample = *out_.mutable_sample(it->second);
      for (size_t type = 0; type < types_; ++type) {
        const int64_t value = profile_.Value(i, first_type + type);
        int64_t sum = 0;
        if (__builtin_add_overflow(sample.value(static_cast<int>(type)), value, &sum)) {
          sum = value > 0 ? std::numeric_limits<int64_t>::max()
                          : std::numeric_limits<int64_t>::min();
        }
        sample.set_value(static_cast<int>(type), sum);
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
  void AddBase() {
    const int first = out_.sample_size();
    AddSamples(types_, kBaseLabel);
    for (int type = 0; type < static_cast<int>(types_); ++type) {
      __int128 after = 0, before = 0;
      for (int i = 0; i < out_.sample_size(); ++i) {
        (i < first ? after : before) += out_.sample(i).value(type);
      }
      for (int i = first; i < out_.sample_size() && before > 0; ++i) {
        const __int128 value = out_.sample(i).value(type);
        const __int128 scaled = after > 0 ? static_cast<__int128>(static_cast<long double>(value) *
                                                static_cast<long double>(after) /
                                                static_cast<long double>(before) + 0.5L)
                                          : value;
        out_.mutable_sample(i)->set_value(
            type, -static_cast<int64_t>(std::min<__int128>(scaled, INT64_MAX)));
      }
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
    if (!SamplesAreEqualParts()) return;
    int64_t time_ns = 0, sample = 0;
    for (size_t i = 0; i < profile_.samples.size(); ++i) {
      const ProfileSample& s = profile_.samples[i];
      origin.add_time_ns(static_cast<uint64_t>(s.time_ns - time_ns));
      origin.add_sample(sample_of_[i] - sample);
      origin.add_cpu(s.cpu);
      time_ns = s.time_ns;
      sample = sample_of_[i];
    }
  }

  // So that they can be had back from the sums; and whether there is more to them than the sums.
  bool SamplesAreEqualParts() const {
    if (is_comparison_ || profile_.samples.empty() || profile_.samples.back().time_ns <= 0 ||
        profile_.samples.front().time_ns < 0) {
      return false;
    }
    std::vector<int64_t> parts(static_cast<size_t>(out_.sample_size()));
    for (int sample : sample_of_) ++parts[static_cast<size_t>(sample)];
    for (size_t i = 0; i < sample_of_.size(); ++i) {
      const pb::Sample& sum = out_.sample(sample_of_[i]);
      for (size_t type = 0; type < profile_.sample_types.size(); ++type) {
        int64_t product = 0;
        if (__builtin_mul_overflow(profile_.Value(i, type), parts[static_cast<size_t>(sample_of_[i])],
                                   &product) ||
            product != sum.value(static_cast<int>(type))) {
          return false;
        }
      }
    }
    return true;
  }

  // Few values each: every distinct set splits a sample.
  void AddLabels(const Thread& thread, pb::Sample& sample) {
    pb::Label& pid = *sample.add_label();
    pid.set_key(String("pid"));
    pid.set_num(thread.pid);
    pb::Label& tid = *sample.add_label();
    tid.set_key(String("tid"));
    tid.set_num(thread.tid);
    AddLabel("comm", profile_.String(thread.process_name), sample);
    AddLabel("thread", profile_.String(thread.name), sample);
    const absl::string_view cgroup = profile_.String(thread.cgroup);
    if (cgroup == "/") return;  // of no group
    AddLabel("cgroup", cgroup, sample);
    AddLabel("container", ContainerId(cgroup).substr(0, kShownIdDigits), sample);
  }

  void AddLabel(absl::string_view key, absl::string_view value, pb::Sample& sample) {
    if (value.empty()) return;
    pb::Label& label = *sample.add_label();
    label.set_key(String(std::string(key)));
    label.set_str(String(ShownText(value)));
  }

  const Profile& profile_;
  pb::Profile& out_;
  const bool is_comparison_;
  const size_t types_;  // that are written
  absl::flat_hash_map<std::string, int64_t> strings_;
  std::vector<uint64_t> mapping_ids_;  // by image
  uint64_t no_stack_location_ = 0;
  std::vector<int> sample_of_;  // the message's, by the profile's
};

// Same bytes in, same bytes out: zlib writes no time and no name into the header.
absl::Status WriteGzip(absl::string_view bytes, OutputSink& sink) {
  constexpr int kGzipWindow = 15 + 16;
  z_stream stream = {};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: out of memory");
  }
  absl::Status status = absl::OkStatus();
  std::string buffer(256 * 1024, '\0');
  // Below 2 GiB, as protobuf itself sets it, so one input buffer will do.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int result = Z_OK;
  while (status.ok() && result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    result = deflate(&stream, Z_FINISH);
    status = sink.Append(absl::string_view(buffer.data(), buffer.size() - stream.avail_out));
  }
  deflateEnd(&stream);
  if (status.ok() && result != Z_STREAM_END) return absl::InternalError("gzip: deflate failed");
  return status;
}

class PprofExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    pb::Profile message;
    Converter(profile, message).Convert();
    if (message.ByteSizeLong() > std::numeric_limits<int32_t>::max()) {
      return WithHint(absl::ResourceExhaustedError(
                          absl::StrCat("pprof: the profile has ", message.ByteSizeLong(),
                                       " bytes, the format ends at 2 GiB")),
                      "use the folded format");
    }
    std::string bytes;
    if (!message.SerializeToString(&bytes)) return absl::InternalError("pprof: not serializable");
    return WriteGzip(bytes, sink);
  }
};

}  // namespace

std::unique_ptr<Exporter> MakePprofExporter() { return std::make_unique<PprofExporter>(); }

}  // namespace jprof
