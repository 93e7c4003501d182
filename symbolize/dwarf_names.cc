#include "symbolize/dwarf_names.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace jprof::dwarf {
namespace {

constexpr int kMaxOriginHops = 16;
constexpr size_t kMaxTextBytes = size_t{64} << 20;

}  // namespace

SourceNames::SourceNames(DwarfFile& file, DwarfFile* supplementary, WorkBudget& budget,
                         SourceInfo& info)
    : file_(file), supplementary_(supplementary), budget_(budget), info_(info) {
  info_.functions.resize(1);
  info_.files.resize(1);
  function_ids_[SourceFunction()] = 0;
  file_ids_[""] = 0;
}

uint32_t SourceNames::FunctionOf(uint64_t entry_offset) {
  auto [it, added] = functions_of_entries_.try_emplace(entry_offset, 0);
  if (!added) return it->second;
  SourceFunction function;
  DwarfFile* file = &file_;
  for (int hop = 0; hop < kMaxOriginHops && budget_.Spend(64); ++hop) {
    const Unit* unit = file->UnitAt(entry_offset);
    Entry entry;
    if (unit == nullptr || !file->ReadEntryAt(*unit, entry_offset, &entry)) break;
    if (function.name.empty()) function.name = file->String(*unit, entry.name, supplementary_);
    if (function.linkage_name.empty()) {
      function.linkage_name = file->String(*unit, entry.linkage_name, supplementary_);
    }
    if (function.line == 0) function.line = Narrow(entry.decl_line.number);
    const Value& next = entry.origin.present() ? entry.origin : entry.specification;
    if (next.kind == Class::kSupReference && supplementary_ != nullptr) {
      file = supplementary_;
    } else if (next.kind != Class::kReference) {
      break;
    }
    entry_offset = next.number;
  }
  CountText(function.name.size() + function.linkage_name.size());
  const auto next_id = static_cast<uint32_t>(info_.functions.size());
  auto [id, is_new] = function_ids_.try_emplace(std::move(function), next_id);
  if (is_new) info_.functions.push_back(id->first);
  it->second = id->second;
  return id->second;
}

void SourceNames::CountText(size_t bytes) {
  text_bytes_ += bytes;
  if (text_bytes_ > kMaxTextBytes) budget_.Spend(UINT64_MAX);
}

uint32_t SourceNames::FileOf(const Unit& unit, LineTable& table, uint64_t number) {
  LineFile* file = table.FileAt(number);
  if (file == nullptr) return 0;
  if (file->interned) return *file->interned;
  std::string path = file_.String(unit, file->name, supplementary_);
  auto prepend = [&](const Value& directory) {
    const std::string name = file_.String(unit, directory, supplementary_);
    if (!name.empty()) path = absl::StrCat(name, "/", path);
  };
  const Value* directory = table.DirectoryAt(file->directory);
  if (!absl::StartsWith(path, "/") && directory != nullptr) prepend(*directory);
  if (!absl::StartsWith(path, "/")) prepend(unit.directory);
  CountText(path.size());
  const auto next_id = static_cast<uint32_t>(info_.files.size());
  auto [id, is_new] = file_ids_.try_emplace(std::move(path), next_id);
  if (is_new) info_.files.push_back(id->first);
  file->interned = id->second;
  return id->second;
}

}  // namespace jprof::dwarf
