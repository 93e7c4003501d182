#include "profiler/stop/page_memory.h"

#include <gtest/gtest.h>

#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

TEST(PageMemoryTest, ReadsAPageOnce) {
  FakeMemory below;
  below.Zero({{0x1000}, {0x2000}}).PutValue(Address{0x1010}, uint64_t{7});
  const PageMemory memory(below);
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1010}), 7u);
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1018}), 0u);
  EXPECT_EQ(below.reads(), 1u);
}

TEST(PageMemoryTest, WhatWasForgottenIsReadAnew) {
  FakeMemory below;
  below.Zero({{0x1000}, {0x2000}});
  PageMemory memory(below);
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1010}), 0u);
  below.PutValue(Address{0x1010}, uint64_t{7});
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1010}), 0u);
  memory.Forget();
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1010}), 7u);
}

TEST(PageMemoryTest, AReadAcrossPagesIsWhole) {
  FakeMemory below;
  below.Zero({{0x1000}, {0x3000}}).PutValue(Address{0x1ffc}, uint64_t{0x1122334455667788});
  const PageMemory memory(below);
  EXPECT_EQ(memory.ReadValue<uint64_t>(Address{0x1ffc}), 0x1122334455667788u);
}

TEST(PageMemoryTest, AReadEndsWhereTheMemoryDoes) {
  FakeMemory below;
  below.Zero({{0x1000}, {0x1800}}).Zero({{0x2000}, {0x3000}});
  const PageMemory memory(below);
  std::byte bytes[0x1800];
  EXPECT_EQ(memory.Read(Address{0x1400}, bytes), 0x400u);
  EXPECT_EQ(memory.Read(Address{0x1800}, bytes), 0u);
  EXPECT_EQ(memory.Read(Address{UINT64_MAX - 3}, bytes), 0u);
}

}  // namespace
}  // namespace jprof
