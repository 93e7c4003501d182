// The readers of JSON: speedscope's format and .cpuprofile.
#include "profiler/core/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "export/code_kind.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/import/read.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::string Complaint(absl::string_view text) {
  return std::string(Import(text).status().message());
}

TEST(JsonReaderTest, ValuesAreTakenInOrder) {
  JsonReader json(
      R"( {"a" : [1, -2.5e1, "x\n\u00e9\ud83d\ude00\"", null], "b": {"c": [[{}]]}, "d": 7} )");
  std::vector<std::string> seen;
  json.Object([&](absl::string_view key) {
    if (key == "a") {
      int i = 0;
      json.Array([&] {
        if (i == 2) {
          seen.push_back(json.String());
        } else {
          seen.push_back(absl::StrCat(json.Number()));
        }
        ++i;
      });
    } else if (key == "d") {
      seen.push_back(absl::StrCat(json.Integer()));
    } else {
      json.Skip();
    }
  });
  EXPECT_TRUE(json.ok());
  EXPECT_THAT(seen, ElementsAre("1", "-25", "x\n\u00e9\U0001f600\"", "0", "7"));
}

TEST(JsonReaderTest, HalfASurrogatePairIsReplacedAndTheNextCodeKept) {
  EXPECT_EQ(JsonReader(R"("\ud83d\u0041")").String(), "\xef\xbf\xbd" "A");
  EXPECT_EQ(JsonReader(R"("\ud83dx\ude00")").String(), "\xef\xbf\xbdx\xef\xbf\xbd");
  EXPECT_EQ(JsonReader(R"("\ud83d\ud83d\ude00")").String(), "\xef\xbf\xbd\xf0\x9f\x98\x80");
}

TEST(JsonReaderTest, WhatIsNoJsonEndsTheReading) {
  for (const std::string& text : {std::string("{"), std::string("{\"a\""), std::string("{\"a\":}"),
                                  std::string("{\"a\":1 \"b\":2}"), std::string("{\"a\":\"\\q\"}"),
                                  "{\"a\":" + std::string(100'000, '[')}) {
    JsonReader json(text);
    json.Object([&](absl::string_view) { json.Skip(); });
    EXPECT_FALSE(json.ok()) << text.substr(0, 20);
  }
}

TEST(SpeedscopeReaderTest, WhatWasWrittenComesBack) {
  const Profile profile = ParseProfile(
      "node@1;main (/bin/node+0x10);render /srv/app.js:12_[j] 40\n"
      "node@1;main (/bin/node+0x10);write ([kernel.kallsyms]+0x20)_[k] 20\nnode@1/2:worker;gc 10\n");
  const Profile back = Read(Write(profile, "speedscope"));
  EXPECT_EQ(
      Write(back, "folded"),
      "node_1/2_worker;gc 10\nnode_1;main;render /srv/app.js:12_[j] 40\nnode_1;main;write_[k] 20\n");
  EXPECT_EQ(back.samples[40].time_ns, profile.samples[40].time_ns);
  EXPECT_EQ(back.Value(0, 1), 10'101'010);
  // What was read so is written so.
  EXPECT_EQ(Write(Read(Write(back, "speedscope")), "folded"), Write(back, "folded"));
}

TEST(SpeedscopeReaderTest, EventsAreStacks) {
  const Profile p = Read(R"({"$schema":"https://www.speedscope.app/file-format-schema.json",
    "profiles":[{"type":"evented","name":"t","unit":"milliseconds","startValue":5,"endValue":20,"events":[
      {"type":"O","frame":0,"at":5},{"type":"O","frame":1,"at":6},{"type":"C","frame":1,"at":8},
      {"type":"C","frame":0,"at":9}]}],
    "shared":{"frames":[{"name":"a"},{"name":"b","file":"/x.js","line":3}]}})");
  EXPECT_EQ(Write(p, "folded"), "t;a 2000000\nt;a;b /x.js:3_[j] 2000000\n");
  EXPECT_EQ(p.samples[1].time_ns, 1'000'000);
}

TEST(SpeedscopeReaderTest, FramesThatAreNotThereAreDamage) {
  for (const char* frame :
       {"2", "-1", "4294967296", "1e300", "1e999", "0.5", "null", R"("x")", "[]"}) {
    EXPECT_THAT(
        Complaint(absl::StrCat(
            R"({"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":[
                    {"name":"a"},{"name":"b"}]},"profiles":[{"type":"sampled","unit":"none","samples":[[)",
            frame, R"(]],"weights":[1]}]})")),
        "speedscope: a frame that is not there")
        << frame;
  }
}

TEST(CpuprofileReaderTest, WhatWasWrittenComesBack) {
  const Profile profile = ParseProfile(
      "node@1;main node:internal/main:3_[j];render /srv/app.js:12_[j] 40\nnode@1;main node:internal/main:3_[j] 20\n");
  const Profile back = Read(Write(profile, "cpuprofile"));
  EXPECT_EQ(Write(back, "folded"),
            "[unknown];main node:internal/main:3_[j] 20\n"
            "[unknown];main node:internal/main:3_[j];render /srv/app.js:12_[j] 40\n");
  int64_t sum = 0;
  for (size_t i = 0; i < back.samples.size(); ++i) sum += back.Value(i, 1);
  EXPECT_NEAR(static_cast<double>(sum), 60 * 10'101'010, 1000);
}

// Of each node, as they come.
std::vector<std::string> Hits(const Profile& profile) {
  std::vector<std::string> hits;
  for (absl::string_view node :
       absl::StrSplit(Write(profile, "cpuprofile"), "\"functionName\":\"")) {
    constexpr absl::string_view kKey = "\"hitCount\":";
    const size_t at = node.find(kKey);
    if (at == absl::string_view::npos) continue;
    const absl::string_view rest = node.substr(at + kKey.size());
    hits.push_back(
        absl::StrCat(node.substr(0, node.find('"')), " ", rest.substr(0, rest.find(','))));
  }
  return hits;
}

TEST(CpuprofileWriterTest, HitsAreWhatSamplesCountFor) {
  EXPECT_THAT(Hits(Read("p;a 60\np;b 20\np;b;c 20\n")),
              ElementsAre("(root) 0", "a 60", "b 20", "c 20"));
}

TEST(CpuprofileWriterTest, HitsAreTheTimeWhereSamplesWeighDifferently) {
  const Profile p = Read(R"J({"$schema":"https://www.speedscope.app/file-format-schema.json",
    "shared":{"frames":[{"name":"a"},{"name":"b"}]},"profiles":[{"type":"sampled","unit":"microseconds",
    "startValue":0,"endValue":500,"samples":[[0],[1]],"weights":[490,10]}]})J");
  EXPECT_THAT(Hits(p), ElementsAre("(root) 0", "a 490", "b 10"));
}

TEST(CpuprofileWriterTest, IdleTimeHasItsHits) {
  ProfileBuilder builder({{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"},
                         1000);
  const ThreadId thread = builder.AddThread(1, 1, "a", "a");
  builder.AddSample(0, thread, 0, StackId{}, std::vector<int64_t>{1, 1000});
  builder.AddSample(6000, thread, 0, StackId{}, std::vector<int64_t>{2, 2000});
  builder.accounting().taken = builder.accounting().kept = 2;
  EXPECT_THAT(Hits(std::move(builder).Build().value()),
              ElementsAre("(root) 0", "(program) 3", "(idle) 5"));
}

TEST(CpuprofileReaderTest, AsNodeWritesIt) {
  const auto imported = Import(R"J({"nodes":[
    {"id":1,"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":0,"children":[2,3,4]},
    {"id":2,"callFrame":{"functionName":"(idle)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":1},
    {"id":3,"callFrame":{"functionName":"","scriptId":"9","url":"file:///srv/a.mjs","lineNumber":0,"columnNumber":0},"hitCount":2,"children":[5]},
    {"id":4,"callFrame":{"functionName":"(garbage collector)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":1},
    {"id":5,"callFrame":{"functionName":"push","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"hitCount":0}],
    "startTime":1000,"endTime":9000,"samples":[3,3,2,4,5],"timeDeltas":[100,1000,-5,1000,1000]})J");
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(Write(imported->profile, "folded"),
            "[unknown];(anonymous) file:///srv/a.mjs:1_[j] 1000000\n"
            "[unknown];(anonymous) file:///srv/a.mjs:1_[j];push_[j] 4900000\n"
            "[unknown];(garbage collector) 1000000\n");
  EXPECT_THAT(imported->notes, ElementsAre("cpuprofile: 1 samples of (idle) are left out"));
  EXPECT_EQ(imported->profile.samples[0].time_ns, 100'000);
  EXPECT_EQ(imported->profile.Value(0, 1), 1'000'000);
  for (const Function& f : imported->profile.functions) {
    const bool is_gc = imported->profile.String(f.name) == "(garbage collector)";
    EXPECT_EQ(KindOf(imported->profile, f) == CodeKind::kGc, is_gc);
  }
}

TEST(DeepStackTest, IsCutAtTheRootInEachFormat) {
  std::string nodes, samples, opened, names;
  for (int i = 1; i <= 5000; ++i) {
    const char* comma = i == 1 ? "" : ",";
    absl::StrAppend(&nodes, comma, R"({"id":)", i, R"(,"callFrame":{"functionName":"f)", i,
                    R"("},"children":[)", i < 5000 ? absl::StrCat(i + 1) : "", "]}");
    absl::StrAppend(&samples, comma, i - 1);
    absl::StrAppend(&opened, R"({"type":"O","at":0,"frame":)", i - 1, "},");
    absl::StrAppend(&names, comma, R"({"name":"f)", i, R"("})");
  }
  auto speedscope = [&](absl::string_view profile) {
    return absl::StrCat(R"({"$schema":"https://www.speedscope.app/file-format-schema.json",)",
                        R"("shared":{"frames":[)", names, R"(]},"profiles":[{"unit":"none",)",
                        profile, "}]}");
  };
  for (const std::string& text :
       {absl::StrCat(R"({"timeDeltas":[1],"samples":[5000],"nodes":[)", nodes, "]}"),
        speedscope(absl::StrCat(R"("type":"sampled","weights":[1],"samples":[[)", samples, "]]")),
        speedscope(absl::StrCat(R"("type":"evented","events":[)", opened,
                                R"({"type":"C","at":1,"frame":4999}])"))}) {
    const auto imported = Import(text);
    ASSERT_TRUE(imported.ok()) << imported.status();
    const Profile& p = imported->profile;
    ASSERT_EQ(p.samples.size(), 1u);
    std::vector<std::string> frames;  // leaf first
    for (StackId s = p.samples[0].stack; s.valid(); s = p.stacks[s.value].caller) {
      const Location& location = p.locations[p.stacks[s.value].location.value];
      frames.emplace_back(p.String(p.functions[p.Lines(location)[0].function.value].name));
    }
    ASSERT_EQ(frames.size(), 2001u);
    EXPECT_EQ(frames[0], "f5000");
    EXPECT_EQ(frames[1999], "f3001");
    EXPECT_EQ(frames[2000], "[truncated]");
    EXPECT_THAT(imported->notes, ElementsAre(HasSubstr(": 1 samples of stacks deeper than 2000")));
  }
}

// A node whose stack is cut, and one above it that is not, are two stacks.
TEST(DeepStackTest, OfACpuprofileEachIsCutByItself) {
  std::string nodes;
  for (int i = 1; i <= 3000; ++i) {
    absl::StrAppend(&nodes, i == 1 ? "" : ",", R"({"id":)", i, R"(,"children":[)",
                    i < 3000 ? absl::StrCat(i + 1) : "", "]}");
  }
  const Profile p =
      Read(absl::StrCat(R"({"timeDeltas":[1,1],"samples":[3000,1500],"nodes":[)", nodes, "]}"));
  EXPECT_LE(p.stacks.size(), 4001u);
  std::vector<size_t> depths;
  for (const ProfileSample& sample : p.samples) {
    depths.push_back(0);
    for (StackId s = sample.stack; s.valid(); s = p.stacks[s.value].caller) ++depths.back();
  }
  EXPECT_THAT(depths, UnorderedElementsAre(2001u, 1500u));
}

TEST(CpuprofileReaderTest, ANodeAboveItselfIsDamage) {
  EXPECT_THAT(
      Complaint(
          R"({"timeDeltas":[1],"samples":[1],"nodes":[{"id":1,"children":[2]},{"id":2,"children":[1]}]})"),
      HasSubstr("a node above itself"));
  EXPECT_THAT(Complaint(R"({"timeDeltas":[1],"samples":[7],"nodes":[{"id":1}]})"),
              HasSubstr("a sample of a node that is not there"));
}

}  // namespace
}  // namespace jprof
