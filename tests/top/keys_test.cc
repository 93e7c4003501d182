#include "profiler/top/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = Key::Kind;

std::vector<Key> Decode(const std::string& bytes) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  decoder.Feed(bytes, keys);
  if (decoder.IsWaiting()) decoder.Timeout(keys);
  return keys;
}

TEST(KeysTest, ArrowsComeInTwoModes) {
  EXPECT_THAT(Decode("\x1b[A\x1bOB"), ElementsAre(Key{Kind::kUp}, Key{Kind::kDown}));
}

TEST(KeysTest, PagesAndEnds) {
  EXPECT_THAT(
      Decode("\x1b[5~\x1b[6~\x1b[H\x1b[F"),
      ElementsAre(Key{Kind::kPageUp}, Key{Kind::kPageDown}, Key{Kind::kHome}, Key{Kind::kEnd}));
}

TEST(KeysTest, AnEscapeAloneIsOneWhenNothingFollows) {
  EXPECT_THAT(Decode("\x1b"), ElementsAre(Key{Kind::kEscape}));
  EXPECT_THAT(Decode("\x1bq"), ElementsAre(Key{Kind::kEscape}, Key{Kind::kText, "q"}));
}

TEST(KeysTest, ASequenceMayComeInPieces) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  decoder.Feed("\x1b", keys);
  decoder.Feed("[", keys);
  EXPECT_THAT(keys, IsEmpty());
  EXPECT_TRUE(decoder.IsWaiting());
  decoder.Feed("C", keys);
  EXPECT_THAT(keys, ElementsAre(Key{Kind::kRight}));
}

TEST(KeysTest, ACharacterMayComeInPieces) {
  KeyDecoder decoder;
  std::vector<Key> keys;
  decoder.Feed("\xc3", keys);
  EXPECT_THAT(keys, IsEmpty());
  decoder.Feed("\xa9", keys);
  EXPECT_THAT(keys, ElementsAre(Key{Kind::kText, "\xc3\xa9"}));
}

TEST(KeysTest, WhatIsNotKnownIsNoCommand) {
  EXPECT_THAT(Decode("\x1b[15;2~q"), ElementsAre(Key{Kind::kOther}, Key{Kind::kText, "q"}));
  EXPECT_THAT(Decode("\xffq"), ElementsAre(Key{Kind::kOther}, Key{Kind::kText, "q"}));
}

TEST(KeysTest, ASequenceWithoutEndIsGivenUp) {
  EXPECT_THAT(Decode("\x1b[" + std::string(100, '1') + "q").back(), (Key{Kind::kText, "q"}));
}

}  // namespace
}  // namespace jprof
