// Where the processes and layouts that RuntimeTable finds are handed to: the kernel half's maps, or
// a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "helpers/abi/records.h"
#include "profiler/core/ids.h"

namespace jprof {

class LayoutSink {
 public:
  virtual ~LayoutSink() = default;
  // Layouts come before the first process that refers to their index (below JP_MAX_LAYOUTS). False,
  // of both: there was no room, nothing changed.
  virtual bool SetLayout(uint32_t index, std::span<const std::byte> layout) = 0;
  virtual bool SetProcess(Pid pid, const jp_process& process) = 0;
  virtual void RemoveProcess(Pid pid) = 0;
  // The names, or the stacks, that were handed out by number: samples that begin after the call
  // refer to new numbers only. A sink that gives no numbers has nothing to forget.
  virtual void ForgetSymbols() {}
  virtual void ForgetStacks() {}
};

}  // namespace jprof
