// Which processes are recorded when it is some and not all, told from the stream of events: those
// that were named and, if asked for, those that they start, and so on. A process keeps its place
// when its parent ends.
#pragma once

#include "absl/container/flat_hash_set.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"

namespace jprof {

// The process that an event is about; 0 when it is about none.
Pid PidOf(const Event& event);

// Not thread-safe. Memory: one number for each process of the selection that was ever seen, at most
// as many as there are numbers.
class ProcessFilter {
 public:
  explicit ProcessFilter(bool children) : children_(children) {}

  void Add(Pid pid) { pids_.insert(pid); }
  // With those that have ended.
  const absl::flat_hash_set<Pid>& pids() const { return pids_; }

  // Whether the event is about a process of the selection, or about none; events in time order. The
  // fork of a new process is about the new one, and decides where that belongs: its number may have
  // been another's.
  bool Takes(const Event& event);

 private:
  const bool children_;
  absl::flat_hash_set<Pid> pids_;
};

}  // namespace jprof
