// Values of V8's, as text for people: what a function on the stack was called with.
//
// The caller pushes receiver and arguments right above the callee's frame, whatever tier runs
// there:
//
//   since V8 9   [fp+16] receiver, [fp+24] first argument ...; [fp-24] how many
//   before       [fp+16] last argument ... first, receiver; as many as the function has parameters,
//                for a frame between the two adapts them
//
// All memory is the target's, hence hostile: each object is checked by its map, and texts, depth
// and reads are bounded. What does not pass is shown as "?".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "helpers/runtime.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/core/frame.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// From the metadata alone. `known` is false where some of it is missing.
ValueLayout MakeValueLayout(uint32_t version, const CodeMetadata& metadata);

class ValueReader {
 public:
  // All outlive the reader. `code` has a ValueLayout that is known.
  ValueReader(const RuntimeImage& image, const jp_v8_layout& layout, const CodeLayout& code,
              const MemoryReader& memory)
      : image_(image), layout_(layout), code_(code), memory_(memory), types_(code, memory) {}

  // Of the frame of a function with this SharedFunctionInfo, the receiver first ("this"), unless it
  // was called without one. nullopt: the frame is another one's.
  std::optional<std::vector<FrameArgument>> Arguments(uint64_t shared, Address fp);

  // `depth`: levels of properties or elements that are shown.
  std::string Text(uint64_t tagged, int depth);

 private:
  std::optional<uint64_t> Word(uint64_t tagged, uint64_t offset) const {
    return memory_.ReadValue<uint64_t>(Address{tagged - 1 + offset});
  }
  // The instance type; kNoType: no object. Follows a forwarding address that a collection left.
  static constexpr int kNoType = -1;
  int TypeOf(uint64_t& tagged);
  std::string NumberText(uint64_t tagged) const;
  std::string BigIntText(uint64_t tagged) const;
  std::string OddballText(uint64_t tagged) const;
  std::string StringText(uint64_t tagged);
  // At most `units` of it; `cut`: there is more.
  std::optional<std::string> ReadString(uint64_t tagged, uint32_t units, bool* cut);
  std::string FunctionName(uint64_t function);
  std::string ArrayText(uint64_t tagged, int depth);
  std::string ElementsText(uint64_t tagged, uint32_t length, int depth);
  std::string ObjectText(uint64_t tagged, int depth);
  std::string PropertyText(uint64_t tagged, uint64_t map, uint64_t details, uint64_t value);
  std::string ConstructorName(uint64_t map);

  const RuntimeImage& image_;
  const jp_v8_layout& layout_;
  const CodeLayout& code_;
  const MemoryReader& memory_;
  HeapTypes types_;
};

}  // namespace jprof::v8
