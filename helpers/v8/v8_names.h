// From V8's symbol records to names and lines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// `image` is one that V8's probe made. `memory` outlives the instance.
std::unique_ptr<RuntimeInstance> MakeV8Instance(const RuntimeImage& image,
                                                const MemoryReader& memory);

// "Builtins_ArrayMap" -> "ArrayMap". nullopt for the code that runs bytecode (trampolines, bytecode
// handlers) and for entry and exit code: the frame of the function that they run for says it all.
std::optional<FrameName> DescribeV8Builtin(absl::string_view symbol);

// Where the lines of a source begin, in UTF-16 units: V8's line terminators are \n, \r, \r\n,
// U+2028 and U+2029. Built from pieces of text, in order.
class LineTable {
 public:
  LineTable() : starts_{0} {}
  void Append(std::u16string_view units);
  // 1-based line of a position; 0 when the position lies behind the end.
  uint32_t LineOf(uint32_t position) const;
  // 1-based column, in UTF-16 units; 0 when the position lies behind the end.
  uint32_t ColumnOf(uint32_t position) const;
  size_t size() const { return starts_.size(); }
  uint32_t length() const { return length_; }  // of the text, in UTF-16 units

 private:
  std::vector<uint32_t> starts_;
  uint32_t length_ = 0;
  bool after_return_ = false;
};

}  // namespace jprof::v8
