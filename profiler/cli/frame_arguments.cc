#include "profiler/cli/frame_arguments.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "helpers/abi/records.h"
#include "profiler/capture/monotonic_clock.h"
#include "profiler/process/cpu_time.h"

namespace jprof {
namespace {

// For one stack. CPU time, so that it does not depend on who else runs what can be read.
constexpr int kMaxReads = 4096;
constexpr uint64_t kMaxCpuNs = 20'000'000;
constexpr uint64_t kMaxNs = 100'000'000;  // of any time: the pause is limited by it

// Nothing is readable beyond the budget.
class BudgetedMemory : public MemoryReader {
 public:
  BudgetedMemory(const MemoryReader& memory, bool stands)
      : memory_(memory),
        until_cpu_ns_(CpuTimeOfThisThread() + kMaxCpuNs),
        until_ns_(stands ? MonotonicNow() + kMaxNs : UINT64_MAX) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    if (reads_ >= kMaxReads || CpuTimeOfThisThread() > until_cpu_ns_ ||
        MonotonicNow() > until_ns_) {
      return 0;
    }
    ++reads_;
    return memory_.Read(address, out);
  }

 private:
  const MemoryReader& memory_;
  const uint64_t until_cpu_ns_, until_ns_;
  mutable int reads_ = 0;
};

}  // namespace

void ArgumentReader::Learn(const NativeRunner::Result& walk) {
  for (const SymbolEvent& symbol : walk.symbols) {
    jp_symbol record;
    if (symbol.record.size() < sizeof(record)) continue;
    std::memcpy(&record, symbol.record.data(), sizeof(record));
    identities_[symbol.number] = record.identity;
  }
}

StackArguments ArgumentReader::Read(const NativeRunner::Result& walk, const MemoryReader& memory,
                                    bool stands) {
  StackArguments result;
  const BudgetedMemory budgeted(memory, stands);
  const std::vector<FramePlace>& places = walk.places;
  for (uint32_t i = 0; i < walk.stack.frames.size(); ++i) {
    const RawFrame& frame = walk.stack.frames[i];
    if (frame.kind != RawFrame::Kind::kRuntime || frame.is_async) continue;
    const auto after = std::upper_bound(
        places.begin(), places.end(), i,
        [](uint32_t index, const FramePlace& place) { return index < place.first; });
    if (after == places.begin()) continue;
    const FramePlace& place = *std::prev(after);
    // Code that has not made its frame yet, or has none: the frame pointer is its caller's.
    if (after != places.end() && after->fp == place.fp) continue;
    const auto identity = identities_.find(frame.symbol);
    RuntimeInstance* runtime = find_runtime_(frame.runtime);
    if (identity == identities_.end() || runtime == nullptr) continue;
    if (auto arguments = runtime->Arguments(budgeted, identity->second, Address{place.fp})) {
      result[i] = *std::move(arguments);
    }
  }
  return result;
}

}  // namespace jprof
