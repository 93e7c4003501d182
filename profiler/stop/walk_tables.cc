#include "profiler/stop/walk_tables.h"

#include <algorithm>

namespace jprof {

bool WalkTables::SetLayout(uint32_t index, std::span<const std::byte> layout) {
  if (layouts_.size() <= index) layouts_.resize(index + 1);
  layouts_[index].assign(layout.begin(), layout.end());
  return true;
}

bool WalkTables::SetProcess(Pid pid, const jp_process& process) {
  processes_[pid] = process;
  return true;
}

bool WalkTables::WriteWords(uint32_t first, std::span<const uint64_t> words) {
  pool_.resize(std::max<size_t>(pool_.size(), first + words.size()));
  std::copy(words.begin(), words.end(), pool_.begin() + first);
  return true;
}

bool WalkTables::WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) {
  mappings_.resize(std::max<size_t>(mappings_.size(), first + mappings.size()));
  std::copy(mappings.begin(), mappings.end(), mappings_.begin() + first);
  return true;
}

bool WalkTables::SetMappings(Pid pid, jp_mapping_slice slice) {
  slices_[pid] = slice;
  return true;
}

jp_process WalkTables::ProcessOf(Pid pid) const {
  auto it = processes_.find(pid);
  return it == processes_.end() ? jp_process{} : it->second;
}

std::span<const jp_mapping> WalkTables::MappingsOf(Pid pid) const {
  auto it = slices_.find(pid);
  if (it == slices_.end()) return {};
  return std::span(mappings_).subspan(it->second.first, it->second.count);
}

}  // namespace jprof
