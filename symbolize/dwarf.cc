// Written by hand since the file is hostile and the budget has to hold in the middle of everything:
// a library that first makes its indexes and tables of the whole file gives no place to stop.
//
// A profile asks for some hundreds of addresses in a file of thousands of units, so a unit is read
// beyond its first entry (which says what addresses it has) only when it holds some of them:
// dwarf_scopes.h walks its entries, dwarf_lines.h runs its line program, dwarf_names.h reads the
// strings of what they found.
#include "symbolize/dwarf.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "symbolize/dwarf_file.h"
#include "symbolize/dwarf_lines.h"
#include "symbolize/dwarf_names.h"
#include "symbolize/dwarf_parameters.h"
#include "symbolize/dwarf_questions.h"
#include "symbolize/dwarf_scopes.h"

namespace jprof {
namespace dwarf {
namespace {

constexpr size_t kMaxFrames = 4'000'000;

class Finder {
 public:
  // `supplementary` may be nullptr.
  Finder(const ElfFile& elf, DwarfFile& file, DwarfFile* supplementary,
         std::span<const ElfAddress> addresses, WorkBudget& budget, SourceInfo& info)
      : elf_(elf),
        file_(file),
        supplementary_(supplementary),
        budget_(budget),
        addresses_(addresses, budget),
        info_(info),
        names_(file, supplementary, budget, info) {}

  void FindFrames(bool keep_scopes) {
    scopes_.resize(addresses_.size());
    rows_.resize(addresses_.size());
    std::vector<std::vector<SourceFrame>> frames(addresses_.size());
    units_ = UnitsOfQuestions();
    for (auto& [number, questions] : units_) {
      if (budget_.exhausted()) return;
      const Unit& unit = file_.units()[number];
      FindScopes(file_, unit, addresses_, questions, budget_, scopes_);
      LineTable table = FindLines(file_, elf_, unit, addresses_, questions, budget_, rows_);
      for (uint32_t q : questions) {
        frames[q] = FramesOf(unit, q, table);
        if (!keep_scopes) scopes_[q] = {};
      }
    }
    info_.first.reserve(frames.size() + 1);
    info_.first.push_back(0);
    for (const auto& of_one : frames) {
      info_.frames.insert(info_.frames.end(), of_one.begin(), of_one.end());
      info_.first.push_back(static_cast<uint32_t>(info_.frames.size()));
    }
  }

  // Of the frames that were found.
  void FindParameters(const ParameterSearch& search) {
    for (DwarfFile* file : {&file_, supplementary_}) {
      if (file != nullptr) file->SpendFrom(search.budget);
    }
    file_.OpenLocations();
    search.values.at.resize(addresses_.size());
    ParameterReader reader(file_, supplementary_, search.budget, search.values.types);
    for (const auto& [number, questions] : units_) {
      for (uint32_t q : questions) {
        if (search.budget.exhausted()) return;
        reader.Read(file_.units()[number], scopes_[q], addresses_[q].value, search.values.at[q]);
      }
    }
  }

 private:
  std::vector<std::pair<size_t, Questions>> UnitsOfQuestions() {
    std::vector<std::pair<size_t, Questions>> result;
    Questions open(addresses_.size());
    for (size_t i = 0; i < open.size(); ++i) open[i] = static_cast<uint32_t>(i);
    for (size_t i = 0; i < file_.units().size() && !open.empty() && budget_.Spend(16); ++i) {
      Unit& unit = file_.units()[i];
      if (!unit.has_code) continue;
      const Entry root = file_.ReadRoot(unit);
      Questions taken;
      file_.ForEachRange(unit, root, [&](uint64_t begin, uint64_t end) {
        addresses_.ForEachIn(open, begin, end, [&](size_t at) { taken.push_back(open[at]); });
      });
      if (taken.empty()) continue;
      addresses_.Take(taken, open);
      result.emplace_back(i, std::move(taken));
    }
    return result;
  }

  std::vector<SourceFrame> FramesOf(const Unit& unit, uint32_t question, LineTable& table) {
    const LineRow& row = rows_[question];
    std::vector<SourceFrame> frames;
    SourceFrame frame;
    if (row.known) frame = {0, names_.FileOf(unit, table, row.file), row.line, row.column};
    const Scopes& scopes = scopes_[question];
    // An inlined function has one around it.
    if (scopes.empty() || scopes[0].inlined) {
      if (row.known) frames.push_back(frame);
      return frames;
    }
    if (frame_count_ += scopes.size(); frame_count_ > kMaxFrames) {
      budget_.Spend(UINT64_MAX);
      return frames;
    }
    for (size_t i = scopes.size(); i-- > 0;) {
      frame.function = names_.FunctionOf(scopes[i].entry);
      frames.push_back(frame);
      frame = {0, names_.FileOf(unit, table, scopes[i].call_file), scopes[i].call_line,
               scopes[i].call_column};
    }
    return frames;
  }

  const ElfFile& elf_;
  DwarfFile& file_;
  DwarfFile* const supplementary_;
  WorkBudget& budget_;
  const AddressList addresses_;
  SourceInfo& info_;
  SourceNames names_;
  std::vector<std::pair<size_t, Questions>> units_;  // by number, in which addresses lie
  std::vector<Scopes> scopes_;                       // of each address
  std::vector<LineRow> rows_;
  size_t frame_count_ = 0;
};

}  // namespace
}  // namespace dwarf

namespace {

constexpr size_t kMaxAltLinkBytes = 4096;
constexpr size_t kMaxBuildIdBytes = 64;

}  // namespace

bool HasDwarf(const ElfFile& file) {
  const absl::string_view name = dwarf::kSectionNames[dwarf::kInfo];
  return file.FindSections({&name, 1})[0].has_value();
}

SupplementaryLink ReadSupplementaryLink(const ElfFile& file) {
  const auto section = file.ReadSection(".gnu_debugaltlink", kMaxAltLinkBytes);
  if (!section) return {};
  const auto nul = std::find(section->bytes.begin(), section->bytes.end(), 0);
  const absl::string_view path(reinterpret_cast<const char*>(section->bytes.data()),
                               static_cast<size_t>(nul - section->bytes.begin()));
  if (path.size() == section->bytes.size()) return {};
  const absl::string_view id(path.data() + path.size() + 1,
                             section->bytes.size() - path.size() - 1);
  if (id.empty() || id.size() > kMaxBuildIdBytes) return {};
  SupplementaryLink link{absl::BytesToHexString(id), ""};
  constexpr absl::string_view kDirectory = ".dwz/";
  const size_t at = path.rfind(kDirectory);
  if (at != absl::string_view::npos) {
    link.name = std::string(path.substr(at + kDirectory.size()));
    for (absl::string_view part : absl::StrSplit(link.name, '/')) {
      if (part.empty() || part == "." || part == "..") return {std::move(link.build_id), ""};
    }
  }
  return link;
}

absl::Status FindSource(const ElfFile& file, const ElfFile* supplementary,
                        std::span<const ElfAddress> addresses, WorkBudget& budget,
                        SourceInfo* info, const ParameterSearch* parameters) {
  const auto begin = WorkBudget::Clock::now();
  *info = {};
  if (parameters != nullptr) parameters->values = {};
  if (!HasDwarf(file)) return absl::NotFoundError("no DWARF");
  dwarf::DwarfFile main(file, budget);
  main.ReadUnits();
  std::optional<dwarf::DwarfFile> other;
  if (supplementary != nullptr) other.emplace(*supplementary, budget).ReadUnits();
  dwarf::Finder finder(file, main, other ? &*other : nullptr, addresses, budget, *info);
  finder.FindFrames(/*keep_scopes=*/parameters != nullptr);
  if (budget.exhausted()) {
    *info = {};
    return absl::ResourceExhaustedError("its DWARF takes more time or memory than it may");
  }
  if (parameters == nullptr) return absl::OkStatus();
  parameters->budget.Extend(WorkBudget::Clock::now() - begin);
  finder.FindParameters(*parameters);
  if (parameters->budget.exhausted()) parameters->values = {};
  return absl::OkStatus();
}

}  // namespace jprof
