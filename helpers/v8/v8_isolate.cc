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

constexpr int kMicrotaskStores = 2;
constexpr int kRbp = 5;

using Counts = absl::btree_map<int32_t, int>;

// How often each slot is stored to (mov [r13+N], reg): from rbp, or from any other register.
Counts CountStores(std::span<const std::byte> code, bool from_rbp) {
  Counts stores;
  for (size_t i = 0; i + 7 <= code.size(); ++i) {
    const int prefix = std::to_integer<int>(code[i]), operands = std::to_integer<int>(code[i + 2]);
    if ((prefix != 0x49 && prefix != 0x4d) || code[i + 1] != std::byte{0x89}) continue;
    const bool is_rbp = prefix == 0x49 && ((operands >> 3) & 7) == kRbp;
    if (is_rbp != from_rbp) continue;
    int32_t slot;
    if ((operands & 0xc7) == 0x85) {
      std::memcpy(&slot, &code[i + 3], sizeof(slot));
    } else if ((operands & 0xc7) == 0x45) {
      slot = static_cast<int8_t>(code[i + 3]);
    } else {
      continue;
    }
    if (slot % 8 == 0 && kMinSlot <= slot && slot < kMaxSlot) ++stores[slot];
  }
  return stores;
}

}  // namespace

std::optional<IsolateSlots> FindIsolateSlots(std::span<const std::byte> builtins) {
  std::vector<std::pair<int, int32_t>> by_count;
  for (const auto& [slot, count] : CountStores(builtins, true)) by_count.push_back({count, slot});
  std::sort(by_count.rbegin(), by_count.rend());
  if (by_count.size() < 2 || by_count[0].first < kMinFastCalls || by_count[1].first < kMinExits ||
      by_count[0].first == by_count[1].first) {
    return std::nullopt;
  }
  return IsolateSlots{.exit_frame = by_count[1].second, .fast_call = by_count[0].second};
}

std::optional<int32_t> FindMicrotaskSlot(std::span<const std::byte> builtins,
                                         std::span<const std::byte> loop) {
  const Counts everywhere = CountStores(builtins, false);
  std::optional<int32_t> found;
  for (const auto& [slot, count] : CountStores(loop, false)) {
    auto all = everywhere.find(slot);
    if (count != kMicrotaskStores || all == everywhere.end() || all->second != count) continue;
    if (found) return std::nullopt;
    found = slot;
  }
  return found;
}

}  // namespace jprof::v8
