#include "helpers/v8/v8_source.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace jprof::v8 {
namespace {

// The line of each position of `text`, end included, appended in pieces of `piece` units.
std::vector<uint32_t> Lines(std::u16string_view text, size_t piece) {
  LineTable table;
  for (size_t at = 0; at < text.size(); at += piece) table.Append(text.substr(at, piece));
  std::vector<uint32_t> lines;
  for (uint32_t i = 0; i <= text.size(); ++i) lines.push_back(table.LineOf(i));
  return lines;
}

TEST(LineTableTest, EveryTerminatorOfJavaScriptEndsALine) {
  using Expected = std::vector<uint32_t>;
  for (size_t piece : {1, 2, 3, 100}) {
    EXPECT_EQ(Lines(u"a\nb", piece), (Expected{1, 1, 2, 2})) << piece;
    EXPECT_EQ(Lines(u"a\rb", piece), (Expected{1, 1, 2, 2})) << piece;
    EXPECT_EQ(Lines(u"a\r\nb", piece), (Expected{1, 1, 1, 2, 2})) << piece;
    EXPECT_EQ(Lines(u"a\u2028b", piece), (Expected{1, 1, 2, 2})) << piece;
    EXPECT_EQ(Lines(u"a\u2029b", piece), (Expected{1, 1, 2, 2})) << piece;
    EXPECT_EQ(Lines(u"\n\n\n", piece), (Expected{1, 2, 3, 4})) << piece;
    EXPECT_EQ(Lines(u"\r\r\n\n", piece), (Expected{1, 2, 2, 3, 4})) << piece;
    EXPECT_EQ(Lines(u"\n\r\n", piece), (Expected{1, 2, 2, 3})) << piece;
    EXPECT_EQ(Lines(u"\r\n\r\n", piece), (Expected{1, 1, 2, 2, 3})) << piece;
    EXPECT_EQ(Lines(u"", piece), (Expected{1})) << piece;
    // Terminators elsewhere, but not here.
    EXPECT_EQ(Lines(u"\v\f\u0085\u2027\u202a", piece), (Expected{1, 1, 1, 1, 1, 1})) << piece;
  }
}

TEST(LineTableTest, PositionBehindTheEndHasNoLine) {
  LineTable table;
  table.Append(u"a\nb");
  EXPECT_EQ(table.LineOf(3), 2u);
  EXPECT_EQ(table.LineOf(4), 0u);
  EXPECT_EQ(table.LineOf(UINT32_MAX), 0u);
  EXPECT_EQ(table.ColumnOf(4), 0u);
}

TEST(LineTableTest, ColumnsCountUtf16Units) {
  LineTable table;
  table.Append(u"ab\r\n🦊c");
  EXPECT_EQ(table.ColumnOf(0), 1u);
  EXPECT_EQ(table.ColumnOf(1), 2u);
  EXPECT_EQ(table.ColumnOf(4), 1u);
  EXPECT_EQ(table.ColumnOf(6), 3u);
}

std::string Url(std::u16string_view text, size_t piece) {
  SourceMapComment comment;
  for (size_t at = 0; at < text.size(); at += piece) comment.Append(text.substr(at, piece));
  return comment.Url();
}

TEST(SourceMapCommentTest, LastOneAtTheEndCounts) {
  for (size_t piece : {1, 2, 7, 1000}) {
    EXPECT_EQ(Url(u"f();\n//# sourceMappingURL=a.js.map", piece), "a.js.map") << piece;
    EXPECT_EQ(Url(u"f();\r\n  //# sourceMappingURL=a.js.map  \r\n\r\n", piece), "a.js.map")
        << piece;
    EXPECT_EQ(Url(u"//@ sourceMappingURL=old.map\n//# sourceURL=x.ts\n", piece), "old.map")
        << piece;
    EXPECT_EQ(Url(u"//# sourceMappingURL=a.map\n//# sourceMappingURL=b.map", piece), "b.map")
        << piece;
    EXPECT_EQ(Url(u"\ufeff//# sourceMappingURL=data:application/json;base64,e30=", piece),
              "data:application/json;base64,e30=") << piece;
    // In the middle of the script, in a string, or none at all.
    EXPECT_EQ(Url(u"//# sourceMappingURL=a.map\nf();", piece), "") << piece;
    EXPECT_EQ(Url(u"var s = '//# sourceMappingURL=a.map'", piece), "") << piece;
    EXPECT_EQ(Url(u"// sourceMappingURL=a.map\n//# sourceMappingURLs=a.map", piece), "") << piece;
    EXPECT_EQ(Url(u"//# sourceMappingURL=\u540d.map", piece), "") << piece;
    EXPECT_EQ(Url(u"//# sourceMappingURL=\n", piece), "") << piece;
    EXPECT_EQ(Url(u"", piece), "") << piece;
  }
}

TEST(SourceMapCommentTest, UrlThatIsTooLongIsNone) {
  const std::u16string piece(1 << 20, u'x');
  SourceMapComment shorter, longer;
  for (SourceMapComment* comment : {&shorter, &longer}) {
    comment->Append(u"//# sourceMappingURL=");
    for (int i = 0; i < (comment == &longer ? 17 : 2); ++i) comment->Append(piece);
  }
  EXPECT_EQ(shorter.Url().size(), 2 * piece.size());
  EXPECT_EQ(longer.Url(), "");
}

// The text from the name on, in front of the parameters; "-": there is none.
std::u16string Found(std::u16string_view before, absl::string_view name) {
  const std::optional<size_t> at = FindName(before, name);
  return at ? std::u16string(before.substr(*at)) : u"-";
}

TEST(FindNameTest, NameIsWhereTheFunctionHasItFrom) {
  EXPECT_EQ(Found(u"x;function ab", "ab"), u"ab");
  EXPECT_EQ(Found(u"async function*ab ", "ab"), u"ab ");
  EXPECT_EQ(Found(u"class X{ab", "ab"), u"ab");
  EXPECT_EQ(Found(u"class X{static async #ab", "#ab"), u"ab");
  EXPECT_EQ(Found(u"const ab = ", "ab"), u"ab = ");
  EXPECT_EQ(Found(u"let ab=async", "ab"), u"ab=async");
  EXPECT_EQ(Found(u"var ab=function", "ab"), u"ab=function");
  EXPECT_EQ(Found(u"var ab=(function", "ab"), u"ab=(function");
  EXPECT_EQ(Found(u"({ab:", "ab"), u"ab:");
  EXPECT_EQ(Found(u"({ab: async function *", "ab"), u"ab: async function *");
  EXPECT_EQ(Found(u"exports.ab=function", "exports.ab"), u"ab=function");
  EXPECT_EQ(Found(u"function \u540d\u524d", "\xe5\x90\x8d\xe5\x89\x8d"), u"\u540d\u524d");
  EXPECT_EQ(Found(u"function $\U00020000", "$\xf0\xa0\x80\x80"), u"$\U00020000");
}

TEST(FindNameTest, ConstructorHasItsClasssName) {
  EXPECT_EQ(Found(u"class ab{constructor", "ab"), u"ab{constructor");
  EXPECT_EQ(Found(u"class ab extends cd { x = ab; constructor", "ab"),
            u"ab extends cd { x = ab; constructor");
  EXPECT_EQ(Found(u"var ab=class{constructor", "ab"), u"ab=class{constructor");
  EXPECT_EQ(Found(u"var ab = class cd{constructor", "cd"), u"cd{constructor");
  EXPECT_EQ(Found(u"class abc{constructor", "ab"), u"-");
  EXPECT_EQ(Found(u"x=ab;{constructor", "ab"), u"-");
}

TEST(FindNameTest, AnotherTextIsNotTakenForTheName) {
  EXPECT_EQ(Found(u"function xab", "ab"), u"-");
  EXPECT_EQ(Found(u"ab==", "ab"), u"-");
  EXPECT_EQ(Found(u"f(ab,", "ab"), u"-");
  EXPECT_EQ(Found(u"x=>", "x"), u"-");
  EXPECT_EQ(Found(u"function ab", "(anonymous)"), u"-");
  EXPECT_EQ(Found(u"function ab", ""), u"-");
  EXPECT_EQ(Found(u"", "ab"), u"-");
  EXPECT_EQ(Found(u"", "\xf0"), u"-");
  EXPECT_EQ(Found(u"constructor", "ab"), u"-");
}

}  // namespace
}  // namespace jprof::v8
