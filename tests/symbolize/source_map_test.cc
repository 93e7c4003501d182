#include "symbolize/source_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "symbolize/source_map_message.h"
#include "symbolize/symbolizer_process.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Vlq(int64_t value) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint64_t bits =
      value < 0 ? static_cast<uint64_t>(-value) << 1 | 1 : static_cast<uint64_t>(value) << 1;
  std::string out;
  do {
    out += kDigits[(bits & 31) | (bits > 31 ? 32 : 0)];
    bits >>= 5;
  } while (bits != 0);
  return out;
}

std::string Fields(const std::vector<int64_t>& fields) {
  std::string out;
  for (int64_t f : fields) out += Vlq(f);
  return out;
}

std::string Map(absl::string_view mappings, absl::string_view more = "") {
  return absl::StrCat(R"({"version":3,"sources":["a.ts","b.ts"],"names":["alpha","beta"],)", more,
                      R"("mappings":")", mappings, "\"}");
}

// "a.ts:1:2 alpha" for each position, "-" where nothing is known; or the status.
std::vector<std::string> Ask(absl::string_view map, std::vector<GeneratedPosition> positions) {
  SourceMapQuery query;
  query.path = "x.map";
  query.positions = std::move(positions);
  ReadSourceMapText(map, query);
  if (!query.status.ok()) return {std::string(query.status.message())};
  std::vector<std::string> out;
  for (const OriginalPosition& o : query.originals) {
    out.push_back(o.source == OriginalPosition::kNone
                      ? "-"
                      : absl::StrCat(query.sources[o.source], ":", o.line, ":", o.column,
                                     o.name == OriginalPosition::kNone ? "" : " ",
                                     o.name == OriginalPosition::kNone ? "" : query.names[o.name]));
  }
  return out;
}

TEST(SourceMapTest, PositionHasTheSegmentBeforeItOnItsLine) {
  // Line 1: column 5 -> a.ts:1:1; line 2: none; line 3: column 0 -> b.ts:10:3.
  const std::string map = Map(absl::StrCat(Fields({4, 0, 0, 0}), ";;", Fields({0, 1, 9, 2})));
  EXPECT_THAT(Ask(map, {{1, 1}, {1, 4}, {1, 5}, {1, 900}, {2, 1}, {3, 1}, {3, 7}, {4, 1}}),
              ElementsAre("-", "-", "a.ts:1:1", "a.ts:1:1", "-", "b.ts:10:3", "b.ts:10:3", "-"));
}

TEST(SourceMapTest, NumbersAreDifferencesAcrossLinesButColumnsBeginAnew) {
  const std::string map = Map(absl::StrCat(Fields({7, 0, 4, 6, 0}), ",", Fields({3, 1, -2, -6, 1}),
                                           ";", Fields({2, -1, 1, 8, -1})));
  EXPECT_THAT(Ask(map, {{1, 8}, {1, 11}, {2, 3}}),
              ElementsAre("a.ts:5:7 alpha", "b.ts:3:1 beta", "a.ts:4:9 alpha"));
}

TEST(SourceMapTest, NameIsOfTheIdentifierThatBeginsThere) {
  EXPECT_THAT(Ask(Map(Fields({3, 0, 0, 0, 1})), {{1, 4}, {1, 5}}),
              ElementsAre("a.ts:1:1 beta", "a.ts:1:1"));
}

TEST(SourceMapTest, SegmentOfOneFieldHasNoOriginal) {
  EXPECT_THAT(Ask(Map(absl::StrCat(Fields({0, 0, 0, 0}), ",", Fields({5}))), {{1, 2}, {1, 6}}),
              ElementsAre("a.ts:1:1", "-"));
}

TEST(SourceMapTest, SegmentsOfALineNeedNotBeSorted) {
  const std::string map = Map(absl::StrCat(Fields({9, 0, 8, 0}), ",", Fields({-9, 0, -8, 0})));
  EXPECT_THAT(Ask(map, {{1, 1}, {1, 10}}), ElementsAre("a.ts:1:1", "a.ts:9:1"));
}

TEST(SourceMapTest, SourceRootIsPutBeforeRelativeSources) {
  const std::string mappings = absl::StrCat(Fields({0, 0, 0, 0}), ",", Fields({1, 1, 0, 0}));
  EXPECT_THAT(
      Ask(absl::StrCat(
              R"({"version":3,"sourceRoot":"../src","sources":["a.ts","/b.ts"],"mappings":")",
              mappings, "\"}"),
          {{1, 1}, {1, 2}}),
      ElementsAre("../src/a.ts:1:1", "/b.ts:1:1"));
}

TEST(SourceMapTest, SourcesAndNamesThatAreNotThereAreUnknown) {
  EXPECT_THAT(Ask(Map(absl::StrCat(Fields({0, 7, 0, 0}), ",", Fields({1, -7, 0, 0, 9}))),
                  {{1, 1}, {1, 2}}),
              ElementsAre("-", "a.ts:1:1"));
  EXPECT_THAT(Ask(R"({"version":3,"sources":[null,7],"mappings":"AAAA,CCAA"})", {{1, 1}, {1, 2}}),
              ElementsAre("-", "-"));
}

TEST(SourceMapTest, SectionsAnswerFromTheirOffsetOn) {
  const std::string map = absl::StrCat(
      R"({"version":3,"sections":[{"offset":{"line":0,"column":4},"map":)", Map("AAAAA;AACA"),
      R"(},{"offset":{"line":1,"column":10},"map":{"version":3,"sources":["c.ts"],"mappings":"AAAA;AACA"}}]})");
  EXPECT_THAT(Ask(map, {{1, 4}, {1, 5}, {2, 1}, {2, 10}, {2, 11}, {3, 1}}),
              ElementsAre("-", "a.ts:1:1 alpha", "a.ts:2:1", "a.ts:2:1", "c.ts:1:1", "c.ts:2:1"));
}

TEST(SourceMapTest, SourcesOfOthersAreTold) {
  const auto ignored = [](absl::string_view map) {
    SourceMapQuery query;
    query.positions = {{1, 1}, {1, 2}, {2, 1}, {2, 2}};
    ReadSourceMapText(map, query);
    EXPECT_TRUE(query.status.ok()) << query.status;
    EXPECT_EQ(query.ignored.size(), query.sources.size());
    std::vector<std::string> sources;
    for (size_t i = 0; i < query.ignored.size(); ++i) {
      if (query.ignored[i]) sources.push_back(query.sources[i]);
    }
    return sources;
  };
  const auto map = [](absl::string_view list) { return Map("AAAA,CCAA", list); };
  EXPECT_THAT(ignored(map("")), ElementsAre());
  EXPECT_THAT(ignored(map(R"("ignoreList":[1],)")), ElementsAre("b.ts"));
  EXPECT_THAT(ignored(map(R"("x_google_ignoreList":[0,1],)")), ElementsAre("a.ts", "b.ts"));
  // The standard's name goes first.
  EXPECT_THAT(ignored(map(R"("x_google_ignoreList":[0],"ignoreList":[1],)")), ElementsAre("b.ts"));
  EXPECT_THAT(ignored(map(R"("ignoreList":[1],"x_google_ignoreList":[0],)")), ElementsAre("b.ts"));
  EXPECT_THAT(ignored(map(R"("ignoreList":[7,-1,"0",null,1e300,0.5,1],)")), ElementsAre("b.ts"));
  for (const char* none : {"7", "null", "{}", "\"0\"", "[]"}) {
    EXPECT_THAT(ignored(map(absl::StrCat("\"ignoreList\":", none, ","))), ElementsAre()) << none;
  }
  // Each section has its own.
  EXPECT_THAT(ignored(absl::StrCat(
                  R"({"version":3,"sections":[{"offset":{"line":0,"column":0},"map":)", map(""),
                  R"(},{"offset":{"line":1,"column":0},"map":{"version":3,"ignoreList":[0],)"
                  R"("sources":["c.ts"],"mappings":"AAAA"}}]})")),
              ElementsAre("c.ts"));
}

TEST(SourceMapTest, DamageIsToldAndNothingIsBelieved) {
  for (
      const auto& [map, what] : std::vector<std::pair<std::string, std::string>>{
          {"", "JSON"},
          {"{", "JSON"},
          {"[]", "version 3"},
          {R"({"version":2,"mappings":"AAAA"})", "version 3"},
          {R"({"version":3})", "no mappings"},
          {R"({"version":3,"mappings":7})", "no mappings"},
          {Map("AAAA,A*AA"), "damaged"},
          {Map("AA"), "damaged"},
          {Map("AAA"), "damaged"},
          {Map("AAAAAA"), "damaged"},
          {Map("gggggggggA"), "damaged"},  // wider than 32 bits
          {Map("+/////HAAA"), "damaged"},  // as well
          {Map("D"), "damaged"},           // column -1
          {Map("AADA"), "damaged"},        // line -1
          {Map("AAAA;g"), "damaged"},      // ends within a number
          {R"({"version":3,"sections":[{"offset":{"line":1,"column":0},"map":{}},)"
           R"({"offset":{"line":0,"column":0},"map":{}}]})",
           "sections"},
          {R"({"version":3,"sections":[{"offset":{"line":0,"column":0},"url":"x"}]})", "sections"},
          {R"({"version":3,"sections":[{"offset":{"line":0,"column":0},)"
           R"("map":{"version":3,"sections":[]}}]})",
           "no mappings"},
      }) {
    SourceMapQuery query;
    query.path = "x.map";
    query.positions = {{1, 1}, {2, 1}, {9, 9}};
    ReadSourceMapText(map, query);
    EXPECT_THAT(std::string(query.status.message()), HasSubstr(what)) << map;
    EXPECT_THAT(std::string(query.status.message()), HasSubstr("x.map: ")) << map;
    EXPECT_EQ(query.originals, std::vector<OriginalPosition>(3)) << map;
    EXPECT_TRUE(query.sources.empty()) << map;
  }
}

TEST(SourceMapTest, LineBeforeTheMapThatIsNoScriptIsSkipped) {
  EXPECT_THAT(Ask(absl::StrCat(")]}'\n", Map("AAAA")), {{1, 1}}), ElementsAre("a.ts:1:1"));
}

TEST(SourceMapTest, FileIsReadByAProcessOfItsOwn) {
  auto process = SymbolizerProcess::Start();
  ASSERT_TRUE(process.ok()) << process.status();
  std::vector<SourceMapQuery> here(3), there(3);
  for (std::vector<SourceMapQuery>* queries : {&here, &there}) {
    (*queries)[0].file = FileOf(Map("AAAAA,KACAC;AACA", R"("ignoreList":[0],)"));
    (*queries)[1].file = FileOf("nothing");
    (*queries)[2].file = FileOf(Map("CAAA"));
    for (SourceMapQuery& q : *queries) {
      q.path = "x.map";
      q.positions = {{1, 1}, {1, 6}, {2, 9}};
    }
  }
  for (SourceMapQuery& q : here) ReadSourceMap(q);
  (*process)->ReadSourceMaps(there);
  EXPECT_EQ(here[0].originals[1].line, 2u);
  EXPECT_FALSE(here[1].status.ok());
  EXPECT_THAT(there[0].ignored, ElementsAre(true));
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].status, there[i].status);
    EXPECT_EQ(here[i].originals, there[i].originals);
    EXPECT_EQ(here[i].sources, there[i].sources);
    EXPECT_EQ(here[i].names, there[i].names);
    EXPECT_EQ(here[i].ignored, there[i].ignored);
    EXPECT_FALSE(there[i].file.valid());
  }
}

TEST(SourceMapTest, HugeFileIsRefused) {
  SourceMapQuery query;
  query.path = "x.map";
  query.positions = {{1, 1}};
  query.file = UniqueFd(::memfd_create("map", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(query.file.get(), off_t{1} << 40), 0);
  ReadSourceMap(query);
  EXPECT_EQ(query.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(query.originals.size(), 1u);
}

TEST(SourceMapTest, AnswerThatDoesNotFitIsNonsense) {
  SourceMapQuery query;
  query.positions = {{1, 1}};
  SourceMapQuery answer;
  answer.originals = {{.source = 0, .line = 1, .column = 1}};
  EXPECT_FALSE(DecodeOriginals(EncodeOriginals(answer), &query));  // a source that is not there
  answer.sources = {"a.ts"};
  answer.ignored = {true};
  EXPECT_FALSE(DecodeOriginals(EncodeOriginals(answer) + "x", &query));
  for (size_t cut = 0; cut < EncodeOriginals(answer).size(); ++cut) {
    EXPECT_FALSE(DecodeOriginals(EncodeOriginals(answer).substr(0, cut), &query));
  }
  EXPECT_TRUE(query.originals.empty());
  EXPECT_TRUE(DecodeOriginals(EncodeOriginals(answer), &query));
  EXPECT_EQ(query.originals, answer.originals);
  answer.originals.push_back({});  // more than were asked for
  EXPECT_FALSE(DecodeOriginals(EncodeOriginals(answer), &query));
}

}  // namespace
}  // namespace jprof
