#include "export/tracks.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "profiler/core/profile_builder.h"

namespace jprof {
namespace {

// Of a profile whose samples have these values.
std::string Summed(std::vector<ValueType> types, const std::vector<std::vector<int64_t>>& rows) {
  const ValueType last = types.back();
  ProfileBuilder builder(std::move(types), last, 1);
  const ThreadId thread = builder.AddThread(1, 1, "a", "a");
  for (const std::vector<int64_t>& row : rows) builder.AddSample(0, thread, 0, StackId{}, row);
  builder.accounting().taken = builder.accounting().kept = rows.size();
  return SummedUnit(std::move(builder).Build().value());
}

TEST(SummedTypeTest, SamplesThatWeighAlikeAreCounted) {
  const std::vector<ValueType> types = {{"samples", "count"}, {"cpu", "nanoseconds"}};
  EXPECT_EQ(Summed(types, {{1, 10}, {1, 10}}), "samples");
  EXPECT_EQ(Summed(types, {{3, 30}, {1, 10}, {0, 0}}), "samples") << "as jprof merges them";
  EXPECT_EQ(Summed(types, {{1, 0}, {2, 0}}), "samples");
  EXPECT_EQ(Summed(types, {{INT64_MAX, INT64_MAX}, {1, 1}}), "samples");
  EXPECT_EQ(Summed(types, {}), "samples");
  EXPECT_EQ(Summed({{"cpu", "nanoseconds"}, {"samples", "count"}}, {{10, 1}, {20, 1}}), "samples");
}

TEST(SummedTypeTest, WhatWeighsDifferentlyIsSummedUp) {
  const std::vector<ValueType> types = {{"samples", "count"}, {"cpu", "nanoseconds"}};
  EXPECT_EQ(Summed(types, {{1, 490}, {1, 10}}), "nanoseconds");
  EXPECT_EQ(Summed(types, {{1, 0}, {1, 10}}), "nanoseconds");
  EXPECT_EQ(Summed(types, {{0, 10}, {1, 10}}), "nanoseconds");
  EXPECT_EQ(Summed(types, {{0, 10}, {0, 20}}), "nanoseconds");
  EXPECT_EQ(Summed({{"alloc_objects", "count"}, {"alloc_space", "bytes"}}, {{1, 8}, {1, 8}}),
            "bytes");
  EXPECT_EQ(Summed({{"samples", "count"}, {"cpu", "nanoseconds"}, {"wall", "nanoseconds"}},
                   {{1, 10, 10}, {1, 10, 90}}),
            "nanoseconds");
}

}  // namespace
}  // namespace jprof
