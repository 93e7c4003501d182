// Which process has which call-frame tables: the table of each file that is mapped, made at first
// sight and shared by all processes that map the file, and of each process the list of its mappings
// that have one. Both are handed to an UnwindSink, where the walk finds them.
//
// All this happens beside the samples, on the pipeline's thread. Until a table is there, and where
// there is no room for it, frames are walked by their frame pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "helpers/abi/unwind_table.h"
#include "profiler/core/event.h"
#include "profiler/core/image.h"
#include "profiler/process/process_table.h"
#include "profiler/unwind/range_allocator.h"
#include "profiler/unwind/unwind_table.h"
#include "symbolize/elf_file.h"

namespace jprof {

// Where tables and mappings are handed to: the kernel half's maps, or a test.
class UnwindSink {
 public:
  virtual ~UnwindSink() = default;
  // Words of the pool, and elements of the array of mappings, that nothing refers to. False: there
  // is no memory for them.
  virtual bool WriteWords(uint32_t first, std::span<const uint64_t> words) = 0;
  virtual bool WriteMappings(uint32_t first, std::span<const jp_mapping> mappings) = 0;
  // From now on these are the process's.
  virtual bool SetMappings(Pid pid, jp_mapping_slice slice) = 0;
  virtual void RemoveMappings(Pid pid) = 0;
};

class UnwindTables {
 public:
  struct World {
    // The file behind a mapping, or the vDSO's image.
    std::function<absl::StatusOr<ElfFile>(const MapEvent&)> open_image;
    std::function<uint64_t()> now;  // nanoseconds, of any steady clock
  };
  struct Limits {
    uint32_t words = 6 << 20;  // of all tables: 48 MB
    uint32_t mappings = 1 << 14;  // of all processes; not more than the sink has
  };

  // `sink` outlives this object.
  UnwindTables(UnwindSink& sink, World world, Limits limits);

  // The mappings of the process are not what they were.
  void OnChange(Pid pid) { changed_.insert(pid); }
  // The process exits, or its address space is replaced.
  void OnGone(Pid pid);

  bool HasPending() const { return !changed_.empty(); }
  // Makes tables and tells the sink for the processes that changed, until that is done or took
  // `budget_ns`.
  void Update(const ProcessTable& processes, uint64_t budget_ns);

  // Of the files seen, those whose tables found no room or were refused as too large.
  uint64_t tables_without_room() const { return tables_without_room_; }
  uint64_t processes_without_room() const { return processes_without_room_; }

 private:
  struct CodeSegment {
    FileOffset offset;
    uint64_t size;
    ElfAddress address;
  };
  struct Image {
    bool tried = false;
    Pid unopened_by = 0;  // not 0: this process gave no access to the file
    std::vector<CodeSegment> code;
    // Where its table lies; `size` 0: it has none.
    jp_mapping table = {};
    uint64_t begin = 0;  // ELF address
    uint32_t first_word = 0;
    uint32_t words = 0;
    uint32_t users = 0;  // mappings that were handed to the sink
  };
  struct KnownProcess {
    jp_mapping_slice slice = {};
    std::vector<jp_mapping> mappings;
    std::vector<FileIdentity> files;  // of them
    bool without_room = false;
  };

  Image& ImageOf(Pid pid, const Mapping& mapping);
  void Load(Image& image, const MapEvent& map);
  bool Place(Image& image, const UnwindTable& table);
  // Gives the pool's words of tables that no process uses back. False: there are none.
  bool Evict();
  void UpdateProcess(const Process& process);

  UnwindSink& sink_;
  World world_;
  RangeAllocator words_;
  RangeAllocator mappings_;
  absl::flat_hash_map<FileIdentity, Image> images_;  // the vDSO has no identity
  absl::flat_hash_map<Pid, KnownProcess> processes_;
  absl::flat_hash_set<Pid> changed_;
  uint64_t tables_without_room_ = 0;
  uint64_t processes_without_room_ = 0;
};

}  // namespace jprof
