#include "profiler/unwind/unwind_tables.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <random>
#include <utility>

namespace jprof {
namespace {

bool Equal(const jp_mapping& a, const jp_mapping& b) {
  return a.begin == b.begin && a.end == b.end && a.base == b.base && a.buckets == b.buckets &&
         a.rows == b.rows && a.rules == b.rules && a.size == b.size;
}

}  // namespace

UnwindTables::UnwindTables(UnwindSink& sink, World world, Limits limits)
    : sink_(sink),
      world_(std::move(world)),
      limits_(limits),
      words_(limits.words),
      mappings_(limits.mappings) {
  if (world_.cache != nullptr) {
    key_ = world_.cache->key();
  } else {
    std::random_device random;
    for (uint64_t& word : key_) word = uint64_t{random()} << 32 | random();
  }
}

void UnwindTables::OnChange(Pid pid) {
  const uint64_t due_ns = world_.now() + limits_.settle_ns;
  if (changed_.try_emplace(pid, due_ns).second) due_.emplace_back(due_ns, pid);
}

void UnwindTables::OnMap(const MapEvent& map) {
  OnChange(map.pid);
  auto known = images_.find(map.file);
  if (known != images_.end() && known->second.unopened_by == 0) return;
  NewFile& file = new_files_[map.file];
  file.map = map;
  new_by_use_.erase({file.mapped, map.file});
  new_by_use_.emplace(++file.mapped, map.file);
}

bool UnwindTables::HasPending() const {
  return !new_files_.empty() || (!due_.empty() && due_.front().first <= world_.now());
}

void UnwindTables::OnGone(Pid pid) {
  changed_.erase(pid);
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  const KnownProcess& process = it->second;
  sink_.RemoveMappings(pid);
  if (process.slice.count > 0) {
    mappings_.Free(process.slice.first, process.slice.count, world_.now());
  }
  for (const Fingerprint& table : process.tables) --tables_[table].users;
  processes_.erase(it);
}

uint64_t UnwindTables::tables_without_room() const {
  return static_cast<uint64_t>(
      std::count_if(tables_.begin(), tables_.end(),
                    [](const auto& table) { return table.second.without_room; }) +
      std::count_if(images_.begin(), images_.end(),
                    [](const auto& image) { return image.second.too_large; }));
}

void UnwindTables::Evict() {
  auto unused = [](const Table& table) { return table.users == 0 && table.words > 0; };
  for (const auto& [file, image] : images_) {
    if (image.table && unused(tables_[*image.table])) sink_.RemoveFile(file);
  }
  absl::erase_if(tables_, [&](const auto& entry) {
    const Table& table = entry.second;
    if (!unused(table)) return false;
    words_.Free(table.first_word, table.words, world_.now());
    return true;
  });
}

UnwindTables::Table UnwindTables::MakeTable(const CallFrames& frames,
                                            const Fingerprint& fingerprint) {
  Table result;
  std::optional<UnwindTable> table;
  if (world_.cache != nullptr) table = world_.cache->Find(fingerprint);
  if (!table) {
    absl::StatusOr<UnwindTable> made = frames.Build();
    if (made.ok() && made->empty()) return result;
    if (made.ok()) table = *std::move(made);
    if (table && world_.cache != nullptr) world_.cache->Put(fingerprint, *table);
  }
  if (!table) {
    result.without_room = true;
    result.retry_at_ns = UINT64_MAX;
    return result;
  }
  const auto words = static_cast<uint32_t>(table->words().size());
  const uint64_t now = world_.now();
  const std::optional<uint32_t> first = words_.Allocate(words, now);
  if (!first || !sink_.WriteWords(*first, table->words())) {
    if (first) words_.Free(*first, words, now);
    Evict();
    result.without_room = true;
    result.retry_at_ns = now + RangeAllocator::kRestNs;
    return result;
  }
  result.first_word = *first;
  result.words = words;
  result.begin = table->begin().value;
  result.mapping.buckets = *first;
  result.mapping.rows = *first + table->rows_at();
  result.mapping.rules = *first + table->rules_at();
  result.mapping.size = table->size();
  return result;
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
  CallFrames frames(*elf);
  if (frames.lacks_much() && world_.open_debug_file && !elf->build_id().empty()) {
    absl::StatusOr<ElfFile> debug = world_.open_debug_file(elf->build_id());
    if (debug.ok()) frames.AddDebugFile(*debug);
  }
  image.too_large = frames.too_large();
  if (frames.empty()) return;
  image.table = frames.FingerprintWith(key_);
  if (!HasTable(image)) {
    Table table = MakeTable(frames, *image.table);
    tables_[*image.table] = table;
  }
  for (const ElfFile::LoadedSegment& segment : elf->LoadedSegments()) {
    if (!segment.executable) continue;
    if (std::optional<FileOffset> offset = elf->ToFileOffset(segment.begin)) {
      image.code.push_back({*offset, segment.file_size, segment.begin});
    }
  }
}

void UnwindTables::TellOfFile(const FileIdentity& file, const Image& image) {
  jp_file_table value = {};
  if (image.table && tables_[*image.table].words > 0 && image.code.size() <= JP_FILE_SEGMENTS) {
    const Table& table = tables_[*image.table];
    value.mapping = table.mapping;
    for (const CodeSegment& code : image.code) {
      value.segments[value.segment_count++] = {code.offset.value, code.size, ShiftOf(code, table)};
    }
  }
  sink_.SetFile(file, value);
}

bool UnwindTables::HasTable(const Image& image) const {
  auto it = tables_.find(*image.table);
  return it != tables_.end() &&
         !(it->second.without_room && it->second.retry_at_ns <= world_.now());
}

UnwindTables::Image& UnwindTables::ImageOf(const MapEvent& map) {
  if (images_.size() >= kMaxImages && !images_.contains(map.file)) {
    for (const auto& [file, image] : images_) sink_.RemoveFile(file);
    images_.clear();  // those in use come again
    absl::erase_if(tables_, [](const auto& entry) { return entry.second.words == 0; });
  }
  Image& image = images_[map.file];
  if (!image.tried || (image.table && !HasTable(image)) ||
      (image.unopened_by != 0 && image.unopened_by != map.pid)) {
    image = Image();
    Load(image, map);
    TellOfFile(map.file, image);
  }
  return image;
}

void UnwindTables::UpdateProcess(const Process& process) {
  std::vector<jp_mapping> mappings;
  std::vector<Fingerprint> used;
  for (const Mapping& m : process.maps.Mappings()) {
    if (!m.file.valid() && m.path != "[vdso]") continue;
    const Image& image =
        ImageOf(MapEvent{0, process.pid, m.range, m.offset, m.file, m.path});
    if (!image.table) continue;
    Table& table = tables_[*image.table];
    if (table.words == 0) continue;
    for (const CodeSegment& code : image.code) {
      // A mapping has whole pages: it may begin before its segment and end behind it.
      if (m.offset.value + m.range.size() <= code.offset.value ||
          m.offset.value >= code.offset.value + code.size) {
        continue;
      }
      jp_mapping entry = table.mapping;
      entry.begin = m.range.begin.value;
      entry.end = m.range.end.value;
      entry.base = m.range.begin.value - m.offset.value + ShiftOf(code, table);
      mappings.push_back(entry);
      used.push_back(*image.table);
      ++table.users;  // at once: what comes next may evict
      break;
    }
  }
  KnownProcess& known = processes_[process.pid];
  if (std::equal(mappings.begin(), mappings.end(), known.mappings.begin(), known.mappings.end(),
                 Equal)) {
    for (const Fingerprint& table : used) --tables_[table].users;
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
    for (const Fingerprint& table : used) --tables_[table].users;
    used.clear();
    slice = {};
    if (!std::exchange(known.without_room, true)) ++processes_without_room_;
  }
  if (mappings.empty()) sink_.RemoveMappings(process.pid);
  if (known.slice.count > 0) mappings_.Free(known.slice.first, known.slice.count, now);
  for (const Fingerprint& table : known.tables) --tables_[table].users;
  known.slice = slice;
  known.mappings = std::move(mappings);
  known.tables = std::move(used);
}

void UnwindTables::Update(const ProcessTable& processes, uint64_t budget_ns) {
  const uint64_t until = world_.now() + budget_ns;
  while (!new_files_.empty() && world_.now() < until) {
    // What most processes need comes first.
    const auto last = std::prev(new_by_use_.end());
    auto first = new_files_.find(last->second);
    const MapEvent map = std::move(first->second.map);
    new_files_.erase(first);
    new_by_use_.erase(last);
    ImageOf(map);
  }
  while (!due_.empty() && due_.front().first <= world_.now() && world_.now() < until) {
    const auto [due_ns, pid] = due_.front();
    due_.pop_front();
    auto it = changed_.find(pid);
    if (it == changed_.end() || it->second != due_ns) continue;
    changed_.erase(it);
    const Process* process = processes.Find(pid);
    if (process != nullptr && !process->exited) UpdateProcess(*process);
  }
}

}  // namespace jprof
