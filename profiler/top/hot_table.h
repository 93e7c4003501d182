// What is hot now: the stacks of the last seconds, and of all since the start, counted, and from
// them the table of functions. It grows with neither time nor the target: beyond a limit the rarest
// stacks become
// "[left out]", so that shares stay right.
//
// A function counts once for a sample however often it is on the stack. Text is made showable when
// it comes in. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "export/code_kind.h"
#include "profiler/core/profile.h"

namespace jprof {

struct HotFunction {
  std::string name;
  std::string
      place;  // "app.js:12"; of native code its file, of the kernel "[kernel]" or its module
  CodeKind kind = CodeKind::kUnknown;
  bool is_marker = false;  // "[truncated]": no function

  friend bool operator==(const HotFunction&, const HotFunction&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const HotFunction& f) {
    return H::combine(std::move(h), f.name, f.place, f.kind, f.is_marker);
  }
};

// What samples are of.
struct HotView {
  bool since_start = false;   // else of the window
  bool hide_kernel = false;   // the kernel's time is that of who called it
};

struct HotTotals {
  int64_t duration_ns = 0;
  uint64_t samples = 0;
  uint64_t lost = 0;
  uint64_t rooted = 0;
  uint64_t frames = 0;
  uint64_t frames_unnamed = 0;

  HotTotals& operator+=(const HotTotals& other);
};

class HotTable {
 public:
  struct Limits {
    size_t stack_frames = 1 << 20;         // of all stacks together
    size_t name_bytes = size_t{16} << 20;  // of all functions together
    int64_t interval_ns = 0;  // of a whole snapshot, at least
  };
  // `window`: in snapshots, at least 1.
  explicit HotTable(size_t window) : HotTable(window, Limits()) {}
  HotTable(size_t window, const Limits& limits);

  // What was sampled since the last call.
  void Add(const Profile& snapshot);
  // Forgets all samples.
  void Clear();

  struct Row {
    uint32_t function = 0;
    uint64_t self = 0;
    uint64_t total = 0;
  };
  // In no order; of functions alone, neither markers nor processes.
  std::vector<Row> Rows(const HotView& view) const;

  struct HotStack {
    std::vector<uint32_t> functions;  // the innermost first; the process last
    uint64_t samples = 0;
  };
  // With this function, the hottest first.
  std::vector<HotStack> StacksOf(uint32_t function, const HotView& view) const;

  const HotFunction& function(uint32_t number) const { return functions_[number]; }
  // The number of an equal function; SIZE_MAX: there is none. Numbers change with Add().
  size_t Find(const HotFunction& function) const;

  const HotTotals& last() const { return last_; }  // of the last whole snapshot
  HotTotals Totals(const HotView& view) const;
  uint64_t snapshots() const { return snapshots_; }

 private:
  struct Stack {
    std::vector<uint32_t> functions;
    uint64_t since_start = 0;
  };
  struct Interval {
    HotTotals totals;
    absl::flat_hash_map<uint32_t, uint64_t> samples;  // by stack
  };

  void Reset();
  uint32_t InternFunction(HotFunction function);
  uint32_t InternStack(std::vector<uint32_t> functions);
  HotFunction Describe(const Profile& profile, const Location& location, const Line& line) const;
  uint32_t StackOf(const Profile& profile, const ProfileSample& sample,
                   std::vector<uint32_t>& functions_of);
  bool IsFull() const { return frames_ > limits_.stack_frames || name_bytes_ > limits_.name_bytes; }
  void LeaveOutRareStacks();
  std::vector<std::pair<uint32_t, uint64_t>> Samples(const HotView& view) const;
  // Of a stack, what is shown of it.
  std::vector<uint32_t> Shown(const Stack& stack, const HotView& view) const;

  const size_t window_;
  const Limits limits_;
  std::vector<HotFunction> functions_;
  absl::flat_hash_map<HotFunction, uint32_t> function_ids_;
  size_t name_bytes_ = 0;
  std::vector<Stack> stacks_;  // the first: left out
  absl::flat_hash_map<std::vector<uint32_t>, uint32_t> stack_ids_;
  size_t frames_ = 0;
  std::deque<Interval> intervals_;  // the last one is the newest
  HotTotals since_start_;
  HotTotals last_;
  uint64_t snapshots_ = 0;
};

}  // namespace jprof
