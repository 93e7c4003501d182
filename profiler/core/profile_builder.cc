#include "profiler/core/profile_builder.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace jprof {
namespace {

// The number of the row that equals `row`; it is appended where there is none.
template <typename Id, typename Row, typename... Key>
Id InternRow(IndexTable& index, std::vector<Row>& rows, const Row& row, Key Row::*... key) {
  const auto [at, added] = index.FindOrAdd(absl::HashOf(row.*key...), rows.size(), [&](uint32_t i) {
    return ((rows[i].*key == row.*key) && ...);
  });
  if (added) rows.push_back(row);
  return Id{at};
}

size_t HashOfLocation(ImageId image, uint64_t address, std::span<const Line> lines) {
  size_t hash = absl::HashOf(image, address);
  for (const Line& line : lines) hash = absl::HashOf(hash, line.function, line.line, line.column);
  return hash;
}

bool SameLines(std::span<const Line> a, std::span<const Line> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Line& x, const Line& y) {
    return x.function == y.function && x.line == y.line && x.column == y.column;
  });
}

template <typename Id, typename Table>
bool InRange(Id id, const Table& table) {
  return id.value < table.size();
}

}  // namespace

ProfileBuilder::ProfileBuilder(std::vector<ValueType> sample_types, ValueType period_type,
                               int64_t period) {
  profile_.sample_types = std::move(sample_types);
  profile_.period_type = std::move(period_type);
  profile_.period = period;
  Intern("");
}

StringId ProfileBuilder::Intern(absl::string_view text) {
  const auto [at, added] =
      strings_.FindOrAdd(absl::HashOf(text), profile_.strings.size(),
                         [&](uint32_t i) { return profile_.strings[i] == text; });
  if (added) profile_.strings.emplace_back(text);
  return StringId{at};
}

FunctionId ProfileBuilder::AddFunction(absl::string_view name, absl::string_view system_name,
                                       absl::string_view file, uint32_t start_line,
                                       FrameKind kind) {
  const Function row{Intern(name), Intern(system_name), Intern(file), start_line, kind};
  return InternRow<FunctionId>(functions_, profile_.functions, row, &Function::name,
                               &Function::system_name, &Function::file, &Function::start_line,
                               &Function::kind);
}

ImageId ProfileBuilder::AddImage(absl::string_view path, absl::string_view build_id,
                                 uint64_t memory_start, uint64_t memory_limit,
                                 uint64_t file_offset) {
  const ProfileImage row{Intern(path), Intern(build_id), memory_start, memory_limit, file_offset};
  return InternRow<ImageId>(images_, profile_.images, row, &ProfileImage::path,
                            &ProfileImage::build_id);
}

LocationId ProfileBuilder::AddLocation(ImageId image, uint64_t address,
                                       std::span<const Line> lines) {
  const auto [at, added] = locations_.FindOrAdd(
      HashOfLocation(image, address, lines), profile_.locations.size(), [&](uint32_t i) {
        const Location& l = profile_.locations[i];
        return l.image == image && l.address == address && SameLines(profile_.Lines(l), lines);
      });
  if (added) {
    profile_.locations.push_back({image, address, static_cast<uint32_t>(profile_.lines.size()),
                                  static_cast<uint32_t>(lines.size())});
    profile_.lines.insert(profile_.lines.end(), lines.begin(), lines.end());
  }
  return LocationId{at};
}

StackId ProfileBuilder::AddStack(StackId caller, LocationId location) {
  return InternRow<StackId>(stacks_, profile_.stacks, StackNode{caller, location},
                            &StackNode::caller, &StackNode::location);
}

ThreadId ProfileBuilder::AddThread(Pid pid, Tid tid, absl::string_view process_name,
                                   absl::string_view name, absl::string_view cgroup,
                                   absl::string_view labels) {
  const Thread row{pid, tid, Intern(process_name), Intern(name), Intern(cgroup), Intern(labels)};
  return InternRow<ThreadId>(threads_, profile_.threads, row, &Thread::pid, &Thread::tid,
                             &Thread::process_name, &Thread::name, &Thread::cgroup,
                             &Thread::labels);
}

void ProfileBuilder::AddSample(int64_t time_ns, ThreadId thread, uint32_t cpu, StackId stack,
                               std::span<const int64_t> values, uint64_t count) {
  samples_added_ += count;
  profile_.samples.push_back({time_ns, thread, cpu, stack});
  profile_.values.insert(profile_.values.end(), values.begin(), values.end());
}

void ProfileBuilder::SetTimes(int64_t start_time_ns, int64_t duration_ns) {
  profile_.start_time_ns = start_time_ns;
  profile_.duration_ns = duration_ns;
}

void ProfileBuilder::SetTitle(absl::string_view title) { profile_.title = std::string(title); }

void ProfileBuilder::AddComment(absl::string_view comment) {
  profile_.comments.emplace_back(comment);
}

void ProfileBuilder::SetUnnamed(std::vector<UnnamedFrames> unnamed) {
  std::sort(unnamed.begin(), unnamed.end(), [](const UnnamedFrames& a, const UnnamedFrames& b) {
    return std::tie(b.samples, b.frames, a.what, a.why) <
           std::tie(a.samples, a.frames, b.what, b.why);
  });
  profile_.unnamed = std::move(unnamed);
}

void ProfileBuilder::SortSamples() {
  auto earlier = [](const ProfileSample& a, const ProfileSample& b) {
    return a.time_ns < b.time_ns;
  };
  if (std::is_sorted(profile_.samples.begin(), profile_.samples.end(), earlier)) return;
  const size_t types = profile_.sample_types.size();
  std::vector<uint32_t> order(profile_.samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) {
    return earlier(profile_.samples[x], profile_.samples[y]);
  });
  std::vector<ProfileSample> samples;
  std::vector<int64_t> values;
  samples.reserve(order.size());
  values.reserve(profile_.values.size());
  for (uint32_t i : order) {
    samples.push_back(profile_.samples[i]);
    values.insert(values.end(), profile_.values.begin() + i * types,
                  profile_.values.begin() + (i + 1) * types);
  }
  profile_.samples = std::move(samples);
  profile_.values = std::move(values);
}

absl::StatusOr<Profile> ProfileBuilder::Build() && {
  const Accounting& a = profile_.accounting;
  uint64_t explained = a.kept + a.dropped_ring_full + a.dropped_no_stack + a.dropped_queue_full;
  if (a.taken != explained) {
    return absl::InternalError(absl::StrCat("samples do not balance: ", a.taken, " taken, ",
                                            explained, " kept or dropped"));
  }
  if (a.kept != samples_added_) {
    return absl::InternalError(absl::StrCat("samples do not balance: ", a.kept,
                                            " counted as kept, ", samples_added_,
                                            " in the profile"));
  }
  SortSamples();
  absl::Status valid = ValidateProfile(profile_);
  if (!valid.ok()) return absl::InternalError(valid.message());
  return std::move(profile_);
}

absl::Status ValidateProfile(const Profile& p) {
  auto bad = [](absl::string_view what) { return absl::DataLossError(what); };
  if (p.strings.empty() || !p.strings[0].empty()) return bad("string 0 is not empty");
  if (p.sample_types.empty()) return bad("no sample type");
  if (p.values.size() != p.samples.size() * p.sample_types.size()) return bad("value count");
  for (const Function& f : p.functions) {
    if (!InRange(f.name, p.strings) || !InRange(f.system_name, p.strings) ||
        !InRange(f.file, p.strings)) {
      return bad("function names a string that is not there");
    }
  }
  for (const ProfileImage& i : p.images) {
    if (!InRange(i.path, p.strings) || !InRange(i.build_id, p.strings)) {
      return bad("image names a string that is not there");
    }
  }
  for (const Line& l : p.lines) {
    if (!InRange(l.function, p.functions)) return bad("line names a function that is not there");
  }
  for (const Location& l : p.locations) {
    if (l.image.valid() && !InRange(l.image, p.images)) return bad("location without image");
    if (l.line_count == 0 || l.first_line > p.lines.size() ||
        l.line_count > p.lines.size() - l.first_line) {
      return bad("location without lines");
    }
  }
  for (size_t i = 0; i < p.stacks.size(); ++i) {
    const StackNode& s = p.stacks[i];
    if (!InRange(s.location, p.locations)) return bad("stack names a location that is not there");
    if (s.caller.valid() && s.caller.value >= i) return bad("stack is not below its caller");
  }
  for (const Thread& t : p.threads) {
    if (!InRange(t.name, p.strings) || !InRange(t.process_name, p.strings) ||
        !InRange(t.cgroup, p.strings) || !InRange(t.labels, p.strings)) {
      return bad("thread names a string that is not there");
    }
  }
  for (const ProfileSample& s : p.samples) {
    if (!InRange(s.thread, p.threads)) return bad("sample names a thread that is not there");
    if (s.stack.valid() && !InRange(s.stack, p.stacks)) {
      return bad("sample names a stack that is not there");
    }
  }
  return absl::OkStatus();
}

}  // namespace jprof
