#include "helpers/v8/v8_isolate.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"

namespace jprof::v8 {
namespace {

// What is less may be data that looks like the instruction.
constexpr int kMinFastCalls = 100;
constexpr int kMinExits = 8;
constexpr int32_t kMinSlot = -0x100;
constexpr int32_t kMaxSlot = 0x10000;

}  // namespace

std::optional<IsolateSlots> FindIsolateSlots(std::span<const std::byte> builtins) {
  absl::btree_map<int32_t, int> stores;
  for (size_t i = 0; i + 7 <= builtins.size(); ++i) {
    if (builtins[i] != std::byte{0x49} || builtins[i + 1] != std::byte{0x89}) continue;
    int32_t slot;
    if (builtins[i + 2] == std::byte{0xad}) {
      std::memcpy(&slot, &builtins[i + 3], sizeof(slot));
    } else if (builtins[i + 2] == std::byte{0x6d}) {
      slot = static_cast<int8_t>(builtins[i + 3]);
    } else {
      continue;
    }
    if (slot % 8 == 0 && kMinSlot <= slot && slot < kMaxSlot) ++stores[slot];
  }
  std::vector<std::pair<int, int32_t>> by_count;
  for (const auto& [slot, count] : stores) by_count.push_back({count, slot});
  std::sort(by_count.rbegin(), by_count.rend());
  if (by_count.size() < 2 || by_count[0].first < kMinFastCalls || by_count[1].first < kMinExits ||
      by_count[0].first == by_count[1].first) {
    return std::nullopt;
  }
  return IsolateSlots{.exit_frame = by_count[1].second, .fast_call = by_count[0].second};
}

}  // namespace jprof::v8
