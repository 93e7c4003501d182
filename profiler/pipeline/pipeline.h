// From events to a profile: everything between the capture and the exporters, which a test
// feeds with scripted events: it is driven by its caller's thread, and what it needs of the world
// is handed in.
//
//   Map, Comm, Fork, Exit --> ProcessTable, RuntimeTable, ImageTable, UnwindTables
//   Stack, KernelStack, Symbol --> kept by number until a sample refers to them
//   Sample --> frames of its stack --> (image, file offset) or a runtime's name --> kept
//   Finish(): code of jitdumps is named by the time of each sample, each image's offsets are named,
//   once; the profile is built.
//
// Stacks and names that came by number are kept as long as the kernel half may refer to them, which
// only it knows. So when they have become many it is told to forget its numbers, names first, since
// its stacks refer to them; a second after each step, by the time of the samples, all that began
// before is over, and in the end what had an old number can go. A stack that is met again comes
// again. (To drop the least used ones would be a guess at what the kernel's caches still hold.)
//
// All else that grows with the length of a recording is bounded too: samples in kept_samples.h,
// frames and stacks in frame_table.h, the rest here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/layout_sink.h"
#include "helpers/perfmap/perf_map.h"
#include "helpers/runtime.h"
#include "helpers/runtime_table.h"
#include "profiler/core/accounting.h"
#include "profiler/core/event.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/frame_resolver.h"
#include "profiler/pipeline/frame_table.h"
#include "profiler/pipeline/image_table.h"
#include "profiler/pipeline/jit_dumps.h"
#include "profiler/pipeline/kept_samples.h"
#include "profiler/pipeline/kernel_names.h"
#include "profiler/pipeline/namer.h"
#include "profiler/pipeline/original_names.h"
#include "profiler/pipeline/perf_maps.h"
#include "profiler/pipeline/profile_draft.h"
#include "profiler/pipeline/source_maps.h"
#include "profiler/process/process_table.h"
#include "profiler/unwind/unwind_tables.h"

namespace jprof {

// What would have told of a process that nothing was heard of, at this time.
using DescribeFunction = std::function<absl::StatusOr<std::vector<Event>>(Pid, uint64_t time_ns)>;

// What the pipeline needs of the world outside. All are called from its thread.
struct PipelineWorld {
  // Perhaps path-only (target_file.h), if `image_files` opens such.
  std::function<absl::StatusOr<UniqueFd>(const MapEvent&)> open_file;
  // The same through the root of another process, for when that of the mapping is gone; 0: our own.
  std::function<absl::StatusOr<UniqueFd>(const MapEvent&, Pid root_of)> open_file_through =
      nullptr;
  std::function<absl::StatusOr<std::vector<ProcMapping>>(Pid)> read_maps;
  DescribeFunction describe = nullptr;
  std::function<absl::StatusOr<std::string>(Pid)> read_cgroup = nullptr;
  std::function<std::unique_ptr<MemoryReader>(Pid)> open_memory;
  PerfMaps::Opener open_perf_map;
  // Of a file that the process maps, as open_file opens it; the text is for messages. Empty:
  // jitdumps are not used.
  std::function<absl::StatusOr<JitDump>(Pid, UniqueFd, absl::string_view)> open_jit_dump = nullptr;
  std::function<absl::StatusOr<UniqueFd>(Pid)> open_root;  // empty: all paths are jprof's own
  SymbolizeFunction symbolize;                             // empty: in this process
  ImageFiles image_files = {};  // by any thread
  // Of a script that the process runs, or in the user's directory (PipelineOptions::source_maps).
  SourceMaps::Opener open_source_map = nullptr;
  ReadMapsFunction read_source_maps = nullptr;  // empty: in this process
  std::function<uint64_t()> now;  // the clock of the events' times
  // CPU time that a sample of that time stands for; empty: PipelineOptions::period_ns.
  std::function<uint32_t(uint64_t time_ns)> period_ns = nullptr;
  std::string kallsyms = "/proc/kallsyms";
  std::string modules = "/proc/modules";
  KernelNames::MakeAsker name_kernel = nullptr;  // empty: by these lists
};

struct PipelineOptions {
  Pid only_pid = 0;         // 0: every process
  bool use_helpers = true;  // false: JIT code is named by jitdumps and perf maps alone
  bool tiers = false;       // prefix functions with RuntimeInstance::Tier()
  bool async = false;       // show those who await asynchronous functions
  bool inlines = false;     // show inlined functions of native code as frames
  bool lines = false;       // show frames by executing line
  bool places = false;      // PlacesOf() is of use
  bool values = false;      // ValuesOf() is of use; with `places`
  // Show functions of scripts by their originals; nullopt: not.
  std::optional<SourceMaps::Options> source_maps;
  int64_t period_ns = 0;    // of CPU time, between two samples
  int symbol_threads = 2;
  // Beyond these numbered things are forgotten,
  size_t max_stack_bytes = size_t{64} << 20;
  size_t max_symbols = 1 << 20;
  // samples are merged,
  size_t max_samples = 1 << 19;
  // new functions and stacks are left out,
  size_t max_frame_bytes = size_t{64} << 20;
  // so are names of threads, processes and control groups,
  size_t max_comm_bytes = size_t{8} << 20;
  // a perf map that is read is given up,
  size_t max_perf_map_bytes = size_t{512} << 20;  // of all together, and of all jitdumps
  // perf maps are read no further,
  uint64_t max_perf_map_reads = uint64_t{2} << 30;  // bytes, of all together; so are jitdumps
  // and files are not kept open.
  size_t max_pinned_files = SIZE_MAX;
  // It will be asked for snapshots, or drafts.
  bool live = false;
  // Call-frame tables are handed to this; nullptr: none are made.
  UnwindSink* unwind_sink = nullptr;
  UnwindTables::Limits unwind_limits;
  UnwindCache* unwind_cache = nullptr;  // outlives the pipeline; nullptr: none
};

// Lets `world` open the source maps of live processes' scripts: those that the scripts name
// ("auto"), or those in a directory; "": none. Returns PipelineOptions::source_maps. NotFound: no
// such directory.
absl::StatusOr<std::optional<SourceMaps::Options>> OpenSourceMaps(const std::string& where,
                                                                  PipelineWorld& world);

class Pipeline {
 public:
  // `runtimes` and `sink` outlive the pipeline.
  Pipeline(PipelineOptions options, const RuntimeSet& runtimes, LayoutSink& sink,
           PipelineWorld world);
  ~Pipeline();

  // One event, in the stream's order (profiler/core/event.h).
  void Handle(Event event);
  // What was put off, because doing it at each event would cost too much: to be called some ten
  // times a second while HasPending(), and all the time while HasTablesToMake(): call-frame tables
  // are made for `budget_ns` at a time.
  void HandlePending(uint64_t budget_ns = 20'000'000);
  bool HasPending() const {
    return runtimes_.HasPending() || (unwind_ && unwind_->HasLater()) || jit_dumps_.HasAny();
  }
  bool HasTablesToMake() const { return unwind_ && unwind_->HasPending(); }

  // Since the last snapshot.
  uint64_t samples() const { return accounting_.kept; }
  // How they are kept.
  const KeptSamples& kept_samples() const { return samples_; }
  size_t frame_bytes() const { return frames_.bytes(); }  // about
  const ProcessTable& processes() const { return processes_; }
  const RuntimeTable& runtimes() const { return runtimes_; }
  const FrameResolver& resolver() const { return resolver_; }
  const UnwindTables* unwind_tables() const { return unwind_ ? &*unwind_ : nullptr; }
  const Accounting& accounting() const { return accounting_; }
  uint64_t unopened_images() const { return images_.unopened(); }
  uint64_t images_over_limit() const { return images_.over_limit(); }
  // What is kept by number now.
  size_t numbered() const {
    return user_stacks_.size() + kernel_stacks_.size() + symbol_names_.size();
  }
  // Records of functions that nothing could be read from.
  uint64_t symbols_dropped() const { return symbols_dropped_; }

  // Perf maps that were there and did not name all that they should, with the reason.
  std::vector<std::string> PerfMapTroubles() const { return perf_maps_.Troubles(); }
  // The same of jitdumps.
  std::vector<std::string> JitDumpTroubles() const { return jit_dumps_.Troubles(); }

  // What went wrong in naming, for the user; after Finish().
  const std::vector<std::string>& symbol_troubles() const { return symbol_troubles_; }

  // nullptr: the process has no such runtime.
  RuntimeInstance* Instance(Pid pid, uint8_t runtime) { return runtimes_.Instance(pid, runtime); }

  // With PipelineOptions::places, after Finish(): where in the profile the frames of the stack with
  // this number are; invalid: left out of the picture. Empty: the stack was in no sample.
  std::vector<StackId> PlacesOf(uint32_t number) const;

  // What is known for reading the parameters of a native frame.
  struct NativeValues {
    const FrameValues* of_image = nullptr;  // nullptr: nothing
    size_t at = 0;                          // in FrameValues::at
    uint64_t bias = 0;  // of addresses in the process over those in the file
  };
  // With PipelineOptions::values, after Finish(): of each frame of this number's stack, or empty.
  std::vector<NativeValues> ValuesOf(uint32_t number) const;

  // Names all frames and builds the profile. Call once.
  absl::StatusOr<Profile> Finish(const RecordingEnd& end);

  // Names and hands out what was sampled since the last call; the recording goes on, for as long as
  // one likes: what was interned is forgotten when it has become much. `end.samples_taken` is not
  // looked at.
  absl::StatusOr<Profile> TakeSnapshot(const RecordingEnd& end);

  // A copy of all that was sampled so far, of which a profile can be built on another thread while
  // the recording goes on; one at a time, and before Finish(), which then asks files for new
  // offsets alone, unless it shows inlines or lines. Without inlined functions, lines and originals
  // of scripts: those are for the end.
  ProfileDraft Draft(const RecordingEnd& end);

 private:
  struct UserStack {
    StackEvent event;
    // The frames as they were resolved, and what they were resolved against.
    uint32_t stack = FrameTable::kNoStack;
    std::vector<uint32_t> nodes;  // with PipelineOptions::places: of each frame of the event
    uint64_t process_life = 0;
    uint64_t maps_generation = 0;
    FrameResolver::Grounds grounds;
    uint64_t mappings_seen = 0;
    uint64_t resolved_ns = 0;
    bool resolved = false;
    bool in_gap = false;
  };
  // Of a process's maps, or of all that /proc says of it.
  struct MapsRead {
    uint64_t again_at_ns = 0;  // they may be read, by the time of the samples
    uint64_t losses = 0;       // of mapping records, that it made up for
    uint64_t right_since_ns = 0;  // for these
  };
  MapsRead& MapsReadOf(Pid pid);
  bool MayReadMaps(Pid pid) const;
  void OnMapsRead(Pid pid, uint64_t began_ns);
  bool IsKnown(const MapEvent& map) const;
  // Whether mapping records that were lost may have told of what the sample is in.
  bool IsInGap(const SampleEvent& sample);
  // Learns anew from /proc what records were lost of.
  void MakeUpForLosses(Pid pid);
  // What is kept by number can be forgotten in these steps.
  enum class Forgetting { kNo, kDecided, kSymbolsForgotten, kStacksForgotten };
  void OnNumber(uint32_t number);
  void ForgetNumbered();
  void OnLost(const LostEvent& lost);
  void OnSample(const SampleEvent& sample);
  void OnMap(const MapEvent& map);
  // That of the process, in comms_; of one that is gone already, its parent's.
  uint32_t CgroupOf(Pid pid, const Process* process);
  // The process of a sample, if nothing was heard of it.
  void Adopt(Pid pid);
  // The process is gone, or its address space is.
  void Forget(Pid pid);
  absl::StatusOr<Profile> Build(const RecordingEnd& end, bool goes_on);
  BuiltinCodes FindBuiltins() const;
  void ForgetInterned();
  // Gives these samples' stacks the names of jitdumps.
  void NameDumped(FrameTable& frames, std::span<KeptSamples::Sample> samples);
  void OnSymbol(const SymbolEvent& symbol);
  void Resolve(UserStack& stack, bool in_gap);
  // Whether what was not found when the stack was resolved might be found now.
  bool MayBeCompleted(const UserStack& stack) const;
  const Mapping* FindMapping(Pid pid, Address address);

  // The file of a mapping, by any way; and again, once it is pinned.
  absl::StatusOr<UniqueFd> OpenFirst(const MapEvent& map);
  absl::StatusOr<UniqueFd> OpenAgain(const MapEvent& map);
  // The same as it is kept: perhaps path-only.
  absl::StatusOr<UniqueFd> OpenKept(const MapEvent& map);
  absl::StatusOr<ElfFile> OpenImage(const MapEvent& map);
  // Of this host: what a process's own root holds is the process's word alone, and a table is
  // shared by all that map the file.
  absl::StatusOr<ElfFile> OpenDebugFile(const std::string& build_id) const;

  const PipelineOptions options_;
  PipelineWorld world_;
  LayoutSink& sink_;
  ImageTable images_;
  ProcessTable processes_;
  RuntimeTable runtimes_;
  std::optional<UnwindTables> unwind_;
  FrameTable frames_;
  JitDumps jit_dumps_;
  PerfMaps perf_maps_;
  std::optional<SourceMaps> source_maps_;
  OriginalNames::Known known_originals_;  // for snapshots
  FrameResolver resolver_;
  KernelNames kernel_names_;
  SymbolCache symbol_cache_;
  bool drafted_ = false;
  absl::flat_hash_map<uint32_t, UserStack> user_stacks_;
  std::vector<StackId> node_places_;  // with PipelineOptions::places, by node
  ValuesByImage values_;
  absl::flat_hash_map<uint32_t, std::vector<uint64_t>> kernel_stacks_;
  absl::flat_hash_map<uint32_t, uint32_t> symbol_names_;  // number -> name in frames_
  size_t stack_bytes_ = 0;    // of both kinds of stacks
  uint32_t last_number_ = 0;  // that arrived
  Forgetting forgetting_ = Forgetting::kNo;
  uint32_t forget_up_to_ = 0;
  uint64_t forget_next_ns_ = 0;  // the next step may be taken when samples are that late
  absl::flat_hash_map<Pid, MapsRead> maps_read_;
  absl::flat_hash_map<Pid, uint32_t> cgroups_;  // in comms_; as at the first sample
  uint32_t InternComm(absl::string_view comm);

  std::vector<std::string> comms_;
  absl::flat_hash_map<std::string, uint32_t> comm_ids_;
  size_t comm_bytes_ = 0;
  size_t forget_interned_at_;  // bytes of frames_, in a live recording
  KeptSamples samples_;
  uint64_t last_time_ns_ = 0;
  uint64_t symbols_dropped_ = 0;
  uint64_t mappings_seen_ = 0;  // map events, of all processes
  uint64_t mapping_losses_ = 0;  // times that mapping records were lost
  Accounting accounting_;
  std::vector<std::string> name_troubles_, map_troubles_, symbol_troubles_;
};

}  // namespace jprof
