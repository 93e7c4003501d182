// Kernel identities, and one index type for each table of a profile: an index into one table cannot
// be used on another by accident.
#pragma once

#include <compare>
#include <cstdint>
#include <utility>

namespace jprof {

// A process id (thread group id) and a thread id, in jprof's own pid namespace.
using Pid = int32_t;
using Tid = int32_t;

template <typename Tag>
struct Index {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t value = kNone;

  constexpr bool valid() const { return value != kNone; }
  friend constexpr auto operator<=>(const Index&, const Index&) = default;
  template <typename H>
  friend H AbslHashValue(H h, Index index) {
    return H::combine(std::move(h), index.value);
  }
};

using StringId = Index<struct StringTag>;
using ImageId = Index<struct ImageTag>;
using FunctionId = Index<struct FunctionTag>;
using LocationId = Index<struct LocationTag>;
using StackId = Index<struct StackTag>;
using ThreadId = Index<struct ThreadTag>;

}  // namespace jprof
