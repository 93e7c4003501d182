// Random safepoint tables and translations, of all codings: reading them ends, soon, with an answer
// or none.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "helpers/v8/v8_deopt.h"

// First byte: the version. Then two bytes: the return address, which is an index as well.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof::v8;
  if (size < 3) return 0;
  constexpr uint32_t kVersions[] = {1103, 1204, 1209, 1406, 708};
  const DeoptCoding& coding = *FindDeoptCoding(kVersions[data[0] % 5]);
  uint16_t offset;
  std::memcpy(&offset, data + 1, sizeof(offset));
  const auto bytes = std::as_bytes(std::span(data + 3, size - 3));

  for (uint64_t index : {uint64_t{0}, uint64_t{offset}}) {
    const auto frames = ReadTranslation(bytes, index, coding);
    if (frames.size() > kMaxDeoptFrames) std::abort();
    for (const DeoptFrame& frame : frames) {
      if (frame.bytecode_offset < -1) std::abort();
    }
  }
  for (bool maglev : {false, true}) {
    auto table = ReadSafepointHeader(bytes, coding, maglev);
    if (table && ReadDeoptCalls(bytes, *table).size() > bytes.size()) std::abort();
  }
  return 0;
}
