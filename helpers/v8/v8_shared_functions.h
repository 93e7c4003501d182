// The functions of one process, by their symbol records and by the SharedFunctionInfos that are
// their identity: names and lines, and whether a SharedFunctionInfo is still the function it was.
//
// A function that runs has its record from the sample. One that was inlined was never met on a
// stack: it is read where its SharedFunctionInfo is, by the very same helper (v8_function.h), and
// kept. The collector may move it, and give its address to another, so what is kept is used only
// while the words that tell the one from the other are the same, and its script is.
//
// Answers hold for one instant, as CodeFinder's do: a function that could not be read in full, or
// changed meanwhile, is read anew in another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "helpers/abi/records.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "helpers/v8/v8_scripts.h"
#include "helpers/v8/v8_type_reader.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

struct NamedFunction {
  jp_symbol symbol;
  FrameName name;
};

class SharedFunctions {
 public:
  // All outlive this.
  SharedFunctions(const RuntimeImage& image, const jp_v8_layout& layout, const MemoryReader& memory,
                  TypeReader& types, Scripts& scripts, size_t max_kept = kMaxKept)
      : image_(image),
        layout_(layout),
        memory_(memory),
        types_(types),
        scripts_(scripts),
        max_kept_(max_kept) {}

  // From a symbol record: a struct jp_symbol and its text. DataLoss: it is damaged.
  absl::StatusOr<NamedFunction> Read(std::span<const uint8_t> record);

  // The function whose SharedFunctionInfo, tagged, is there now. nullptr: none is, or it cannot be
  // read. Valid until the next call of this.
  const NamedFunction* Find(uint64_t shared);

  // Whether the address of a record's function is not another's by now: its script's id is given
  // once.
  bool IsStillThere(const jp_symbol& symbol);

  // Where a position of the function, in UTF-16 units, is in the file.
  FrameLine LineOf(const NamedFunction& function, int32_t position);

  // The process may have run.
  void Advance() { ++instant_; }

 private:
  static constexpr size_t kMaxKept = 1 << 14;

  // The words of a SharedFunctionInfo that tell it from another one at the same address, as
  // jp_v8_content() has them.
  struct Words {
    uint64_t name_or_scope_info = 0;
    uint64_t script = 0;
    uint64_t behind_script = 0;
    friend bool operator==(const Words&, const Words&) = default;
  };
  struct Kept {
    NamedFunction function;
    Words words;
    uint64_t instant = 0;
    bool lasts = false;  // else it is read anew in another instant
  };

  std::optional<Words> ReadWords(uint64_t shared);
  bool IsOfScript(const Words& words, const jp_symbol& symbol);

  const RuntimeImage& image_;
  const jp_v8_layout& layout_;
  const MemoryReader& memory_;
  TypeReader& types_;
  Scripts& scripts_;
  const size_t max_kept_;
  uint64_t instant_ = 0;
  absl::flat_hash_map<uint64_t, Kept> kept_;  // by SharedFunctionInfo
};

}  // namespace jprof::v8
