// Arguments of a frame, over memory that the input makes up: they are read in bounded steps, and
// their text is bounded.
//
// The input is two bytes that choose the frame and the function, then memory (fuzzed_memory.h).
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "helpers/v8/v8_values.h"
#include "jprof_runtimes.h"
#include "tests/helpers/fuzzed_memory.h"
#include "tests/helpers/v8_heap.h"
#include "tests/helpers/v8_values_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;  // NOLINT: a fuzz target is C, its body is not
  if (size < 2) return 0;
  static const v8::CodeLayout& code = *new v8::CodeLayout(v8::MakeTestCodeLayout());
  V8Heap heap(24);
  RuntimeImage image = heap.Image();
  image.native_walk = BuiltinRuntimes().native_walk;
  image.number = 1;
  const FuzzedMemory memory(data + 2, size - 2);
  v8::ValueReader reader(image, heap.layout(), code, memory);
  const uint64_t base = FuzzedMemory::kBase;
  const auto arguments =
      reader.Arguments(base + data[1] * 8u + 1, Address{base + 0x800 + data[0] * 8u});
  for (size_t i = 0; arguments && i < arguments->size(); ++i) {
    if ((*arguments)[i].value.size() > 4096) std::abort();
  }
  for (int word = 0; word < 64; ++word) {
    if (reader.Text(base + word * 8u + 1, 1).size() > 4096) std::abort();
  }
  return 0;
}
