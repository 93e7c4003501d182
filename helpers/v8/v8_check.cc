#include "helpers/v8/v8_check.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "helpers/symbol_record.h"
#include "helpers/v8/v8_function.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kMaxStackBytes = 256 << 10;
constexpr uint64_t kPage = 4096;
constexpr size_t kMaxObjects = 4096;
constexpr int kMaxFunctions = 64;
constexpr int kEnoughFits = 4;
constexpr int kEnoughMisfits = 8;
constexpr size_t kFunctionWords = 6;

bool IsObject(uint64_t word) { return (word & 3) == 1 && word > kPage; }

class Check {
 public:
  Check(const RuntimeImage& image, const jp_v8_layout& layout, const MemoryReader& memory)
      : image_(image), layout_(layout), memory_(memory) {}

  Fit Run(AddressRange stack) {
    std::vector<uint64_t> words(kPage / sizeof(uint64_t));
    for (uint64_t done = 0; done < kMaxStackBytes && stack.size() - done >= kPage; done += kPage) {
      // From the outer end on: what lies there changes least.
      const Address page{stack.end.value - done - kPage};
      if (!memory_.ReadExactly(page, std::as_writable_bytes(std::span(words)))) continue;
      for (uint64_t word : words) {
        if (!IsObject(word) || !seen_.insert(word).second) continue;
        if (seen_.size() > kMaxObjects || functions_ >= kMaxFunctions) return Answer();
        Look(word);
        if (fits_ >= kEnoughFits && names_ > 0 && scripts_ > 0) return Fit::kFits;
      }
    }
    return Answer();
  }

 private:
  Fit Answer() const {
    return fits_ == 0 && misfits_ >= kEnoughMisfits ? Fit::kDoesNotFit : Fit::kUnseen;
  }

  // The instance type of what has this map; 0 when it is no map. The map of maps is its own.
  uint16_t TypeOfMap(uint64_t map) {
    auto [it, added] = types_.try_emplace(map, 0);
    if (!added || !IsObject(map)) return it->second;
    auto meta = memory_.ReadValue<uint64_t>(Address{map - 1});
    if (!meta || !IsObject(*meta) || memory_.ReadValue<uint64_t>(Address{*meta - 1}) != *meta) {
      return 0;
    }
    auto type = memory_.ReadValue<uint16_t>(Address{map - 1 + layout_.map_instance_type});
    return it->second = type.value_or(0);
  }

  void Look(uint64_t object) {
    uint64_t words[kFunctionWords];
    if (!memory_.ReadExactly(Address{object - 1}, std::as_writable_bytes(std::span(words)))) return;
    const uint16_t type = TypeOfMap(words[0]);
    if (type < layout_.first_js_function_type || type > layout_.last_js_function_type) return;
    const uint64_t shared = words[layout_.function_shared / sizeof(uint64_t)];
    if (!shared_.insert(shared).second) return;
    ++functions_;
    auto map = IsObject(shared) ? memory_.ReadValue<uint64_t>(Address{shared - 1}) : std::nullopt;
    if (!map || TypeOfMap(*map) != layout_.shared_type) {
      ++misfits_;
      return;
    }
    // A function of JavaScript's own library has no record, and says nothing.
    const auto bytes = ReadFunction(image_, layout_, memory_, shared);
    if (!bytes) return;
    const auto record = ParseSymbolRecord(*bytes);
    if (!record.ok()) return;
    const bool named = !record->Text(JP_V8_NAME).empty() || !record->Text(JP_V8_INFERRED).empty();
    const bool in_script = !record->Text(JP_V8_SCRIPT).empty();
    names_ += named;
    scripts_ += in_script;
    fits_ += named || in_script;
  }

  const RuntimeImage& image_;
  const jp_v8_layout& layout_;
  const MemoryReader& memory_;
  absl::flat_hash_map<uint64_t, uint16_t> types_;  // by map
  absl::flat_hash_set<uint64_t> seen_;
  absl::flat_hash_set<uint64_t> shared_;
  int functions_ = 0;
  int fits_ = 0;
  int misfits_ = 0;
  int names_ = 0;
  int scripts_ = 0;
};

}  // namespace

Fit CheckHeap(const RuntimeImage& image, const jp_v8_layout& layout, const MemoryReader& memory,
              AddressRange stack) {
  return Check(image, layout, memory).Run(stack);
}

}  // namespace jprof::v8
