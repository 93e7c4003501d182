// Every process that events spoke of, as of the events applied so far, and the events that describe
// a process which was there before the first one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"
#include "profiler/process/address_space.h"
#include "profiler/process/proc_maps.h"

namespace jprof {

struct ProcessThread {
  std::string comm;  // "" when not known
  bool exited = false;
  uint64_t life = 0;  // tells two threads of the same number apart
};

struct Process {
  Pid pid = 0;
  Pid parent = 0;    // that forked it; 0: not known
  std::string comm;  // of the main thread; "" when not known
  AddressSpace maps;
  absl::flat_hash_map<Tid, ProcessThread> threads;  // living and lately ended
  bool exited = false;      // all its threads are gone; kept for samples that come late
  uint64_t start_time = 0;  // ns: of the fork, or of the first event seen of it
  uint64_t life = 0;        // never 0; another one after exec or when the pid is used again

  // The thread's command name, else the process's.
  absl::string_view ThreadComm(Tid tid) const;
};

// Not thread-safe; owned by the pipeline. Events are applied in time order.
class ProcessTable {
 public:
  struct Limits {
    size_t exited_processes = 4096;
    size_t exited_mappings = 131072;  // of all exited processes together
    size_t exited_threads = 1024;     // per process: names kept after a thread's end
  };

  ProcessTable() : ProcessTable(Limits()) {}
  explicit ProcessTable(Limits limits) : limits_(limits) {}

  // A mapping or name of a process that was never heard of makes it known.
  void Apply(const MapEvent& event);
  void Apply(const CommEvent& event);
  void Apply(const ForkEvent& event);
  void Apply(const ExitEvent& event);
  // Dispatches to the above; other events change nothing.
  void Apply(const Event& event);

  // nullptr: never heard of, or gone for long. Valid until the next Apply.
  const Process* Find(Pid pid) const;

  size_t size() const { return processes_.size(); }

 private:
  struct Slot {
    Process process;
    // (tid, life), oldest first; stale where the number is in use again.
    std::deque<std::pair<Tid, uint64_t>> exited_threads;
    size_t live_threads = 0;      // among process.threads
    size_t counted_mappings = 0;  // its share of exited_mappings_
  };

  Slot* FindSlot(Pid pid);
  // A process that had exited comes to life again: its fork was lost.
  Slot& FindOrAdd(Pid pid, uint64_t time_ns);
  Slot& Replace(Pid pid, uint64_t time_ns);
  void SetThread(Slot& slot, Tid tid, std::string comm);
  void ExitThread(Slot& slot, Tid tid);
  void MarkExited(Slot& slot);
  void MarkLive(Slot& slot);
  void TrimExited();

  Limits limits_;
  absl::flat_hash_map<Pid, std::unique_ptr<Slot>> processes_;
  std::deque<std::pair<Pid, uint64_t>> exited_;  // (pid, life), oldest first; stale as above
  size_t exited_count_ = 0;
  size_t exited_mappings_ = 0;
  uint64_t next_life_ = 1;
};

// What /proc says of a process, as the events that would have led there: the command name of each
// thread, the main one first, and each executable mapping (anonymous ones are "//anon").
// `time_ns` must be the time from *before* this call, and side-band events must be on already: what
// happens meanwhile is then applied on top, twice at worst, which changes nothing.
// NotFound: no such process, or a zombie. A kernel thread has a name and no mappings.
using MapsReader = std::function<absl::StatusOr<std::vector<ProcMapping>>(Pid)>;
absl::StatusOr<std::vector<Event>> SynthesizeProcessEvents(
    Pid pid, uint64_t time_ns, const MapsReader& read_maps = ReadProcMaps);

}  // namespace jprof
