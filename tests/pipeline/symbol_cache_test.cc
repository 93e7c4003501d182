#include "profiler/pipeline/symbol_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kImage = 3;
const std::vector<FileOffset> kOffsets = {FileOffset{0x10}, FileOffset{0x20}};

ImageQuery Answer(const std::vector<std::string>& names) {
  ImageQuery query{.offsets = kOffsets};
  for (const std::string& name : names) query.names.push_back({.name = name});
  query.build_id = "1234";
  return query;
}

TEST(SymbolCacheTest, WhatWasAnsweredIsNotMissing) {
  SymbolCache cache;
  EXPECT_EQ(cache.Missing(kImage, kOffsets), kOffsets);
  cache.Add(kImage, Answer({"main", "work"}));
  EXPECT_THAT(cache.Missing(kImage, {FileOffset{0x10}, FileOffset{0x18}, FileOffset{0x20}}),
              ElementsAre(FileOffset{0x18}));
  ImageQuery filled{.offsets = {FileOffset{0x20}}};
  cache.Fill(kImage, filled);
  ASSERT_EQ(filled.names.size(), 1u);
  EXPECT_EQ(filled.names[0].name, "work");
  EXPECT_EQ(filled.build_id, "1234");
}

TEST(SymbolCacheTest, WhatNobodyReadIsAskedForAgain) {
  SymbolCache cache;
  cache.Add(kImage, Answer({"main", "work"}));
  ImageQuery lost{.offsets = {FileOffset{0x30}}, .names = {SymbolName()}};
  lost.status = absl::DeadlineExceededError("its reader did not answer");
  lost.lost = true;
  for (int times = 0; times < 2; ++times) {
    cache.Add(kImage, lost);
    EXPECT_THAT(cache.Missing(kImage, lost.offsets), ElementsAre(FileOffset{0x30}));
  }
  ImageQuery filled{.offsets = kOffsets};
  cache.Fill(kImage, filled);
  EXPECT_EQ(filled.names[0].name, "main") << "what was known before stays";
  EXPECT_EQ(filled.build_id, "1234");
  cache.Add(kImage, lost);
  EXPECT_THAT(cache.Missing(kImage, lost.offsets), IsEmpty()) << "but not for ever";
}

TEST(SymbolCacheTest, WhatHadNoReaderIsAskedForEachTime) {
  SymbolCache cache;
  ImageQuery unread{.offsets = kOffsets, .names = {SymbolName(), SymbolName()}};
  unread.status = absl::UnavailableError("no process to read it");
  unread.unread = true;
  for (int times = 0; times < 9; ++times) cache.Add(kImage, unread);
  EXPECT_EQ(cache.Missing(kImage, kOffsets), kOffsets);
}

TEST(SymbolCacheTest, AFileThatCannotBeReadIsNotAskedForAgain) {
  SymbolCache cache;
  ImageQuery bad = Answer({"", ""});
  bad.status = absl::DataLossError("no ELF file");
  cache.Add(kImage, bad);
  EXPECT_THAT(cache.Missing(kImage, {FileOffset{0x99}}), IsEmpty());
  cache.ForgetDoubtful(false);
  EXPECT_EQ(cache.Missing(kImage, kOffsets), kOffsets);
}

}  // namespace
}  // namespace jprof
