// What the native walk needs of processes, in memory: the layouts and code ranges that RuntimeTable
// finds, the call-frame tables that UnwindTables makes. The counterpart of the kernel half's maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "helpers/layout_sink.h"
#include "profiler/unwind/unwind_tables.h"

namespace jprof {

class WalkTables : public LayoutSink, public UnwindSink {
 public:
  bool SetLayout(uint32_t index, std::span<const std::byte> layout) override;
  bool SetProcess(Pid pid, const jp_process& process) override;
  void RemoveProcess(Pid pid) override { processes_.erase(pid); }
  bool WriteWords(uint32_t first, std::span<const uint64_t> words) override;
  bool WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) override;
  bool SetMappings(Pid pid, jp_mapping_slice slice) override;
  void RemoveMappings(Pid pid) override { slices_.erase(pid); }

  const std::vector<std::vector<std::byte>>& layouts() const { return layouts_; }
  // Without ranges where the process has no runtime.
  jp_process ProcessOf(Pid pid) const;
  std::span<const uint64_t> pool() const { return pool_; }
  std::span<const jp_mapping> MappingsOf(Pid pid) const;

 private:
  std::vector<std::vector<std::byte>> layouts_;
  absl::flat_hash_map<Pid, jp_process> processes_;
  std::vector<uint64_t> pool_;
  std::vector<jp_mapping> mappings_;
  absl::flat_hash_map<Pid, jp_mapping_slice> slices_;
};

}  // namespace jprof
