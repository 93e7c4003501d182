#include "profiler/top/terminal_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace jprof {
namespace {

TerminalText Text(absl::string_view text) { return TerminalText(text, /*utf8=*/true); }

TEST(TerminalTextTest, WideCharactersTakeTwoCells) {
  EXPECT_EQ(Text("a\xe6\xbc\xa2z").cells(), 4u);  // a Chinese one
}

TEST(TerminalTextTest, WhatFitsIsNotCut) { EXPECT_EQ(Text("render").CutMiddle(6), "render"); }

TEST(TerminalTextTest, CutInTheMiddleLeavesStartAndEnd) {
  EXPECT_EQ(Text("abcdefghij").CutMiddle(7), "ab\xe2\x80\xa6ghij");
}

TEST(TerminalTextTest, CutAtTheStartOrTheEnd) {
  EXPECT_EQ(Text("/srv/app/lib/router.js:12").CutStart(13), "\xe2\x80\xa6router.js:12");
  EXPECT_EQ(Text("abcdefghij").CutEnd(4), "abc\xe2\x80\xa6");
}

TEST(TerminalTextTest, AWideCharacterIsNotCutInTwo) {
  const std::string wide = "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2";
  for (size_t cells = 0; cells < 9; ++cells) {
    EXPECT_LE(Text(Text(wide).CutMiddle(cells)).cells(), cells) << cells;
    EXPECT_LE(Text(Text(wide).CutStart(cells)).cells(), cells) << cells;
  }
}

TEST(TerminalTextTest, CombiningCharactersStayWithTheirsUpToTwo) {
  EXPECT_EQ(Text("e\xcc\x81!").cells(), 2u);
  EXPECT_EQ(Text("e\xcc\x81\xcc\x82\xcc\x83").text(), "e\xcc\x81\xcc\x82\\u{303}");
  EXPECT_EQ(Text("\xcc\x81").text(), "\\u{301}");
}

TEST(TerminalTextTest, WithoutUtf8OnlyAsciiIsShown) {
  EXPECT_EQ(TerminalText("caf\xc3\xa9", false).text(), "caf\\u{e9}");
  EXPECT_EQ(TerminalText("abcdef", false).CutEnd(3), "ab~");
}

TEST(TerminalTextTest, NoCellsNoText) { EXPECT_EQ(Text("abc").CutMiddle(0), ""); }

TEST(TerminalTextTest, BytesThatAreNoTextAreSpelledOut) {
  EXPECT_EQ(Text("\x1b[2J\xff").text(), "\\u{1b}[2J\\xff");
}

}  // namespace
}  // namespace jprof
