// The scripts of one process: what their text says that a function's symbol record leaves out.
// Where a position is in the file, where the function has its name from, where the script's source
// map is.
//
// V8 keeps a position in UTF-16 units, and lines only once a stack trace asked for them, so the
// source, a string of any representation, is read here, once for each script, and split. Script and
// source may be gone since the sample, and one of them still look whole while something else is in
// the other's place. Both are therefore checked before the source is read and after: type and id of
// the script, length and hash of the source must be those of the record. (V8 looks each source up
// in its compilation cache, which leaves the hash of the text in the string.)
//
// All memory is the target's, hence hostile: pieces, sizes and what is kept are bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "helpers/abi/records.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "helpers/v8/v8_source.h"
#include "helpers/v8/v8_type_reader.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// 1-based, columns in UTF-16 units; 0 where not known.
struct LineAndColumn {
  uint32_t line = 0;
  uint32_t column = 0;
};

class Scripts {
 public:
  // All outlive this.
  Scripts(const jp_v8_layout& layout, const MemoryReader& memory, TypeReader& types)
      : layout_(layout), memory_(memory), types_(types) {}

  // The id, given once in a process, of what is a script now. nullopt: it is none.
  std::optional<uint64_t> IdOf(uint64_t script);

  // Of a position, in UTF-16 units, in the script of a record.
  LineAndColumn Locate(const jp_symbol& symbol, uint32_t position);

  // From now on scripts that are read have their source map's URL.
  void WantPlaces() { want_places_ = true; }
  bool wants_places() const { return want_places_; }
  // Of the function of a record, by its name. The name need not be V8's own guess at one: it is
  // believed where it is in the text.
  ScriptPlace PlaceOf(const jp_symbol& symbol, absl::string_view name);
  // RuntimeInstance::SourceMapUrl().
  std::string TakeSourceMapUrl(uint32_t script);

 private:
  struct SourceHash;
  struct Script {
    LineTable lines;
    bool read = false;
    uint32_t requests = 0;  // while it was not read
    uint32_t number = 0;    // ScriptPlace::script
  };
  using TakeUnits = absl::FunctionRef<void(std::u16string_view)>;

  const Script* Find(const jp_symbol& symbol);
  std::optional<uint64_t> SourceNow(const jp_symbol& symbol);
  std::optional<SourceHash> HashOf(uint64_t string) const;
  bool ReadSource(uint64_t tagged, SourceHash hash, uint32_t from_unit, uint32_t size,
                  TakeUnits take);

  const jp_v8_layout& layout_;
  const MemoryReader& memory_;
  TypeReader& types_;
  // By (script id, script address): two isolates of a process may use one id for two scripts.
  absl::flat_hash_map<std::pair<uint64_t, uint64_t>, Script> scripts_;
  size_t lines_kept_ = 0;  // in scripts_
  uint32_t last_script_ = 0;
  bool want_places_ = false;
  absl::flat_hash_map<uint32_t, std::string> map_urls_;  // by script; not asked for yet
  size_t map_url_bytes_ = 0;
};

}  // namespace jprof::v8
