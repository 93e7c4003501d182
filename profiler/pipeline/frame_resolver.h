// What is shown for a frame of a sampled stack: what its runtime's helper read at the instant of
// the sample, a place in a mapped file, a name of a jitdump or a perf map, or what is known of it
// and why that is not more.
//
// Owned by the pipeline, used from its thread only. Frames and names are numbers in its FrameTable;
// times are those of samples.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "helpers/runtime.h"
#include "helpers/runtime_table.h"
#include "profiler/core/address.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"
#include "profiler/pipeline/frame_table.h"
#include "profiler/pipeline/image_table.h"
#include "profiler/pipeline/jit_dumps.h"
#include "profiler/pipeline/perf_maps.h"
#include "profiler/pipeline/source_maps.h"
#include "profiler/process/process_table.h"

namespace jprof {

class FrameResolver {
 public:
  struct Options {
    bool use_helpers = true;  // as PipelineOptions has them
    bool tiers = false;
  };
  // All outlive the resolver.
  struct Sources {
    const ProcessTable& processes;
    // What lies there; nullptr: nothing that is executable. May change `processes`.
    std::function<const Mapping*(Pid, Address)> find_mapping;
    RuntimeTable& runtimes;
    ImageTable& images;
    JitDumps& jit_dumps;
    PerfMaps& perf_maps;
    std::optional<SourceMaps>& source_maps;
    FrameTable& frames;
  };

  FrameResolver(Options options, Sources sources)
      : options_(options), sources_(std::move(sources)) {}

  // A function as the runtime described it; a number of a name.
  uint32_t InternRuntimeName(FrameName name, Pid pid, uint8_t runtime);
  uint32_t NamedFrame(PendingName name, PendingFrame::Kind kind = PendingFrame::Kind::kNamed);

  // What the answers for a stack's frames hung on.
  struct Grounds {
    bool uses_perf_map = false;
    uint64_t perf_map_generation = 0;
    bool incomplete = false;  // an address lay in no mapping
  };
  struct Resolved {
    uint32_t frame = 0;
    bool plausible = true;  // false: its address lies in no code
  };
  // `name`: what came by the frame's RawFrame::symbol; nullopt: nothing.
  Resolved Resolve(const RawFrame& frame, std::optional<uint32_t> name, Pid pid, uint64_t time_ns,
                   Grounds& grounds);

  // The process is gone, or its address space is.
  void Forget(Pid pid) {
    answers_.erase(pid);
    is_jvm_.erase(pid);
  }
  // The FrameTable is another.
  void ForgetInterned() { located_.clear(); }

  // JVMs with code that has no name for want of a perf map, in the order of their numbers; some of
  // them, if they are many. One that writes its map meanwhile is none.
  const absl::btree_set<Pid>& jvms_without_map() const { return jvms_without_map_; }

 private:
  static constexpr size_t kMaxJvms = 1024;

  struct Located {
    uint32_t frame;
    uint64_t located_ns;
    uint64_t believed_for_ns;
  };
  // What a process's helper said, in frames of distinct stacks.
  struct HelperAnswers {
    uint32_t named = 0;
    uint32_t corrupt = 0;
  };
  Resolved NativeFrame(const RawFrame& frame, Pid pid, uint64_t time_ns, Grounds& grounds);
  uint32_t ImageFrame(Pid pid, const Mapping& mapping, Address lookup);
  // By its perf map, else by what it lies in.
  uint32_t PerfMapFrame(Pid pid, const Mapping& mapping, Address lookup, uint64_t time_ns,
                        Grounds& grounds);
  uint32_t RuntimeFrame(const RawFrame& frame, Pid pid, uint32_t name, uint64_t time_ns);
  // The same, asking the runtime.
  uint32_t Locate(const RawFrame& frame, Pid pid, uint32_t name);
  // With the mark of the tier that its code is of; '\0': none.
  uint32_t MarkedName(uint32_t name, char tier);
  // A runtime's frame that has no name.
  uint32_t NamelessFrame(const RawFrame& frame);
  void OnUnresolved(const RawFrame& frame, Pid pid);
  bool IsJvm(Pid pid);
  // Why the code in anonymous memory of a process has no name.
  std::string WhyNoJitName(Pid pid, bool asked_map);

  const Options options_;
  const Sources sources_;
  absl::flat_hash_map<Pid, HelperAnswers> answers_;
  absl::flat_hash_map<Pid, bool> is_jvm_;  // of those that were asked about
  absl::btree_set<Pid> jvms_without_map_;
  // By symbol, address, detail, is_return_address, is_async. No number of a symbol is given twice.
  absl::flat_hash_map<std::tuple<uint32_t, uint64_t, uint8_t, bool, bool>, Located> located_;
};

}  // namespace jprof
