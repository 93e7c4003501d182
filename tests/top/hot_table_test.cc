#include "profiler/top/hot_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

using Counts = std::pair<uint64_t, uint64_t>;  // self, total

std::map<std::string, Counts> RowsOf(const HotTable& table, const HotView& view = {}) {
  std::map<std::string, Counts> rows;
  for (const HotTable::Row& row : table.Rows(view)) {
    rows[table.function(row.function).name] = {row.self, row.total};
  }
  return rows;
}

// Each stack as "leaf<caller<process", with its samples.
std::vector<std::pair<std::string, uint64_t>> StacksOf(const HotTable& table,
                                                       const std::string& name,
                                                       const HotView& view = {}) {
  std::vector<std::pair<std::string, uint64_t>> stacks;
  for (const HotTable::Row& row : table.Rows(view)) {
    if (table.function(row.function).name != name) continue;
    for (const HotTable::HotStack& stack : table.StacksOf(row.function, view)) {
      std::string text;
      for (uint32_t function : stack.functions) {
        absl::StrAppend(&text, text.empty() ? "" : "<", table.function(function).name);
      }
      stacks.emplace_back(text, stack.samples);
    }
  }
  return stacks;
}

TEST(HotTableTest, TheLeafHasTheSampleAndEachCallerIt) {
  HotTable table(10);
  table.Add(ParseProfile("app;main;work 3\napp;main;idle 1\n"));
  EXPECT_THAT(RowsOf(table),
              UnorderedElementsAre(Pair("main", Counts(0, 4)), Pair("work", Counts(3, 3)),
                                   Pair("idle", Counts(1, 1))));
}

TEST(HotTableTest, ARecursiveFunctionCountsOnce) {
  HotTable table(10);
  table.Add(ParseProfile("app;main;f;f;f 5\n"));
  EXPECT_THAT(RowsOf(table),
              UnorderedElementsAre(Pair("main", Counts(0, 5)), Pair("f", Counts(5, 5))));
}

TEST(HotTableTest, WhatIsOlderThanTheWindowIsOfTheWholeAlone) {
  HotTable table(2);
  table.Add(ParseProfile("app;old 7\n"));
  table.Add(ParseProfile("app;young 1\n"));
  table.Add(ParseProfile("app;young 2\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("young", Counts(3, 3))));
  EXPECT_EQ(table.Totals({}).samples, 3u);
  EXPECT_THAT(RowsOf(table, {.since_start = true}),
              UnorderedElementsAre(Pair("old", Counts(7, 7)), Pair("young", Counts(3, 3))));
  EXPECT_EQ(table.Totals({.since_start = true}).samples, 10u);
}

TEST(HotTableTest, WithoutTheKernelItsTimeIsTheCallers) {
  HotTable table(10);
  table.Add(ParseProfile(
      "app;main;read;sys_read_[k];copy_[k] 2\napp;main;read;sys_read_[k];lock_[k] 1\n"));
  const HotView view = {.hide_kernel = true};
  EXPECT_THAT(RowsOf(table, view), UnorderedElementsAre(Pair("main", Counts(0, 3)),
                                                        Pair("read", Counts(3, 3))));
  EXPECT_THAT(StacksOf(table, "read", view), ElementsAre(Pair("read<main<app", 3u)));
}

TEST(HotTableTest, StacksOfAFunctionAreTheHottestFirst) {
  HotTable table(10);
  table.Add(ParseProfile("app;main;a;f 1\napp;main;b;f 4\napp;main;c 9\n"));
  EXPECT_THAT(StacksOf(table, "f"),
              ElementsAre(Pair("f<b<main<app", 4u), Pair("f<a<main<app", 1u)));
}

TEST(HotTableTest, AMarkerIsNoFunction) {
  HotTable table(10);
  table.Add(ParseProfile("app;[truncated]_[m];work 2\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("work", Counts(2, 2))));
  EXPECT_THAT(StacksOf(table, "work"), ElementsAre(Pair("work<[truncated]<app", 2u)));
}

TEST(HotTableTest, UnnamedFunctionsOfAFileAreOneRow) {
  HotTable table(10);
  table.Add(ParseProfile("app;[unknown] libx.so+0x12_[u] 2\napp;[unknown] libx.so+0x99_[u] 1\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("[unknown] libx.so", Counts(3, 3))));
}

TEST(HotTableTest, ANameCannotActOnATerminal) {
  HotTable table(10);
  table.Add(ParseProfile("app;\\x1b[2J\\xff\\xe2\\x80\\xae /tmp/\\x07.js:1_[j] 1\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("\\x1b[2J\\xff\\u202e", Counts(1, 1))));
  EXPECT_EQ(table.function(table.Rows({})[0].function).place, "/tmp/\\x07.js:1");
}

TEST(HotTableTest, TheRarestStacksAreLeftOutAndSharesStayRight) {
  HotTable table(3, {.stack_frames = 200, .name_bytes = 1 << 20});
  std::string text = "app;main;hot 1000\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "app;main;rare", i, " 1\n");
  table.Add(ParseProfile(text));
  const std::map<std::string, Counts> rows = RowsOf(table, {.since_start = true});
  EXPECT_EQ(rows.at("hot"), Counts(1000, 1000));
  EXPECT_LT(rows.size(), 30u);
  EXPECT_GT(rows.at("[left out]").first, 70u);
  uint64_t self = 0;
  for (const auto& [name, counts] : rows) self += counts.first;
  EXPECT_EQ(self, 1100u);
  EXPECT_EQ(RowsOf(table), rows);  // of the window as well
}

TEST(HotTableTest, NamesAreBoundedToo) {
  HotTable table(1, {.stack_frames = 1 << 20, .name_bytes = 20'000});
  for (int i = 0; i < 100; ++i) {
    table.Add(ParseProfile(absl::StrCat("app;", std::string(1000, 'x'), i, " 1\n")));
  }
  EXPECT_LT(table.Rows({.since_start = true}).size(), 20u);
  EXPECT_EQ(table.Totals({.since_start = true}).samples, 100u);
}

TEST(HotTableTest, ClearForgetsAll) {
  HotTable table(10);
  table.Add(ParseProfile("app;work 3\n"));
  table.Clear();
  EXPECT_THAT(RowsOf(table, {.since_start = true}), IsEmpty());
  EXPECT_EQ(table.Totals({.since_start = true}).samples, 0u);
  table.Add(ParseProfile("app;other 1\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("other", Counts(1, 1))));
}

TEST(HotTableTest, TheRestOfAnIntervalIsNotTheLast) {
  HotTable table(10, {.interval_ns = 1'000'000'000});
  table.Add(ParseProfile("# time: 0 9000000000\napp;work 9\n"));  // naming took long
  table.Add(ParseProfile("# time: 0 1000000000\napp;work 2\n"));
  EXPECT_EQ(table.last().samples, 2u);
  table.Add(ParseProfile("# time: 0 100000000\n"));
  EXPECT_EQ(table.last().samples, 2u);
  EXPECT_EQ(table.Totals({}).duration_ns, 10'100'000'000);
}

TEST(HotTableTest, ASampleWithoutAStackIsARow) {
  HotTable table(10);
  table.Add(ParseProfile("kworker 2\n"));
  EXPECT_THAT(RowsOf(table), ElementsAre(Pair("[no stack]", Counts(2, 2))));
}

}  // namespace
}  // namespace jprof
