// The types of objects in V8's heap that may be gone by now: collected or moved since somebody met
// them, with anything in their place. HeapTypes (v8_code.h) is for those that code leads to.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

class TypeReader {
 public:
  // Both outlive this.
  TypeReader(const jp_v8_layout& layout, const MemoryReader& memory)
      : layout_(layout), memory_(memory) {}

  // nullopt: no object is there.
  std::optional<uint16_t> TypeOf(uint64_t tagged);
  // By an object's first word. nullopt: that is no map.
  std::optional<uint16_t> TypeOfMap(uint64_t map);

 private:
  const jp_v8_layout& layout_;
  const MemoryReader& memory_;
  absl::flat_hash_map<uint64_t, uint16_t> lasting_maps_;  // their types
};

}  // namespace jprof::v8
