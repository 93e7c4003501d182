// Many rings, each nearly in order, become one stream in time order.
//
// The rule: a drain of all rings that began at time T has brought in everything that was recorded
// before T - margin. A record is stamped first and visible a little later (the writer may be
// interrupted in between; on a virtual machine, for a scheduling slice), and the margin is that
// little. So after each drain: Release(T - margin). What is younger stays for the next one.
//
// The rule can fail, when the machine stood still for longer than the margin: an event then comes
// that is older than what was released. It is handed out by the next Release, ahead of the others,
// and counted in late().
//
// Events without a time (StackEvent, KernelStackEvent, SymbolEvent, LostEvent) are not for here:
// they come before the sample that refers to them, so whoever drains hands them on at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "profiler/core/event.h"

namespace jprof {

// nullopt for events that have no time.
std::optional<uint64_t> EventTime(const Event& event);

// Not thread-safe.
class EventSorter {
 public:
  using Sink = absl::FunctionRef<void(Event event)>;

  // `event` has a time.
  void Push(Event event);
  // Hands out every event of before `up_to_ns`, by time; equal times in the order of the pushes. A
  // smaller bound than that of an earlier call hands out late events only.
  void Release(uint64_t up_to_ns, Sink sink);
  // The end: hands out all that is left.
  void Flush(Sink sink);

  size_t size() const { return heap_.size(); }
  uint64_t late() const { return late_; }

 private:
  struct Entry {
    uint64_t time_ns;
    uint64_t sequence;
    Event event;
  };
  static bool After(const Entry& a, const Entry& b);
  Event Pop();

  std::vector<Entry> heap_;  // earliest first
  uint64_t next_sequence_ = 0;
  uint64_t released_up_to_ns_ = 0;
  uint64_t late_ = 0;
};

}  // namespace jprof
