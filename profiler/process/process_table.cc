#include "profiler/process/process_table.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/process/proc_status.h"

namespace jprof {
namespace {

// Stale pairs are dropped when they reach the front of a queue. One old entry at the front could
// keep any number of them, so a queue that is mostly stale is swept.
template <typename Queue, typename IsStale>
void Sweep(Queue& queue, size_t valid, IsStale is_stale) {
  if (queue.size() <= 2 * valid + 64) return;
  queue.erase(std::remove_if(queue.begin(), queue.end(), is_stale), queue.end());
}

}  // namespace

absl::string_view Process::ThreadComm(Tid tid) const {
  auto it = threads.find(tid);
  if (it != threads.end() && !it->second.comm.empty()) return it->second.comm;
  return comm;
}

ProcessTable::Slot* ProcessTable::FindSlot(Pid pid) {
  auto it = processes_.find(pid);
  return it == processes_.end() ? nullptr : it->second.get();
}

const Process* ProcessTable::Find(Pid pid) const {
  auto it = processes_.find(pid);
  return it == processes_.end() ? nullptr : &it->second->process;
}

ProcessTable::Slot& ProcessTable::Replace(Pid pid, uint64_t time_ns) {
  std::unique_ptr<Slot>& slot = processes_[pid];
  if (slot != nullptr) MarkLive(*slot);
  slot = std::make_unique<Slot>();
  slot->process.pid = pid;
  slot->process.start_time = time_ns;
  slot->process.life = next_life_++;
  SetThread(*slot, pid, "");  // a process has its main thread, even if nothing was heard of it
  return *slot;
}

ProcessTable::Slot& ProcessTable::FindOrAdd(Pid pid, uint64_t time_ns) {
  Slot* slot = FindSlot(pid);
  if (slot == nullptr) return Replace(pid, time_ns);
  if (slot->process.exited) {
    MarkLive(*slot);
    slot->process.life = next_life_++;
    SetThread(*slot, pid, slot->process.comm);
  }
  return *slot;
}

void ProcessTable::SetThread(Slot& slot, Tid tid, std::string comm) {
  auto [it, added] = slot.process.threads.try_emplace(tid);
  ProcessThread& thread = it->second;
  if (added || thread.exited) {
    ++slot.live_threads;
    thread.exited = false;
    thread.life = next_life_++;
  }
  thread.comm = std::move(comm);
}

void ProcessTable::ExitThread(Slot& slot, Tid tid) {
  auto& threads = slot.process.threads;
  auto it = threads.find(tid);
  if (it == threads.end() || it->second.exited) return;
  it->second.exited = true;
  --slot.live_threads;
  auto& queue = slot.exited_threads;
  queue.emplace_back(tid, it->second.life);

  auto is_stale = [&threads](const std::pair<Tid, uint64_t>& entry) {
    auto found = threads.find(entry.first);
    return found == threads.end() || !found->second.exited || found->second.life != entry.second;
  };
  while (threads.size() - slot.live_threads > limits_.exited_threads) {
    if (!is_stale(queue.front())) threads.erase(queue.front().first);
    queue.pop_front();
  }
  Sweep(queue, threads.size() - slot.live_threads, is_stale);
}

void ProcessTable::MarkExited(Slot& slot) {
  slot.process.exited = true;
  slot.counted_mappings = slot.process.maps.size();
  ++exited_count_;
  exited_mappings_ += slot.counted_mappings;
  exited_.emplace_back(slot.process.pid, slot.process.life);
  TrimExited();
}

void ProcessTable::MarkLive(Slot& slot) {
  if (!slot.process.exited) return;
  slot.process.exited = false;
  --exited_count_;
  exited_mappings_ -= slot.counted_mappings;
}

void ProcessTable::TrimExited() {
  auto is_stale = [this](const std::pair<Pid, uint64_t>& entry) {
    const Process* process = Find(entry.first);
    return process == nullptr || !process->exited || process->life != entry.second;
  };
  while (exited_count_ > limits_.exited_processes ||
         (exited_mappings_ > limits_.exited_mappings && exited_count_ > 1)) {
    Pid pid = exited_.front().first;
    if (!is_stale(exited_.front())) {
      MarkLive(*FindSlot(pid));  // takes it out of the counts
      processes_.erase(pid);
    }
    exited_.pop_front();
  }
  Sweep(exited_, exited_count_, is_stale);
}

void ProcessTable::Apply(const MapEvent& event) {
  FindOrAdd(event.pid, event.time_ns)
      .process.maps.Add({event.range, event.offset, event.file, event.path});
}

void ProcessTable::Apply(const CommEvent& event) {
  Slot& slot = FindOrAdd(event.pid, event.time_ns);
  Process& process = slot.process;
  if (event.exec) {
    // A new program: address space and threads are gone, the calling thread is the main one.
    process.maps.Clear();
    process.threads.clear();
    process.life = next_life_++;
    slot.exited_threads.clear();
    slot.live_threads = 0;
  }
  if (event.exec || event.tid == event.pid) {
    process.comm = event.comm;
    SetThread(slot, event.pid, event.comm);
  } else {
    SetThread(slot, event.tid, event.comm);
  }
}

void ProcessTable::Apply(const ForkEvent& event) {
  if (event.pid == event.parent_pid) {
    Slot& slot = FindOrAdd(event.pid, event.time_ns);
    SetThread(slot, event.tid, std::string(slot.process.ThreadComm(event.parent_tid)));
    return;
  }
  std::string comm;
  AddressSpace maps;
  if (const Process* parent = Find(event.parent_pid)) {
    comm = std::string(parent->ThreadComm(event.parent_tid));
    maps = parent->maps;
  }
  Slot& slot = Replace(event.pid, event.time_ns);
  slot.process.parent = event.parent_pid;
  slot.process.comm = comm;
  slot.process.maps = std::move(maps);
  SetThread(slot, event.pid, std::move(comm));
}

void ProcessTable::Apply(const ExitEvent& event) {
  Slot* slot = FindSlot(event.pid);
  if (slot == nullptr || slot->process.exited) return;
  // The main thread may end before the others do.
  ExitThread(*slot, event.tid);
  if (slot->live_threads == 0) MarkExited(*slot);
}

void ProcessTable::Apply(const Event& event) {
  std::visit(
      [this](const auto& e) {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, MapEvent> || std::is_same_v<T, CommEvent> ||
                      std::is_same_v<T, ForkEvent> || std::is_same_v<T, ExitEvent>) {
          Apply(e);
        }
      },
      event);
}

absl::StatusOr<std::vector<Event>> SynthesizeProcessEvents(Pid pid, uint64_t time_ns,
                                                           const MapsReader& read_maps) {
  JPROF_ASSIGN_OR_RETURN(ProcStat stat, ReadProcStat(pid));
  if (stat.dead() && !LivingThread(pid).ok()) {
    return absl::NotFoundError(absl::StrCat("pid ", pid, " has exited and waits for its parent"));
  }
  JPROF_ASSIGN_OR_RETURN(std::vector<Tid> threads, ListThreads(pid));
  std::vector<Event> events;
  auto add_comm = [&](Tid tid) {
    absl::StatusOr<std::string> comm = ReadThreadComm(pid, tid);
    if (!comm.ok()) return;  // ended meanwhile
    events.push_back(CommEvent{time_ns, pid, tid, false, *std::move(comm)});
  };
  add_comm(pid);
  for (Tid tid : threads) {
    if (tid != pid) add_comm(tid);
  }
  if (stat.dead()) events.push_back(ExitEvent{time_ns, pid, pid});  // the main thread alone
  JPROF_ASSIGN_OR_RETURN(std::vector<ProcMapping> mappings, read_maps(pid));
  for (ProcMapping& m : mappings) {
    if (!m.executable) continue;
    // The kernel's events do not know the names that a process gives to its anonymous memory.
    bool anonymous = !m.file.valid() && (m.path.empty() || absl::StartsWith(m.path, "[anon:"));
    events.push_back(MapEvent{time_ns, pid, m.range, m.offset, m.file,
                              anonymous ? std::string(kAnonymousPath) : std::move(m.path)});
  }
  return events;
}

}  // namespace jprof
