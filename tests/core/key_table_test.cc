#include "profiler/core/key_table.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace jprof {
namespace {

TEST(KeyTableTest, FindsWhatWasAdded) {
  KeyTable table(8);
  EXPECT_EQ(table.Find(7), 0u);
  table.Add(7, 1);
  table.Add(0, 2);
  table.Add(7 + (uint64_t{1} << 40), 3);  // the same place
  table.Add(UINT64_MAX, 4);               // the last place
  table.Add(UINT64_MAX >> 1, 5);          // taken: the first one
  EXPECT_EQ(table.size(), 5u);
  EXPECT_EQ(table.Find(7), 1u);
  EXPECT_EQ(table.Find(0), 2u);
  EXPECT_EQ(table.Find(7 + (uint64_t{1} << 40)), 3u);
  EXPECT_EQ(table.Find(UINT64_MAX), 4u);
  EXPECT_EQ(table.Find(UINT64_MAX >> 1), 5u);
  EXPECT_EQ(table.Find(8), 0u);
  EXPECT_EQ(table.Find(7 + (uint64_t{1} << 50)), 0u);
}

TEST(KeyTableTest, GrowsAndCanBeCleared) {
  constexpr uint32_t kKeys = 100'000;
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;
  KeyTable table(1);
  for (int filled = 0; filled < 2; ++filled) {
    for (uint32_t i = 0; i < kKeys; ++i) table.Add(kFactor * i, i + 1);
    EXPECT_EQ(table.size(), kKeys);
    for (uint32_t i = 0; i < kKeys; ++i) ASSERT_EQ(table.Find(kFactor * i), i + 1);
    EXPECT_EQ(table.Find(kFactor * kKeys), 0u);
    table.Clear();
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.Find(kFactor), 0u);
  }
}

}  // namespace
}  // namespace jprof
