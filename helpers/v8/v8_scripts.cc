#include "helpers/v8/v8_scripts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "profiler/core/address.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kMaxSourceUnits = uint64_t{16} << 20;
constexpr size_t kMaxScripts = 4096;
constexpr size_t kMaxLines = size_t{16} << 20;  // of all scripts: 64 MiB
constexpr int kMaxStringPieces = 1024;
constexpr size_t kMaxMapUrlBytes = size_t{64} << 20;  // of all scripts
// In front of a function's parameters its name is looked for in so much text.
constexpr uint32_t kNameUnits = 512;
constexpr size_t kReadUnits = 16384;
constexpr uint32_t kWholeSource = UINT32_MAX;
constexpr size_t kMaxScriptBytes = 256;  // up to its id

}  // namespace

// JP_V8_SOURCE_HASH.
struct Scripts::SourceHash {
  explicit SourceHash(uint64_t word)
      : hash(static_cast<uint32_t>(word)), length(static_cast<uint32_t>(word >> 32)) {}
  // In all versions the lowest bit is set until V8 has computed the hash.
  bool Known() const { return (hash & 1) == 0; }
  bool Fits(SourceHash other) const {
    return length == other.length && (hash == other.hash || !Known() || !other.Known());
  }

  uint32_t hash;
  uint32_t length;
};

LineAndColumn Scripts::Locate(const jp_symbol& symbol, uint32_t position) {
  const Script* script = Find(symbol);
  if (script == nullptr) return {};
  const uint32_t line = script->lines.LineOf(position);
  if (line == 0) return {};
  return {line + static_cast<uint32_t>(symbol.words[JP_V8_LINE_OFFSET]),
          script->lines.ColumnOf(position)};
}

ScriptPlace Scripts::PlaceOf(const jp_symbol& symbol, absl::string_view name) {
  const Script* script = Find(symbol);
  if (script == nullptr) return {};
  const uint32_t start = static_cast<uint32_t>(symbol.words[JP_V8_EXTENT]);
  ScriptPlace place = {.script = script->number, .column = script->lines.ColumnOf(start)};
  const std::optional<uint64_t> source = SourceNow(symbol);
  const SourceHash hash(symbol.words[JP_V8_SOURCE_HASH]);
  const uint32_t from = start - std::min(start, kNameUnits);
  std::u16string before;
  const auto append = [&before](std::u16string_view units) { before += units; };
  if (!source || !ReadSource(*source, hash, from, start - from, append)) return place;
  const std::optional<size_t> found = FindName(before, name);
  if (!found) return place;
  const uint32_t at = from + static_cast<uint32_t>(*found);
  place.name_line =
      script->lines.LineOf(at) + static_cast<uint32_t>(symbol.words[JP_V8_LINE_OFFSET]);
  place.name_column = script->lines.ColumnOf(at);
  return place;
}

std::string Scripts::TakeSourceMapUrl(uint32_t script) {
  auto found = map_urls_.find(script);
  if (found == map_urls_.end()) return "";
  std::string url = std::move(found->second);
  map_url_bytes_ -= url.size();
  map_urls_.erase(found);
  return url;
}

std::optional<uint64_t> Scripts::IdOf(uint64_t script) {
  // One read for both words: they are close together.
  std::array<std::byte, kMaxScriptBytes> bytes;
  const size_t id_at = layout_.script_id;
  uint64_t map, id;
  if ((script & 3) != 1 || id_at + sizeof(id) > bytes.size() ||
      !memory_.ReadExactly(Address{script - 1}, std::span(bytes.data(), id_at + sizeof(id)))) {
    return std::nullopt;
  }
  std::memcpy(&map, bytes.data(), sizeof(map));
  std::memcpy(&id, bytes.data() + id_at, sizeof(id));
  if (types_.TypeOfMap(map) != layout_.script_type) return std::nullopt;
  return id >> 32;
}

// The source of the script as it is now. A script lives where it was made, in the old generation,
// but its source, when young, moves with the first collections after it was loaded: just when a
// busy program is first looked at.
std::optional<uint64_t> Scripts::SourceNow(const jp_symbol& symbol) {
  const uint64_t script = symbol.words[JP_V8_SCRIPT_OBJECT];
  if (IdOf(script) != symbol.words[JP_V8_SCRIPT_ID]) return std::nullopt;
  auto source = memory_.ReadValue<uint64_t>(Address{script - 1 + layout_.script_source});
  if (!source || (*source & 3) != 1) return std::nullopt;
  const std::optional<SourceHash> hash = HashOf(*source);
  if (!hash || !hash->Fits(SourceHash(symbol.words[JP_V8_SOURCE_HASH]))) return std::nullopt;
  return source;
}

std::optional<Scripts::SourceHash> Scripts::HashOf(uint64_t string) const {
  const uint64_t word = string - 1 + (layout_.string_length & ~7U);
  auto value = memory_.ReadValue<uint64_t>(Address{word});
  if (!value) return std::nullopt;
  return SourceHash(*value);
}

const Scripts::Script* Scripts::Find(const jp_symbol& symbol) {
  // Programs with so many scripts make them by eval; starting over keeps the memory bounded.
  const auto make_room = [this] {
    scripts_.clear();
    lines_kept_ = 0;
  };
  const std::pair key(symbol.words[JP_V8_SCRIPT_ID], symbol.words[JP_V8_SCRIPT_OBJECT]);
  if (scripts_.size() >= kMaxScripts && !scripts_.contains(key)) make_room();
  Script& script = scripts_[key];
  if (script.read) return &script;
  // A source that cannot be read may be there soon, or never: each further failure doubles the
  // number of requests until the next attempt, for an attempt may read megabytes.
  if (!std::has_single_bit(++script.requests)) return nullptr;
  LineTable lines;
  SourceMapComment comment;
  const auto append = [&](std::u16string_view units) {
    lines.Append(units);
    if (want_places_) comment.Append(units);
  };
  const std::optional<uint64_t> source = SourceNow(symbol);
  const SourceHash hash(symbol.words[JP_V8_SOURCE_HASH]);
  if (!source || !ReadSource(*source, hash, 0, kWholeSource, append) ||
      lines.length() != hash.length || SourceNow(symbol) != source) {
    return nullptr;
  }
  if (lines_kept_ + lines.size() > kMaxLines) make_room();
  lines_kept_ += lines.size();
  const uint32_t number = ++last_script_;
  if (std::string url = comment.Url();
      !url.empty() && map_url_bytes_ + url.size() <= kMaxMapUrlBytes) {
    map_url_bytes_ += url.size();
    map_urls_[number] = std::move(url);
  }
  Script found = {.lines = std::move(lines), .read = true, .number = number};
  return &scripts_.insert_or_assign(key, std::move(found)).first->second;
}

// Units [from_unit, from_unit + size) of a source, or up to its end. False unless the text is
// `hash`'s, as far as its pieces tell.
bool Scripts::ReadSource(uint64_t tagged, SourceHash hash, uint32_t from_unit, uint32_t size,
                         TakeUnits take) {
  struct Piece {
    uint64_t string;
    uint32_t start;
    uint32_t length;
  };
  std::vector<Piece> pending = {{tagged, from_unit, size}};
  uint64_t budget = kMaxSourceUnits;
  for (int steps = 0; !pending.empty(); ++steps) {
    if (steps >= kMaxStringPieces) return false;
    Piece piece = pending.back();
    pending.pop_back();
    auto type = types_.TypeOf(piece.string);
    if (!type || *type >= layout_.first_nonstring_type) return false;
    const Address object{piece.string - 1};
    auto own = memory_.ReadValue<int32_t>(object + layout_.string_length);
    if (!own || *own < 0 || piece.start > static_cast<uint32_t>(*own)) return false;
    const uint32_t rest = static_cast<uint32_t>(*own) - piece.start;
    const uint32_t length = std::min(rest, piece.length);
    auto field = [&](uint16_t offset) { return memory_.ReadValue<uint64_t>(object + offset); };

    const uint8_t tag = *type & layout_.representation_mask;
    if (tag == layout_.cons_tag) {
      auto first = field(layout_.cons_first), second = field(layout_.cons_second);
      if (!first || !second) return false;
      const bool whole = piece.start == 0 && length == static_cast<uint32_t>(*own);
      if (whole) pending.push_back({*second, 0, kWholeSource});
      pending.push_back({*first, piece.start, whole ? kWholeSource : length});
      continue;
    }
    if (tag == layout_.thin_tag) {
      auto actual = field(layout_.thin_actual);
      if (!actual) return false;
      pending.push_back({*actual, piece.start, piece.length});
      continue;
    }
    if (tag == layout_.sliced_tag) {
      auto parent = field(layout_.sliced_parent), offset = field(layout_.sliced_offset);
      if (!parent || !offset) return false;
      pending.push_back({*parent, piece.start + static_cast<uint32_t>(*offset >> 32), length});
      continue;
    }
    Address chars = object + layout_.string_chars;
    if (tag == layout_.external_tag) {
      auto data = field(layout_.external_data);
      if ((*type & layout_.uncached_external_bit) != 0) {
        auto resource = field(layout_.external_resource);
        if (!resource) return false;
        data = memory_.ReadValue<uint64_t>(Address{*resource + 8});  // behind its vtable
      }
      if (!data) return false;
      chars = Address{*data};
    } else if (tag != layout_.sequential_tag) {
      return false;
    }
    if (length > budget) return false;
    budget -= length;
    const std::optional<SourceHash> before = HashOf(piece.string);
    if (!before || (before->length == hash.length && !before->Fits(hash))) return false;
    const bool one_byte = (*type & layout_.one_byte_bit) != 0;
    std::vector<uint8_t> narrow;
    std::u16string units;
    for (uint32_t at = 0; at < length; at += kReadUnits) {
      const uint32_t count = std::min<uint32_t>(kReadUnits, length - at);
      const uint64_t from = uint64_t{piece.start} + at;
      units.resize(count);
      if (one_byte) {
        narrow.resize(count);
        if (!memory_.ReadExactly(chars + from, std::as_writable_bytes(std::span(narrow)))) {
          return false;
        }
        std::copy(narrow.begin(), narrow.end(), units.begin());
      } else if (!memory_.ReadExactly(chars + from * 2, std::as_writable_bytes(std::span(units)))) {
        return false;
      }
      take(units);
    }
    // What dies is written over from its beginning.
    const std::optional<SourceHash> after = HashOf(piece.string);
    if (!after || !after->Fits(*before) || types_.TypeOf(piece.string) != type) return false;
  }
  return true;
}

}  // namespace jprof::v8
