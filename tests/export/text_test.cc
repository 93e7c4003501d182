#include "export/text.h"

#include <gtest/gtest.h>

#include <string>

namespace jprof {
namespace {

TEST(TextTest, PlainTextIsShownAsItIs) {
  EXPECT_EQ(ShownText("std::vector<int>::push_back(int&&)"), "std::vector<int>::push_back(int&&)");
  EXPECT_EQ(ShownText("gr\xc3\xb6\xc3\x9f"
                      "e \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x9a\x80"),
            "gr\xc3\xb6\xc3\x9f"
            "e \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x9a\x80");
  EXPECT_EQ(ShownText("C:\\new"), "C:\\new");
}

TEST(TextTest, InvisibleCharactersAreSpelledOut) {
  EXPECT_EQ(ShownText(absl::string_view("\0\t\n\r\x1b\x7f", 6)), "\\x00\\t\\n\\r\\x1b\\x7f");
  EXPECT_EQ(ShownText("\xc2\x80\xc2\x9f\xc2\xa0\xc2\xad"), "\\u0080\\u009f\\u00a0\\u00ad");
  EXPECT_EQ(ShownText("\xe2\x80\x8b\xe2\x80\xae\xe2\x81\xa6\xef\xbb\xbf"),
            "\\u200b\\u202e\\u2066\\ufeff");
  EXPECT_EQ(ShownText("\xef\xbf\xbe\xef\xbf\xbf\xef\xb7\x90"), "\\ufffe\\uffff\\ufdd0");
  EXPECT_EQ(ShownText("\xf3\xa0\x80\x81\xf0\x9f\xbf\xbf"), "\\u{e0001}\\u{1ffff}");
}

TEST(TextTest, BytesThatAreNoUtf8AreSpelledOutOneByOne) {
  EXPECT_EQ(ShownText("\xff"), "\\xff");
  EXPECT_EQ(ShownText("a\xe4\xb8"), "a\\xe4\\xb8");         // cut
  EXPECT_EQ(ShownText("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(ShownText("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");  // overlong
  EXPECT_EQ(ShownText("\xf0\x80\x80\xaf"), "\\xf0\\x80\\x80\\xaf");
  EXPECT_EQ(ShownText("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(ShownText("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(ValidUtf8("a\xff\xe4\xb8z\n"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\n");
}

TEST(TextTest, LongTextEndsInAnEllipsisAtACharacter) {
  EXPECT_EQ(ShownText("12345678", 8), "12345678");
  EXPECT_EQ(ShownText("123456789", 8), "12345\xe2\x80\xa6");
  EXPECT_EQ(ShownText("1234\xe4\xb8\xad\xe4\xb8\xad", 8), "1234\xe2\x80\xa6");
  EXPECT_EQ(ShownText("1234567\n", 8), "12345\xe2\x80\xa6");
  EXPECT_EQ(ShownText(std::string(100'000, '\x01')).size(), kMaxNameBytes - 1);
  EXPECT_EQ(ValidUtf8(std::string(100'000, 'x')).size(), kMaxNameBytes);
}

TEST(TextTest, MarkupIsEscaped) {
  EXPECT_EQ(XmlText::Escape("<a b=\"c\" d='e'>&]]>\x01").text(),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;]]&gt;\\x01");
}

}  // namespace
}  // namespace jprof
