// A file has a hundred times as many symbols as a profile asks for, so the symbols are not sorted:
// the questions are, and the symbols stream past them once, in file order, without their names.
// A symbol that covers some of the questions is a range of them, found by binary search, and is
// entered into a segment tree over the questions: O(log n) for each symbol whatever the nesting,
// where walking the range would let a file of overlapping symbols cost their product. At the end
// each question climbs to the root and takes the best symbol on its way. Names are read one by
// one for the winners only: for node's 7.6 MB of names a few kilobytes.
#include "symbolize/symbolizer.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "profiler/core/status.h"
#include "symbolize/demangle.h"
#include "symbolize/elf_file.h"

namespace jprof {
namespace {

constexpr size_t kMaxNameBytesPerImage = size_t{64} << 20;

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
  ElfFile::Table table = ElfFile::Table::kSymtab;

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

// The best symbol for each of a fixed list of addresses.
class SymbolSearch {
 public:
  // `questions` is sorted by address and outlives the search.
  explicit SymbolSearch(const std::vector<Question>& questions)
      : questions_(questions),
        covering_(2 * questions.size()),
        unsized_(questions.size()),
        ended_(questions.size(), 0) {}

  void Add(const ElfFile::SymbolEntry& s, ElfFile::Table table) {
    Candidate candidate;
    candidate.begin = s.address.value;
    candidate.end = s.address.value + s.size;
    if (candidate.end < candidate.begin) return;
    candidate.name = s.name;
    candidate.order = next_order_++;
    candidate.rank = Rank(s);
    candidate.table = table;

    size_t first = FirstAtOrAbove(candidate.begin);
    if (first == questions_.size()) return;
    if (s.size == 0) {
      TakeBetter(candidate, &unsized_[first]);
      return;
    }
    size_t last =
        questions_[first].address >= candidate.end ? first : FirstAtOrAbove(candidate.end);
    if (last < ended_.size()) ended_[last] = std::max(ended_[last], candidate.end);
    const size_t n = questions_.size();
    for (size_t l = first + n, r = last + n; l < r; l /= 2, r /= 2) {
      if (l & 1) TakeBetter(candidate, &covering_[l++]);
      if (r & 1) TakeBetter(candidate, &covering_[--r]);
    }
  }

  // After the last Add().
  std::vector<Candidate> Finish(const ElfFile& file) {
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
  size_t FirstAtOrAbove(uint64_t address) const {
    auto it = std::lower_bound(questions_.begin(), questions_.end(), address,
                               [](const Question& q, uint64_t a) { return q.address < a; });
    return static_cast<size_t>(it - questions_.begin());
  }

  const std::vector<Question>& questions_;
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

absl::Status Symbolize(const ElfFile& file, ImageQuery* query) {
  std::vector<Question> questions;
  questions.reserve(query->offsets.size());
  for (size_t i = 0; i < query->offsets.size(); ++i) {
    auto address = file.ToElfAddress(query->offsets[i]);
    if (!address) continue;
    query->names[i].address = address->value;
    questions.push_back({address->value, i});
  }
  if (questions.empty()) return absl::OkStatus();
  // Segments may lie in the file in another order than in memory.
  std::sort(questions.begin(), questions.end(), [](const Question& a, const Question& b) {
    return std::pair(a.address, a.index) < std::pair(b.address, b.index);
  });

  SymbolSearch search(questions);
  bool any = false;
  query->is_stripped = true;
  absl::Status status;
  std::optional<ElfFile::Range> range;
  for (ElfFile::Table table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
    status.Update(file.ForEachSymbolEntry(table, [&](const ElfFile::SymbolEntry& s) {
      if (s.type != STT_FUNC && s.type != STT_GNU_IFUNC && s.type != STT_NOTYPE) return true;
      if (s.name == 0) return true;
      if (!range || !range->Contains(s.address)) {
        range = file.ExecutableRange(s.address);
        if (!range) return true;
      }
      any = true;
      query->is_stripped &= table == ElfFile::Table::kDynsym;
      search.Add(s, table);
      return true;
    }));
  }
  std::vector<Candidate> found = search.Finish(file);

  size_t name_budget = kMaxNameBytesPerImage;
  size_t demangle_budget = kDemangleBudget;
  const SymbolName* previous = nullptr;
  uint32_t previous_order = UINT32_MAX;
  for (size_t i = 0; i < questions.size(); ++i) {
    if (!found[i].valid()) continue;
    SymbolName& name = query->names[questions[i].index];
    if (found[i].order == previous_order) {
      name.name = previous->name;
      name.system_name = previous->system_name;
    } else {
      name.system_name = file.SymbolName(found[i].table, found[i].name);
      name.name = Demangle(WithoutVersion(name.system_name), &demangle_budget);
      previous = &name;
      previous_order = found[i].order;
    }
    const size_t size = name.name.size() + name.system_name.size();
    if (size > name_budget) {
      name.name.clear();
      name.system_name.clear();
      return absl::ResourceExhaustedError(
          absl::StrCat(query->path, ": more than ", kMaxNameBytesPerImage, " bytes of names"));
    }
    name_budget -= size;
  }
  NameStubs(file, questions, query);
  if (any) return absl::OkStatus();
  if (!status.ok()) return status;
  return absl::NotFoundError(absl::StrCat(query->path, ": no function symbols"));
}

void SymbolizeImage(ImageQuery* query) {
  query->names.assign(query->offsets.size(), SymbolName());
  query->build_id.clear();
  auto file = ElfFile::Open(std::move(query->file), query->path);
  if (!file.ok()) {
    query->status = file.status();
    return;
  }
  query->build_id = file->build_id();
  query->status = Symbolize(*file, query);
}

int64_t FileSize(const ImageQuery& query) {
  struct stat st;
  return ::fstat(query.file.get(), &st) == 0 ? st.st_size : -1;
}

}  // namespace

void SymbolizeImages(std::vector<ImageQuery>& queries, int max_threads) {
  std::vector<std::pair<int64_t, size_t>> order;  // largest first
  for (size_t i = 0; i < queries.size(); ++i) order.emplace_back(-FileSize(queries[i]), i);
  std::sort(order.begin(), order.end());

  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < order.size();) {
      SymbolizeImage(&queries[order[i].second]);
    }
  };
  std::vector<std::thread> threads;
  const size_t count =
      std::min<size_t>(queries.size(), static_cast<size_t>(std::max(max_threads, 1)));
  for (size_t i = 1; i < count; ++i) {
    try {
      threads.emplace_back(work);
    } catch (const std::system_error&) {
      break;  // no thread to be had: the ones there are do the work
    }
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace jprof
