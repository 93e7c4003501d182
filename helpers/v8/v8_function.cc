#include "helpers/v8/v8_function.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "helpers/native_runner.h"

namespace jprof::v8 {
namespace {

// Where the made-up objects lie: below every mapping that a process may have
// (vm.mmap_min_addr is 64 KiB), above the lowest address that the walk takes for one.
constexpr uint64_t kBegin = 0x2000;
constexpr uint64_t kBytes = 0x1000;
constexpr uint64_t kFrame = kBegin + 0x100;
constexpr uint64_t kFunction = kBegin + 0x400;
constexpr uint64_t kMap = kBegin + 0x800;
constexpr uint64_t kCode = 0x1000;

// A JSFunction of the SharedFunctionInfo, its map, and a frame of it, over the target's memory.
class MadeUpFrame : public MemoryReader {
 public:
  MadeUpFrame(const jp_v8_layout& layout, const MemoryReader& under, uint64_t shared)
      : under_(under) {
    Put(kFrame - 8, kFunction | 1);  // the context: any object will do
    Put(kFrame - 16, kFunction | 1);
    Put(kFunction, kMap | 1);
    Put(kFunction + layout.function_shared, shared);
    Put(kMap + layout.map_instance_type, layout.first_js_function_type);
  }

  size_t Read(Address address, std::span<std::byte> out) const override {
    if (address.value < kBegin) return 0;
    if (address.value >= kBegin + kBytes) return under_.Read(address, out);
    const uint64_t offset = address.value - kBegin;
    const size_t size = std::min<size_t>(out.size(), kBytes - offset);
    std::memcpy(out.data(), bytes_ + offset, size);
    return size;
  }

 private:
  template <typename T>
  void Put(uint64_t address, T value) {
    std::memcpy(bytes_ + (address - kBegin), &value, sizeof(value));
  }

  const MemoryReader& under_;
  std::byte bytes_[kBytes] = {};
};

}  // namespace

std::optional<std::vector<uint8_t>> ReadFunction(const RuntimeImage& image,
                                                 const jp_v8_layout& layout,
                                                 const MemoryReader& memory, uint64_t shared) {
  if (image.native_walk == nullptr) return std::nullopt;
  const MadeUpFrame made_up(layout, memory, shared);
  RuntimeSet set;
  set.native_walk = image.native_walk;
  NativeRunner runner(set, made_up, {image.layout});
  jp_process process = {};
  process.range_count = 1;
  process.ranges[0] = {kCode, kCode + 16, 0, image.number, JP_RANGE_JIT, 0};
  NativeRunner::Result result = runner.Walk(process, 0, {.pc = kCode, .sp = kFrame, .fp = kFrame});
  if (result.symbols.size() != 1 || result.stack.frames.empty() ||
      result.stack.frames[0].kind != RawFrame::Kind::kRuntime) {
    return std::nullopt;
  }
  return std::move(result.symbols[0].record);
}

}  // namespace jprof::v8
