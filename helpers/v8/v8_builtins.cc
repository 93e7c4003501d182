#include "helpers/v8/v8_builtins.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "absl/algorithm/container.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "helpers/v8/v8_literals.h"

namespace jprof::v8 {
namespace {

constexpr absl::string_view kLiteral("\0InterpreterEntryTrampoline\0", 28);
constexpr absl::string_view kFirstHandler = "WideHandler";
constexpr absl::string_view kHandlerSuffix = "Handler";
constexpr size_t kRowBytes = 24;
constexpr size_t kMaxRows = 10'000;
constexpr uint64_t kMaxKind = 31;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxLiterals = 8, kMaxPointers = 8;  // there is one of each
constexpr uint64_t kMaxRelocationBytes = uint64_t{16} << 20;

class Search {
 public:
  explicit Search(const ElfFile& image) : image_(image) {}

  std::vector<std::string> Run(size_t builtins, size_t handlers) {
    if (handlers == 0 || handlers >= builtins || builtins > kMaxRows) return {};
    FindLiterals();
    ReadRelocations();
    FindPointers();
    for (uint64_t pointer : pointers_) {
      std::vector<std::string> names = ReadRows(pointer);
      if (names.size() == builtins && AreBuiltins(names, handlers)) return names;
    }
    return {};
  }

 private:
  static void Note(uint64_t address, size_t max, absl::btree_set<uint64_t>& addresses) {
    if (addresses.size() < max) addresses.insert(address);
  }

  void FindLiterals() {
    ForEachPieceOfData(image_, false, [&](ElfAddress address, absl::string_view piece) {
      for (size_t at = piece.find(kLiteral); at != piece.npos; at = piece.find(kLiteral, at + 1)) {
        Note(address.value + at + 1, kMaxLiterals, literals_);
      }
      return literals_.size() < kMaxLiterals;
    });
  }

  void ReadRelocations() {
    const auto section = image_.ReadSection(".rela.dyn", kMaxRelocationBytes);
    if (!section) return;
    for (size_t at = 0; at + sizeof(Elf64_Rela) <= section->bytes.size();
         at += sizeof(Elf64_Rela)) {
      Elf64_Rela r;
      std::memcpy(&r, section->bytes.data() + at, sizeof(r));
      if (ELF64_R_TYPE(r.r_info) != R_X86_64_RELATIVE) continue;
      const uint64_t target = static_cast<uint64_t>(r.r_addend);
      relocations_.try_emplace(r.r_offset, target);
      if (literals_.contains(target)) Note(r.r_offset, kMaxPointers, pointers_);
    }
  }

  void FindPointers() {
    if (!pointers_.empty() || literals_.empty()) return;
    ForEachPieceOfData(image_, true, [&](ElfAddress address, absl::string_view piece) {
      uint64_t word;
      for (size_t at = (8 - address.value % 8) % 8; at + sizeof(word) <= piece.size(); at += 8) {
        std::memcpy(&word, piece.data() + at, sizeof(word));
        if (literals_.contains(word)) Note(address.value + at, kMaxPointers, pointers_);
      }
      return pointers_.size() < kMaxPointers;
    });
  }

  // The names of all rows around the one at `pointer`.
  std::vector<std::string> ReadRows(uint64_t pointer) {
    std::vector<std::string> names;
    for (uint64_t at = pointer - kRowBytes; names.size() < kMaxRows; at -= kRowBytes) {
      std::optional<std::string> name = ReadRow(at);
      if (!name) break;
      names.push_back(*std::move(name));
    }
    std::reverse(names.begin(), names.end());
    for (uint64_t at = pointer; names.size() <= kMaxRows; at += kRowBytes) {
      std::optional<std::string> name = ReadRow(at);
      if (!name) break;
      names.push_back(*std::move(name));
    }
    return names;
  }

  std::optional<std::string> ReadRow(uint64_t at) const {
    uint64_t words[2];
    if (!image_.ReadAt({at}, std::as_writable_bytes(std::span(words)))) return std::nullopt;
    if (words[1] > kMaxKind || relocations_.contains(at + sizeof(words[0]))) return std::nullopt;
    const auto relocation = relocations_.find(at);
    return ReadName(relocation == relocations_.end() ? words[0] : relocation->second);
  }

  std::optional<std::string> ReadName(uint64_t at) const {
    char text[kMaxNameBytes];
    if (!image_.ReadAt({at}, std::as_writable_bytes(std::span(text)))) return std::nullopt;
    const char* end = std::find_if_not(text, std::end(text), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
    });
    if (end == text || end == std::end(text) || *end != '\0') return std::nullopt;
    return std::string(text, static_cast<size_t>(end - text));
  }

  static bool AreBuiltins(std::span<const std::string> names, size_t handlers) {
    const auto is_handler = [](const std::string& name) {
      return absl::EndsWith(name, kHandlerSuffix);
    };
    const auto last = names.last(handlers);
    return last.front() == kFirstHandler && absl::c_all_of(last, is_handler) &&
           absl::flat_hash_set<absl::string_view>(names.begin(), names.end()).size() ==
               names.size();
  }

  const ElfFile& image_;
  absl::btree_set<uint64_t> literals_, pointers_;
  absl::flat_hash_map<uint64_t, uint64_t> relocations_;  // of words: what they will point to
};

}  // namespace

std::vector<std::string> FindBuiltinNames(const ElfFile& image, size_t builtins, size_t handlers) {
  return Search(image).Run(builtins, handlers);
}

}  // namespace jprof::v8
