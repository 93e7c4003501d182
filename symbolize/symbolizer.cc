// A file has a hundred times as many symbols as a profile asks for, so the symbols are not sorted:
// the questions are, and the symbols stream past them once, in file order, without their names.
// A symbol that covers some of the questions is a range of them and is entered into a segment tree
// over the questions: O(log n) for each symbol whatever the nesting, where walking the range would
// let a file of overlapping symbols cost their product. At the end each question climbs to the root
// and takes the best symbol on its way. Names are read for the winners only, in the order in which
// they lie in the file.
#include "symbolize/symbolizer.h"

#include <elf.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "profiler/core/status.h"
#include "symbolize/demangle.h"
#include "symbolize/elf_file.h"
#include "symbolize/image_threads.h"
#include "symbolize/register_rows.h"

namespace jprof {
namespace {

constexpr size_t kMaxNameBytesPerImage = size_t{64} << 20;
// Beside those of names and lines, which come first.
constexpr WorkBudget::Limits kValuesLimits = {.bytes = uint64_t{128} << 20,
                                              .time = std::chrono::milliseconds(1500)};

struct Question {
  uint64_t address;
  size_t index;  // in ImageQuery::offsets
};

struct Candidate {
  uint64_t begin = 0;
  uint64_t end = 0;  // == begin: no size
  uint32_t name = 0;
  uint32_t order = UINT32_MAX;  // of being read; UINT32_MAX: no candidate
  uint8_t rank = 0;
  uint8_t source = 0;  // number of the table that it is from

  bool valid() const { return order != UINT32_MAX; }
};

uint8_t Rank(const ElfFile::SymbolEntry& s) {
  int binding = s.binding == STB_WEAK ? 0 : s.binding == STB_LOCAL ? 1 : 2;
  return static_cast<uint8_t>(binding * 2 + (s.type == STT_NOTYPE ? 0 : 1));
}

bool Better(const Candidate& a, const Candidate& b) {
  if (a.valid() != b.valid()) return a.valid();
  if (a.begin != b.begin) return a.begin > b.begin;
  if (a.end != b.end) return a.end < b.end;
  if (a.rank != b.rank) return a.rank > b.rank;
  return a.order < b.order;
}

void TakeBetter(const Candidate& candidate, Candidate* best) {
  if (Better(candidate, *best)) *best = candidate;
}

// Which question is the first one at or above an address. Most symbols lie between two questions,
// and a table of evenly spaced addresses tells so without a search.
class QuestionIndex {
 public:
  // `questions` is sorted by address, not empty, and outlives the index.
  explicit QuestionIndex(const std::vector<Question>& questions)
      : questions_(questions), first_(questions.front().address) {
    const uint64_t span = questions.back().address - first_;
    while (span >> shift_ >= 4 * questions.size()) ++shift_;
    starts_.resize((span >> shift_) + 2, static_cast<uint32_t>(questions.size()));
    size_t filled = 0;
    for (size_t i = 0; i < questions.size(); ++i) {
      const size_t slot = (questions[i].address - first_) >> shift_;
      while (filled <= slot) starts_[filled++] = static_cast<uint32_t>(i);
    }
  }

  size_t FirstAtOrAbove(uint64_t address) const {
    if (address <= first_) return 0;
    const uint64_t slot = (address - first_) >> shift_;
    if (slot >= starts_.size() - 1) return questions_.size();
    auto it = std::lower_bound(questions_.begin() + starts_[slot],
                               questions_.begin() + starts_[slot + 1], address,
                               [](const Question& q, uint64_t a) { return q.address < a; });
    return static_cast<size_t>(it - questions_.begin());
  }

 private:
  const std::vector<Question>& questions_;
  uint64_t first_;
  int shift_ = 0;
  std::vector<uint32_t> starts_;  // of each slot: its first question, or the next slot's
};

// The best symbol for each of a fixed list of addresses.
class SymbolSearch {
 public:
  // `questions` is sorted by address, not empty, and outlives the search.
  explicit SymbolSearch(const std::vector<Question>& questions)
      : questions_(questions),
        index_(questions),
        covering_(2 * questions.size()),
        unsized_(questions.size()),
        ended_(questions.size(), 0) {}

  void Add(const ElfFile::SymbolEntry& s, uint8_t source) {
    Candidate candidate;
    candidate.begin = s.address.value;
    candidate.end = s.address.value + s.size;
    if (candidate.end < candidate.begin) return;
    candidate.name = s.name;
    candidate.order = next_order_++;
    candidate.rank = Rank(s);
    candidate.source = source;

    size_t first = index_.FirstAtOrAbove(candidate.begin);
    if (first == questions_.size()) return;
    if (s.size == 0) {
      TakeBetter(candidate, &unsized_[first]);
      return;
    }
    size_t last =
        questions_[first].address >= candidate.end ? first : index_.FirstAtOrAbove(candidate.end);
    if (last < ended_.size()) ended_[last] = std::max(ended_[last], candidate.end);
    const size_t n = questions_.size();
    for (size_t l = first + n, r = last + n; l < r; l /= 2, r /= 2) {
      if (l & 1) TakeBetter(candidate, &covering_[l++]);
      if (r & 1) TakeBetter(candidate, &covering_[--r]);
    }
  }

  // By a symbol that has a size.
  bool AllCovered() const {
    const size_t n = questions_.size();
    for (size_t i = 0; i < n; ++i) {
      size_t node = i + n;
      while (node > 0 && !covering_[node].valid()) node /= 2;
      if (node == 0) return false;
    }
    return true;
  }

  // The best of what was added so far. `file`: whose sections the questions lie in.
  std::vector<Candidate> Best(const ElfFile& file) const {
    const size_t n = questions_.size();
    std::vector<Candidate> result(n);
    Candidate unsized;
    uint64_t ended = 0;
    for (size_t i = 0; i < n; ++i) {
      TakeBetter(unsized_[i], &unsized);
      ended = std::max(ended, ended_[i]);
      for (size_t node = i + n; node > 0; node /= 2) TakeBetter(covering_[node], &result[i]);
      if (result[i].valid() || !unsized.valid() || ended > unsized.begin) continue;
      auto section = file.ExecutableRange({unsized.begin});
      if (section && section->Contains({questions_[i].address})) result[i] = unsized;
    }
    return result;
  }

 private:
  const std::vector<Question>& questions_;
  const QuestionIndex index_;
  std::vector<Candidate> covering_;  // segment tree: leaf of question i is at i + n
  std::vector<Candidate> unsized_;   // best symbol whose first question at or above is this one
  std::vector<uint64_t> ended_;      // last end of a symbol whose first question from there is this
  uint32_t next_order_ = 0;
};

// "memcpy@@GLIBC_2.14" is memcpy.
absl::string_view WithoutVersion(absl::string_view name) {
  const size_t at = name.find('@');
  return at == 0 ? name : name.substr(0, at);
}

void NameStubs(const ElfFile& file, const std::vector<Question>& questions, ImageQuery* query) {
  std::vector<ElfAddress> addresses;
  std::vector<size_t> indexes;
  for (const Question& q : questions) {
    if (!query->names[q.index].system_name.empty()) continue;
    addresses.push_back({q.address});
    indexes.push_back(q.index);
  }
  std::vector<std::string> targets = file.PltTargets(addresses);
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].empty()) continue;
    SymbolName& name = query->names[indexes[i]];
    name.system_name = absl::StrCat(WithoutVersion(targets[i]), "@plt");
    name.name = absl::StrCat(Demangle(WithoutVersion(targets[i])), "@plt");
  }
}

// The naming of one image.
class ImageSymbolizer {
 public:
  ImageSymbolizer(const ElfFile& file, size_t image, DebugFileFinder* finder, ImageQuery* query)
      : file_(file), image_(image), finder_(finder), query_(*query), budget_({}) {}

  absl::Status Run() {
    for (size_t i = 0; i < query_.offsets.size(); ++i) {
      auto address = file_.ToElfAddress(query_.offsets[i]);
      if (!address) continue;
      query_.names[i].address = address->value;
      questions_.push_back({address->value, i});
    }
    if (questions_.empty()) return absl::OkStatus();
    // Segments may lie in the file in another order than in memory.
    std::sort(questions_.begin(), questions_.end(), [](const Question& a, const Question& b) {
      return std::pair(a.address, a.index) < std::pair(b.address, b.index);
    });
    query_.is_stripped = true;
    SymbolSearch search(questions_);
    AddSymbols(file_, search);
    found_ = search.Best(file_);
    if (query_.is_stripped && !AllFound()) {
      if (auto unpacked = UnpackDebugData(file_, budget_); unpacked.ok()) {
        debug_data_ = *std::move(unpacked);
        AddSymbols(*debug_data_, search);
        found_ = search.Best(file_);
      }
    }
    const bool want_dwarf = query_.want_source && !HasDwarf(file_);
    for (bool download : {false, true}) {
      const bool want_names = query_.is_stripped && !AllFound();
      if (finder_ == nullptr || debug_file_ || !(want_names || want_dwarf)) continue;
      debug_file_ = FindDebugFile(download);
      if (!debug_file_ || !want_names) continue;
      AddSymbols(*debug_file_, search);
      found_ = search.Best(file_);
    }
    absl::Status named = Name();
    if (query_.want_source) FindSources();
    query_.exhausted = budget_.exhausted() || (values_budget_ && values_budget_->exhausted());
    if (!named.ok() || any_) return named;
    if (!status_.ok()) return status_;
    return absl::NotFoundError(absl::StrCat(query_.path, ": no function symbols"));
  }

 private:
  bool AllFound() const {
    return std::all_of(found_.begin(), found_.end(),
                       [](const Candidate& candidate) { return candidate.valid(); });
  }

  void AddSymbols(const ElfFile& from, SymbolSearch& search) {
    std::optional<ElfFile::Range> range;
    for (ElfFile::Table table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
      // The dynamic symbols are among the others, where there are others.
      if (search.AllCovered()) break;
      sources_.emplace_back(&from, table);
      const auto source = static_cast<uint8_t>(sources_.size() - 1);
      status_.Update(from.ForEachSymbolEntry(table, [&](const ElfFile::SymbolEntry& s) {
        if (!budget_.Spend()) return false;
        if (s.type != STT_FUNC && s.type != STT_GNU_IFUNC && s.type != STT_NOTYPE) return true;
        if (s.name == 0) return true;
        if (!range || !range->Contains(s.address)) {
          range = file_.ExecutableRange(s.address);
          if (!range) return true;
        }
        any_ = true;
        query_.is_stripped &= table == ElfFile::Table::kDynsym;
        search.Add(s, source);
        return true;
      }));
    }
  }

  std::vector<UniqueFd> Find(const DebugFileFinder::Request& request) {
    const auto begin = WorkBudget::Clock::now();
    std::vector<UniqueFd> found = finder_->Find(image_, request);
    budget_.Extend(WorkBudget::Clock::now() - begin);
    return found;
  }

  std::optional<ElfFile> FindDebugFile(bool download) {
    DebugFileFinder::Request request{
        .build_id = file_.build_id(), .link = ReadDebugLink(file_), .download = download};
    if (request.build_id.empty() && (download || !request.link)) return std::nullopt;
    for (UniqueFd& candidate : Find(request)) {
      auto debug = ElfFile::Open(std::move(candidate), query_.path);
      if (!debug.ok()) continue;
      const bool same = file_.build_id().empty()
                            ? DebugLinkChecksum(*debug, budget_) == request.link->checksum
                            : debug->build_id() == file_.build_id();
      if (same) return *std::move(debug);
    }
    return std::nullopt;
  }

  // Each symbol is named once, for all questions that it is the symbol of.
  absl::Status Name() {
    std::vector<uint32_t> begins;  // of questions that have the same symbol
    for (size_t i = 0; i < found_.size(); ++i) {
      if (found_[i].valid() && (i == 0 || found_[i].order != found_[i - 1].order)) {
        begins.push_back(static_cast<uint32_t>(i));
      }
    }
    auto place = [this](uint32_t i) {
      return std::tuple(found_[i].source, found_[i].name, found_[i].order, i);
    };
    std::sort(begins.begin(), begins.end(),
              [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
    size_t name_budget = kMaxNameBytesPerImage;
    size_t demangle_budget = kDemangleBudget;
    std::vector<uint32_t> offsets;
    for (size_t at = 0; at < begins.size(); at += offsets.size()) {
      offsets.clear();
      const uint8_t source = found_[begins[at]].source;
      for (size_t i = at; i < begins.size() && found_[begins[i]].source == source; ++i) {
        offsets.push_back(found_[begins[i]].name);
      }
      const auto& [file, table] = sources_[source];
      std::string demangled;
      bool within = true;
      file->ForEachSymbolName(table, offsets, [&](size_t i, absl::string_view text) {
        if (i == 0 || offsets[i] != offsets[i - 1]) {
          demangled = Demangle(WithoutVersion(text), &demangle_budget);
        }
        const uint32_t begin = begins[at + i];
        for (size_t q = begin; q < found_.size() && found_[q].order == found_[begin].order; ++q) {
          const size_t size = text.size() + demangled.size();
          within = size <= name_budget;
          if (!within) return false;
          name_budget -= size;
          query_.names[questions_[q].index].name = demangled;
          query_.names[questions_[q].index].system_name = std::string(text);
        }
        return true;
      });
      if (!within) {
        return absl::ResourceExhaustedError(
            absl::StrCat(query_.path, ": more than ", kMaxNameBytesPerImage, " bytes of names"));
      }
    }
    NameStubs(file_, questions_, &query_);
    return absl::OkStatus();
  }

  void FindSources() {
    const ElfFile& from = debug_file_ && !HasDwarf(file_) ? *debug_file_ : file_;
    std::optional<ElfFile> supplementary;
    const SupplementaryLink link = ReadSupplementaryLink(from);
    DebugFileFinder::Request request{.build_id = link.build_id, .common = link.name};
    for (bool download : {false, true}) {
      if (finder_ == nullptr || request.build_id.empty() || supplementary) break;
      request.download = download;
      for (UniqueFd& candidate : Find(request)) {
        auto opened = ElfFile::Open(std::move(candidate), query_.path);
        if (!opened.ok() || opened->build_id() != request.build_id) continue;
        supplementary = *std::move(opened);
        break;
      }
    }
    std::vector<ElfAddress> addresses;
    for (const Question& q : questions_) addresses.push_back({q.address});
    SourceInfo found;
    FrameValues values;
    std::optional<ParameterSearch> parameters;
    if (query_.want_values) {
      const auto begin = WorkBudget::Clock::now();
      values_budget_.emplace(kValuesLimits);
      FindRows(from, addresses);
      budget_.Extend(WorkBudget::Clock::now() - begin);
      parameters.emplace(ParameterSearch{*values_budget_, values});
    }
    if (!FindSource(from, supplementary ? &*supplementary : nullptr, addresses, budget_, &found,
                    parameters ? &*parameters : nullptr)
             .ok()) {
      return;
    }
    // From the order of addresses to that of offsets.
    std::vector<uint32_t> question_of(query_.offsets.size(), UINT32_MAX);
    for (size_t i = 0; i < questions_.size(); ++i) {
      question_of[questions_[i].index] = static_cast<uint32_t>(i);
    }
    SourceInfo& source = query_.source;
    source.functions = std::move(found.functions);
    size_t demangle_budget = kDemangleBudget;
    for (SourceFunction& f : source.functions) {
      if (!f.linkage_name.empty()) f.name = Demangle(f.linkage_name, &demangle_budget);
    }
    source.files = std::move(found.files);
    source.first.push_back(0);
    for (uint32_t q : question_of) {
      const std::span<const SourceFrame> frames = found.FramesOf(q);
      source.frames.insert(source.frames.end(), frames.begin(), frames.end());
      source.first.push_back(static_cast<uint32_t>(source.frames.size()));
    }
    for (size_t i = 0; i < values.at.size(); ++i) {
      FrameValue& value = query_.values.at[questions_[i].index];
      values.at[i].row = std::move(value.row);
      value = std::move(values.at[i]);
    }
    query_.values.types = std::move(values.types);
  }

  // Where registers are saved: code tells by itself, or its debug file does.
  void FindRows(const ElfFile& debug, std::span<const ElfAddress> addresses) {
    std::vector<RegisterRow> rows;
    FindRegisterRows(file_, addresses, *values_budget_, rows);
    if (&debug != &file_) FindRegisterRows(debug, addresses, *values_budget_, rows);
    query_.values.at.resize(query_.offsets.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      query_.values.at[questions_[i].index].row = std::move(rows[i]);
    }
  }

  const ElfFile& file_;
  const size_t image_;
  DebugFileFinder* const finder_;
  ImageQuery& query_;
  WorkBudget budget_;
  std::optional<WorkBudget> values_budget_;  // when they are wanted
  std::vector<Question> questions_;
  std::vector<std::pair<const ElfFile*, ElfFile::Table>> sources_;
  std::vector<Candidate> found_;  // for each question
  std::optional<ElfFile> debug_data_;
  std::optional<ElfFile> debug_file_;
  bool any_ = false;
  absl::Status status_;
};

void SymbolizeImage(size_t image, DebugFileFinder* finder, ImageQuery* query) {
  query->names.assign(query->offsets.size(), SymbolName());
  query->build_id.clear();
  auto file = ElfFile::Open(std::move(query->file), query->path);
  if (!file.ok()) {
    query->status = file.status();
    return;
  }
  query->build_id = file->build_id();
  query->status = ImageSymbolizer(*file, image, finder, query).Run();
}

}  // namespace

bool IsBetterName(const SymbolName& symbol, const SourceFunction& function) {
  if (symbol.name.empty()) return false;
  const bool is_mangled = absl::StartsWith(symbol.system_name, "_Z");
  if (function.linkage_name.empty() && (function.name.empty() || is_mangled)) return true;
  auto underscores = [](absl::string_view name) {
    return std::min(name.find_first_not_of('_'), name.size());
  };
  return !is_mangled && underscores(symbol.name) < underscores(function.name);
}

void SymbolizeImages(std::vector<ImageQuery>& queries, int max_threads,
                     DebugFileFinder* finder) {
  ForImagesOnThreads(queries, max_threads, [&](NextImage next) {
    while (const std::optional<size_t> image = next()) {
      SymbolizeImage(*image, finder, &queries[*image]);
    }
  });
}

}  // namespace jprof
