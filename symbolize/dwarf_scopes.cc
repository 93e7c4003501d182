#include "symbolize/dwarf_scopes.h"

#include <cstddef>
#include <optional>
#include <utility>

namespace jprof::dwarf {
namespace {

constexpr size_t kMaxNesting = 1024;  // of entries
constexpr size_t kMaxScopes = 256;    // nested functions at one address
constexpr uint64_t kMaxUnitBytes = uint64_t{256} << 20;

bool IsScope(uint64_t tag) {
  return tag == kSubprogram || tag == kInlinedSubroutine || tag == kLexicalBlock ||
         tag == kEntryPoint || tag == kTryBlock || tag == kCatchBlock || tag == kWithStatement;
}

bool IsContainer(uint64_t tag) {
  return tag == kNamespace || tag == kModule || tag == kClassType || tag == kStructureType ||
         tag == kUnionType;
}

bool SkipTo(const Unit& unit, const Value& sibling, ByteCursor& c) {
  if (sibling.kind != Class::kReference || sibling.number <= unit.first_entry + c.position() ||
      sibling.number > unit.end) {
    return false;
  }
  return c.Seek(sibling.number - unit.first_entry);
}

class EntryWalk {
 public:
  // `everywhere`: in functions too that no question is in.
  EntryWalk(DwarfFile& file, const Unit& unit, const AbbreviationTable& table,
            const AddressList& addresses, WorkBudget& budget, std::vector<Scopes>& scopes,
            bool everywhere)
      : file_(file),
        unit_(unit),
        table_(table),
        addresses_(addresses),
        budget_(budget),
        scopes_(scopes),
        everywhere_(everywhere) {}

  // `c`: of the unit's entries.
  void Run(ByteCursor c, const Questions& questions) {
    while (c.ok() && c.left() > 0 && budget_.Spend()) {
      const uint64_t at = unit_.first_entry + c.position();
      const uint64_t code = c.Uleb();
      if (code == 0) {
        if (!EndChildren()) return;
        continue;
      }
      const Abbreviation* abbreviation = table_.Find(code);
      if (abbreviation == nullptr || !budget_.Spend(abbreviation->count)) return;
      const Entry entry = ReadEntry(*abbreviation, c);
      if (!c.ok()) return;
      if (levels_.empty()) {  // the unit's own
        if (!abbreviation->has_children) return;
        levels_.emplace_back(questions);
        owners_.push_back(0);
      } else if (skipping_ > 0) {
        if (abbreviation->has_children && !SkipTo(unit_, entry.sibling, c)) ++skipping_;
      } else {
        if (owners_.back() == 0 && levels_[0]->empty()) return;
        Visit(at, *abbreviation, entry, c);
      }
    }
  }

 private:
  // False: it was the last.
  bool EndChildren() {
    if (skipping_ > 0) {
      --skipping_;
    } else {
      if (levels_.empty()) return false;
      levels_.pop_back();
      owners_.pop_back();
    }
    return !levels_.empty();
  }

  Entry ReadEntry(const Abbreviation& abbreviation, ByteCursor& c) {
    const bool wanted = IsScope(abbreviation.tag) && skipping_ == 0 && !levels_.empty();
    Entry entry;
    for (uint32_t i = 0; i < abbreviation.count; ++i) {
      const AbbreviatedAttribute& a = table_.attributes[abbreviation.first + i];
      const Value value = file_.ReadForm(c, unit_.first_entry, unit_, a.form, a.implicit);
      Value* slot = a.name == kSibling ? &entry.sibling : wanted ? entry.Slot(a.name) : nullptr;
      if (slot != nullptr) *slot = value;
    }
    return entry;
  }

  void Visit(uint64_t at, const Abbreviation& abbreviation, const Entry& entry, ByteCursor& c) {
    const uint64_t tag = abbreviation.tag;
    bool enter = IsContainer(tag) && abbreviation.has_children;
    if (IsScope(tag)) {
      const size_t owner = everywhere_ && tag == kSubprogram ? 0 : owners_.back();
      Questions& open = *levels_[owner];
      Questions taken;
      const bool has_ranges =
          file_.ForEachRange(unit_, entry, [&](uint64_t begin, uint64_t end) {
            addresses_.ForEachIn(open, begin, end, [&](size_t i) { taken.push_back(open[i]); });
          });
      if (!taken.empty()) {
        addresses_.Take(taken, open);
        for (uint32_t q : taken) Enter(tag, at, entry, q);
        if (abbreviation.has_children) {
          levels_.emplace_back(std::move(taken));
          owners_.push_back(levels_.size() - 1);
          return;
        }
      }
      // Without code of its own it may hold what has some: the body of a function that is inlined
      // everywhere has the classes that are local to it, and their methods.
      enter = abbreviation.has_children && (everywhere_ || !has_ranges);
    }
    if (enter && owners_.size() >= kMaxNesting) budget_.Spend(UINT64_MAX);
    if (enter) {
      levels_.emplace_back();
      owners_.push_back(owners_.back());
    } else if (abbreviation.has_children && !SkipTo(unit_, entry.sibling, c)) {
      skipping_ = 1;
    }
  }

  void Enter(uint64_t tag, uint64_t at, const Entry& entry, uint32_t question) {
    if (tag != kSubprogram && tag != kInlinedSubroutine) return;
    Scopes& scopes = scopes_[question];
    if (tag == kSubprogram) scopes.clear();  // one inside another: the inner one runs
    if (scopes.size() >= kMaxScopes) return;
    scopes.push_back({at, tag == kInlinedSubroutine, entry.call_file.number,
                      Narrow(entry.call_line.number), Narrow(entry.call_column.number)});
  }

  DwarfFile& file_;
  const Unit& unit_;
  const AbbreviationTable& table_;
  const AddressList& addresses_;
  WorkBudget& budget_;
  std::vector<Scopes>& scopes_;
  const bool everywhere_;
  // The questions that are open in each entry whose children are being read; nullopt: in those of
  // the entry above it.
  std::vector<std::optional<Questions>> levels_;
  std::vector<size_t> owners_;  // of each level: the nearest one that has questions of its own
  size_t skipping_ = 0;         // levels of children that are skipped
};

}  // namespace

void FindScopes(DwarfFile& file, const Unit& unit, const AddressList& addresses,
                const Questions& questions, WorkBudget& budget, std::vector<Scopes>& scopes) {
  const uint64_t size = unit.end - unit.first_entry;
  if (size > kMaxUnitBytes || !budget.Reserve(size)) return;
  std::vector<uint8_t> buffer;
  const auto bytes = file.section(kInfo).Read(unit.first_entry, size, buffer);
  if (const AbbreviationTable* table = file.Abbreviations(unit)) {
    EntryWalk(file, unit, *table, addresses, budget, scopes, /*everywhere=*/false)
        .Run(ByteCursor(bytes), questions);
    // A method of a class that is local to a function lies in that function's entry, but not in
    // its code.
    Questions rest;
    for (uint32_t q : questions) {
      if (scopes[q].empty()) rest.push_back(q);
    }
    if (!rest.empty()) {
      EntryWalk(file, unit, *table, addresses, budget, scopes, /*everywhere=*/true)
          .Run(ByteCursor(bytes), rest);
    }
  }
  budget.Release(size);
}

}  // namespace jprof::dwarf
