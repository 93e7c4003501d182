// Which process runs which runtime. Probes each mapped file once, keeps one instance for each
// process and runtime, and tells the LayoutSink which code the helpers are to be asked about.
//
// Owned by the pipeline, used from its thread only. Knows neither BPF nor how files are opened:
// both are handed in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/layout_sink.h"
#include "helpers/runtime.h"
#include "profiler/core/event.h"
#include "profiler/core/image.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"
#include "symbolize/elf_file.h"

namespace jprof {

class RuntimeTable {
 public:
  struct World {
    // The file behind a mapping of a process.
    std::function<absl::StatusOr<ElfFile>(const MapEvent&)> open_image;
    // All mappings of a process, as they are now.
    std::function<absl::StatusOr<std::vector<ProcMapping>>(Pid)> read_maps;
    std::function<std::unique_ptr<MemoryReader>(Pid)> open_memory;
    // The clock of the events' times, in nanoseconds.
    std::function<uint64_t()> now;
  };

  struct Options {
    bool async = false;          // helpers are asked for those who await, too
    bool script_places = false;  // functions have a ScriptPlace
  };

  // `set` and `sink` outlive the table.
  RuntimeTable(const RuntimeSet& set, LayoutSink& sink, World world, const Options& options);
  RuntimeTable(const RuntimeSet& set, LayoutSink& sink, World world)
      : RuntimeTable(set, sink, std::move(world), Options()) {}
  ~RuntimeTable();

  // Reads the process's mappings when they may matter to a helper: at once, unless they were read
  // after the event, or so lately that reading them again would take more than a twentieth of the
  // time. Then RefreshPending() does it, which is to be called some ten times a second.
  void OnMap(const MapEvent& map);
  bool HasPending() const { return !pending_.empty(); }
  void RefreshPending();
  // A new process starts as a copy of its parent, and with its parent's runtimes.
  void OnFork(Pid parent, Pid child);
  // The process exits, or its address space is replaced.
  void OnGone(Pid pid);

  // The process's memory does not look as the runtime's layout says: no helper is asked about it
  // any more, until it execs.
  void Reject(Pid pid, uint8_t runtime);

  // Why no helper is asked about the code of a runtime in the process; "" when none was refused.
  std::string Refusal(Pid pid) const;
  bool HasRuntime(Pid pid) const { return processes_.contains(pid); }

  // The instance that describes symbol records of `runtime` in `pid`; nullptr when there is none.
  RuntimeInstance* Instance(Pid pid, uint8_t runtime);

  // The name that a runtime of the process has for code in anonymous memory.
  std::optional<FrameName> NameCode(Pid pid, Address address);

  const Runtime* RuntimeByNumber(uint8_t number) const { return set_.ByNumber(number); }
  // What the symbol of a runtime's code at `offset` of a file would be; "" where it is not known.
  absl::string_view SymbolOf(const FileIdentity& file, FileOffset offset) const;
  // Whether a runtime's code at `offset` of a file is left out of the picture when no symbol says
  // what it is.
  bool IsPlumbing(const FileIdentity& file, FileOffset offset) const;

  // A function of the process was read as the runtime's layout says.
  void Confirm(Pid pid, uint8_t runtime);

  // What was found, for the verdict: "V8 11.3.244.8 (verified)" when objects of a live process were
  // seen to fit the layout, else "(partly verified)"; and "V8 99.1 has no layout in jprof".
  // Distinct, in the order found.
  std::vector<std::string> recognised() const;
  const std::vector<std::string>& rejected() const { return rejected_; }
  // What the kernel half had no room for: processes, whose runtimes' frames have no names then, and
  // ranges of anonymous code, the smallest of their process.
  uint64_t processes_without_room() const { return processes_without_room_; }
  uint64_t ranges_without_room() const { return ranges_without_room_; }

 private:
  struct KnownImage {
    uint8_t runtime = 0;  // 0: holds none
    uint32_t layout = 0;
    RuntimeImage image;
    bool fits = false;    // seen in a live process
    Pid unopened_by = 0;  // not 0: this process gave no access to the file
    std::string refused;  // why the runtime that it holds cannot be read
  };
  struct KnownProcess {
    std::vector<FileIdentity> images;  // that hold a runtime
    uint32_t life = 0;                 // never 0, never the same for two
    bool rejected = false;             // its memory does not fit the layout
    AddressRange stack;                // of the main thread
    std::vector<AddressRange> jit;     // anonymous code that the helpers are asked about
    uint64_t refreshed_at_ns = 0;      // its mappings were read not before; 0: never
    uint64_t refresh_after_ns = 0;     // they are not read again before
    uint64_t ranges_without_room = 0;
    bool without_room = false;
    std::unique_ptr<MemoryReader> memory;
    absl::flat_hash_map<uint8_t, std::unique_ptr<RuntimeInstance>> instances;
  };

  KnownImage& ProbeImage(const MapEvent& map);
  MemoryReader& MemoryOf(Pid pid, KnownProcess& process);
  KnownProcess& AddProcess(Pid pid);
  // As OnMap() says, for an event of `time_ns`.
  void RequestRefresh(Pid pid, KnownProcess& process, uint64_t time_ns);
  void Refresh(Pid pid, KnownProcess& process);
  void Check(Pid pid, KnownProcess& process, KnownImage& image);

  const RuntimeSet& set_;
  LayoutSink& sink_;
  World world_;
  const Options options_;
  absl::flat_hash_map<FileIdentity, KnownImage> images_;
  absl::flat_hash_map<Pid, KnownProcess> processes_;
  absl::flat_hash_map<Pid, std::string> refusals_;
  uint32_t next_layout_ = 0;
  uint32_t last_life_ = 0;
  absl::flat_hash_set<Pid> pending_;
  uint64_t processes_without_room_ = 0;
  uint64_t ranges_without_room_ = 0;
  std::vector<FileIdentity> recognised_;  // in the order found
  std::vector<std::string> rejected_;
};

}  // namespace jprof
