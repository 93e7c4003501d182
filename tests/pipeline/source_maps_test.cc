// Source maps: where they are found, and what frames become by them.
#include "profiler/pipeline/source_maps.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "profiler/pipeline/original_names.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Pid kPid = 7;
constexpr uint32_t kNone = SourceMaps::kNone;

// Files by path; a map's content is of no interest to SourceMaps.
class SourceMapsTest : public testing::Test {
 protected:
  SourceMaps Make(SourceMaps::Options options = {}) {
    return SourceMaps(
        [this](Pid, const std::string& path) -> absl::StatusOr<UniqueFd> {
          tried_.push_back(path);
          auto it = files_.find(path);
          if (it == files_.end()) return absl::NotFoundError(path);
          if (it->second.empty())
            return absl::PermissionDeniedError(absl::StrCat(path, ": denied"));
          return UniqueFd(::dup(it->second[0].get()));
        },
        options);
  }
  void File(const std::string& path, const std::string& text = "{}") {
    files_[path].push_back(FileOf(text));
  }
  uint32_t Find(SourceMaps& maps, const std::string& file, const std::string& url) {
    tried_.clear();
    return maps.Find(kPid, ++script_, file, [&] {
      ++asked_;
      return url;
    });
  }
  std::map<std::string, std::vector<UniqueFd>> files_;  // without a descriptor: not to be opened
  std::vector<std::string> tried_;
  uint32_t script_ = 0;
  int asked_ = 0;
};

TEST_F(SourceMapsTest, ScriptNamesItsMapElseItLiesBeside) {
  SourceMaps maps = Make();
  File("/srv/maps/app js.map");
  File("/srv/dist/b.mjs.map");
  EXPECT_EQ(Find(maps, "/srv/dist/a.js", "../maps/app%20js.map"), 0u);
  EXPECT_THAT(tried_, ElementsAre("/srv/maps/app%20js.map", "/srv/maps/app js.map"));
  EXPECT_EQ(Find(maps, "file:///srv/dist/b.mjs", ""), 1u);
  EXPECT_EQ(maps.maps()[1].base, "/srv/dist/b.mjs.map");
  EXPECT_EQ(Find(maps, "/srv/dist/c.js", ""), kNone);
  EXPECT_THAT(tried_, ElementsAre("/srv/dist/c.js.map"));
  EXPECT_THAT(maps.Troubles(), IsEmpty());  // none was promised
}

TEST_F(SourceMapsTest, ScriptsWithoutAPathHaveNoFileBeside) {
  SourceMaps maps = Make();
  for (const char* name :
       {"node:internal/timers", "evalmachine.<anonymous>", "", "https://x/a.js"}) {
    EXPECT_EQ(Find(maps, name, ""), kNone) << name;
    EXPECT_THAT(tried_, IsEmpty()) << name;
  }
}

TEST_F(SourceMapsTest, ScriptIsAskedOnceAndMapsOfOneFileAreOne) {
  SourceMaps maps = Make();
  File("/srv/a.js.map");
  const auto url = [&]() -> std::string {
    ++asked_;
    return "a.js.map";
  };
  EXPECT_EQ(maps.Find(kPid, 1, "/srv/a.js", url), 0u);
  EXPECT_EQ(maps.Find(kPid, 1, "/srv/a.js", url), 0u);
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(maps.Find(kPid + 1, 1, "/srv/a.js", url), 0u);
  EXPECT_EQ(asked_, 2);
  maps.Forget(kPid);
  EXPECT_EQ(maps.Find(kPid, 1, "/srv/a.js", url), 0u);
  EXPECT_EQ(asked_, 3);
  EXPECT_EQ(maps.maps().size(), 1u);
}

TEST_F(SourceMapsTest, MapWithinTheScriptIsAFileInMemory) {
  SourceMaps maps = Make();
  const std::string text = R"({"version":3})";
  for (const std::string& url :
       {absl::StrCat("data:application/json;charset=utf-8;base64,", absl::Base64Escape(text)),
        std::string("data:application/json,%7B%22version%22:3}")}) {
    const uint32_t map = Find(maps, "/srv/a.js", url);
    ASSERT_NE(map, kNone);
    char read[64] = {};
    EXPECT_EQ(::pread(maps.maps()[map].file.get(), read, sizeof(read), 0),
              static_cast<ssize_t>(text.size()));
    EXPECT_EQ(read, text);
    EXPECT_EQ(maps.maps()[map].base, "/srv/a.js");
  }
  EXPECT_THAT(tried_, IsEmpty());
  EXPECT_EQ(Find(maps, "/srv/a.js", "data:application/json;base64,***"), kNone);
  EXPECT_EQ(Find(maps, "/srv/a.js", "data:nothing"), kNone);
  EXPECT_THAT(maps.Troubles(), ElementsAre(HasSubstr("2 source maps could not be opened")));
}

TEST_F(SourceMapsTest, WhatIsNotThereOrNotToBeReadIsCountedByKind) {
  SourceMaps maps = Make();
  files_["/srv/secret.map"];
  EXPECT_EQ(Find(maps, "/srv/a.js", "a.js.map"), kNone);
  EXPECT_EQ(Find(maps, "/srv/b.js", "b.js.map"), kNone);
  EXPECT_EQ(Find(maps, "/srv/c.js", "https://example.org/c.js.map"), kNone);
  EXPECT_THAT(tried_, ElementsAre("/srv/c.js.map"));  // nothing else
  EXPECT_EQ(Find(maps, "/srv/d.js", "secret.map"), kNone);
  EXPECT_THAT(
      maps.Troubles(),
      ElementsAre("2 scripts name a source map that is not there (/srv/a.js: a.js.map)",
                  "1 script has its source map on the network, where jprof does not look "
                  "(/srv/c.js: https://example.org/c.js.map)",
                  "1 source map could not be opened (/srv/secret.map: denied)"));
}

TEST_F(SourceMapsTest, NoMoreAreKeptOpenThanTheLimit) {
  SourceMaps maps = Make({.max_open = 1});
  File("/srv/a.js.map");
  File("/srv/b.js.map");
  EXPECT_EQ(Find(maps, "/srv/a.js", ""), 0u);
  EXPECT_EQ(Find(maps, "/srv/b.js", ""), kNone);
  EXPECT_EQ(Find(maps, "/srv/c.js", "data:,{}"), kNone);
  EXPECT_THAT(maps.Troubles(), ElementsAre("2 source maps are more than jprof keeps"));
}

TEST_F(SourceMapsTest, MapsOfProcessesThatAreGoneAreClosed) {
  SourceMaps maps = Make({.max_open = 2});
  File("/srv/a.js.map");
  File("/srv/b.js.map");
  EXPECT_EQ(Find(maps, "/srv/a.js", ""), 0u);
  EXPECT_EQ(maps.Find(kPid + 1, 1, "/srv/a.js", [] { return ""; }), 0u);
  EXPECT_EQ(Find(maps, "/srv/c.js", "data:,{}"), 1u);
  maps.Forget(kPid);
  maps.CloseUnused();
  EXPECT_TRUE(maps.maps()[1].file.valid()) << "its last samples may not have been read";
  EXPECT_EQ(maps.Find(kPid + 1, 2, "/srv/b.js", [] { return ""; }), kNone);
  maps.CloseUnused();
  EXPECT_FALSE(maps.maps()[1].file.valid());
  EXPECT_TRUE(maps.maps()[1].closed);
  EXPECT_TRUE(maps.maps()[0].file.valid()) << "another process has it";
  EXPECT_EQ(maps.Find(kPid + 1, 3, "/srv/b.js", [] { return ""; }), 2u);
  maps.Forget(kPid + 1);
  maps.CloseUnused();
  EXPECT_EQ(Find(maps, "/srv/a.js", ""), 0u) << "it is open still";
  maps.CloseUnused();
  EXPECT_FALSE(maps.maps()[0].closed);
  EXPECT_TRUE(maps.maps()[2].closed);
  // One that comes again is another one.
  EXPECT_EQ(Find(maps, "/srv/b.js", ""), 3u);
  EXPECT_EQ(Find(maps, "/srv/b.js", ""), 3u);
}

TEST_F(SourceMapsTest, MapsWithinScriptsGiveTheirRoomBack) {
  SourceMaps maps = Make();
  const std::string url = absl::StrCat("data:,", std::string(size_t{40} << 20, ' '));
  EXPECT_EQ(Find(maps, "/srv/a.js", url), 0u);
  EXPECT_EQ(Find(maps, "/srv/a.js", url), kNone);
  maps.Forget(kPid);
  maps.CloseUnused();
  maps.CloseUnused();
  EXPECT_EQ(Find(maps, "/srv/a.js", url), 1u);
}

TEST_F(SourceMapsTest, DirectoryIsSearchedByTheScriptsNameAndFolders) {
  SourceMaps maps = Make({.in_directory = true});
  File("/dist/a.js.map");
  EXPECT_EQ(Find(maps, "/srv/dist/a.js", ""), 0u);
  EXPECT_THAT(tried_, ElementsAre("/srv/dist/a.js.map", "/dist/a.js.map"));
  EXPECT_EQ(maps.maps()[0].base, "");
  EXPECT_EQ(Find(maps, "file:///srv/b.js", "https://x/maps/b.123.map"), kNone);
  EXPECT_THAT(tried_, ElementsAre("/srv/b.123.map", "/srv/b.js.map", "/b.123.map", "/b.js.map"));
  EXPECT_EQ(Find(maps, "/../../etc/x.js", "../../../secret"), kNone);
  EXPECT_THAT(tried_, ElementsAre("/etc/secret", "/etc/x.js.map", "/secret", "/x.js.map"));
  EXPECT_EQ(Find(maps, "https://x.org/js/c.js", ""), kNone);
  EXPECT_THAT(tried_, ElementsAre("/c.js.map"));
}

// Names and lines by maps.
class OriginalNamesTest : public SourceMapsTest {
 protected:
  // Line 1: "function a(){}" with a name for "a", at columns 1, 10 and 11; line 2: other file.
  static constexpr char kMap[] =
      R"({"version":3,"sources":["../src/app.ts","../src/b.ts"],"names":["makeShape"],)"
      R"("mappings":"AAQA,SAASA,CAAS,YACE;ACAA"})";

  PendingName Name(const std::string& name, uint32_t map, uint32_t column, uint32_t name_column) {
    return {.name = name,
            .file = "/srv/dist/app.js",
            .start_line = 1,
            .kind = FrameKind::kScript,
            .map = map,
            .place = {.column = column,
                      .name_line = name_column == 0 ? 0u : 1u,
                      .name_column = name_column}};
  }
};

TEST_F(OriginalNamesTest, FunctionHasTheNameFileAndLineOfItsOriginal) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", kMap);
  FrameTable frames;
  const uint32_t map = Find(maps, "/srv/dist/app.js", "app.js.map");
  const uint32_t a = frames.InternName(Name("a", map, 11, 10));
  PendingName awaiting = Name("a", map, 11, 10);
  awaiting.Prefix("async ");
  const uint32_t async_a = frames.InternName(awaiting);
  const uint32_t nameless = frames.InternName(Name("(anonymous)", map, 11, 0));
  const uint32_t no_map = frames.InternName(Name("a", kNone, 0, 0));
  const OriginalNames names(frames, maps, nullptr);
  ASSERT_NE(names.Of(a), nullptr);
  EXPECT_EQ(names.Of(a)->name, "makeShape");
  EXPECT_EQ(names.Of(a)->file, "/srv/src/app.ts");
  EXPECT_EQ(names.Of(a)->line, 9u);
  EXPECT_EQ(names.Of(a)->generated, "a /srv/dist/app.js:1:11");
  EXPECT_EQ(names.Of(async_a)->name, "async makeShape");
  EXPECT_EQ(names.Of(async_a)->generated, "async a /srv/dist/app.js:1:11");
  EXPECT_EQ(names.Of(nameless)->name, "(anonymous)");  // not guessed
  EXPECT_EQ(names.Of(nameless)->line, 9u);
  EXPECT_EQ(names.Of(no_map), nullptr);
  EXPECT_THAT(names.troubles(), IsEmpty());
}

TEST_F(OriginalNamesTest, FunctionsOfOthersAreToldByTheirMap) {
  SourceMaps maps = Make();
  const std::string ignores_b =
      absl::StrReplaceAll(kMap, {{"\"names\"", R"("ignoreList":[1],"names")"}});
  File("/srv/dist/app.js.map", ignores_b);
  FrameTable frames;
  const uint32_t map = Find(maps, "/srv/dist/app.js", "app.js.map");
  const uint32_t own = frames.InternName(Name("a", map, 11, 10));
  PendingName name = Name("b", map, 1, 0);
  name.start_line = 2;
  const uint32_t of_others = frames.InternName(name);
  const OriginalNames names(frames, maps, nullptr);
  ASSERT_NE(names.Of(own), nullptr);
  ASSERT_NE(names.Of(of_others), nullptr);
  EXPECT_FALSE(names.Of(own)->of_others);
  EXPECT_EQ(names.Of(of_others)->file, "/srv/src/b.ts");
  EXPECT_TRUE(names.Of(of_others)->of_others);
}

TEST_F(OriginalNamesTest, LinesAreThoseOfTheFunctionsFile) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", kMap);
  FrameTable frames;
  const uint32_t map = Find(maps, "/srv/dist/app.js", "app.js.map");
  const uint32_t a = frames.InternName(Name("a", map, 11, 10));
  const std::vector<PendingLine> lines = {
      {a, 1, 30}, {a, 2, 5}, {a, 3, 1}, {a, 0, 0}};
  frames.InternLines(lines);
  const OriginalNames names(frames, maps, nullptr);
  EXPECT_EQ(names.Of(lines[0]).line, 10u);
  EXPECT_EQ(names.Of(lines[0]).column, 21u);
  EXPECT_EQ(names.Of(lines[1]).line, 0u);  // in b.ts
  EXPECT_EQ(names.Of(lines[2]).line, 0u);  // in no mapping
  EXPECT_EQ(names.Of(lines[3]).line, 0u);
}

TEST_F(OriginalNamesTest, MapsAreReadForNewPositionsAlone) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", kMap);
  FrameTable frames;
  const uint32_t map = Find(maps, "/srv/dist/app.js", "app.js.map");
  const uint32_t a = frames.InternName(Name("a", map, 11, 10));
  OriginalNames::Known known;
  std::vector<size_t> asked;  // positions, by reading
  auto read = [&](std::vector<SourceMapQuery>& queries) {
    for (SourceMapQuery& query : queries) {
      asked.push_back(query.positions.size());
      ReadSourceMap(query);
    }
  };
  for (int times = 0; times < 2; ++times) {
    const OriginalNames names(frames, maps, read, &known);
    ASSERT_NE(names.Of(a), nullptr);
    EXPECT_EQ(names.Of(a)->name, "makeShape");
  }
  EXPECT_THAT(asked, ElementsAre(2));
  const std::vector<PendingLine> lines = {{a, 1, 30}};
  frames.InternLines(lines);
  const OriginalNames names(frames, maps, read, &known);
  EXPECT_EQ(names.Of(lines[0]).line, 10u) << "the map is open still";
  EXPECT_EQ(names.Of(a)->name, "makeShape");
  EXPECT_THAT(asked, ElementsAre(2, 1));
}

TEST_F(OriginalNamesTest, OfAMapThatIsClosedWhatWasReadStays) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", kMap);
  FrameTable frames;
  const uint32_t map = Find(maps, "/srv/dist/app.js", "app.js.map");
  const uint32_t a = frames.InternName(Name("a", map, 11, 10));
  OriginalNames::Known known;
  EXPECT_EQ(OriginalNames(frames, maps, nullptr, &known).Of(a)->name, "makeShape");
  maps.Forget(kPid);
  maps.CloseUnused();
  maps.CloseUnused();
  ASSERT_TRUE(maps.maps()[map].closed);
  const uint32_t late = frames.InternName(Name("b", map, 1, 0));
  const OriginalNames names(frames, maps, nullptr, &known);
  EXPECT_EQ(names.Of(a)->name, "makeShape");
  EXPECT_EQ(names.Of(late), nullptr);
  EXPECT_THAT(names.troubles(), IsEmpty());
}

TEST_F(OriginalNamesTest, MapThatWasNotReadIsTriedAgainSomeTimes) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", kMap);
  FrameTable frames;
  const uint32_t a =
      frames.InternName(Name("a", Find(maps, "/srv/dist/app.js", "app.js.map"), 11, 10));
  int asked = 0, late = 2;
  auto read = [&](std::vector<SourceMapQuery>& queries) {
    for (SourceMapQuery& query : queries) {
      ++asked;
      if (asked <= late) query.status = absl::DeadlineExceededError("late");
      if (asked > late) ReadSourceMap(query);
    }
  };
  OriginalNames::Known known;
  EXPECT_EQ(OriginalNames(frames, maps, read, &known).Of(a), nullptr);
  EXPECT_EQ(OriginalNames(frames, maps, read, &known).Of(a), nullptr);
  EXPECT_NE(OriginalNames(frames, maps, read, &known).Of(a), nullptr);
  late = 1000;
  OriginalNames::Known never;
  for (int times = 0; times < 9; ++times) OriginalNames(frames, maps, read, &never);
  EXPECT_EQ(asked, 6);
}

TEST_F(OriginalNamesTest, DamagedMapIsToldAndNamesStayGenerated) {
  SourceMaps maps = Make();
  File("/srv/dist/app.js.map", "not a map");
  FrameTable frames;
  const uint32_t a =
      frames.InternName(Name("a", Find(maps, "/srv/dist/app.js", "app.js.map"), 11, 10));
  const OriginalNames names(frames, maps, nullptr);
  EXPECT_EQ(names.Of(a), nullptr);
  EXPECT_THAT(
      names.troubles(),
      ElementsAre(
          "1 source map is not used (/srv/dist/app.js.map: not a source map of version 3)"));
}

}  // namespace
}  // namespace jprof
