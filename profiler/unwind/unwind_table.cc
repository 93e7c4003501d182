#include "profiler/unwind/unwind_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace jprof {
namespace {

constexpr uint64_t Word(uint64_t low, uint64_t high) { return low | high << 32; }
constexpr uint32_t Low(uint64_t word) { return static_cast<uint32_t>(word); }
constexpr uint32_t High(uint64_t word) { return static_cast<uint32_t>(word >> 32); }

uint32_t BucketCount(uint32_t size) { return (size + JP_BUCKET_BYTES - 1) >> JP_BUCKET_SHIFT; }

}  // namespace

UnwindTable::UnwindTable(std::span<const UnwindRow> rows, std::span<const jp_rule> rules) {
  if (rows.size() < 2) return;
  begin_ = {rows.front().begin};
  size_ = static_cast<uint32_t>(rows.back().begin - rows.front().begin);
  rows_ = static_cast<uint32_t>(rows.size() - 1);
  rules_ = static_cast<uint32_t>(rules.size());
  const uint32_t buckets = BucketCount(size_);
  words_.reserve(buckets + rows_ + JP_RULE_WORDS * rules_);
  for (uint32_t bucket = 0, first = 0, last = 0; bucket < buckets; ++bucket, first = last) {
    auto begins_by = [&](uint32_t row, uint64_t offset) {
      return rows[row].begin - begin_.value <= offset;
    };
    const uint64_t bucket_begin = uint64_t{bucket} << JP_BUCKET_SHIFT;
    while (first + 1 < rows_ && begins_by(first + 1, bucket_begin)) ++first;
    last = first;
    while (last + 1 < rows_ && begins_by(last + 1, bucket_begin + JP_BUCKET_BYTES - 1)) ++last;
    words_.push_back(Word(first, last));
  }
  for (uint32_t i = 0; i < rows_; ++i) {
    words_.push_back(Word(rows[i].begin - begin_.value, rows[i].rule));
  }
  for (const jp_rule& rule : rules) {
    uint64_t words[JP_RULE_WORDS];
    static_assert(sizeof(words) == sizeof(rule));
    std::memcpy(words, &rule, sizeof(rule));
    words_.insert(words_.end(), std::begin(words), std::end(words));
  }
}

std::optional<UnwindTable> UnwindTable::FromWords(ElfAddress begin, uint32_t size, uint32_t rows,
                                                  uint32_t rules, std::vector<uint64_t> words) {
  const uint64_t buckets = BucketCount(size);
  if (size == 0 || size > kMaxCode || rows == 0 || rows > kMaxRows || rules > kMaxRules ||
      words.size() != buckets + rows + uint64_t{JP_RULE_WORDS} * rules) {
    return std::nullopt;
  }
  for (uint32_t i = 0; i < rows; ++i) {
    const uint64_t row = words[buckets + i];
    if (High(row) >= rules || (i == 0 ? Low(row) != 0 : Low(row) <= Low(words[buckets + i - 1])) ||
        Low(row) >= size) {
      return std::nullopt;
    }
  }
  for (uint64_t i = 0; i < buckets; ++i) {
    if (Low(words[i]) > High(words[i]) || High(words[i]) >= rows ||
        Low(words[buckets + Low(words[i])]) > i << JP_BUCKET_SHIFT) {
      return std::nullopt;
    }
  }
  UnwindTable table;
  table.begin_ = begin;
  table.size_ = size;
  table.rows_ = rows;
  table.rules_ = rules;
  table.words_ = std::move(words);
  return table;
}

std::optional<jp_rule> UnwindTable::Find(ElfAddress address) const {
  const uint64_t offset = address.value - begin_.value;
  if (offset >= size_) return std::nullopt;
  const uint64_t bucket = words_[offset >> JP_BUCKET_SHIFT];
  const auto rows = words_.begin() + bucket_count();
  auto after = std::upper_bound(rows + Low(bucket), rows + High(bucket) + 1, offset,
                                [](uint64_t o, uint64_t row) { return o < Low(row); });
  jp_rule rule;
  std::memcpy(&rule, &*(rows + rows_ + JP_RULE_WORDS * High(*std::prev(after))), sizeof(rule));
  return rule;
}

}  // namespace jprof
