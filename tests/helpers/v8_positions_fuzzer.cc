// Random objects, code and tables under a random layout: whatever memory holds, finding code and
// its positions ends, soon, with an answer or none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_positions.h"
#include "tests/helpers/v8_code_heap.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kBase = 0x10000;
constexpr int kMaxReads = 100'000;

// The input, over and over: there is something wherever one looks, like in a heap that was made up
// to lead astray, but for a hole.
class FuzzMemory : public MemoryReader {
 public:
  explicit FuzzMemory(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    if (++reads_ > kMaxReads) std::abort();
    if (address.value < kBase) return 0;
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t at = (address.value - kBase + i) % (bytes_.size() + 1);
      if (at == bytes_.size()) return i;
      out[i] = std::byte{bytes_[at]};
    }
    return out.size();
  }

 private:
  std::span<const uint8_t> bytes_;
  mutable int reads_ = 0;
};

}  // namespace
}  // namespace jprof::v8

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  using namespace jprof::v8;
  if (size < 16) return 0;
  CodeLayout layout = TestLayout((data[0] & 1) != 0);
  layout.position_flag_bits = data[0] & 2 ? 2 + (data[0] >> 2 & 1) : 0;
  layout.frame_cache_type = (data[0] & 4) != 0 ? 97 : 0;
  const uint8_t choice = data[1];
  const std::span<const uint8_t> bytes(data + 2, size - 2);

  const auto table = std::as_bytes(bytes);
  for (uint32_t offset : {0u, 1u, uint32_t{choice}, 0xffffffffu}) {
    FindPosition(table, offset, layout.position_flag_bits);
    FindBytecode(table.first(table.size() / 2), table.subspan(table.size() / 2), layout, offset);
    if (FindInHandler(table, layout, {static_cast<uint8_t>(choice % 8)}, offset).size() > 3) {
      std::abort();
    }
  }

  const FuzzMemory memory(bytes);
  CodeFinder finder(layout, memory);
  CodePositions positions(layout, memory);
  for (int instant = 0; instant < 2; ++instant) {
    const Address pc{kBase + 8 * uint64_t{choice}};
    auto found = finder.Find(pc);
    // And code that nobody verified.
    CodeObject made_up;
    std::memcpy(&made_up.deopt, bytes.data(), 6);
    std::memcpy(&made_up.positions, bytes.data() + 6, 6);
    made_up.instructions = {Address{kBase}, Address{kBase + 4096}};
    for (CodeKind kind : {CodeKind::kMaglev, CodeKind::kTurbofan, CodeKind::kBaseline}) {
      made_up.kind = kind;
      for (const CodeObject& code : {found.value_or(made_up), made_up}) {
        positions.Owner(code);
        if (positions.Optimized(code, pc, PcKind::kReturnAddress).size() >
            CodePositions::kMaxInlined + 1) {
          std::abort();
        }
        positions.Baseline(code, made_up.deopt, pc, PcKind::kExact);
      }
    }
    positions.Interpreted(made_up.deopt, CodeHeap::Smi(layout.bytecode_first + choice));
    finder.Advance();
    positions.Advance();
  }
  return 0;
}
