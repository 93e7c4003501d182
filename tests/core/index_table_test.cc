#include "profiler/core/index_table.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace jprof {
namespace {

// A table of numbers whose hash is `number % distinct_hashes`.
class Numbers {
 public:
  explicit Numbers(size_t distinct_hashes) : distinct_hashes_(distinct_hashes) {}

  std::pair<uint32_t, bool> Add(int number) {
    const auto found =
        index_.FindOrAdd(static_cast<size_t>(number) % distinct_hashes_, rows_.size(),
                         [&](uint32_t row) { return rows_[row] == number; });
    if (found.second) rows_.push_back(number);
    return found;
  }

 private:
  const size_t distinct_hashes_;
  IndexTable index_;
  std::vector<int> rows_;
};

TEST(IndexTableTest, EachRowIsFoundAgainWhileTheTableGrows) {
  Numbers numbers(1'000'000);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(numbers.Add(i * 7), std::pair(static_cast<uint32_t>(i), true));
    ASSERT_EQ(numbers.Add(i / 2 * 7), std::pair(static_cast<uint32_t>(i / 2), false));
  }
}

TEST(IndexTableTest, RowsOfOneHashAreToldApart) {
  Numbers numbers(2);
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(numbers.Add(i), std::pair(static_cast<uint32_t>(i), true));
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(numbers.Add(i), std::pair(static_cast<uint32_t>(i), false));
}

}  // namespace
}  // namespace jprof
