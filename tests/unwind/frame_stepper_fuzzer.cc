// Any bytes as a file in memory, as a stack and as an expression: steps end, and read only what is
// there.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "profiler/unwind/frame_stepper.h"

namespace jprof {
namespace {

constexpr uint64_t kFile = 0x40'0000;

// The bytes at kFile, and nothing elsewhere.
class Bytes : public MemoryReader {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(std::as_bytes(bytes)) {}
  size_t Read(Address address, std::span<std::byte> out) const override {
    const uint64_t at = address.value - kFile;
    if (at >= bytes_.size()) return 0;
    const size_t n = std::min<uint64_t>(out.size(), bytes_.size() - at);
    std::memcpy(out.data(), bytes_.data() + at, n);
    return n;
  }

 private:
  std::span<const std::byte> bytes_;
};

void Run(std::span<const uint8_t> bytes) {
  const Bytes memory(bytes);
  const std::vector<ProcMapping> maps = {{.range = {{kFile}, {kFile + 0x10'0000}},
                                          .offset = {0},
                                          .file = {1, 2, 3},
                                          .executable = true,
                                          .path = "/lib/x.so"}};
  FrameStepper stepper([&](Pid, std::span<const uint64_t> addresses) {
    return FindFrameCode(maps, memory, addresses);
  });
  Registers start = {.pc = kFile + bytes.size() / 2, .sp = kFile + 8, .fp = kFile + 16};
  start.others.fill(kFile + 24);
  const std::vector<FramePlace> frames = {{.pc = start.pc, .sp = start.sp, .fp = start.fp},
                                          {.pc = kFile + bytes.size() / 4, .sp = start.sp + 8}};
  stepper.Step({.pid = 1, .start = start, .frames = std::span(frames).first(1)}, memory);
  stepper.Step({.pid = 1, .start = start, .frames = frames, .is_first = false}, memory);
  stepper.Step({.pid = 1, .start = start, .frames = frames}, memory);
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jprof::Run({data, size});
  return 0;
}
