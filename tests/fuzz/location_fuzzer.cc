// Any bytes as the place of a variable, as types, and as the message that has both: in registers
// that are known in part, over a memory that is readable in part.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "profiler/cli/value_text.h"
#include "profiler/unwind/location.h"
#include "symbolize/frame_values_message.h"

namespace jprof {
namespace {

constexpr size_t kMaxTextBytes = 1024;

// One page of the input's bytes, again and again.
class InputMemory : public MemoryReader {
 public:
  explicit InputMemory(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    size_t i = 0;
    for (; i < out.size() && address.value + i < 4096 && !bytes_.empty(); ++i) {
      out[i] = static_cast<std::byte>(bytes_[(address.value + i) % bytes_.size()]);
    }
    return i;
  }

 private:
  const std::span<const uint8_t> bytes_;
};

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  const InputMemory memory({data, size});
  FrameRegisters registers;
  for (uint32_t i = 0; i < FrameRegisters::kCount; i += 2) registers.Set(i, 64 * i);
  const std::string text(reinterpret_cast<const char*>(data), size);
  const LocationContext context = {.registers = registers,
                                   .cfa = 256,
                                   .frame_base = absl::string_view(text).substr(0, size / 2),
                                   .bias = 16,
                                   .memory = memory};
  const ValuePlace location = Locate(text, context);
  Require(Locate(text, context).bytes == location.bytes);
  (void)Compute(text, context, 1);

  FrameValues values;
  ByteCursor c({data, size});
  if (!ReadFrameValues(c, values)) return 0;
  MessageWriter again;
  WriteFrameValues(values, again);
  const std::string bytes = std::move(again).bytes();
  Require(bytes.size() <= size);
  for (uint32_t type = 0; type < values.types.size() && type < 16; ++type) {
    for (const ValuePlace& at : {location, ValuePlace{ValuePlace::Kind::kMemory, 8, ""}}) {
      Require(ValueText(values.types, type, at, memory).size() < kMaxTextBytes);
    }
  }
  return 0;
}
