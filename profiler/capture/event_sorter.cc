#include "profiler/capture/event_sorter.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace jprof {

std::optional<uint64_t> EventTime(const Event& event) {
  return std::visit(
      [](const auto& e) -> std::optional<uint64_t> {
        if constexpr (requires { e.time_ns; }) {
          return e.time_ns;
        } else {
          return std::nullopt;
        }
      },
      event);
}

bool EventSorter::After(const Entry& a, const Entry& b) {
  return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : a.sequence > b.sequence;
}

void EventSorter::Push(Event event) {
  const uint64_t time_ns = EventTime(event).value_or(0);
  if (time_ns < released_up_to_ns_) ++late_;
  heap_.push_back({time_ns, next_sequence_++, std::move(event)});
  std::push_heap(heap_.begin(), heap_.end(), After);
}

Event EventSorter::Pop() {
  std::pop_heap(heap_.begin(), heap_.end(), After);
  Event event = std::move(heap_.back().event);
  heap_.pop_back();
  return event;
}

void EventSorter::Release(uint64_t up_to_ns, Sink sink) {
  released_up_to_ns_ = std::max(released_up_to_ns_, up_to_ns);
  while (!heap_.empty() && heap_.front().time_ns < released_up_to_ns_) sink(Pop());
}

void EventSorter::Flush(Sink sink) {
  while (!heap_.empty()) {
    released_up_to_ns_ = std::max(released_up_to_ns_, heap_.front().time_ns);
    sink(Pop());
  }
}

}  // namespace jprof
