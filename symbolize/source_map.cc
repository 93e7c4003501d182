#include "symbolize/source_map.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/json_reader.h"
#include "profiler/core/status.h"
#include "symbolize/work_budget.h"

namespace jprof {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kMaxSections = 1 << 16;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxSourceBytes = 4096;
constexpr size_t kMaxTextBytes = size_t{16} << 20;  // of all names and sources
constexpr int64_t kMaxNumber = INT32_MAX;

absl::Status Damaged(absl::string_view what) { return absl::DataLossError(what); }

// The Base64 digits of VLQ; -1: none.
constexpr std::array<int8_t, 256> MakeDigits() {
  std::array<int8_t, 256> digits = {};
  digits.fill(-1);
  constexpr absl::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kDigits.size(); ++i) {
    digits[static_cast<uint8_t>(kDigits[i])] = static_cast<int8_t>(i);
  }
  return digits;
}
constexpr std::array<int8_t, 256> kDigitOf = MakeDigits();

struct Segment {
  int64_t column = 0;
  uint32_t source = OriginalPosition::kNone;  // as the map counts them, as below
  uint32_t line = 0;
  uint32_t original_column = 0;
  uint32_t name = OriginalPosition::kNone;
};

// Reads "mappings" line by line. The numbers in it are differences to those before.
class MappingReader {
 public:
  explicit MappingReader(absl::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }

  // The next line's segments, by column; nullptr: what they are does not matter. The last line
  // is behind the last semicolon.
  absl::Status ReadLine(std::vector<Segment>* line, WorkBudget& budget) {
    column_ = 0;
    bool sorted = true;
    uint64_t reserved = 0;
    while (!rest_.empty() && rest_[0] != ';') {
      if (rest_[0] == ',') {
        rest_.remove_prefix(1);
        continue;
      }
      Segment segment;
      const int64_t column_before = column_;
      JPROF_RETURN_IF_ERROR(ReadSegment(segment));
      sorted = sorted && column_ >= column_before;
      if (!budget.Spend()) return absl::ResourceExhaustedError("takes too long to read");
      if (line == nullptr) continue;
      if (line->size() == line->capacity()) {
        const uint64_t more = std::max<size_t>(line->capacity(), 1024) * sizeof(Segment);
        if (!budget.Reserve(more)) return absl::ResourceExhaustedError("too large");
        reserved += more;
        line->reserve(line->size() + more / sizeof(Segment));
      }
      line->push_back(segment);
    }
    budget.Release(reserved);
    if (!rest_.empty()) rest_.remove_prefix(1);
    if (line != nullptr && !sorted) {
      std::stable_sort(line->begin(), line->end(),
                       [](const Segment& a, const Segment& b) { return a.column < b.column; });
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadSegment(Segment& out) {
    constexpr size_t kMaxFields = 5;
    std::array<int64_t, kMaxFields> fields;
    size_t count = 0;
    while (!rest_.empty() && rest_[0] != ',' && rest_[0] != ';') {
      if (count == kMaxFields || !ReadVlq(fields[count++])) return Damaged("mappings are damaged");
    }
    if (count != 1 && count < 4) return Damaged("mappings are damaged");
    bool in_range = Add(fields[0], column_);
    out.column = column_;
    if (count > 1) {
      in_range = Add(fields[1], source_) && Add(fields[2], line_) &&
                 Add(fields[3], original_column_) && in_range;
      out.source = static_cast<uint32_t>(source_);
      out.line = static_cast<uint32_t>(line_);
      out.original_column = static_cast<uint32_t>(original_column_);
    }
    if (count == kMaxFields) {
      in_range = Add(fields[4], name_) && in_range;
      out.name = static_cast<uint32_t>(name_);
    }
    return in_range ? absl::OkStatus() : Damaged("mappings are damaged");
  }

  static bool Add(int64_t difference, int64_t& number) {
    number += difference;
    return number >= 0 && number < kMaxNumber;
  }

  bool ReadVlq(int64_t& value) {
    uint64_t bits = 0;
    for (unsigned shift = 0; shift <= 30; shift += 5) {
      const int digit = rest_.empty() ? -1 : kDigitOf[static_cast<uint8_t>(rest_[0])];
      if (digit < 0) return false;
      rest_.remove_prefix(1);
      bits |= static_cast<uint64_t>(digit & 31) << shift;
      if (digit < 32) {
        value = static_cast<int64_t>(bits >> 1);
        if ((bits & 1) != 0) value = -value;
        return true;
      }
    }
    return false;
  }

  absl::string_view rest_;
  int64_t column_ = 0;
  int64_t source_ = 0;
  int64_t line_ = 0;
  int64_t original_column_ = 0;
  int64_t name_ = 0;
};

// The members of a map, as they are written.
struct Members {
  int64_t version = 0;
  std::string source_root;
  absl::string_view sources;
  absl::string_view names;
  absl::string_view mappings;
  absl::string_view sections;
  absl::string_view ignore_list;
};

absl::StatusOr<Members> ReadMembers(absl::string_view text) {
  Members members;
  JsonReader json(text);
  json.Object([&](absl::string_view key) {
    if (key == "version") {
      members.version = json.Integer();
    } else if (key == "sourceRoot") {
      members.source_root = json.String();
    } else if (key == "sources") {
      members.sources = json.Text();
    } else if (key == "names") {
      members.names = json.Text();
    } else if (key == "mappings") {
      members.mappings = json.Text();
    } else if (key == "sections") {
      members.sections = json.Text();
    } else if (key == "ignoreList" ||
               (key == "x_google_ignoreList" && members.ignore_list.empty())) {
      members.ignore_list = json.Text();  // its name now, and before it was standard
    } else {
      json.Skip();
    }
  });
  if (!json.ok()) return Damaged("not JSON");
  if (members.version != 3) return Damaged("not a source map of version 3");
  return members;
}

// Answers the positions of a query, map by map.
class Answers {
 public:
  explicit Answers(SourceMapQuery& query) : query_(query) {
    query_.originals.assign(query_.positions.size(), OriginalPosition());
  }

  // Those positions [first, last) that are in one map, which begins at `offset`.
  absl::Status Answer(const Members& map, size_t first, size_t last, GeneratedPosition offset,
                      WorkBudget& budget) {
    if (map.mappings.size() < 2 || map.mappings[0] != '"') return Damaged("it has no mappings");
    MappingReader mappings(map.mappings.substr(1, map.mappings.size() - 2));
    std::vector<Segment> line;
    size_t at = first;
    for (uint32_t number = offset.line; at < last && !mappings.AtEnd(); ++number) {
      line.clear();
      const bool wanted = query_.positions[at].line == number;
      JPROF_RETURN_IF_ERROR(mappings.ReadLine(wanted ? &line : nullptr, budget));
      for (; at < last && query_.positions[at].line == number; ++at) {
        const int64_t column = int64_t{query_.positions[at].column} -
                               (number == offset.line ? offset.column : 1);
        Find(line, column, query_.originals[at]);
      }
    }
    return ReadTexts(map, first, last);
  }

 private:
  static void Find(const std::vector<Segment>& line, int64_t column, OriginalPosition& out) {
    auto next = std::upper_bound(
        line.begin(), line.end(), column,
        [](int64_t wanted, const Segment& segment) { return wanted < segment.column; });
    if (next == line.begin()) return;
    const Segment& segment = *std::prev(next);
    if (segment.source == OriginalPosition::kNone) return;
    out = {.source = segment.source,
           .line = segment.line + 1,
           .column = segment.original_column + 1,
           .name = segment.column == column ? segment.name : OriginalPosition::kNone};
  }

  // Replaces the map's numbers of sources and names by the query's.
  absl::Status ReadTexts(const Members& map, size_t first, size_t last) {
    const std::span<OriginalPosition> originals =
        std::span(query_.originals).subspan(first, last - first);
    absl::flat_hash_map<uint32_t, uint32_t> sources, names;
    for (const OriginalPosition& o : originals) {
      if (o.source != OriginalPosition::kNone) sources[o.source] = OriginalPosition::kNone;
      if (o.name != OriginalPosition::kNone) names[o.name] = OriginalPosition::kNone;
    }
    std::string root = map.source_root;
    if (!root.empty() && root.back() != '/') root += '/';
    JPROF_RETURN_IF_ERROR(
        Read(map.sources, sources, root, kMaxSourceBytes, source_ids_, query_.sources));
    JPROF_RETURN_IF_ERROR(Read(map.names, names, "", kMaxNameBytes, name_ids_, query_.names));
    ReadIgnored(map.ignore_list, sources);
    for (OriginalPosition& o : originals) {
      if (o.source == OriginalPosition::kNone) continue;
      o.source = sources[o.source];
      if (o.source == OriginalPosition::kNone) o = {};
      if (o.name != OriginalPosition::kNone) o.name = names[o.name];
    }
    return absl::OkStatus();
  }

  using Ids = absl::flat_hash_map<std::string, uint32_t>;
  // The elements of an array of strings whose numbers are in `wanted`. What is no string, empty or
  // too long stays unknown.
  absl::Status Read(absl::string_view array, absl::flat_hash_map<uint32_t, uint32_t>& wanted,
                    absl::string_view root, size_t max_bytes, Ids& ids,
                    std::vector<std::string>& texts) {
    if (wanted.empty() || array.empty()) return absl::OkStatus();
    JsonReader json(array);
    uint32_t number = 0;
    size_t bytes = 0;
    json.Array([&] {
      auto found = wanted.find(number++);
      if (found == wanted.end()) return json.Skip();
      std::string text = json.String();
      if (text.empty() || root.size() + text.size() > max_bytes) return;
      const bool is_absolute = text[0] == '/' || absl::StrContains(text, "://");
      if (!is_absolute) text.insert(0, root.data(), root.size());
      auto [id, added] = ids.try_emplace(text, static_cast<uint32_t>(texts.size()));
      found->second = id->second;
      if (!added) return;
      bytes += text.size();
      texts.push_back(std::move(text));
    });
    text_bytes_ += bytes;
    if (text_bytes_ > kMaxTextBytes) return absl::ResourceExhaustedError("its names are too many");
    return json.ok() ? absl::OkStatus() : Damaged("not JSON");
  }

  // `sources`: the query's numbers of those that were wanted. Damage is as good as no list.
  void ReadIgnored(absl::string_view array,
                   const absl::flat_hash_map<uint32_t, uint32_t>& sources) {
    query_.ignored.resize(query_.sources.size());
    if (array.empty() || array[0] != '[') return;
    JsonReader json(array);
    json.Array([&] {
      const int64_t number = json.Index();
      if (number < 0 || number >= kMaxNumber) return;
      const auto found = sources.find(static_cast<uint32_t>(number));
      if (found != sources.end() && found->second != OriginalPosition::kNone) {
        query_.ignored[found->second] = true;
      }
    });
  }

  SourceMapQuery& query_;
  Ids source_ids_;
  Ids name_ids_;
  size_t text_bytes_ = 0;
};

struct Section {
  GeneratedPosition offset;
  absl::string_view map;
};

absl::StatusOr<std::vector<Section>> ReadSections(absl::string_view text) {
  std::vector<Section> sections;
  bool valid = true;
  JsonReader json(text);
  json.Array([&] {
    int64_t line = -1, column = -1;
    Section section;
    json.Object([&](absl::string_view key) {
      if (key == "offset") {
        json.Object([&](absl::string_view axis) {
          const int64_t number = json.Index();
          if (axis == "line") line = number;
          if (axis == "column") column = number;
        });
      } else if (key == "map") {
        section.map = json.Text();
      } else {
        json.Skip();
      }
    });
    section.offset = {static_cast<uint32_t>(line) + 1, static_cast<uint32_t>(column) + 1};
    valid = valid && line >= 0 && line < kMaxNumber && column >= 0 && column < kMaxNumber &&
            !section.map.empty() && sections.size() < kMaxSections &&
            (sections.empty() || sections.back().offset < section.offset);
    if (!valid) return json.Stop();
    sections.push_back(section);
  });
  if (!json.ok()) return Damaged("its sections are damaged");
  return sections;
}

absl::Status Read(absl::string_view text, SourceMapQuery& query) {
  WorkBudget budget({});
  constexpr uint64_t kBytesPerStep = 16;
  if (!budget.Spend(text.size() / kBytesPerStep)) return absl::ResourceExhaustedError("too large");
  // A line that keeps the file from being taken for a script.
  if (absl::StartsWith(text, ")]}'")) text.remove_prefix(std::min(text.find('\n'), text.size()));
  JPROF_ASSIGN_OR_RETURN(const Members map, ReadMembers(text));
  Answers answers(query);
  if (map.sections.empty()) return answers.Answer(map, 0, query.positions.size(), {1, 1}, budget);
  JPROF_ASSIGN_OR_RETURN(const std::vector<Section> sections, ReadSections(map.sections));
  const auto begin = query.positions.begin(), end = query.positions.end();
  for (size_t i = 0; i < sections.size(); ++i) {
    const auto first = std::lower_bound(begin, end, sections[i].offset);
    const auto last = i + 1 == sections.size()
                          ? end
                          : std::lower_bound(first, end, sections[i + 1].offset);
    if (first == last) continue;
    JPROF_ASSIGN_OR_RETURN(const Members part, ReadMembers(sections[i].map));
    JPROF_RETURN_IF_ERROR(answers.Answer(part, static_cast<size_t>(first - begin),
                                         static_cast<size_t>(last - begin), sections[i].offset,
                                         budget));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(const UniqueFd& file) {
  struct stat st;
  if (::fstat(file.get(), &st) != 0) return ErrnoStatus(errno, "fstat");
  if (static_cast<uint64_t>(st.st_size) > kMaxFileBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("larger than ", kMaxFileBytes >> 20, " MB"));
  }
  std::string text(static_cast<size_t>(st.st_size), '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::pread(file.get(), &text[size], text.size() - size,
                                static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return text;
}

}  // namespace

void ReadSourceMapText(absl::string_view text, SourceMapQuery& query) {
  query.status = Annotate(Read(text, query), query.path);
  if (query.status.ok()) return;
  query.originals.assign(query.positions.size(), OriginalPosition());
  query.sources.clear();
  query.ignored.clear();
  query.names.clear();
}

void ReadSourceMap(SourceMapQuery& query) {
  const UniqueFd file = std::move(query.file);
  const absl::StatusOr<std::string> text = ReadAll(file);
  if (text.ok()) return ReadSourceMapText(*text, query);
  query.originals.assign(query.positions.size(), OriginalPosition());
  query.status = Annotate(text.status(), query.path);
}

}  // namespace jprof
