#include "symbolize/source_url.h"

#include "gtest/gtest.h"

namespace jprof {
namespace {

TEST(SourceUrlTest, RelativeToTheFileThatNamesIt) {
  EXPECT_EQ(ResolveSource("/srv/dist/app.js", "app.js.map"), "/srv/dist/app.js.map");
  EXPECT_EQ(ResolveSource("/srv/dist/app.js.map", "../src/./a.ts"), "/srv/src/a.ts");
  EXPECT_EQ(ResolveSource("/srv/a.map", "../../../etc/b.ts"), "/etc/b.ts");
  EXPECT_EQ(ResolveSource("file:///srv/my%20app/a.mjs", "b.ts"), "/srv/my app/b.ts");
  EXPECT_EQ(ResolveSource("/srv/a.js", "/abs/x.map?v=1#y"), "/abs/x.map");
  EXPECT_EQ(ResolveSource("evalmachine.<anonymous>", "../a/b.ts"), "../a/b.ts");
  EXPECT_EQ(ResolveSource("", "a/./c/../b.ts"), "a/b.ts");
}

TEST(SourceUrlTest, UrlsStayUrls) {
  EXPECT_EQ(ResolveSource("/srv/a.js.map", "webpack://app/./src/a.ts?cf12"),
            "webpack://app/src/a.ts");
  EXPECT_EQ(ResolveSource("/srv/a.js.map", "webpack:///./src/../b.ts"), "webpack:///b.ts");
  EXPECT_EQ(ResolveSource("/srv/a.js.map", "webpack://app/external node-commonjs \"fs\""),
            "webpack://app/external node-commonjs \"fs\"");
  EXPECT_EQ(ResolveSource("webpack-internal:///./src/x.js", "y.ts"),
            "webpack-internal:///src/y.ts");
  EXPECT_EQ(ResolveSource("https://cdn.example/js/a.js", "../a.js.map"),
            "https://cdn.example/a.js.map");
  EXPECT_EQ(ResolveSource("https://cdn.example/js/a.js", "/m/a.js.map"),
            "https://cdn.example/m/a.js.map");
  EXPECT_EQ(ResolveSource("/srv/a.js", "node:fs"), "node:fs");
}

TEST(SourceUrlTest, FileUrlsArePaths) {
  EXPECT_EQ(ResolveSource("/x/y.js", "file:///srv/a%20b/../c.ts"), "/srv/c.ts");
  EXPECT_EQ(PathOfUrl("file:///srv/a%20b.ts"), "/srv/a b.ts");
  EXPECT_EQ(PathOfUrl("file://localhost/srv/a.ts"), "/srv/a.ts");
  EXPECT_EQ(PathOfUrl("file://other/srv/a.ts"), "");
  EXPECT_EQ(PathOfUrl("/srv/100%.ts"), "/srv/100%.ts");
  EXPECT_EQ(PathOfUrl("file:///srv/100%/%zz%00%4"), "/srv/100%/%zz%00%4");
  EXPECT_EQ(PathOfUrl("https://x/y"), "");
}

}  // namespace
}  // namespace jprof
