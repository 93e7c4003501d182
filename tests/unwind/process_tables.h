// The call-frame tables of a live process, for native walks: made by the same UnwindTables as in
// production, kept in memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "profiler/process/process_table.h"
#include "profiler/unwind/unwind_tables.h"

namespace jprof {

// Keeps what it is told.
class RecordingUnwindSink : public UnwindSink {
 public:
  bool WriteWords(uint32_t first, std::span<const uint64_t> words) override;
  bool WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) override;
  bool SetMappings(Pid pid, jp_mapping_slice slice) override {
    slices[pid] = slice;
    return true;
  }
  void RemoveMappings(Pid pid) override { slices.erase(pid); }

  void SetFile(const FileIdentity& file, const jp_file_table& table) override {
    files[file] = table;
  }
  void RemoveFile(const FileIdentity& file) override { files.erase(file); }

  std::span<const jp_mapping> MappingsOf(Pid pid) const;

  absl::flat_hash_map<FileIdentity, jp_file_table> files;
  std::vector<uint64_t> pool;
  std::vector<jp_mapping> mappings;
  absl::flat_hash_map<Pid, jp_mapping_slice> slices;
};

class ProcessTables {
 public:
  explicit ProcessTables(Pid pid);

  // What has been mapped since is learnt too.
  void Refresh();

  std::span<const uint64_t> pool() const { return sink_.pool; }
  std::span<const jp_mapping> mappings() const { return sink_.MappingsOf(pid_); }

 private:
  Pid pid_;
  RecordingUnwindSink sink_;
  ProcessTable processes_;
  UnwindTables tables_;
};

}  // namespace jprof
