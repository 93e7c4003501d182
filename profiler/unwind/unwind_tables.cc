#include "profiler/unwind/unwind_tables.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "profiler/unwind/call_frames.h"

namespace jprof {
namespace {

bool Equal(const jp_mapping& a, const jp_mapping& b) {
  return a.begin == b.begin && a.end == b.end && a.base == b.base && a.buckets == b.buckets &&
         a.rows == b.rows && a.rules == b.rules && a.size == b.size;
}

}  // namespace

UnwindTables::UnwindTables(UnwindSink& sink, World world, Limits limits)
    : sink_(sink), world_(std::move(world)), words_(limits.words), mappings_(limits.mappings) {}

void UnwindTables::OnGone(Pid pid) {
  changed_.erase(pid);
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  const KnownProcess& process = it->second;
  sink_.RemoveMappings(pid);
  if (process.slice.count > 0) {
    mappings_.Free(process.slice.first, process.slice.count, world_.now());
  }
  for (const FileIdentity& file : process.files) --images_[file].users;
  processes_.erase(it);
}

bool UnwindTables::Evict() {
  bool any = false;
  for (auto& [file, image] : images_) {
    if (image.users > 0 || image.words == 0) continue;
    words_.Free(image.first_word, image.words, world_.now());
    image = Image();
    any = true;
  }
  return any;
}

bool UnwindTables::Place(Image& image, const UnwindTable& table) {
  const auto words = static_cast<uint32_t>(table.words().size());
  std::optional<uint32_t> first = words_.Allocate(words, world_.now());
  if (!first) {
    // What is evicted now can be used in a while.
    Evict();
    return false;
  }
  if (!sink_.WriteWords(*first, table.words())) {
    words_.Free(*first, words, world_.now());
    return false;
  }
  image.first_word = *first;
  image.words = words;
  image.begin = table.begin().value;
  image.table.buckets = *first;
  image.table.rows = *first + table.bucket_count();
  image.table.rules = image.table.rows + table.row_count();
  image.table.size = table.size();
  return true;
}

void UnwindTables::Load(Image& image, const MapEvent& map) {
  image.tried = true;
  absl::StatusOr<ElfFile> elf = world_.open_image(map);
  if (!elf.ok()) {
    if (!absl::IsInvalidArgument(elf.status()) && !absl::IsDataLoss(elf.status())) {
      image.unopened_by = map.pid;
    }
    return;
  }
  image.unopened_by = 0;
  absl::StatusOr<UnwindTable> table = BuildUnwindTable(*elf);
  if (table.ok() && table->empty()) return;
  if (!table.ok() || !Place(image, *table)) {
    ++tables_without_room_;
    return;
  }
  for (const ElfFile::LoadedSegment& segment : elf->LoadedSegments()) {
    if (!segment.executable) continue;
    if (std::optional<FileOffset> offset = elf->ToFileOffset(segment.begin)) {
      image.code.push_back({*offset, segment.file_size, segment.begin});
    }
  }
}

UnwindTables::Image& UnwindTables::ImageOf(Pid pid, const Mapping& mapping) {
  Image& image = images_[mapping.file];
  if (!image.tried || (image.unopened_by != 0 && image.unopened_by != pid)) {
    Load(image,
         MapEvent{0, pid, mapping.range, mapping.offset, mapping.file, mapping.path});
  }
  return image;
}

void UnwindTables::UpdateProcess(const Process& process) {
  std::vector<jp_mapping> mappings;
  std::vector<FileIdentity> files;
  for (const Mapping& m : process.maps.Mappings()) {
    if (!m.file.valid() && m.path != "[vdso]") continue;
    const Image& image = ImageOf(process.pid, m);
    if (image.table.size == 0) continue;
    for (const CodeSegment& code : image.code) {
      // A mapping has whole pages: it may begin before its segment and end behind it.
      if (m.offset.value + m.range.size() <= code.offset.value ||
          m.offset.value >= code.offset.value + code.size) {
        continue;
      }
      jp_mapping entry = image.table;
      entry.begin = m.range.begin.value;
      entry.end = m.range.end.value;
      entry.base = m.range.begin.value - m.offset.value + code.offset.value -
                   code.address.value + image.begin;
      mappings.push_back(entry);
      files.push_back(m.file);
      break;
    }
  }
  KnownProcess& known = processes_[process.pid];
  if (std::equal(mappings.begin(), mappings.end(), known.mappings.begin(), known.mappings.end(),
                 Equal)) {
    return;
  }
  const uint64_t now = world_.now();
  jp_mapping_slice slice = {};
  bool fits = true;
  if (!mappings.empty()) {
    slice.count = static_cast<uint32_t>(mappings.size());
    const std::optional<uint32_t> first = mappings_.Allocate(slice.count, now);
    fits = first && sink_.WriteMappings(*first, mappings);
    if (fits) {
      slice.first = *first;
      fits = sink_.SetMappings(process.pid, slice);
    }
    if (!fits && first) mappings_.Free(*first, slice.count, now);
  }
  if (!fits) {
    mappings.clear();
    files.clear();
    slice = {};
    if (!std::exchange(known.without_room, true)) ++processes_without_room_;
  }
  if (mappings.empty()) sink_.RemoveMappings(process.pid);
  if (known.slice.count > 0) mappings_.Free(known.slice.first, known.slice.count, now);
  for (const FileIdentity& file : files) ++images_[file].users;
  for (const FileIdentity& file : known.files) --images_[file].users;
  known.slice = slice;
  known.mappings = std::move(mappings);
  known.files = std::move(files);
}

void UnwindTables::Update(const ProcessTable& processes, uint64_t budget_ns) {
  const uint64_t until = world_.now() + budget_ns;
  while (!changed_.empty() && world_.now() < until) {
    const Pid pid = *changed_.begin();
    changed_.erase(changed_.begin());
    const Process* process = processes.Find(pid);
    if (process != nullptr && !process->exited) UpdateProcess(*process);
  }
}

}  // namespace jprof
