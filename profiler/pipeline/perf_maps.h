// The perf maps of the processes of a recording: opened when code is met that nothing else names,
// tried again while there is none, and read on as they grow.
//
// Owned by the pipeline, used from its thread only. Times are those of samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "helpers/perfmap/perf_map.h"
#include "profiler/core/ids.h"

namespace jprof {

class PerfMaps {
 public:
  using Opener = std::function<absl::StatusOr<PerfMap>(Pid)>;
  static constexpr size_t kMaxMaps = 256;  // in one recording: a descriptor each

  // For all maps together.
  struct Limits {
    size_t memory_bytes = size_t{512} << 20;
    // In one recording, of those that are gone, too: what a file says again and again is read each
    // time.
    uint64_t read_bytes = uint64_t{2} << 30;
  };
  PerfMaps(Opener opener, const Limits& limits) : opener_(std::move(opener)), limits_(limits) {}

  // As it is at that time, or a moment before; nullptr: there is none, or it cannot be used.
  PerfMap* Find(Pid pid, uint64_t time_ns);
  // There was none when it was looked for last.
  bool IsAbsent(Pid pid) const;
  // Whether there was one whose names are used no more.
  bool GivenUp(Pid pid) const;
  // The process is gone, or its address space is.
  void Forget(Pid pid);

  // For code that has no name, once Find() was asked; `asked`: it returned a map.
  std::string WhyNoName(Pid pid, bool asked) const;
  // Of maps that were there and did not name all that they should, with the reason.
  std::vector<std::string> Troubles() const;

 private:
  struct State {
    std::optional<PerfMap> map;
    uint64_t tried_at_ns = 0;  // 0: never
    uint64_t update_at_ns = 0;
    size_t bytes = 0;            // of map, as counted in bytes_
    bool given_up = false;
    std::string trouble;         // "" for none
    std::string absence;         // why there is no map, if that is no trouble
  };
  void Open(Pid pid, State& state) const;
  void Update(State& state);

  const Opener opener_;
  const Limits limits_;
  absl::flat_hash_map<Pid, State> maps_;
  size_t bytes_ = 0;
  uint64_t read_bytes_ = 0;
  std::vector<std::string> troubles_;  // of processes that are gone
};

}  // namespace jprof
