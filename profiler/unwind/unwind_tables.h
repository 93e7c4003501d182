// Which process has which call-frame tables: the table of each file that is mapped, made at first
// sight or read from the cache, shared by all files and processes that have the same, and of each
// process the list of its mappings that have one. Both are handed to an UnwindSink, where the walk
// finds them.
//
// All this happens beside the samples, on the pipeline's thread. Until a table is there, and where
// there is no room for it, frames are walked by their frame pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "helpers/abi/unwind_table.h"
#include "profiler/core/event.h"
#include "profiler/core/image.h"
#include "profiler/process/process_table.h"
#include "profiler/unwind/call_frames.h"
#include "profiler/unwind/fingerprint.h"
#include "profiler/unwind/range_allocator.h"
#include "profiler/unwind/unwind_cache.h"
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
  // From now on this is the file's table, for mappings that nobody told of yet; without identity it
  // is the vDSO's. Without segments: the file is known and has none. If there is no room, such
  // mappings have none. For a sink that meets no such mappings, nothing.
  virtual void SetFile(const FileIdentity&, const jp_file_table&) {}
  virtual void RemoveFile(const FileIdentity&) {}
};

class UnwindTables {
 public:
  struct World {
    // The file behind a mapping, or the vDSO's image.
    std::function<absl::StatusOr<ElfFile>(const MapEvent&)> open_image;
    // The separate debug file of this build ID; empty: there are none.
    std::function<absl::StatusOr<ElfFile>(const std::string& build_id)> open_debug_file = nullptr;
    std::function<uint64_t()> now;  // nanoseconds, of any steady clock
    UnwindCache* cache = nullptr;   // outlives the tables; nullptr: none
  };
  struct Limits {
    uint32_t words = 6 << 20;  // of all tables: 48 MB
    uint32_t mappings = 1 << 14;  // of all processes; not more than the sink has
    // A process whose mappings changed is left alone for so long: many end before, and the sink
    // knows the files.
    uint64_t settle_ns = 0;
  };

  // `sink` outlives this object.
  UnwindTables(UnwindSink& sink, World world, Limits limits);

  // The mappings of the process are not what they were.
  void OnChange(Pid pid);
  // The process maps a file, or the vDSO.
  void OnMap(const MapEvent& map);
  // The process exits, or its address space is replaced.
  void OnGone(Pid pid);

  // Whether there is work for an Update() now, and whether there will be.
  bool HasPending() const;
  bool HasLater() const { return !changed_.empty(); }
  // Makes tables of new files, then tells the sink of the processes that changed, until that is
  // done or took `budget_ns`.
  void Update(const ProcessTable& processes, uint64_t budget_ns);

  // Those that are too large, or found no room yet.
  uint64_t tables_without_room() const;
  uint64_t processes_without_room() const { return processes_without_room_; }

 private:
  struct CodeSegment {
    FileOffset offset;
    uint64_t size;
    ElfAddress address;
  };
  // A table in the pool; no words: it has none there.
  struct Table {
    jp_mapping mapping = {};  // the same in all that refer to it
    uint64_t begin = 0;       // ELF address
    uint32_t first_word = 0;
    uint32_t words = 0;
    uint32_t users = 0;  // mappings that were handed to the sink
    bool without_room = false;
    uint64_t retry_at_ns = 0;  // for room, where there was none
  };
  // What a mapping's base is beyond the address of its file's begin.
  static uint64_t ShiftOf(const CodeSegment& code, const Table& table) {
    return code.offset.value - code.address.value + table.begin;
  }
  struct Image {
    bool tried = false;
    bool too_large = false;  // to be read in full
    Pid unopened_by = 0;  // not 0: this process gave no access to the file
    std::vector<CodeSegment> code;
    std::optional<Fingerprint> table;
  };
  struct KnownProcess {
    jp_mapping_slice slice = {};
    std::vector<jp_mapping> mappings;
    std::vector<Fingerprint> tables;  // of them
    bool without_room = false;
  };

  static constexpr size_t kMaxImages = 1 << 16;

  Image& ImageOf(const MapEvent& map);
  bool HasTable(const Image& image) const;
  void Load(Image& image, const MapEvent& map);
  // Makes it or reads it, and gives it words of the pool.
  Table MakeTable(const CallFrames& frames, const Fingerprint& fingerprint);
  // Forgets tables that no process uses.
  void Evict();
  void TellOfFile(const FileIdentity& file, const Image& image);
  void UpdateProcess(const Process& process);

  UnwindSink& sink_;
  World world_;
  const Limits limits_;
  RangeAllocator words_;
  RangeAllocator mappings_;
  absl::flat_hash_map<FileIdentity, Image> images_;  // the vDSO has no identity
  absl::flat_hash_map<Fingerprint, Table> tables_;
  FingerprintKey key_;
  absl::flat_hash_map<Pid, KnownProcess> processes_;
  absl::flat_hash_map<Pid, uint64_t> changed_;         // and when it is due
  std::deque<std::pair<uint64_t, Pid>> due_;  // the same by time; stale where not in changed_
  struct NewFile {
    MapEvent map;  // the last one: that process is there longest
    uint64_t mapped = 0;
  };
  absl::flat_hash_map<FileIdentity, NewFile> new_files_;
  absl::btree_set<std::pair<uint64_t, FileIdentity>> new_by_use_;  // the same: NewFile::mapped
  uint64_t processes_without_room_ = 0;
};

}  // namespace jprof
