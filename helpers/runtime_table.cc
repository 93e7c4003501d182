#include "helpers/runtime_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr uint64_t kMinRefreshNs = 50'000'000;
constexpr uint64_t kRefreshShare = 20;  // at most one of so many parts of the time goes into it
// A target that maps ever new files or names must not make us grow.
constexpr size_t kMaxImages = 65536;
constexpr size_t kMaxDistinct = 256;

// A runtime reserves more than it makes executable at first, and grows into it. Taking the whole
// run of anonymous mappings around executable ones means that code made later is known at once. No
// other code can be there: it would have a file.
std::vector<AddressRange> AnonymousCode(const std::vector<ProcMapping>& maps) {
  std::vector<AddressRange> result;
  for (size_t i = 0; i < maps.size();) {
    if (maps[i].file.valid() || !maps[i].path.empty()) {
      ++i;
      continue;
    }
    size_t first = i;
    bool code = false;
    while (i < maps.size() && !maps[i].file.valid() && maps[i].path.empty() &&
           (i == first || maps[i].range.begin == maps[i - 1].range.end)) {
      code |= maps[i].executable;
      ++i;
    }
    if (code) result.push_back({maps[first].range.begin, maps[i - 1].range.end});
  }
  return result;
}

void AddDistinct(std::vector<std::string>& list, std::string text) {
  if (list.size() >= kMaxDistinct) return;
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

}  // namespace

RuntimeTable::RuntimeTable(const RuntimeSet& set, LayoutSink& sink, World world,
                           const Options& options)
    : set_(set), sink_(sink), world_(std::move(world)), options_(options) {}

RuntimeTable::~RuntimeTable() = default;

RuntimeTable::KnownImage& RuntimeTable::ProbeImage(const MapEvent& map) {
  if (images_.size() >= kMaxImages && !images_.contains(map.file)) {
    // Those without a runtime can be looked into again.
    absl::erase_if(images_, [](const auto& entry) { return entry.second.runtime == 0; });
  }
  auto [it, added] = images_.try_emplace(map.file);
  KnownImage& known = it->second;
  // Where one process does not let us open it, another one may.
  if (!added && (known.unopened_by == 0 || known.unopened_by == map.pid)) return known;
  absl::StatusOr<ElfFile> image = world_.open_image(map);
  known.unopened_by = image.ok() ? 0 : map.pid;
  if (!image.ok()) return known;
  for (size_t i = 0; i < set_.runtimes.size(); ++i) {
    auto found = set_.runtimes[i]->Probe(*image);
    if (!found.ok()) {
      known.refused = std::string(found.status().message());
      AddDistinct(rejected_, known.refused);
      continue;
    }
    if (!found->has_value() || (*found)->layout.size() > JP_LAYOUT_BYTES) continue;
    if (next_layout_ >= JP_MAX_LAYOUTS) {
      known.refused = "more distinct runtime binaries than the kernel half has room for";
      AddDistinct(rejected_, known.refused);
      continue;
    }
    if (!sink_.SetLayout(next_layout_, (*found)->layout)) {
      known.refused = absl::StrCat((*found)->version, ": the kernel takes no layout");
      AddDistinct(rejected_, known.refused);
      continue;
    }
    known = {static_cast<uint8_t>(i + 1), next_layout_++, *std::move(*found)};
    known.image.native_walk = set_.native_walk;
    known.image.number = known.runtime;
    recognised_.push_back(map.file);
    break;
  }
  return known;
}

MemoryReader& RuntimeTable::MemoryOf(Pid pid, KnownProcess& process) {
  if (process.memory == nullptr) process.memory = world_.open_memory(pid);
  return *process.memory;
}

// One look for each process, until one was seen to fit. A process that has just been started tells
// nothing.
void RuntimeTable::Check(Pid pid, KnownProcess& process, KnownImage& image) {
  if (image.fits || process.rejected || process.stack.empty()) return;
  const Fit fit =
      set_.ByNumber(image.runtime)->Check(image.image, MemoryOf(pid, process), process.stack);
  image.fits = fit == Fit::kFits;
  if (fit == Fit::kDoesNotFit) Reject(pid, image.runtime);
}

void RuntimeTable::Confirm(Pid pid, uint8_t runtime) {
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  for (const FileIdentity& file : it->second.images) {
    KnownImage& image = images_[file];
    if (image.runtime == runtime) image.fits = true;
  }
}

std::vector<std::string> RuntimeTable::recognised() const {
  std::vector<std::string> result;
  for (const FileIdentity& file : recognised_) {
    const KnownImage& known = images_.at(file);
    const bool verified = known.fits && !known.image.is_partial;
    AddDistinct(result,
                absl::StrCat(known.image.version, verified ? " (verified)" : " (partly verified)"));
  }
  return result;
}

RuntimeTable::KnownProcess& RuntimeTable::AddProcess(Pid pid) {
  KnownProcess& process = processes_[pid];
  process = KnownProcess{};
  process.life = ++last_life_;
  return process;
}

void RuntimeTable::OnMap(const MapEvent& map) {
  if (map.file.valid()) {
    KnownImage& image = ProbeImage(map);
    if (!image.refused.empty()) refusals_.try_emplace(map.pid, image.refused);
    auto it = processes_.find(map.pid);
    if (image.runtime != 0) {
      if (it == processes_.end()) {
        AddProcess(map.pid);
        it = processes_.find(map.pid);
      }
      auto& images = it->second.images;
      if (std::find(images.begin(), images.end(), map.file) == images.end()) {
        images.push_back(map.file);
        Refresh(map.pid, it->second);
        Check(map.pid, it->second, image);
      } else {
        RequestRefresh(map.pid, it->second, map.time_ns);
      }
    } else if (it != processes_.end()) {
      // A library where there was JIT code: its code is native now.
      for (const AddressRange& jit : it->second.jit) {
        if (jit.Overlaps(map.range)) {
          RequestRefresh(map.pid, it->second, map.time_ns);
          break;
        }
      }
    }
    return;
  }
  auto it = processes_.find(map.pid);
  if (it == processes_.end()) return;
  for (const AddressRange& jit : it->second.jit) {
    if (jit.begin <= map.range.begin && map.range.end <= jit.end) return;
  }
  RequestRefresh(map.pid, it->second, map.time_ns);
}

void RuntimeTable::RequestRefresh(Pid pid, KnownProcess& process, uint64_t time_ns) {
  if (time_ns < process.refreshed_at_ns) return;
  if (world_.now() < process.refresh_after_ns) {
    pending_.insert(pid);
  } else {
    Refresh(pid, process);
  }
}

void RuntimeTable::RefreshPending() {
  if (pending_.empty()) return;
  const uint64_t now = world_.now();
  std::vector<Pid> due;
  for (Pid pid : pending_) {
    auto it = processes_.find(pid);
    if (it == processes_.end() || it->second.refresh_after_ns <= now) due.push_back(pid);
  }
  for (Pid pid : due) {
    pending_.erase(pid);
    auto it = processes_.find(pid);
    if (it != processes_.end()) Refresh(pid, it->second);
  }
}

void RuntimeTable::Reject(Pid pid, uint8_t runtime) {
  auto it = processes_.find(pid);
  if (it == processes_.end() || it->second.rejected) return;
  it->second.rejected = true;
  sink_.RemoveProcess(pid);
  for (const FileIdentity& file : it->second.images) {
    const KnownImage& image = images_[file];
    if (image.runtime != runtime) continue;
    AddDistinct(rejected_, absl::StrCat(image.image.version, " of pid ", pid,
                                        ": its memory does not fit the layout"));
    refusals_[pid] = absl::StrCat(image.image.version, ": its memory does not fit the layout");
  }
}

void RuntimeTable::Refresh(Pid pid, KnownProcess& process) {
  if (process.rejected) return;
  process.refreshed_at_ns = world_.now();
  absl::StatusOr<std::vector<ProcMapping>> maps = world_.read_maps(pid);
  const uint64_t done_ns = world_.now();
  process.refresh_after_ns =
      done_ns + std::max(kMinRefreshNs, kRefreshShare * (done_ns - process.refreshed_at_ns));
  if (!maps.ok()) return;  // gone, or going
  jp_process value = {.life = process.life, .flags = options_.async ? JP_PROCESS_ASYNC : 0u};
  uint64_t without_room = 0;
  auto add = [&](AddressRange range, const KnownImage& image, jp_range_kind kind) {
    if (range.empty()) return;
    if (value.range_count == JP_MAX_RANGES) {
      ++without_room;
      return;
    }
    value.ranges[value.range_count++] = {range.begin.value, range.end.value,         image.layout,
                                         image.runtime,     static_cast<__u8>(kind), 0};
  };
  for (const ProcMapping& m : *maps) {
    if (!m.file.valid() && m.path == "[stack]") process.stack = m.range;
  }
  const KnownImage* jit_owner = nullptr;
  for (const FileIdentity& file : process.images) {
    const KnownImage& image = images_[file];
    if (image.image.owns_anonymous_code) jit_owner = &image;
    for (const ProcMapping& m : *maps) {
      if (m.file != file || !m.executable) continue;
      for (const FileRange& code : image.image.code) {
        const uint64_t from = std::max(m.offset.value, code.begin.value);
        const uint64_t to = std::min(m.offset.value + m.range.size(), code.end.value);
        if (from >= to) continue;
        add({m.range.begin + (from - m.offset.value), m.range.begin + (to - m.offset.value)}, image,
            JP_RANGE_IMAGE);
      }
    }
  }
  process.jit.clear();
  if (jit_owner != nullptr) {
    value.new_code_layout = static_cast<__u16>(jit_owner->layout);
    value.new_code_runtime = jit_owner->runtime;
    process.jit = AnonymousCode(*maps);
    // The kernel half has room for a few ranges. The largest runs are kept: they are the code
    // ranges that a runtime reserved, the small ones thunks.
    std::vector<AddressRange> largest = process.jit;
    std::stable_sort(largest.begin(), largest.end(),
                     [](const auto& a, const auto& b) { return a.size() > b.size(); });
    for (const AddressRange& range : largest) add(range, *jit_owner, JP_RANGE_JIT);
  }
  if (without_room > process.ranges_without_room) {
    ranges_without_room_ += without_room - process.ranges_without_room;
    process.ranges_without_room = without_room;
  }
  if (!sink_.SetProcess(pid, value) && !std::exchange(process.without_room, true)) {
    ++processes_without_room_;
  }
}

void RuntimeTable::OnFork(Pid parent, Pid child) {
  if (auto refused = refusals_.find(parent); refused != refusals_.end()) {
    refusals_[child] = std::string(refused->second);
  }
  auto it = processes_.find(parent);
  if (it == processes_.end()) return;
  std::vector<FileIdentity> images = it->second.images;
  KnownProcess& copy = AddProcess(child);
  copy.images = std::move(images);
  Refresh(child, copy);
}

void RuntimeTable::OnGone(Pid pid) {
  refusals_.erase(pid);
  if (processes_.erase(pid) > 0) sink_.RemoveProcess(pid);
}

std::string RuntimeTable::Refusal(Pid pid) const {
  auto it = refusals_.find(pid);
  return it == refusals_.end() ? "" : it->second;
}

RuntimeInstance* RuntimeTable::Instance(Pid pid, uint8_t runtime) {
  auto it = processes_.find(pid);
  if (it == processes_.end()) return nullptr;
  KnownProcess& process = it->second;
  auto found = process.instances.find(runtime);
  if (found != process.instances.end()) return found->second.get();
  for (const FileIdentity& file : process.images) {
    const KnownImage& image = images_[file];
    if (image.runtime != runtime) continue;
    auto instance = set_.ByNumber(runtime)->Attach(image.image, MemoryOf(pid, process));
    if (options_.script_places) instance->WantScriptPlaces();
    return process.instances.emplace(runtime, std::move(instance)).first->second.get();
  }
  return nullptr;
}

std::optional<FrameName> RuntimeTable::NameCode(Pid pid, Address address) {
  auto it = processes_.find(pid);
  if (it == processes_.end() || it->second.rejected) return std::nullopt;
  for (const FileIdentity& file : it->second.images) {
    const KnownImage& image = images_[file];
    if (!image.image.owns_anonymous_code) continue;
    if (RuntimeInstance* instance = Instance(pid, image.runtime)) {
      if (auto name = instance->NameCode(address)) return name;
    }
  }
  return std::nullopt;
}

absl::string_view RuntimeTable::SymbolOf(const FileIdentity& file, FileOffset offset) const {
  auto it = images_.find(file);
  if (it == images_.end()) return "";
  const std::vector<NamedCode>& functions = it->second.image.named_code;
  auto behind = std::upper_bound(
      functions.begin(), functions.end(), offset,
      [](FileOffset at, const NamedCode& function) { return at < function.code.begin; });
  if (behind == functions.begin() || !(offset < std::prev(behind)->code.end)) return "";
  return std::prev(behind)->symbol;
}

bool RuntimeTable::IsPlumbing(const FileIdentity& file, FileOffset offset) const {
  auto it = images_.find(file);
  if (it == images_.end()) return false;
  const std::vector<FileRange>& ranges = it->second.image.plumbing;
  return std::any_of(ranges.begin(), ranges.end(), [offset](const FileRange& range) {
    return range.begin <= offset && offset < range.end;
  });
}

}  // namespace jprof
