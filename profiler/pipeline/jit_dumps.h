// The jitdumps of the processes of a recording. They are read now and then, so that the end need
// not wait for it; code gets its name in the end (see helpers/perfmap/jit_dump.h for why), from the
// dump as it was at the time of each sample.
//
// Owned by the pipeline, used from its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/perfmap/jit_dump.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"
#include "profiler/core/image.h"
#include "profiler/pipeline/frame_table.h"

namespace jprof {

// What is shown for JIT code that a perf map or a jitdump calls `text`.
PendingName NameOfJitCode(absl::string_view text, bool tiers);

class JitDumps {
 public:
  using Opener = std::function<absl::StatusOr<JitDump>(const MapEvent&, absl::string_view name)>;
  struct Options {
    bool tiers = false;    // as PipelineOptions has it
    size_t max_bytes = 0;  // of memory, for all dumps together
    uint64_t read_bytes = UINT64_MAX;  // the same, of what is read
  };
  static constexpr size_t kMaxDumps = 256;  // in one recording: a descriptor each
  static constexpr uint32_t kNone = UINT32_MAX;

  JitDumps(Opener opener, const Options& options) : opener_(std::move(opener)), options_(options) {}

  // Opens the file of a mapping if it is a jitdump by its path, and not known already.
  void OnMap(const MapEvent& map);
  // The process is gone, or its address space is: its dump is still that of earlier samples.
  void OnGone(Pid pid) { of_.erase(pid); }

  // The number of the process's dump, for PendingDumped; the one that was mapped last.
  uint32_t Of(Pid pid) const {
    auto found = of_.find(pid);
    return found == of_.end() || !dumps_[found->second].dump ? kNone : found->second;
  }
  bool HasAny() const { return !dumps_.empty(); }

  // Reads what the processes wrote, once in a second at most.
  void Update(uint64_t now_ns);

  // The stack of a sample, to be replaced.
  struct TimedStack {
    uint64_t time_ns;
    uint32_t* stack;  // in the FrameTable
  };
  // Replaces kDumped frames of all stacks.
  void NameStacks(FrameTable& frames, std::vector<TimedStack> stacks, uint64_t now_ns);

  // Of dumps that do not name all that they should, with the reason.
  std::vector<std::string> Troubles() const;

 private:
  struct Dump {
    FileIdentity file;
    std::optional<JitDump> dump;
    std::string trouble;  // that it could not be opened, was given up or not read to its end
  };
  void UpdateAll(uint64_t now_ns, bool to_the_end);
  void Update(Dump& dump, uint64_t now_ns);

  Opener opener_;
  Options options_;
  std::vector<Dump> dumps_;
  absl::flat_hash_map<Pid, uint32_t> of_;
  uint64_t updated_ns_ = 0;
  uint64_t slow_ns_ = 0;  // that slow file systems took then
  uint64_t over_limit_ = 0;
  uint64_t read_bytes_ = 0;
  size_t next_slow_ = 0;  // of those behind slow file systems: whose turn it is
};

}  // namespace jprof
