#include "tests/unwind/process_tables.h"

#include <algorithm>
#include <variant>

#include "profiler/core/status.h"
#include "profiler/process/target_file.h"

namespace jprof {

bool RecordingUnwindSink::WriteWords(uint32_t first, std::span<const uint64_t> words) {
  pool.resize(std::max<size_t>(pool.size(), first + words.size()));
  std::copy(words.begin(), words.end(), pool.begin() + first);
  return true;
}

bool RecordingUnwindSink::WriteMappings(uint32_t first, std::span<const jp_mapping> added) {
  mappings.resize(std::max<size_t>(mappings.size(), first + added.size()));
  std::copy(added.begin(), added.end(), mappings.begin() + first);
  return true;
}

std::span<const jp_mapping> RecordingUnwindSink::MappingsOf(Pid pid) const {
  auto it = slices.find(pid);
  if (it == slices.end()) return {};
  return std::span(mappings).subspan(it->second.first, it->second.count);
}

ProcessTables::ProcessTables(Pid pid)
    : pid_(pid),
      tables_(sink_,
              {.open_image = [](const MapEvent& map) -> absl::StatusOr<ElfFile> {
                 absl::StatusOr<UniqueFd> file =
                     map.file.valid()
                         ? OpenMappedFile(map.pid,
                                          Mapping{map.range, map.offset, map.file, map.path})
                         : OpenVdso();
                 if (!file.ok()) return file.status();
                 return ElfFile::Open(*std::move(file), map.path);
               },
               .now = [] { return uint64_t{0}; }},
              {}) {
  Refresh();
}

void ProcessTables::Refresh() {
  auto events = SynthesizeProcessEvents(pid_, 0);
  if (!events.ok()) return;
  for (const Event& event : *events) processes_.Apply(event);
  tables_.OnChange(pid_);
  tables_.Update(processes_, 1);
}

}  // namespace jprof
