// What the frames of a recording are in the originals of their scripts, by their source maps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "profiler/pipeline/frame_table.h"
#include "profiler/pipeline/source_maps.h"
#include "symbolize/source_map.h"

namespace jprof {

// As ReadSourceMap() of each.
using ReadMapsFunction = std::function<void(std::vector<SourceMapQuery>& queries)>;

class OriginalNames {
 public:
  struct Function {
    std::string name;
    std::string file;
    uint32_t line = 0;      // of its definition
    std::string generated;  // "a /srv/dist/app.js:1:4711"
    bool of_others = false;  // its map says to ignore its file
  };
  struct Position {
    uint32_t line = 0;
    uint32_t column = 0;
  };

  using Key = std::pair<uint32_t, GeneratedPosition>;  // map and position
  struct Place {
    std::string file;
    OriginalPosition position;
    std::string name;
    bool of_others = false;
  };
  // What maps said, for a recording that names its frames again and again: they are read for new
  // positions alone. One that could not be read is tried again some times.
  struct Known {
    std::map<Key, Place> places;
    std::map<uint32_t, int> failures;  // by map
  };

  // Reads the maps that `frames` need, and closes them, unless there is a `known`. `frames`
  // outlives the result.
  OriginalNames(const FrameTable& frames, SourceMaps& maps, const ReadMapsFunction& read,
                Known* known = nullptr);

  // Of a name in the frame table; nullptr: it has no original.
  const Function* Of(uint32_t name) const;
  // Where a line of a function that has an original executes. {0, 0}: not known, or in another
  // file than the function.
  Position Of(const PendingLine& line) const;

  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  // nullptr: it has no original.
  const Place* Find(uint32_t map, GeneratedPosition position) const;
  // Of the keys, which are sorted; a place for each. `failed`: the maps that could not be read.
  std::vector<Place> Ask(const std::vector<Key>& keys, SourceMaps& maps,
                         const ReadMapsFunction& read, bool keep_open,
                         std::vector<uint32_t>& failed);
  void Recall(SourceMaps& maps, const ReadMapsFunction& read, Known& known);
  void NameFunction(uint32_t number);

  const FrameTable& frames_;
  std::vector<Key> wanted_;    // sorted, distinct
  std::vector<Place> places_;  // as wanted_
  absl::flat_hash_map<uint32_t, Function> functions_;  // by name in frames_
  std::vector<std::string> troubles_;
};

}  // namespace jprof
