#include "helpers/v8/v8_type_reader.h"

#include "profiler/core/address.h"

namespace jprof::v8 {
namespace {

constexpr size_t kMaxLastingMaps = 64;

}  // namespace

// Of an object that may be gone: where its map was may be a pointer to anything, and the type of
// that a string's. A map has a map, and that one is its own.
std::optional<uint16_t> TypeReader::TypeOfMap(uint64_t map) {
  if (auto it = lasting_maps_.find(map); it != lasting_maps_.end()) return it->second;
  const auto map_of = [this](uint64_t object) -> std::optional<uint64_t> {
    if ((object & 3) != 1) return std::nullopt;
    return memory_.ReadValue<uint64_t>(Address{object - 1});
  };
  const auto meta = map_of(map);
  if (!meta || map_of(*meta) != meta) return std::nullopt;
  const auto type = memory_.ReadValue<uint16_t>(Address{map - 1 + layout_.map_instance_type});
  // V8 makes these two once for each isolate.
  if (type == layout_.shared_type || type == layout_.script_type) {
    if (lasting_maps_.size() >= kMaxLastingMaps) lasting_maps_.clear();
    lasting_maps_.emplace(map, *type);
  }
  return type;
}

std::optional<uint16_t> TypeReader::TypeOf(uint64_t tagged) {
  if ((tagged & 3) != 1) return std::nullopt;
  const auto map = memory_.ReadValue<uint64_t>(Address{tagged - 1});
  return map ? TypeOfMap(*map) : std::nullopt;
}

}  // namespace jprof::v8
