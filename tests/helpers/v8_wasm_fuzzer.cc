// A module's objects, with words replaced, and any bytes for the module itself: looking for a
// function ends, soon, with an answer or none.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "absl/strings/string_view.h"
#include "helpers/v8/v8_wasm.h"
#include "helpers/v8/wasm_names.h"
#include "tests/helpers/wasm_heap.h"

// First byte: the version, and how many words of the objects are replaced: two bytes where, eight
// what. The rest are the module's bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  using namespace jprof::v8;
  constexpr uint64_t kMaxReads = 2'000'000;
  if (size == 0) return 0;
  WasmHeap heap((data[0] & 1) != 0);
  size_t at = 1;
  for (int i = 0; i < data[0] >> 1 && size - at >= 10; ++i, at += 10) {
    uint16_t where;
    std::memcpy(&where, data + at, sizeof(where));
    std::memcpy(&heap.bytes()[where % (WasmHeap::kBytes - 8)], data + at + 2, 8);
  }
  const size_t wire = std::min<size_t>(size - at, 0x1000);
  if (wire > 0) {
    heap.PutText(WasmHeap::kWire, {reinterpret_cast<const char*>(data + at), wire});
  }

  auto names = WasmNames::Read(heap, Address{WasmHeap::kWire}, wire);
  if (names && names->size() > wire) std::abort();
  const jp_v8_layout layout = heap.layout();
  WasmModules modules(layout, heap);
  for (int instant = 0; instant < 3; ++instant) {
    for (uint64_t pc = WasmHeap::kStub; pc < WasmHeap::kStub + 0x600; pc += 0x40) {
      for (uint64_t instance : {WasmHeap::kInstance, uint64_t{0}, pc | 1}) {
        auto name = modules.Find(Address{pc}, instance);
        if (name && name->name.empty()) std::abort();
      }
    }
    modules.Advance();
  }
  if (heap.reads() > kMaxReads) std::abort();
  return 0;
}
