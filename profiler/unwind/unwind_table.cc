#include "profiler/unwind/unwind_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace jprof {
namespace {

constexpr uint32_t kLowMask = JP_BUCKET_BYTES - 1;

// Half a word: see helpers/abi/unwind_table.h.
constexpr uint32_t Half(uint32_t number, uint64_t low) {
  return number << JP_BUCKET_SHIFT | (static_cast<uint32_t>(low) & kLowMask);
}
constexpr uint32_t Number(uint32_t half) { return half >> JP_BUCKET_SHIFT; }
constexpr uint32_t Low(uint32_t half) { return half & kLowMask; }

uint32_t HalfAt(std::span<const uint64_t> words, uint32_t index) {
  return static_cast<uint32_t>(words[index / 2] >> index % 2 * 32);
}

uint32_t BucketCount(uint32_t size) { return (size + JP_BUCKET_BYTES - 1) >> JP_BUCKET_SHIFT; }

void AppendHalves(const std::vector<uint32_t>& halves, std::vector<uint64_t>& words) {
  for (size_t i = 0; i < halves.size(); i += 2) {
    const uint64_t second = i + 1 < halves.size() ? halves[i + 1] : 0;
    words.push_back(halves[i] | second << 32);
  }
}

// Whether the buckets divide all rows among them, each of which begins where the one before ends.
bool AreSound(std::span<const uint64_t> buckets, uint32_t bucket_count,
              std::span<const uint64_t> rows, uint32_t row_count) {
  uint32_t last = 0;
  if (Low(HalfAt(rows, 0)) != 0) return false;
  for (uint32_t i = 0; i < bucket_count; ++i) {
    const uint32_t bucket = HalfAt(buckets, i);
    const uint32_t first = Number(bucket);
    if (first >= row_count || Low(bucket) >= row_count - first) return false;
    const bool begins_here = i > 0 && first == last + 1 && Low(HalfAt(rows, first)) == 0;
    if (first != last && !begins_here) return false;
    uint32_t at = 0;
    for (last = first; last < first + Low(bucket);) {
      const uint32_t begin = Low(HalfAt(rows, ++last));
      if (begin <= at) return false;
      at = begin;
    }
  }
  return last == row_count - 1;
}

}  // namespace

UnwindTable::UnwindTable(std::span<const UnwindRow> rows, std::span<const jp_rule> rules) {
  if (rows.size() < 2) return;
  begin_ = {rows.front().begin};
  size_ = static_cast<uint32_t>(rows.back().begin - rows.front().begin);
  rows_ = static_cast<uint32_t>(rows.size() - 1);
  rules_ = static_cast<uint32_t>(rules.size());
  const auto begins_by = [&](uint32_t row, uint64_t offset) {
    return row < rows_ && rows[row].begin - begin_.value <= offset;
  };
  std::vector<uint32_t> halves;
  const uint32_t buckets = BucketCount(size_);
  words_.reserve((buckets + 1) / 2 + (rows_ + 1) / 2 + JP_RULE_WORDS * rules_);
  halves.reserve(std::max(buckets, rows_));
  for (uint32_t bucket = 0, first = 0, last = 0; bucket < buckets; ++bucket) {
    const uint64_t bucket_begin = uint64_t{bucket} << JP_BUCKET_SHIFT;
    first = begins_by(last + 1, bucket_begin) ? last + 1 : last;
    last = first;
    while (begins_by(last + 1, bucket_begin + JP_BUCKET_BYTES - 1)) ++last;
    halves.push_back(Half(first, last - first));
  }
  AppendHalves(halves, words_);
  halves.clear();
  for (uint32_t i = 0; i < rows_; ++i) {
    halves.push_back(Half(rows[i].rule, rows[i].begin - begin_.value));
  }
  AppendHalves(halves, words_);
  for (const jp_rule& rule : rules) {
    uint64_t words[JP_RULE_WORDS];
    static_assert(sizeof(words) == sizeof(rule));
    std::memcpy(words, &rule, sizeof(rule));
    words_.insert(words_.end(), std::begin(words), std::end(words));
  }
}

std::optional<UnwindTable> UnwindTable::FromWords(ElfAddress begin, uint32_t size, uint32_t rows,
                                                  uint32_t rules, std::vector<uint64_t> words) {
  if (size == 0 || size > kMaxCode || rows == 0 || rows > kMaxRows || rules > kMaxRules) {
    return std::nullopt;
  }
  const uint32_t bucket_count = BucketCount(size);
  const uint32_t bucket_words = (bucket_count + 1) / 2, row_words = (rows + 1) / 2;
  if (words.size() != uint64_t{bucket_words} + row_words + uint64_t{JP_RULE_WORDS} * rules) {
    return std::nullopt;
  }
  const std::span<const uint64_t> row_run = std::span(words).subspan(bucket_words, row_words);
  for (uint32_t i = 0; i < rows; ++i) {
    if (Number(HalfAt(row_run, i)) >= rules) return std::nullopt;
  }
  if (!AreSound(std::span(words).first(bucket_words), bucket_count, row_run, rows)) {
    return std::nullopt;
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
  const uint32_t bucket = HalfAt(words_, static_cast<uint32_t>(offset >> JP_BUCKET_SHIFT));
  const std::span rows = std::span(words_).subspan(rows_at());
  uint32_t row = Number(bucket);
  const uint32_t last = row + Low(bucket);
  while (row < last && Low(HalfAt(rows, row + 1)) <= (offset & kLowMask)) ++row;
  jp_rule rule;
  std::memcpy(&rule, &words_[rules_at() + JP_RULE_WORDS * Number(HalfAt(rows, row))], sizeof(rule));
  return rule;
}

}  // namespace jprof
