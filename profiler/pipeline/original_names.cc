#include "profiler/pipeline/original_names.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "symbolize/source_url.h"

namespace jprof {
namespace {

constexpr size_t kMaxKnown = 1 << 18;
constexpr int kMaxFailures = 3;

GeneratedPosition StartOf(const PendingName& name) { return {name.start_line, name.place.column}; }
// Where a function has its name from, which the map may know under another.
GeneratedPosition NameOf(const PendingName& name) {
  return {name.place.name_line, name.place.name_column};
}

}  // namespace

OriginalNames::OriginalNames(const FrameTable& frames, SourceMaps& maps,
                             const ReadMapsFunction& read, Known* known)
    : frames_(frames) {
  for (const PendingName& name : frames.names()) {
    if (name.map == SourceMaps::kNone) continue;
    wanted_.push_back({name.map, StartOf(name)});
    if (name.place.name_line != 0) wanted_.push_back({name.map, NameOf(name)});
  }
  if (wanted_.empty()) return;
  for (const std::vector<PendingLine>& lines : frames.lines()) {
    for (const PendingLine& line : lines) {
      const uint32_t map = frames.names()[line.name].map;
      if (map != SourceMaps::kNone && line.line != 0) {
        wanted_.push_back({map, {line.line, line.column}});
      }
    }
  }
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
  if (known != nullptr) {
    Recall(maps, read, *known);
  } else {
    std::vector<uint32_t> failed;
    places_ = Ask(wanted_, maps, read, /*keep_open=*/false, failed);
  }
  for (uint32_t i = 0; i < frames.names().size(); ++i) {
    if (frames.names()[i].map != SourceMaps::kNone) NameFunction(i);
  }
}

void OriginalNames::Recall(SourceMaps& maps, const ReadMapsFunction& read, Known& known) {
  if (known.places.size() > kMaxKnown) known.places.clear();
  std::vector<Key> unknown;
  for (const Key& key : wanted_) {
    const auto failures = known.failures.find(key.first);
    const bool given_up = failures != known.failures.end() && failures->second >= kMaxFailures;
    const bool is_closed = maps.maps()[key.first].closed;
    if (!given_up && !is_closed && !known.places.contains(key)) unknown.push_back(key);
  }
  std::vector<uint32_t> failed;
  std::vector<Place> asked = Ask(unknown, maps, read, /*keep_open=*/true, failed);
  for (uint32_t map : failed) ++known.failures[map];
  for (size_t i = 0; i < unknown.size(); ++i) {
    const bool was_read = !std::binary_search(failed.begin(), failed.end(), unknown[i].first);
    if (was_read) known.places[unknown[i]] = std::move(asked[i]);
  }
  for (const Key& key : wanted_) {
    const auto place = known.places.find(key);
    places_.push_back(place == known.places.end() ? Place() : place->second);
  }
}

std::vector<OriginalNames::Place> OriginalNames::Ask(const std::vector<Key>& keys, SourceMaps& maps,
                                                     const ReadMapsFunction& read, bool keep_open,
                                                     std::vector<uint32_t>& failed) {
  std::vector<Place> places(keys.size());
  std::vector<SourceMapQuery> queries;
  std::vector<size_t> first;  // into keys, of each query
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == 0 || keys[i].first != keys[i - 1].first) {
      SourceMaps::Map& map = maps.maps()[keys[i].first];
      first.push_back(i);
      queries.emplace_back();
      queries.back().file = keep_open && map.file.valid()
                                ? UniqueFd(::fcntl(map.file.get(), F_DUPFD_CLOEXEC, 0))
                                : std::move(map.file);
      queries.back().path = map.path;
    }
    queries.back().positions.push_back(keys[i].second);
  }
  if (read) {
    read(queries);
  } else {
    for (SourceMapQuery& query : queries) ReadSourceMap(query);
  }
  std::string why;
  for (size_t q = 0; q < queries.size(); ++q) {
    const SourceMapQuery& query = queries[q];
    if (!query.status.ok()) {
      if (failed.empty()) why = std::string(query.status.message());
      failed.push_back(keys[first[q]].first);
    }
    const std::string& base = maps.maps()[keys[first[q]].first].base;
    std::vector<std::string> files;
    for (const std::string& source : query.sources) files.push_back(ResolveSource(base, source));
    for (size_t i = 0; i < query.originals.size(); ++i) {
      const OriginalPosition& original = query.originals[i];
      if (original.source == OriginalPosition::kNone) continue;
      places[first[q] + i] = {
          .file = files[original.source],
          .position = original,
          .name = original.name == OriginalPosition::kNone ? "" : query.names[original.name],
          .of_others = query.ignored[original.source]};
    }
  }
  if (!failed.empty()) {
    troubles_.push_back(absl::StrCat(failed.size(),
                                     failed.size() == 1 ? " source map is" : " source maps are",
                                     " not used (", why, ")"));
  }
  return places;
}

const OriginalNames::Place* OriginalNames::Find(uint32_t map, GeneratedPosition position) const {
  const Key key(map, position);
  const auto found = std::lower_bound(wanted_.begin(), wanted_.end(), key);
  if (found == wanted_.end() || *found != key) return nullptr;
  const Place& place = places_[static_cast<size_t>(found - wanted_.begin())];
  return place.position.source == OriginalPosition::kNone ? nullptr : &place;
}

void OriginalNames::NameFunction(uint32_t number) {
  const PendingName& generated = frames_.names()[number];
  const Place* name = Find(generated.map, NameOf(generated));
  const Place* place = name != nullptr ? name : Find(generated.map, StartOf(generated));
  if (place == nullptr) return;
  const absl::string_view prefix =
      absl::string_view(generated.name).substr(0, generated.prefix_bytes);
  functions_[number] = {
      .name = name == nullptr || name->name.empty() ? generated.name
                                                    : absl::StrCat(prefix, name->name),
      .file = place->file,
      .line = place->position.line,
      .generated = absl::StrCat(generated.name, " ", generated.file, ":", generated.start_line, ":",
                                generated.place.column),
      .of_others = place->of_others};
}

const OriginalNames::Function* OriginalNames::Of(uint32_t name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : &found->second;
}

OriginalNames::Position OriginalNames::Of(const PendingLine& line) const {
  const Function* function = Of(line.name);
  const Place* place =
      Find(frames_.names()[line.name].map, GeneratedPosition{line.line, line.column});
  if (function == nullptr || place == nullptr || place->file != function->file) return {};
  return {place->position.line, place->position.column};
}

}  // namespace jprof
