#include "symbolize/dwarf_entries.h"

#include <algorithm>
#include <span>

namespace jprof::dwarf {
namespace {

constexpr uint64_t kWindowBytes = 16 * 1024;
constexpr int kMaxChildren = 1024;
constexpr int kMaxSkipped = 100'000;  // entries below one

}  // namespace

bool EntryReader::Parse(const Unit& unit, uint64_t offset, ByteCursor& c, uint64_t base,
                        FullEntry* entry) {
  *entry = {};
  entry->offset = offset;
  const uint64_t code = c.Uleb();
  if (code != 0) {
    const AbbreviationTable* table = file_.Abbreviations(unit);
    const Abbreviation* abbreviation = table == nullptr ? nullptr : table->Find(code);
    if (abbreviation == nullptr || !budget_.Spend(abbreviation->count)) return false;
    entry->tag = abbreviation->tag;
    entry->has_children = abbreviation->has_children;
    for (uint32_t i = 0; i < abbreviation->count; ++i) {
      const AbbreviatedAttribute& a = table->attributes[abbreviation->first + i];
      entry->attributes.emplace_back(a.name, file_.ReadForm(c, base, unit, a.form, a.implicit));
    }
  }
  entry->next = base + c.position();
  return c.ok();
}

bool EntryReader::Read(const Unit& unit, uint64_t offset, FullEntry* entry) {
  if (offset < unit.first_entry || offset >= unit.end || !budget_.Spend()) return false;
  if (offset >= window_at_ && offset - window_at_ < window_.size()) {
    const auto end = std::min<uint64_t>(window_.size(), unit.end - window_at_);
    ByteCursor c(window_.subspan(0, end));
    if (c.Seek(offset - window_at_) && Parse(unit, offset, c, window_at_, entry)) return true;
  }
  const uint64_t size = std::min(kWindowBytes, unit.end - offset);
  if (!budget_.Spend(size >> 6)) return false;
  window_ = file_.section(kInfo).Read(offset, size, buffer_);
  window_at_ = offset;
  ByteCursor c(window_);
  return Parse(unit, offset, c, offset, entry);
}

uint64_t EntryReader::Behind(const Unit& unit, const FullEntry& entry) {
  if (!entry.has_children) return entry.next;
  const Value sibling = entry.Get(kSibling);
  if (sibling.kind == Class::kReference && sibling.number > entry.offset &&
      sibling.number < unit.end) {
    return sibling.number;
  }
  uint64_t at = entry.next;
  FullEntry below;
  int depth = 1;
  for (int i = 0; i < kMaxSkipped && Read(unit, at, &below); ++i) {
    at = below.next;
    if (below.tag == 0) {
      if (--depth == 0) return at;
    } else if (below.has_children) {
      const Value next = below.Get(kSibling);
      if (next.kind == Class::kReference && next.number > at && next.number < unit.end) {
        at = next.number;
      } else {
        ++depth;
      }
    }
  }
  return 0;
}

void EntryReader::ForEachChild(const Unit& unit, const FullEntry& parent,
                               absl::FunctionRef<bool(const FullEntry&)> visit) {
  if (!parent.has_children) return;
  uint64_t at = parent.next;
  FullEntry child;
  for (int i = 0; i < kMaxChildren && at != 0 && Read(unit, at, &child); ++i) {
    if (child.tag == 0 || !visit(child)) return;
    at = Behind(unit, child);
  }
}

}  // namespace jprof::dwarf
