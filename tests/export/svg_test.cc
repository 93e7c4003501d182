#include "export/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "export/text.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/export/xml_check.h"
#include "tests/testing/golden.h"
#include "tests/testing/profile_text.h"
#include "web/assets.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Svg(const Profile& profile) {
  StringSink sink;
  EXPECT_TRUE(MakeSvgExporter()->Write(profile, sink).ok());
  return sink.text();
}
std::string Svg(absl::string_view text) { return Svg(ParseProfile(text)); }

// What changes with a profile: all but the script and the style.
std::string WithoutAssets(std::string svg) {
  for (absl::string_view end : {"]]></style>", "]]></script>"}) {
    size_t to = svg.find(std::string(end));
    size_t from = svg.rfind("<![CDATA[", to);
    if (to == std::string::npos || from == std::string::npos) return "no " + std::string(end);
    svg.replace(from, to - from, "<![CDATA[");
  }
  return svg;
}

// Runs xmllint on the picture; with an XPath, its text.
std::string XmlLint(const std::string& svg, const std::string& xpath = "") {
  std::string path = absl::StrCat(::testing::TempDir(), "/jprof-svg-test-", getpid(), ".svg");
  std::ofstream(path, std::ios::binary) << svg;
  std::string command = "xmllint --nonet ";
  absl::StrAppend(&command, xpath.empty() ? "--noout " : absl::StrCat("--xpath \"", xpath, "\" "));
  FILE* pipe = popen(absl::StrCat(command, path, " 2>&1").c_str(), "r");
  std::string output;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) output.append(buffer, n);
  int status = pclose(pipe);
  EXPECT_EQ(status, 0) << command << ": " << output.substr(0, 500);
  unlink(path.c_str());
  if (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

void ExpectWellFormed(const std::string& svg) {
  EXPECT_EQ(XmlLint(svg), "");
  EXPECT_EQ(XmlError(svg), "");
}

TEST(SvgTest, NodeProfileIsGolden) {
  std::string svg = Svg(kNodeProfile);
  ExpectWellFormed(svg);
  ExpectGolden(WithoutAssets(svg), "export/golden/node.svg");
}

TEST(SvgTest, HasTheIdsThatToolsLookFor) {
  std::string svg = Svg(kNodeProfile);
  for (const char* id :
       {"title", "subtitle", "details", "unzoom", "search", "ignorecase", "matched"}) {
    EXPECT_EQ(XmlLint(svg, absl::StrCat("count(//*[local-name()='text'][@id='", id, "'])")), "1");
  }
  EXPECT_EQ(XmlLint(svg, "count(//*[local-name()='g'][@id='frames'])"), "1");
  EXPECT_EQ(XmlLint(svg, "string(/*/@onload)"), "init(evt)");
}

TEST(SvgTest, EachFrameIsATitleARectAndAText) {
  std::string svg = Svg(kNodeProfile);
  std::string frames = "//*[@id='frames']/*";
  std::string count = XmlLint(svg, absl::StrCat("count(", frames, ")"));
  EXPECT_EQ(XmlLint(svg, absl::StrCat("count(", frames,
                                      "[local-name()='g'][count(*)=3][local-name(*[1])='title']"
                                      "[local-name(*[2])='rect'][local-name(*[3])='text'])")),
            count);
}

TEST(SvgTest, TitlesAreInTheClassicForm) {
  std::string svg = Svg("node;f 1234\nnode;g 766");
  EXPECT_THAT(svg, HasSubstr("<title>all (2,000 samples, 100%)</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>f (1,234 samples, 61.70%)</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>g (766 samples, 38.30%)</title>"));
}

TEST(SvgTest, NeighboursShareAnEdge) {
  std::string svg = Svg("node;a 1\nnode;b 1\nnode;c 1");
  EXPECT_THAT(svg, HasSubstr("x=\"10.00\" y=\"76\" width=\"393.33\""));
  EXPECT_THAT(svg, HasSubstr("x=\"403.33\" y=\"76\" width=\"393.34\""));
  EXPECT_THAT(svg, HasSubstr("x=\"796.67\" y=\"76\" width=\"393.33\""));
}

TEST(SvgTest, KindsOfCodeHaveTheirOwnColours) {
  std::string svg = Svg(
      "node;f 1\nnode;f_[k] 1\nnode;f_[b] 1\nnode;f_[p] 1\nnode;f_[u] 1\nnode;f /a/b.js:1_[j] 1\n"
      "node;f /a/node_modules/b.js:1_[j] 1\nnode;f node:fs:1_[j] 1");
  for (const char* name : {"JavaScript", "node_modules", "Node library", "builtins", "C++, native",
                           "kernel", "JIT", "unnamed"}) {
    EXPECT_THAT(svg, HasSubstr(absl::StrCat(">", name, " 12.5%</text>")));
  }
  std::set<std::string> fills;
  for (size_t at = 0; (at = svg.find("<title>f", at)) != std::string::npos; ++at) {
    fills.insert(svg.substr(svg.find("fill=\"", at), 14));
  }
  EXPECT_EQ(fills.size(), 8u);
}

TEST(SvgTest, WhatIsOfOthersLooksLikeNodeModules) {
  const std::string svg = Svg("node;f /a/b.js:1_[l] 3\nnode;g /a/c.js:1_[j] 1");
  EXPECT_THAT(svg, HasSubstr(">node_modules 75.0%</text>"));
  EXPECT_THAT(svg, HasSubstr(">JavaScript 25.0%</text>"));
  EXPECT_THAT(svg, HasSubstr("<title>f /a/b.js:1 (3 samples, 75.00%)</title>"));
}

TEST(SvgTest, ThoseWhoAwaitHaveAColourAndNoShareOfWhatExecutes) {
  const std::string svg = Svg("node;async f /a/b.js:1_[a];--_[m];f /a/b.js:1_[j] 1");
  EXPECT_THAT(svg, HasSubstr(">awaiting</text>"));
  EXPECT_THAT(svg, HasSubstr("<title>async f /a/b.js:1 (1 samples, 100.00%)</title>"));
  EXPECT_THAT(svg, HasSubstr(">JavaScript 100.0%</text>"));
  EXPECT_THAT(Svg("node;f /a/b.js:1_[j] 1"), Not(HasSubstr("awaiting")));
}

TEST(SvgTest, AFunctionKeepsItsColourInAnotherPicture) {
  auto fill = [](const std::string& svg) {
    size_t at = svg.find("<title>render ");
    return svg.substr(svg.find("fill=\"", at), 14);
  };
  EXPECT_EQ(fill(Svg("a;render /x.js:1_[j] 5")), fill(Svg("b@2;q;render /x.js:1_[j] 9\nb@2;z 77")));
}

TEST(SvgTest, AllCommentsAreTheSubtitleLineByLine) {
  const std::string long_comment = "jprof " + std::string(50, 'x') + std::string(400, 'y');
  std::string svg = Svg(absl::StrCat("# comment: 5 samples, 0 lost\n# comment: ", long_comment,
                                     "\n# comment: last\na;f 5"));
  ExpectWellFormed(svg);
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='subtitle']/text())"), "5 samples, 0 lost");
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='subtitle']/*[local-name()='title'])"),
            absl::StrCat("5 samples, 0 lost\n", long_comment, "\nlast"));
  EXPECT_EQ(XmlLint(svg, "count(//*[@id='subtitle']/*[local-name()='tspan'])"), "4");
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='subtitle']/*[last()])"), "last");
}

TEST(SvgTest, ManyCommentsAreCountedNotShown) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "# comment: c", i, "\n");
  const std::string svg = Svg(text + "a;f 5");
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='subtitle']/*[last()])"), "92 more comments");
  // The script takes them from here.
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='subtitle']/*[local-name()='title'])"),
            "c0\nc1\nc2\nc3\nc4\nc5\nc6\nc7\n92 more comments");
}

TEST(SvgTest, FramesTooThinToSeeAreLeftOutAndCounted) {
  std::string text = "# comment: verdict\nnode;wide 50000\n";
  for (int i = 0; i < 20; ++i) absl::StrAppend(&text, "node;thin", i, ";leaf 1\n");
  std::string svg = Svg(text);
  EXPECT_THAT(svg, Not(HasSubstr("thin1")));
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='leftout'])"),
            "not drawn: 40 frames thinner than 0.1 px");
}

TEST(SvgTest, ALabelThatDoesNotFitKeepsItsFunction) {
  const std::pair<const char*, const char*> cases[] = {
      {"v8::internal::Heap::CollectGarbage(v8::Reason)", "..internal::Heap::CollectGarbage"},
      {"ns::Map<a::b, c::d>::insert_or_assign(int, int)", "ns::Map<a::b, ..insert_or_assign"},
      {"std::less<std::string<char>, int>::operator()(int) const",
       "std::less<std::strin..operator()"},
      {"std::ostream& std::operator<< <char>(std::ostream&)", "std::ostream&..operator<< <char>"},
      {"(anonymous namespace)::Parser::ParseExpression()", "(anonym..Parser::ParseExpression"},
      {"renderTheWholePage /srv/application_server.js:12_[j]", "renderTheWholePage..server.js:12"},
      {"one_function_with_a_name_that_is_long", "one_function_with_a_name_that_.."},
  };
  for (const auto& [name, label] : cases) {
    // 20 % of the width: room for 32 characters.
    std::string svg = Svg(absl::StrCat("node;", name, " 20\nnode;~ 80"));
    EXPECT_EQ(XmlLint(svg, "string(//*[@id='frames']/*[3]/*[3])"), label);
  }
}

TEST(SvgTest, TheCollectorsHelpersAreTheCollectors) {
  std::string svg = Svg(
      "node;v8::internal::Heap::CollectGarbage;memmove 1\nnode;memmove 1\n"
      "node;v8::internal::Scavenger::Process;onGc /a/b.js:1_[j] 2");
  EXPECT_THAT(svg, HasSubstr(">GC 25.0%</text>"));
  EXPECT_THAT(svg, HasSubstr(">C++, native 25.0%</text>"));
  EXPECT_THAT(svg, HasSubstr(">JavaScript 50.0%</text>"));
}

TEST(SvgTest, AnInlinedFunctionIsPalerAndSaidToBe) {
  std::string svg = Svg("node;f;g_[i] 3\nnode;g 1");
  EXPECT_THAT(svg, HasSubstr(">paler: inlined 75.0%</text>"));
  EXPECT_EQ(XmlLint(svg, "count(//*[@id='frames']/*[substring(@class, string-length(@class) - 1) "
                         "= ' i'])"),
            "1");
  EXPECT_NE(XmlLint(svg, "string(//*[@id='frames']/*[4]/*[2]/@fill)"),
            XmlLint(svg, "string(//*[@id='frames']/*[5]/*[2]/@fill)"));
}

TEST(SvgTest, EachFrameSaysItsPackage) {
  std::string svg = Svg(
      "node;f /srv/app/x.js:1_[j];g /srv/node_modules/@a/b/c.js:1_[j];h "
      "/n/node_modules/q/node_modules/p/i.js:2_[j];read node:fs:1_[j];ArrayMap_[b];k_[k];n "
      "(/usr/lib/libz.so.1+0x10) 1");
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='packages'])"),
            "@a/b\nV8 builtins\napp/\nkernel\nlibz.so.1\nnode\np\n");
  EXPECT_EQ(XmlLint(svg, "string(//*[@id='frames']/*[9]/@class)"), "w k7 p4");
}

TEST(SvgTest, TheDescriptionNamesTheHottest) {
  EXPECT_EQ(XmlLint(Svg("node;f;g 3\nnode;f 1"), "string(/*/*[local-name()='desc'])"),
            "Flame graph of 4 samples. Executing most: g 75.0%, f 25.0%");
}

TEST(SvgTest, LongNamesAreCutToTheirFrame) {
  std::string svg = Svg("node;a_function_with_a_long_name 1\nnode;wide 9");
  EXPECT_THAT(svg, HasSubstr(">a_function_wi..</text>"));
  EXPECT_THAT(svg, HasSubstr("<title>a_function_with_a_long_name (1 samples, 10.00%)</title>"));
}

TEST(SvgTest, LabelsLeaveOutTheFoldersOfAScriptAndTitlesDoNot) {
  const std::pair<const char*, const char*> cases[] = {
      {"render /srv/app/page.js:12_[j]", "render page.js:12"},
      {"/page /srv/app.js:12_[j]", "/page app.js:12"},
      {"get size file:///srv/my own/a.mjs:3_[j]", "get size a.mjs:3"},
      {"load node:internal/modules/cjs/loader:1_[j]", "load loader:1"},
      {"emit node:events:5_[j]", "emit node:events:5"},
      {"JS:*hot /srv/jit.js:1:1_[p]", "JS:*hot jit.js:1:1"},
      {"[unknown] lib/x.so+0x1_[u]", "[unknown] lib/x.so+0x1"},
      {"operator/(a, b)", "operator/(a, b)"},
      {"a/b:1", "a/b:1"},
      {"f /:1_[j]", "f /:1"},
  };
  for (const auto& [name, label] : cases) {
    const std::string shown(name);
    std::string svg = Svg(absl::StrCat("node;", name, " 1"));
    EXPECT_EQ(XmlLint(svg, "string(//*[@id='frames']/*[3]/*[3])"), label);
    EXPECT_EQ(XmlLint(svg, "string(//*[@id='frames']/*[3]/*[1])"),
              absl::StrCat(shown.substr(0, shown.find("_[")), " (1 samples, 100.00%)"));
  }
}

TEST(SvgTest, AnEmptyProfileIsAPicture) {
  std::string svg = Svg("");
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("<title>all (0 samples, 100%)</title>"));
}

TEST(SvgTest, HostileNamesStayText) {
  const std::vector<std::string> names = {
      "<script>alert(1)</script>",
      "</title></g></svg>",
      "]]>",
      "<![CDATA[",
      "<!--",
      "--\\x3e",
      "&amp\\x3b &#0\\x3b &lt",
      "\" onload=\"x\" a=\"",
      "' onclick='x",
      "\\x00\\x01\\x08\\x0b\\x1f\\x7f",
      "a\\n\\x0d\\x09b",
      "\\xff\\xfe\\x80",
      "\\xc0\\xaf\\xe0\\x80\\xaf",
      "\\xed\\xa0\\x80",
      "\\xef\\xbf\\xbe\\xef\\xbf\\xbf",
      "\\xf4\\x90\\x80\\x80",
      "\\xe2\\x80\\xaeevil\\xe2\\x80\\xac",
      "f (9,999 samples, 99.99%)",
      "\\x1b[31mred",
  };
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    std::string svg = Svg(absl::StrCat("# title: ", name, "\n# comment: ", name, "\n", name, ";",
                                       name, ";", name, "_[k];", name, " /", name, ":1_[j] 3\n"));
    ExpectWellFormed(svg);
    EXPECT_TRUE(ValidUtf8(svg, svg.size()) == svg);
    // Nothing that was not there for a tame name.
    for (const char* element : {"script", "style", "svg"}) {
      EXPECT_EQ(XmlLint(svg, absl::StrCat("count(//*[local-name()='", element, "'])")), "1");
    }
    EXPECT_EQ(XmlLint(svg, "count(//@onload | //@onclick)"), "1");
    EXPECT_EQ(XmlLint(svg, "count(//*[@id='frames']/*)"), "5");
  }
}

TEST(SvgTest, InvisibleCharactersAreShown) {
  std::string svg = Svg("a;x\\xe2\\x80\\xaey\\x1bz\\xff 1");
  EXPECT_THAT(svg, HasSubstr("<title>x\\u202ey\\x1bz\\xff (1 samples, 100.00%)</title>"));
}

TEST(SvgTest, NamesAreCutAt4KiB) {
  std::string svg = Svg(absl::StrCat("a;", std::string(100'000, '<'), " 1"));
  ExpectWellFormed(svg);
  std::string title = XmlLint(svg, "string(//*[@id='frames']/*[3]/*[1])");
  EXPECT_LE(title.size(), kMaxNameBytes + 40);
  EXPECT_GE(title.size(), kMaxNameBytes - 40);
}

// Every path of `depth` functions out of `names`, once each; built without the little language.
Profile AllPaths(int names, int depth, int name_bytes) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  ThreadId thread = builder.AddThread(1, 1, "node", "node");
  std::vector<LocationId> locations;
  for (int i = 0; i < names; ++i) {
    std::string name = absl::StrCat("f", i, "_");
    name.resize(std::max<size_t>(name.size(), name_bytes), '&');
    Line line{builder.AddFunction(name, name, "", 0, FrameKind::kNative), 0, 0};
    locations.push_back(builder.AddLocation(ImageId{}, 0, {&line, 1}));
  }
  std::vector<StackId> stacks = {StackId{}};
  for (int d = 0; d < depth; ++d) {
    std::vector<StackId> deeper;
    for (StackId caller : stacks) {
      for (LocationId location : locations) deeper.push_back(builder.AddStack(caller, location));
    }
    stacks = std::move(deeper);
  }
  std::vector<int64_t> one = {1};
  for (StackId stack : stacks) builder.AddSample(0, thread, 0, stack, one);
  builder.accounting().taken = builder.accounting().kept = stacks.size();
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  EXPECT_TRUE(profile.ok());
  return *std::move(profile);
}

TEST(SvgTest, AMillionStacksStayBelow10MB) {
  std::string svg = Svg(AllPaths(1000, 2, 0));
  EXPECT_LT(svg.size(), 10'000'000u);
  EXPECT_THAT(svg, HasSubstr("not drawn: 1,000,000 frames thinner than 0.1 px"));
}

TEST(SvgTest, AHundredThousandNamesStayBelow10MB) {
  std::string svg = Svg(AllPaths(100'000, 1, 0));
  EXPECT_LT(svg.size(), 10'000'000u);
  EXPECT_THAT(svg, HasSubstr("not drawn: 100,000 frames thinner than 0.1 px"));
}

TEST(SvgTest, ManyWideFramesWithLongNamesStayBelow10MBAndTheWidestAreDrawn) {
  std::string svg = Svg(AllPaths(8, 4, 1000));
  EXPECT_LT(svg.size(), 10'000'000u);
  EXPECT_GT(svg.size(), 9'000'000u);
  EXPECT_THAT(svg, HasSubstr("thin frames for the file&#39;s size"));
  // The root, the process and the three lower levels are whole; only the leaves gave way.
  EXPECT_EQ(XmlLint(svg, "count(//*[@id='frames']/*/*[2][@width > 2])"), "586");
  ExpectWellFormed(svg);
}

TEST(SvgTest, AnOriginalsGeneratedPlaceIsTheSecondLineOfItsTitle) {
  const std::string svg = Svg(
      "# generated: handle = h<i> /srv/dist/app.js:1:4711\nnode;handle /srv/app.js:3_[j];f 2");
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("<title>handle /srv/app.js:3 (2 samples, 100.00%)\n"
                             "h&lt;i&gt; /srv/dist/app.js:1:4711</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>f (2 samples, 100.00%)</title>"));
}

TEST(SvgTest, LongGeneratedNamesStayBelow10MB) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, "# generated: f", i, " = ", std::string(4000, '&'), "\n");
  }
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "node;f", i, " /a.js:1_[j] 1\n");
  const std::string svg = Svg(text);
  EXPECT_LT(svg.size(), 10'000'000u);
  EXPECT_GT(svg.size(), 9'000'000u);
  EXPECT_THAT(svg, HasSubstr("thin frames for the file&#39;s size"));
}

TEST(SvgTest, ADepthOfTenThousandIsCutAndSaid) {
  std::string stack = "node";
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&stack, ";deep", i);
  std::string svg = Svg(absl::StrCat(stack, " 3"));
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("not drawn: 9,489 frames above level 512"));
  EXPECT_THAT(svg, HasSubstr("<title>deep510 "));
  EXPECT_THAT(svg, Not(HasSubstr("<title>deep511 ")));
}

TEST(SvgTest, ScriptAndStyleCannotEndTheirSection) {
  EXPECT_FALSE(absl::StrContains(assets::flamegraph_js(), "]]>"));
  EXPECT_FALSE(absl::StrContains(assets::flamegraph_css(), "]]>"));
}

// The picture read back: paths of names with their own samples, as folded lines, sorted.
std::vector<std::string> ReadBack(const std::string& svg) {
  struct Frame {
    std::string path;
    int64_t self;
  };
  std::vector<Frame> frames;
  std::vector<size_t> open;
  int root_y = 0;
  const std::string end = " samples, ";
  for (size_t at = svg.find("<g id=\"frames\""); (at = svg.find("<g class=\"", at)) < svg.size();) {
    at = svg.find("<title>", at) + 7;
    std::string title = svg.substr(at, svg.find("</title>", at) - at);
    const size_t paren = title.rfind(" (");
    std::string digits = title.substr(paren + 2, title.find(end, paren) - paren - 2);
    digits.erase(std::remove(digits.begin(), digits.end(), ','), digits.end());
    const int y = std::stoi(svg.substr(svg.find(" y=\"", at) + 4));
    if (frames.empty()) root_y = y;
    open.resize(static_cast<size_t>((root_y - y) / 16));
    const int64_t samples = std::stoll(digits);
    const std::string name = title.substr(0, paren);
    if (!open.empty()) frames[open.back()].self -= samples;
    const std::string path =
        open.size() < 2 ? name : absl::StrCat(frames[open.back()].path, ";", name);
    open.push_back(frames.size());
    frames.push_back({path, samples});
  }
  std::vector<std::string> lines;
  for (size_t i = 1; i < frames.size(); ++i) {
    if (frames[i].self > 0) lines.push_back(absl::StrCat(frames[i].path, " ", frames[i].self));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(SvgTest, NoNumberOfTheFoldedStacksIsLost) {
  StringSink folded;
  ASSERT_TRUE(FindFormatByName("folded")->create()->Write(ParseProfile(kNodeProfile), folded).ok());
  std::string text = folded.text();
  for (const char* suffix : {"_[k]", "_[j]", "_[i]"}) {
    for (size_t at; (at = text.find(suffix)) != std::string::npos;) text.erase(at, 4);
  }
  std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(ReadBack(Svg(kNodeProfile)), lines);
  EXPECT_GT(lines.size(), 6u);
}

TEST(SvgTest, AComparisonIsRedAndBlueAndSaysByHowMuch) {
  ProfileBuilder builder({{"samples", "count"}, {kBaseType, "count"}}, {"cpu", "nanoseconds"}, 1);
  const ThreadId thread = builder.AddThread(1, 1, "node", "node");
  const std::pair<const char*, std::vector<int64_t>> cases[] = {
      {"more", {60, 10}}, {"less", {20, 30}}, {"same", {20, 10}}};
  for (const auto& [name, values] : cases) {
    Line line{builder.AddFunction(name, name, "", 0, FrameKind::kNative), 0, 0};
    StackId stack =
        builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1}));
    builder.AddSample(0, thread, 0, stack, values);
  }
  builder.accounting().taken = builder.accounting().kept = 3;
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  ASSERT_TRUE(profile.ok());
  const std::string svg = Svg(*profile);
  EXPECT_THAT(svg, HasSubstr("<title>more (60 samples, 60.00%; +40.00%)</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>less (20 samples, 20.00%; -40.00%)</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>same (20 samples, 20.00%; +0.00%)</title>"));
  for (const char* fill : {"#e24a33", "#3f86d9", "#ececec"}) EXPECT_THAT(svg, HasSubstr(fill));
  EXPECT_THAT(svg, HasSubstr("[fill=\"#ececec\"] { fill: #868d96; }"));
  EXPECT_THAT(Svg("node;a 1"), Not(HasSubstr("#ececec")));
  EXPECT_THAT(svg, HasSubstr(">more, up to +40.00%</text>"));
}

TEST(SvgTest, ItAsksForNothing) {
  const std::string svg = absl::StrReplaceAll(
      Svg(kNodeProfile),
      {{"http://www.w3.org/2000/svg", ""}, {"http://www.w3.org/1999/xhtml", ""}});
  for (const char* way : {"http:", "https:", "url(", "@import", "href", "<image", "<use", "fetch(",
                          "XMLHttpRequest", "sendBeacon", "WebSocket", "src="}) {
    EXPECT_THAT(svg, Not(HasSubstr(way)));
  }
}

TEST(SvgTest, AFailingSinkEndsTheExport) {
  class FullDisk : public OutputSink {
    absl::Status Append(absl::string_view) override {
      return absl::ResourceExhaustedError("disk full");
    }
  } sink;
  EXPECT_EQ(MakeSvgExporter()->Write(ParseProfile("a;f 1"), sink).message(), "disk full");
}

}  // namespace
}  // namespace jprof
