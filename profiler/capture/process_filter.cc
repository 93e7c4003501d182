#include "profiler/capture/process_filter.h"

#include <variant>

namespace jprof {

Pid PidOf(const Event& event) {
  return std::visit(
      [](const auto& e) -> Pid {
        if constexpr (requires { e.pid; }) {
          return e.pid;
        } else {
          return 0;
        }
      },
      event);
}

bool ProcessFilter::Takes(const Event& event) {
  const Pid pid = PidOf(event);
  if (pid == 0) return true;
  if (auto* fork = std::get_if<ForkEvent>(&event);
      fork != nullptr && fork->pid != fork->parent_pid) {
    if (children_ && pids_.contains(fork->parent_pid)) {
      pids_.insert(pid);
    } else {
      pids_.erase(pid);
    }
  }
  return pids_.contains(pid);
}

}  // namespace jprof
