// The call-frame table of one file, in the form that the walk reads (helpers/abi/unwind_table.h).
// A value, made by BuildUnwindTable() or read from the cache, the same wherever the file is mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "helpers/abi/unwind_table.h"
#include "profiler/core/address.h"

namespace jprof {

// A rule from `begin` on, until the next row begins.
struct UnwindRow {
  uint64_t begin = 0;  // ELF address
  uint32_t rule = 0;
};

class UnwindTable {
 public:
  static constexpr size_t kMaxRows = size_t{4} << 20;
  static constexpr size_t kMaxRules = 1 << 16;
  static constexpr uint64_t kMaxCode = uint64_t{1} << 29;
  static constexpr size_t kMaxWords =
      (kMaxCode >> JP_BUCKET_SHIFT) / 2 + kMaxRows / 2 + JP_RULE_WORDS * kMaxRules;
  // Their numbers share half a word with a number of bytes in a bucket.
  static_assert(kMaxRows - 1 <= UINT32_MAX >> JP_BUCKET_SHIFT);
  static_assert(kMaxRules - 1 <= UINT32_MAX >> JP_BUCKET_SHIFT);

  UnwindTable() = default;
  // `rows` are sorted by their begins, which are distinct; the table ends where the last one
  // begins, and that one's rule means nothing. Each rule is below rules.size(). At most so many of
  // each, and so many bytes of code, as the limits say.
  UnwindTable(std::span<const UnwindRow> rows, std::span<const jp_rule> rules);

  // A table from the words of another one; nullopt: they are none.
  static std::optional<UnwindTable> FromWords(ElfAddress begin, uint32_t size, uint32_t rows,
                                              uint32_t rules, std::vector<uint64_t> words);

  bool empty() const { return words_.empty(); }
  ElfAddress begin() const { return begin_; }
  uint32_t size() const { return size_; }  // bytes of code
  uint32_t row_count() const { return rows_; }
  uint32_t rule_count() const { return rules_; }

  // Buckets, rows, rules.
  const std::vector<uint64_t>& words() const { return words_; }
  // Where in the words the rows and the rules begin.
  uint32_t rows_at() const { return rules_at() - (rows_ + 1) / 2; }
  uint32_t rules_at() const {
    return static_cast<uint32_t>(words_.size()) - JP_RULE_WORDS * rules_;
  }

  // What the walk would find. nullopt: outside the table.
  std::optional<jp_rule> Find(ElfAddress address) const;

 private:
  ElfAddress begin_;
  uint32_t size_ = 0;
  uint32_t rows_ = 0;
  uint32_t rules_ = 0;
  std::vector<uint64_t> words_;
};

}  // namespace jprof
