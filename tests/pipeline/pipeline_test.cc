#include "profiler/pipeline/pipeline.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pipeline/scripted_world.h"
#include "tests/testing/jit_dump_builder.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Kind = RawFrame::Kind;

constexpr Pid kPid = 100;
constexpr uint64_t kApp = 0x55'0000'1000;   // where the program's code is mapped
constexpr uint64_t kLib = 0x7f'0000'1000;   // a library's
constexpr uint64_t kJit = 0x7e'0000'0000;   // anonymous
constexpr int64_t kPeriodNs = 1000;

FileIdentity FileNumber(uint64_t inode) { return {8, 1, inode}; }

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    set_.runtimes = {&runtime_};
    world_.File(1, Program({"_start", "main", "work", "idle"}))
        .File(2, Program({"lib_a", "lib_b"}))
        .File(3, Program({"_start", "fake_runtime_code", "run"}))
        .File(4, Program({"other_start", "other_main", "other_work"}));
  }

  // Made at the first event, so that a test can prepare the world.
  Pipeline& pipeline() {
    if (pipeline_ == nullptr) {
      pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, world_.World());
    }
    return *pipeline_;
  }
  uint64_t Tick() { return time_ns_ += 1'000'000; }

  void Map(uint64_t begin, uint64_t inode, absl::string_view path, Pid pid = kPid,
           uint64_t size = 0x2000, uint64_t offset = 0x1000) {
    pipeline().Handle(MapEvent{Tick(), pid, {{begin}, {begin + size}}, {offset}, FileNumber(inode),
                               std::string(path)});
  }
  void MapAnonymous(uint64_t begin, uint64_t size = 0x2000, Pid pid = kPid) {
    pipeline().Handle(
        MapEvent{Tick(), pid, {{begin}, {begin + size}}, {0}, FileIdentity{}, "//anon"});
  }
  void Comm(absl::string_view comm, bool exec = false, Pid pid = kPid) {
    pipeline().Handle(CommEvent{Tick(), pid, pid, exec, std::string(comm)});
  }
  // Leaf first: the leaf's pc, then return addresses.
  void Stack(uint32_t number, const std::vector<uint64_t>& addresses, WalkEnd end = WalkEnd::kRoot,
             Pid pid = kPid) {
    StackEvent stack{number, pid, end, {}};
    for (uint64_t address : addresses) {
      stack.frames.push_back({.address = address, .is_return_address = !stack.frames.empty()});
    }
    pipeline().Handle(stack);
  }
  void RuntimeStack(uint32_t number, std::vector<RawFrame> frames) {
    for (size_t i = 0; i < frames.size(); ++i) {
      if (frames[i].kind != RawFrame::Kind::kNative) frames[i].runtime = 1;
      frames[i].is_return_address = i > 0;
    }
    pipeline().Handle(StackEvent{number, kPid, WalkEnd::kRoot, std::move(frames)});
  }
  void Symbol(uint32_t number, absl::string_view name) {
    jp_symbol symbol = {};
    const jp_chunk chunk = {1, JP_ENCODING_UTF8, static_cast<uint16_t>(name.size())};
    symbol.text_bytes = static_cast<uint32_t>(sizeof(chunk) + name.size());
    std::vector<uint8_t> record(sizeof(symbol) + symbol.text_bytes);
    std::memcpy(record.data(), &symbol, sizeof(symbol));
    std::memcpy(record.data() + sizeof(symbol), &chunk, sizeof(chunk));
    std::memcpy(record.data() + sizeof(symbol) + sizeof(chunk), name.data(), name.size());
    pipeline().Handle(SymbolEvent{number, kPid, 1, std::move(record)});
  }
  void Sample(uint32_t user_stack, uint32_t kernel_stack = 0, Pid pid = kPid) {
    pipeline().Handle(SampleEvent{Tick(), pid, pid, 0, user_stack, kernel_stack});
  }

  Profile Finish(RecordingEnd end = {}) {
    auto profile = pipeline().Finish(end);
    EXPECT_TRUE(profile.ok()) << profile.status();
    return profile.ok() ? *std::move(profile) : Profile();
  }
  std::vector<std::string> FinishedStacks() { return Stacks(Finish()); }

  // main called work: addresses in the middle of the functions.
  static std::vector<uint64_t> WorkStack(uint64_t base = kApp) {
    return {base + 0x210, base + 0x110, base + 0x10};
  }
  // All of process `pid` as /proc would tell it.
  static ProcMapping Mapped(uint64_t begin, uint64_t inode, absl::string_view path,
                            uint64_t offset = 0x1000) {
    ProcMapping m;
    m.range = {{begin}, {begin + 0x2000}};
    m.offset = {offset};
    if (inode != 0) m.file = FileNumber(inode);
    m.readable = m.executable = true;
    m.path = std::string(path);
    return m;
  }
  // A process with the fake runtime in its program and anonymous code.
  void StartFakeRuntime() {
    world_.maps[kPid] = {Mapped(kApp, 3, "/bin/fake"), Mapped(kJit, 0, "", 0)};
    Map(kApp, 3, "/bin/fake");
    MapAnonymous(kJit);
  }

  FakeRuntime runtime_;
  RuntimeSet set_;
  ScriptedWorld world_;
  PipelineOptions options_{.period_ns = kPeriodNs};
  std::unique_ptr<Pipeline> pipeline_;
  uint64_t time_ns_ = 1'000'000'000;
};

// --- Native frames -------------------------------------------------------------------------------

TEST_F(PipelineTest, FramesAreNamedByTheFileBehindTheirMapping) {
  Comm("app");
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libx.so");
  Stack(1, {kLib + 0x110, kApp + 0x210, kApp + 0x110, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work;lib_b"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "app");
  EXPECT_EQ(profile.Value(0, 0), 1);
  EXPECT_EQ(profile.Value(0, 1), kPeriodNs);
}

TEST_F(PipelineTest, ReturnAddressBelongsToTheCallBeforeIt) {
  Map(kApp, 1, "/bin/app");
  // Right behind "work" begins "idle": the call was the last instruction of "work".
  Stack(1, {kApp + 0x310, kApp + 0x300});
  Stack(2, {kApp + 0x300});
  Sample(1);
  Sample(2);
  EXPECT_THAT(FinishedStacks(), ElementsAre("work;idle", "idle"));
}

TEST_F(PipelineTest, SymbolsThatAreMissingAreShownAsOffsets) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/usr/lib/libx.so.1");
  Map(0x7f'1000'0000, 99, "/gone/liby.so");  // cannot be opened
  Stack(1, {kLib + 0x210, kApp + 0x10});
  Stack(2, {0x7f'1000'0234, kApp + 0x10});
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[unknown] libx.so.1+0x1210",
                                           "_start;[unknown] liby.so+0x1234"));
  EXPECT_EQ(profile.accounting.frames, 4u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 2u);
  EXPECT_EQ(profile.accounting.script_frames, 0u);
}

TEST_F(PipelineTest, VdsoIsAnImageWithoutAFile) {
  Map(kApp, 1, "/bin/app");
  pipeline().Handle(MapEvent{Tick(), kPid, {{kLib}, {kLib + 0x1000}}, {0}, {}, "[vdso]"});
  Stack(1, {kLib + 0x10, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [vdso]+0x10"));
}

// --- Changes under a stack that is known ---------------------------------------------------------

TEST_F(PipelineTest, StackIsResolvedAnewWhenAMappingIsReplaced) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Map(kApp, 4, "/bin/other");
  Sample(1);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, StackIsResolvedAnewWhenAMappingIsCut) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Map(kApp + 0x200, 4, "/bin/other", kPid, 0x100, 0x1000);
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;work", "_start;main;other_start"));
}

TEST_F(PipelineTest, StackIsResolvedAnewAfterExec) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Comm("other", /*exec=*/true);
  Map(kApp, 4, "/bin/other");
  Sample(1);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, PidThatIsUsedAgainIsAnotherProcess) {
  for (uint64_t inode : {1, 4}) {
    pipeline().Handle(ForkEvent{Tick(), kPid, kPid, 1, 1});
    Map(kApp, inode, inode == 1 ? "/bin/app" : "/bin/other");
    if (inode == 1) Stack(1, WorkStack());
    Sample(1);
    pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  }
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;main;work", "other_start;other_main;other_work"));
}

TEST_F(PipelineTest, ChildHasItsParentsMappings) {
  Comm("parent");
  Map(kApp, 1, "/bin/app");
  pipeline().Handle(ForkEvent{Tick(), 101, 101, kPid, kPid});
  Stack(1, WorkStack(), WalkEnd::kRoot, 101);
  Sample(1, 0, 101);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work"));
  EXPECT_EQ(profile.threads[0].pid, 101);
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "parent");
}

TEST_F(PipelineTest, MappingsThatNoEventToldOfAreReadOnce) {
  Comm("app");
  world_.maps[kPid] = {Mapped(kApp, 1, "/bin/app")};
  Stack(1, WorkStack());
  Sample(1);
  Sample(1);
  EXPECT_EQ(world_.maps_reads, 1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;work", "_start;main;work"));
}

// What could not be found is not remembered as lost: a mapping may become known later.
TEST_F(PipelineTest, UnknownAddressesAreLookedUpAgain) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kLib + 0x10, kApp + 0x110, kApp + 0x10});
  Sample(1);
  Map(kLib, 2, "/lib/libx.so");
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;main;[unknown]", "_start;main;lib_a"));
}

TEST_F(PipelineTest, UnknownAddressesDoNotMakeUsReadMapsAllTheTime) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kLib + 0x10, kApp + 0x10});
  for (int i = 0; i < 150; ++i) Sample(1);  // 1 ms apart
  EXPECT_EQ(world_.maps_reads, 1);
  for (int i = 0; i < 150; ++i) Sample(1);
  EXPECT_EQ(world_.maps_reads, 2);
}

// --- The end of a walk ---------------------------------------------------------------------------

TEST_F(PipelineTest, WalkThatBrokeIsShownAsTruncated) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110}, WalkEnd::kNotAscending);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[truncated];main;work"));
  EXPECT_EQ(profile.accounting.rooted, 0u);
  EXPECT_EQ(profile.accounting.frames, 2u);  // the marker is none
  EXPECT_EQ(profile.accounting.walk_ends[static_cast<size_t>(WalkEnd::kNotAscending)], 1u);
}

TEST_F(PipelineTest, WalkThatBrokeInAThreadsFirstFunctionIsWhole) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack(), WalkEnd::kNotAscending);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work"));
  EXPECT_EQ(profile.accounting.rooted, 1u);
}

TEST_F(PipelineTest, WalkThatEndsNearTheBaseInTheCLibraryIsWhole) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libc.so.6");
  Stack(1, {kApp + 0x210, kApp + 0x110, kLib + 0x250}, WalkEnd::kNearBase);
  Stack(2, {kApp + 0x210, kApp + 0x110}, WalkEnd::kNearBase);
  Stack(3, {kApp + 0x210, kLib + 0x250}, WalkEnd::kUnreadable);
  Sample(1);
  Sample(2);
  Sample(3);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown] libc.so.6+0x124f;main;work",
                                           "[truncated];main;work",
                                           "[truncated];[unknown] libc.so.6+0x124f;work"));
  EXPECT_EQ(profile.accounting.rooted, 1u);
}

TEST_F(PipelineTest, AddressInNoCodeEndsTheStackThere) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110, 0x1234'5678, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[truncated];main;work"));
}

TEST_F(PipelineTest, WhereTheRuntimeResumedTheStackGoesOn) {
  Map(kApp, 1, "/bin/app");
  RuntimeStack(1, {{.address = kApp + 0x210},
                   {.address = 0x1234'5678},  // what the cut walk took for a frame
                   {.kind = Kind::kUnresolved, .detail = JP_SKIPPED},
                   {.address = kApp + 0x110}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("main;[native frames skipped];work"));
}

TEST_F(PipelineTest, StackAtTheDepthLimitIsCounted) {
  Map(kApp, 1, "/bin/app");
  Stack(1, {kApp + 0x210, kApp + 0x110}, WalkEnd::kDepthLimit);
  Sample(1);
  Sample(1);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.truncated_depth, 2u);
  EXPECT_THAT(Stacks(profile), ElementsAre("[truncated];main;work", "[truncated];main;work"));
}

// --- Kernel frames -------------------------------------------------------------------------------

class PipelineKernelTest : public PipelineTest {
 protected:
  PipelineKernelTest() {
    world_.kallsyms = absl::StrCat(testing::TempDir(), "/kallsyms.", ::getpid());
    std::ofstream(world_.kallsyms) << "ffffffff81000000 T entry_syscall\n"
                                      "ffffffff81000100 T sys_write\n"
                                      "ffffffff81000200 t copy\n";
  }
  ~PipelineKernelTest() override { std::remove(world_.kallsyms.c_str()); }
};

TEST_F(PipelineKernelTest, KernelFramesStandOnTheUserStack) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  // Return addresses as well, but for the leaf: "copy" was called by the end of "sys_write".
  pipeline().Handle(KernelStackEvent{
      2, {0xffffffff81000210, 0xffffffff81000200, 0xffffffff81000010}});
  Sample(1, 2);
  Sample(0, 2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;main;work;entry_syscall;sys_write;copy",
                                           "entry_syscall;sys_write;copy"));
  EXPECT_EQ(profile.accounting.walk_ends[static_cast<size_t>(WalkEnd::kNoUserStack)], 1u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 0u);
}

TEST_F(PipelineTest, KernelFramesWithoutSymbolsAreKept) {
  pipeline().Handle(KernelStackEvent{2, {0xffffffff81000210}});
  Sample(0, 2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown] [kernel]"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

// --- JIT code and runtimes -----------------------------------------------------------------------

TEST_F(PipelineTest, PerfMapNamesAnonymousCode) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 JS:*hot /srv/app.js:3:1\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Stack(2, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile),
              ElementsAre("_start;hot /srv/app.js:3", "_start;[unknown] [jit]"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

TEST_F(PipelineTest, PerfMapThatGrowsNamesKnownStacksToo) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 first\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  world_.AppendPerfMap(kPid, "7e00000100 80 second\n");
  time_ns_ += 100'000'000;  // the map is looked at again every 50 ms
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;first", "_start;second"));
}

TEST_F(PipelineTest, PerfMapOfADeadProcessIsNotItsSuccessors) {
  for (const char* name : {"old", "new"}) {
    world_.perf_maps[kPid] = absl::StrCat("7e00000100 80 ", name, "\n");
    pipeline().Handle(ForkEvent{Tick(), kPid, kPid, 1, 1});
    MapAnonymous(kJit);
    Stack(1, {kJit + 0x110});
    Sample(1);
    pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  }
  EXPECT_THAT(FinishedStacks(), ElementsAre("old", "new"));
}

// The process maps the dump; its file is number 9.
class JitDumpPipelineTest : public PipelineTest {
 protected:
  static constexpr uint64_t kDumpAt = 0x7f'0010'0000;

  void MapDump(const JitDumpBuilder& dump, Pid pid = kPid) {
    world_.File(9, dump.bytes());
    world_.now_ns = uint64_t{1} << 60;  // all of its times are past
    Map(kDumpAt, 9, "/tmp/jit-100.dump", pid);
    MapAnonymous(kJit, 0x2000, pid);
  }
};

TEST_F(JitDumpPipelineTest, CodeIsNamedByTheTimeOfTheSample) {
  Map(kApp, 1, "/bin/app");
  const uint64_t begin = time_ns_ + 10'000'000;
  MapDump(JitDumpBuilder()
              .Load(begin + 1'500'000, kJit + 0x100, 0x80, "first")
              .Load(begin + 3'500'000, kJit + 0x100, 0x80, "second"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  time_ns_ = begin;
  for (int i = 0; i < 5; ++i) Sample(1);  // 1 ms after each other
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [jit]", "_start;first",
                                            "_start;first", "_start;second", "_start;second"));
}

TEST_F(JitDumpPipelineTest, SamplesAreNamedBeforeTheirTimesAreGivenUp) {
  options_.max_samples = 64;
  Map(kApp, 1, "/bin/app");
  const uint64_t begin = time_ns_ + 10'000'000;
  MapDump(JitDumpBuilder()
              .Load(begin + 30'500'000, kJit + 0x100, 0x80, "first")
              .Load(begin + 100'500'000, kJit + 0x100, 0x80, "second"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  time_ns_ = begin;
  for (int i = 0; i < 200; ++i) Sample(1);  // 1 ms after each other
  const Profile profile = Finish();
  std::map<std::string, int64_t> counts;
  const std::vector<std::string> stacks = Stacks(profile);
  for (size_t i = 0; i < stacks.size(); ++i) counts[stacks[i]] += profile.Value(i, 0);
  EXPECT_THAT(counts, ElementsAre(std::pair("_start;[unknown] [jit]", 30),
                                  std::pair("_start;first", 70),
                                  std::pair("_start;second", 100)));
}

TEST_F(JitDumpPipelineTest, FunctionsHaveTheirLines) {
  options_.lines = true;
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder()
              .Lines(kJit + 0x100, {{kJit + 0x100, 7, 0, "a.src"}, {kJit + 0x110, 8, 0, "b.src"}})
              .Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x104, kJit + 0x111, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  ASSERT_EQ(profile.samples.size(), 1u);
  std::vector<std::string> frames;
  for (StackId id = profile.samples[0].stack; id.valid(); id = profile.stacks[id.value].caller) {
    const Location& location = profile.locations[profile.stacks[id.value].location.value];
    const Line& line = profile.Lines(location)[0];
    frames.push_back(FunctionText(profile, profile.functions[line.function.value], line.line));
  }
  EXPECT_THAT(frames, ElementsAre("f a.src:7", "f b.src:8", "_start"));
}

TEST_F(JitDumpPipelineTest, ADumpCountsMoreThanAPerfMapAndAHelperMoreThanBoth) {
  world_.maps[kPid] = {Mapped(kApp, 3, "/bin/fake"), Mapped(kJit, 0, "", 0)};
  StartFakeRuntime();
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "by dump").Load(
      0, kJit + 0x800, 0x80, "by dump"));
  world_.perf_maps[kPid] = "7e00000100 80 by map\n7e00000400 80 by map\n";
  Symbol(5, "by helper");
  RuntimeStack(1, {{.address = kJit + 0x110, .symbol = 5, .kind = Kind::kRuntime},
                   {.address = kJit + 0x110},
                   {.address = kJit + 0x410},
                   {.address = kJit + 0x611}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[unknown] [jit];by map;by dump;by helper app.fake:3"));
}

TEST_F(JitDumpPipelineTest, ADumpOfTheParentIsNotTheChilds) {
  Map(kApp, 1, "/bin/app", 200);
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "parent's"), 200);
  Stack(1, {kJit + 0x110, kApp + 0x10}, WalkEnd::kRoot, 200);
  Sample(1, 0, 200);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[unknown] [jit]"));
  EXPECT_THAT(pipeline().JitDumpTroubles(),
              ElementsAre("process 200: /tmp/jit-100.dump: of process 100, which forked this one; "
                          "its names are not used"));
}

TEST_F(JitDumpPipelineTest, ADeadProcessKeepsItsNamesAndLeavesNoneToItsSuccessor) {
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "of the dead"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  Comm("other", true);
  Map(kApp, 4, "/bin/other");
  MapAnonymous(kJit);
  Stack(2, {kJit + 0x110, kApp + 0x10});
  Sample(2);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;of the dead", "other_start;[unknown] [jit]"));
}

TEST_F(JitDumpPipelineTest, WhatItDoesNotNameSaysSo) {
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  const Profile profile = Finish();
  ASSERT_EQ(profile.unnamed.size(), 1u);
  EXPECT_THAT(profile.unnamed[0].why, EndsWith("its jitdump has no code there at that time"));
}

TEST_F(JitDumpPipelineTest, DumpsThatAreTooLargeTogetherAreNotUsedAndSaid) {
  options_.max_perf_map_bytes = 1;
  Map(kApp, 1, "/bin/app");
  MapDump(JitDumpBuilder().Load(0, kJit + 0x100, 0x80, "f"));
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] [jit]"));
  EXPECT_THAT(pipeline().JitDumpTroubles(), ElementsAre(HasSubstr("all jitdumps together")));
}

TEST_F(PipelineTest, CodeInMemoryThatIsSharedIsNamedByAPerfMap) {
  Map(kApp, 1, "/bin/app");
  Map(kJit, 77, "/memfd:doublemapper (deleted)");
  world_.perf_maps[kPid] = "7e00000100 80 shared\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Stack(2, {kJit + 0x410, kApp + 0x10});
  Sample(1);
  Sample(2);
  EXPECT_THAT(FinishedStacks(),
              ElementsAre("_start;shared", "_start;[unknown] memfd:doublemapper (deleted)+0x1410"));
}

TEST_F(PipelineTest, PerfMapThatIsNotUsedIsSaidToBe) {
  for (Pid pid : {kPid}) {
    world_.perf_map_errors[pid] =
        absl::FailedPreconditionError(absl::StrCat("process ", pid, ": a link"));
  }
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110});
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(),
              ElementsAre("process 100: a link; its names are not used"));
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  EXPECT_EQ(pipeline().PerfMapTroubles().size(), 1u) << "the process is gone, the trouble is not";
}

TEST_F(PipelineTest, PerfMapThatIsUsedAfterAllOrMissingIsNoTrouble) {
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x110});
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre()) << "there is none";
  world_.perf_map_errors[kPid] = absl::FailedPreconditionError("older than the process");
  time_ns_ += 2'000'000'000;
  Sample(1);
  EXPECT_EQ(pipeline().PerfMapTroubles().size(), 1u);
  world_.perf_map_errors.clear();
  world_.perf_maps[kPid] = "7e00000100 80 hot\n";
  time_ns_ += 2'000'000'000;
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre());
}

TEST_F(PipelineTest, RuntimesFunctionsHaveTheNamesOfTheirRecords) {
  StartFakeRuntime();
  Symbol(5, "render");
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime},
                   {.address = kApp + 0x210},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;run;render app.fake:3"));
  EXPECT_EQ(profile.accounting.script_frames, 1u);
  EXPECT_EQ(profile.accounting.script_frames_unnamed, 0u);
}

TEST_F(PipelineTest, ThoseWhoAwaitStandBelowASeparator) {
  StartFakeRuntime();
  Symbol(5, "render");
  Symbol(6, "load");
  constexpr auto kRuntime = RawFrame::Kind::kRuntime;
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = kRuntime},
                   {.address = 12, .symbol = 6, .kind = kRuntime, .is_async = true},
                   {.address = 34, .symbol = 5, .kind = kRuntime, .is_async = true},
                   {.address = kApp + 0x210},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;run;async render app.fake:3;"
                                           "async load app.fake:3;--;render app.fake:3"));
  // The separator is no frame.
  EXPECT_EQ(profile.accounting.frames, 5u);
  EXPECT_EQ(profile.accounting.script_frames, 3u);
}

TEST_F(PipelineTest, HelpersAreAskedForThoseWhoAwaitWhenWanted) {
  options_.async = true;
  StartFakeRuntime();
  ASSERT_FALSE(world_.processes.empty());
  EXPECT_EQ(world_.processes.begin()->second.flags, JP_PROCESS_ASYNC);
}

TEST_F(PipelineTest, SinkLearnsTheRuntimesLayoutAndCode) {
  StartFakeRuntime();
  EXPECT_THAT(pipeline().runtimes().recognised(), ElementsAre("fake 1 (partly verified)"));
  EXPECT_EQ(world_.layouts[0], 1);
  const jp_process& process = world_.processes.at(kPid);
  ASSERT_EQ(process.range_count, 2u);
  EXPECT_EQ(process.ranges[0].begin, kApp + 0x100);  // fake_runtime_code
  EXPECT_EQ(process.ranges[0].end, kApp + 0x200);
  EXPECT_EQ(process.ranges[0].kind, JP_RANGE_IMAGE);
  EXPECT_EQ(process.ranges[1].begin, kJit);
  EXPECT_EQ(process.ranges[1].kind, JP_RANGE_JIT);
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});
  EXPECT_EQ(world_.processes.count(kPid), 0u);
}

TEST_F(PipelineTest, RuntimeLivesAsLongAsAnyThread) {
  StartFakeRuntime();
  pipeline().Handle(ForkEvent{Tick(), kPid, kPid + 1, kPid, kPid});
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid});  // the main thread
  Symbol(5, "render");
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime}});
  Sample(1);
  EXPECT_EQ(world_.processes.count(kPid), 1u);
  pipeline().Handle(ExitEvent{Tick(), kPid, kPid + 1});
  EXPECT_EQ(world_.processes.count(kPid), 0u);
  EXPECT_THAT(FinishedStacks(), ElementsAre("render app.fake:3"));
}

TEST_F(PipelineTest, WithoutHelpersNoRuntimeIsLookedFor) {
  options_.use_helpers = false;
  StartFakeRuntime();
  world_.perf_maps[kPid] = "7e00000100 80 by map\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_TRUE(pipeline().runtimes().recognised().empty());
  EXPECT_TRUE(world_.processes.empty());
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;by map"));
}

TEST_F(PipelineTest, RuntimeThatCannotBeReadIsSaid) {
  world_.File(5, Program({"_start", "fake_runtime_broken"}));
  Map(kApp, 5, "/bin/fake");
  EXPECT_THAT(pipeline().runtimes().rejected(), ElementsAre("fake 2 is too new"));
  EXPECT_TRUE(pipeline().runtimes().recognised().empty());
}

TEST_F(PipelineTest, FramesThatTheHelperDidNotNameSayWhy) {
  StartFakeRuntime();
  RuntimeStack(1, {{.address = kJit + 0x10,
                    .kind = RawFrame::Kind::kUnresolved,
                    .detail = JP_UNREADABLE},
                   {.address = kJit + 0x10, .kind = RawFrame::Kind::kUnresolved,
                    .detail = JP_CORRUPT},
                   {.address = kJit + 0x10, .symbol = 77, .kind = RawFrame::Kind::kRuntime},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile),
              ElementsAre("_start;[fake: name lost];[fake: not understood];[fake: unreadable]"));
  EXPECT_EQ(profile.accounting.script_frames, 3u);
  EXPECT_EQ(profile.accounting.script_frames_unnamed, 3u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 3u);
}

TEST_F(PipelineTest, DamagedSymbolRecordNamesNothing) {
  StartFakeRuntime();
  pipeline().Handle(SymbolEvent{5, kPid, 1, {1, 2, 3}});
  pipeline().Handle(SymbolEvent{6, kPid, 9, {}});  // of no runtime
  pipeline().Handle(SymbolEvent{7, 555, 1, {}});   // of a process without one
  RuntimeStack(1, {{.address = kJit + 0x10, .symbol = 5, .kind = RawFrame::Kind::kRuntime}});
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("[fake: name lost]"));
}

TEST_F(PipelineTest, BuiltinsAreNamedByTheirImageAndPlumbingIsLeftOut) {
  world_.File(6, Program({"_start", "fake_runtime_code", "plumbing_entry", "sort"}));
  world_.maps[kPid] = {Mapped(kApp, 6, "/bin/fake")};
  Map(kApp, 6, "/bin/fake");
  const auto builtin = RawFrame::Kind::kBuiltin;
  RuntimeStack(1, {{.address = kApp + 0x310, .kind = builtin},
                   {.address = kApp + 0x210, .kind = builtin},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;builtin sort"));
  EXPECT_EQ(profile.accounting.frames, 2u);
  EXPECT_EQ(profile.accounting.frames_unnamed, 0u);
}

// The symbols of a stripped binary end before the code does.
TEST_F(PipelineTest, BuiltinsWithoutSymbolsHaveTheNamesThatTheRuntimeFound) {
  ElfBuilder elf;
  elf.Segment(ElfBuilder::kContent, 0, 0x300, 0x300, PF_R | PF_X)
      .CodeSection(0, 0x300)
      .Content(std::string(0x300, '\x90'))
      .Symbol("_start", 0, 0x20)
      .Symbol("fake_runtime_code", 0x100, 0x100);
  world_.File(6, elf.Build());
  world_.maps[kPid] = {Mapped(kApp, 6, "/bin/fake")};
  Map(kApp, 6, "/bin/fake");
  const auto builtin = RawFrame::Kind::kBuiltin;
  RuntimeStack(1, {{.address = kApp + 0x208, .kind = builtin},
                   {.address = kApp + 0x238, .kind = builtin},
                   {.address = kApp + 0x228, .kind = builtin},
                   {.address = kApp + 0x80, .kind = builtin},
                   {.address = kApp + 0x10}});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("_start;[fake builtin];builtin sort"));
  EXPECT_EQ(profile.accounting.frames_unnamed, 1u);
}

TEST_F(PipelineTest, BuiltinOfNoRuntimeIsNativeCode) {
  Map(kApp, 1, "/bin/app");
  StackEvent stack{1, kPid, WalkEnd::kRoot, {}};
  stack.frames.push_back({.address = kApp + 0x210, .kind = RawFrame::Kind::kBuiltin, .runtime = 9});
  pipeline().Handle(stack);
  Sample(1);
  EXPECT_THAT(FinishedStacks(), ElementsAre("work"));
}

TEST_F(PipelineTest, HelperThatUnderstandsNothingIsNotAskedAnyMore) {
  StartFakeRuntime();
  ASSERT_EQ(world_.processes.count(kPid), 1u);
  for (uint32_t number = 1; number <= 64; ++number) {
    RuntimeStack(number, {{.address = kJit + number,
                           .kind = RawFrame::Kind::kUnresolved,
                           .detail = JP_CORRUPT}});
    Sample(number);
  }
  EXPECT_EQ(world_.processes.count(kPid), 0u);
  ASSERT_EQ(pipeline().runtimes().rejected().size(), 1u);
  EXPECT_THAT(pipeline().runtimes().rejected()[0], testing::HasSubstr("fake 1 of pid 100"));
}

TEST_F(PipelineTest, HelperThatMissesAFewFramesIsKept) {
  StartFakeRuntime();
  Symbol(1000, "render");
  for (uint32_t number = 1; number <= 200; ++number) {
    RuntimeStack(number,
                 {{.address = kJit + number, .kind = RawFrame::Kind::kUnresolved,
                   .detail = JP_CORRUPT},
                  {.address = kJit + number, .symbol = 1000, .kind = RawFrame::Kind::kRuntime}});
    Sample(number);
  }
  EXPECT_EQ(world_.processes.count(kPid), 1u);
}

// --- Why frames have no name ---------------------------------------------------------------------

// "what: why, in SAMPLES as FRAMES", those in most samples first.
std::vector<std::string> Unnamed(const Profile& profile) {
  std::vector<std::string> result;
  for (const UnnamedFrames& u : profile.unnamed) {
    result.push_back(absl::StrCat(u.what, ": ", u.why, ", in ", u.samples, " as ", u.frames));
  }
  return result;
}

TEST_F(PipelineTest, FramesOfAFileAreUnnamedForAReasonOfTheFile) {
  ElfBuilder stripped;
  stripped.Segment(ElfBuilder::kContent, 0x1000, 0x2000, 0x2000, PF_R | PF_X)
      .CodeSection(0x1000, 0x2000)
      .Content(std::string(0x2000, '\xcc'))
      .DynamicSymbol("exported", 0x1000, 0x100);
  world_.File(6, stripped.Build()).File(7, "no ELF file");
  Map(kApp, 1, "/bin/app");
  Map(kLib, 6, "/lib/libs.so");
  Map(0x7f'1000'0000, 7, "/lib/libn.so");
  Map(0x7f'2000'0000, 99, "/gone/liby.so");
  Stack(1, {kLib + 0x210, kLib + 0x310, kLib + 0x10, kApp + 0x10});
  Stack(2, {kLib + 0x410, kApp + 0x10});
  Stack(3, {0x7f'1000'0010, kApp + 0x10});
  Stack(4, {0x7f'2000'0010, kApp + 0x1010});
  for (uint32_t stack : {1, 1, 2, 3, 4}) Sample(stack);
  EXPECT_THAT(
      Unnamed(Finish()),
      ElementsAre(AllOf(StartsWith("[unknown] libs.so: its file is stripped"),
                        EndsWith(", in 3 as 5")),
                  "[unknown] app: no symbol of its file covers it, in 1 as 1",
                  AllOf(StartsWith("[unknown] libn.so: "), HasSubstr("ELF")),
                  "[unknown] liby.so: no such file, in 1 as 1"));
}

TEST_F(PipelineTest, JitCodeIsUnnamedForWantOfARuntimeOrAPerfMap) {
  const Pid with_map = 101, refused = 102, broken_map = 103;
  world_.File(5, Program({"_start", "fake_runtime_broken"}));
  Map(kApp, 5, "/bin/fake", refused);
  world_.perf_maps[with_map] = "7e00000100 80 hot\n";
  world_.perf_map_errors[broken_map] = absl::FailedPreconditionError("/tmp/x is older");
  uint32_t number = 0;
  for (Pid pid : {kPid, with_map, refused, broken_map}) {
    MapAnonymous(kJit, 0x2000, pid);
    Stack(++number, {kJit + 0x10}, WalkEnd::kRoot, pid);
    Sample(number, 0, pid);
  }
  EXPECT_THAT(
      Unnamed(Finish()),
      UnorderedElementsAre(
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and there is no "
          "/tmp/perf-PID.map, in 1 as 1",
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and its perf map does not "
          "name it, in 1 as 1",
          "[unknown] [jit]: refused: fake 2 is too new; there is no /tmp/perf-PID.map, in 1 as 1",
          "[unknown] [jit]: JIT code of no runtime that jprof knows, and perf map of /tmp/x is "
          "older; its names are not used, in 1 as 1"));
}

TEST_F(PipelineTest, JitCodeIsUnnamedBecauseHelpersAreNotAsked) {
  options_.use_helpers = false;
  MapAnonymous(kJit);
  Stack(1, {kJit + 0x10});
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()), ElementsAre("[unknown] [jit]: --no-helpers, and there is no "
                                             "/tmp/perf-PID.map, in 1 as 1"));
}

TEST_F(PipelineTest, TheHelpersAnswerIsTheReason) {
  StartFakeRuntime();
  RuntimeStack(1, {{.address = kJit + 0x10, .kind = Kind::kUnresolved, .detail = JP_UNREADABLE},
                   {.address = kJit + 0x10, .kind = Kind::kUnresolved, .detail = JP_CORRUPT},
                   {.address = kJit + 0x10, .symbol = 77, .kind = Kind::kRuntime},
                   {.kind = Kind::kUnresolved, .detail = JP_SKIPPED},
                   {.address = kJit + 0x10},
                   {.address = kApp + 0x10}});
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()),
              ElementsAre(HasSubstr("[fake: name lost]: the record of its name was lost"),
                          HasSubstr("[fake: not understood]: what lies in its frame"),
                          HasSubstr("[fake: unreadable]: its objects were not in memory"),
                          HasSubstr("[native frames skipped]: native code without call-frame"),
                          HasSubstr("[unknown] [jit]: JIT code that no helper was asked about")));
}

TEST_F(PipelineTest, ProcessWhoseMemoryDoesNotFitIsRefused) {
  StartFakeRuntime();
  for (uint32_t number = 1; number <= 64; ++number) {
    RuntimeStack(number,
                 {{.address = kJit + number, .kind = Kind::kUnresolved, .detail = JP_CORRUPT}});
    Sample(number);
  }
  Stack(65, {kJit + 0x10});
  Sample(65);
  EXPECT_THAT(Unnamed(Finish()),
              Contains("[unknown] [jit]: refused: fake 1: its memory does not fit the layout; "
                       "there is no /tmp/perf-PID.map, in 1 as 1"));
}

TEST_F(PipelineTest, CutStacksAreExplainedByWhereTheyWereCut) {
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/libx.so");
  MapAnonymous(kJit);
  Stack(1, {kApp + 0x110, kLib + 0x10}, WalkEnd::kNotAscending);
  Stack(2, {kApp + 0x210, kLib + 0x10}, WalkEnd::kUnaligned);
  Stack(3, {kApp + 0x210}, WalkEnd::kUnreadable);
  Stack(4, {kApp + 0x110}, WalkEnd::kDepthLimit);
  Stack(5, {kApp + 0x210, kApp + 0x10}, WalkEnd::kNotAscending);  // whole
  for (uint32_t stack : {1, 2, 3, 3, 3, 4, 5}) Sample(stack);
  EXPECT_THAT(Unnamed(Finish()),
              ElementsAre(StartsWith("[truncated]: above a frame of app, the frame pointer led to"),
                          AllOf(StartsWith("[truncated]: above a frame of libx.so, the frame "
                                           "pointer held something else"),
                                EndsWith("in 2 as 0")),
                          StartsWith("[truncated]: above a frame of app, deeper than")));
}

TEST_F(PipelineTest, KernelFramesAreUnnamedForTheReasonThatTheKernelGives) {
  world_.kallsyms = absl::StrCat(testing::TempDir(), "/no_kallsyms.", ::getpid());
  std::ofstream(world_.kallsyms) << "0000000000000000 T entry_syscall\n";
  pipeline().Handle(KernelStackEvent{2, {0xffffffff81000210}});
  Sample(0, 2);
  EXPECT_THAT(Unnamed(Finish()), ElementsAre(AllOf(StartsWith("[unknown] [kernel]: "),
                                                   HasSubstr("kernel.kptr_restrict"))));
  std::remove(world_.kallsyms.c_str());
}

TEST_F(PipelineTest, AProfileWithAllNamesHasNothingToExplain) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  EXPECT_THAT(Unnamed(Finish()), testing::IsEmpty());
}

// --- Accounting ----------------------------------------------------------------------------------

TEST_F(PipelineTest, EverySampleIsKeptOrCounted) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  Sample(1);
  Sample(99);     // its stack never came
  Sample(1, 98);  // its kernel stack never came
  pipeline().Handle(LostEvent{LostEvent::What::kSamples, 5});
  pipeline().Handle(LostEvent{LostEvent::What::kSideband, 3});
  const Profile profile = Finish({.samples_taken = 20, .samples_lost = 7});
  const Accounting& a = profile.accounting;
  EXPECT_EQ(a.taken, 20u);
  EXPECT_EQ(a.kept, 2u);
  EXPECT_EQ(a.dropped_queue_full, 5u);
  EXPECT_EQ(a.dropped_ring_full, 7u);
  // Two whose stack did not come, and four of which nobody knows.
  EXPECT_EQ(a.dropped_no_stack, 6u);
  EXPECT_EQ(a.sideband_lost, 3u);
  EXPECT_EQ(a.kept + a.dropped_queue_full + a.dropped_ring_full + a.dropped_no_stack, a.taken);
  EXPECT_EQ(profile.samples.size(), 2u);
  // Walk ends are of the samples that were kept.
  uint64_t ends = 0;
  for (uint64_t n : a.walk_ends) ends += n;
  EXPECT_EQ(ends, a.kept);
}

TEST_F(PipelineTest, FramesCountOnceForEachSampleTheyAreIn) {
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Stack(2, {kApp + 0x310, kApp + 0x110, kApp + 0x10});
  Sample(1);
  Sample(1);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.frames, 9u);
  EXPECT_EQ(profile.accounting.rooted, 3u);
  EXPECT_EQ(profile.stacks.size(), 4u);  // _start, main, and the two leaves
}

TEST_F(PipelineTest, SampleWithoutAnyStackIsASampleStill) {
  Comm("app");
  Sample(0);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre(""));
  EXPECT_EQ(profile.accounting.kept, 1u);
}

TEST_F(PipelineTest, ProcessThatNobodySpokeOfHasItsNumberForAName) {
  Stack(1, {0x1234});
  Sample(1);
  const Profile profile = Finish();
  EXPECT_THAT(Stacks(profile), ElementsAre("[unknown]"));
  EXPECT_EQ(profile.String(profile.threads[0].process_name), "pid 100");
}

TEST_F(PipelineTest, TimesAreCountedFromTheRecordingsBegin) {
  Comm("app");
  Sample(0);
  const Profile profile = Finish({.start_time_ns = 1'700'000'000'000'000'000,
                                  .start_monotonic_ns = 1'000'000'000,
                                  .duration_ns = 5'000'000});
  EXPECT_EQ(profile.samples[0].time_ns, 2'000'000);
  EXPECT_EQ(profile.start_time_ns, 1'700'000'000'000'000'000);
  EXPECT_EQ(profile.duration_ns, 5'000'000);
}

// --- Bounds --------------------------------------------------------------------------------------

class PipelineBoundsTest : public PipelineTest {
 protected:
  // A sample of a second later.
  void LaterSample(uint32_t stack) {
    world_.now_ns = time_ns_;
    time_ns_ += 1'100'000'000;
    Sample(stack);
  }
};

TEST_F(PipelineBoundsTest, NumberedStacksAreDroppedWhenTheKernelHasForgottenThem) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  LaterSample(1);
  EXPECT_EQ(world_.forgotten, "symbols ");
  LaterSample(1);
  EXPECT_EQ(world_.forgotten, "symbols stacks ");
  Stack(2, WorkStack());  // its new number
  EXPECT_EQ(pipeline().numbered(), 2u);
  LaterSample(2);
  EXPECT_EQ(pipeline().numbered(), 1u);
  Sample(2);
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.dropped_no_stack, 0u);
  EXPECT_THAT(Stacks(profile), testing::Each("_start;main;work"));
}

TEST_F(PipelineBoundsTest, SamplesOfBeforeTheKernelForgotFindTheirStacks) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(1, WorkStack());
  Sample(1);
  // The samples are late: the kernel forgets a long time after they were taken.
  world_.now_ns = time_ns_ + 3'600'000'000'000;
  for (int i = 0; i < 10; ++i) {
    time_ns_ += 1'100'000'000;
    Sample(1);
  }
  EXPECT_EQ(Finish().accounting.dropped_no_stack, 0u);
}

TEST_F(PipelineBoundsTest, NumbersThatBeginAnewAreNotTakenForOldOnes) {
  options_.max_stack_bytes = 1;
  Map(kApp, 1, "/bin/app");
  Stack(0xffffffff, WorkStack());
  Sample(0xffffffff);
  LaterSample(0xffffffff);
  LaterSample(0xffffffff);
  Stack(1, WorkStack());
  LaterSample(1);
  Sample(1);
  EXPECT_EQ(pipeline().numbered(), 1u);
  EXPECT_EQ(Finish().accounting.dropped_no_stack, 0u);
}

TEST_F(PipelineBoundsTest, PerfMapsThatAreTooLargeTogetherAreNotUsedAndSaid) {
  options_.max_perf_map_bytes = 1;
  Map(kApp, 1, "/bin/app");
  MapAnonymous(kJit);
  world_.perf_maps[kPid] = "7e00000100 80 hot\n";
  Stack(1, {kJit + 0x110, kApp + 0x10});
  Sample(1);
  Sample(1);
  EXPECT_THAT(pipeline().PerfMapTroubles(), ElementsAre(testing::HasSubstr("all perf maps")));
  EXPECT_THAT(FinishedStacks(), testing::Each("_start;[unknown] [jit]"));
}

TEST_F(PipelineBoundsTest, EndlesslyManyStacksTakeTheirRoomAndNoMore) {
  options_.max_samples = 1000;
  options_.max_frame_bytes = 100'000;
  options_.max_stack_bytes = 10'000;
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/lib.so");
  constexpr uint32_t kSamples = 50'000;
  for (uint32_t i = 2; i <= kSamples; i += 2) {
    Stack(i - 1, WorkStack());
    Sample(i - 1);
    // Under main, which the tables know, each time another chain.
    Stack(i, {kLib + i % 0x1000, kLib + i / 0x1000 * 3, kApp + 0x110, kApp + 0x10});
    Sample(i);
    world_.now_ns = time_ns_ += 100'000'000;
    ASSERT_LE(pipeline().kept_samples().size(), 1000u);
    ASSERT_LE(pipeline().frame_bytes(), 200'000u);
    ASSERT_LE(pipeline().numbered(), 10'000u);
  }
  const Profile profile = Finish();
  EXPECT_EQ(profile.accounting.kept, kSamples);
  EXPECT_EQ(profile.accounting.dropped_no_stack, 0u);
  uint64_t known = 0, left_out = 0;
  const std::vector<std::string> stacks = Stacks(profile);
  for (size_t i = 0; i < stacks.size(); ++i) {
    const auto count = static_cast<uint64_t>(profile.Value(i, 0));
    if (stacks[i] == "_start;main;work") known += count;
    if (absl::EndsWith(stacks[i], "[left out]")) left_out += count;
    EXPECT_EQ(profile.Value(i, 1), profile.Value(i, 0) * kPeriodNs);
  }
  EXPECT_EQ(known, kSamples / 2);
  EXPECT_GT(left_out, 0u);
  EXPECT_EQ(profile.accounting.left_out, left_out);
  EXPECT_THAT(stacks, Contains("_start;main;[left out]"));
}

TEST_F(PipelineBoundsTest, EndlesslyManyNamesOfProcessesTakeTheirRoomAndNoMore) {
  options_.max_comm_bytes = 1000;
  for (Pid pid = 1000; pid < 1100; ++pid) {
    Comm(absl::StrCat("name", pid), false, pid);
    Sample(0, 0, pid);
  }
  const Profile profile = Finish();
  std::map<std::string, int> names;
  for (const ProfileSample& s : profile.samples) {
    ++names[std::string(profile.String(profile.threads[s.thread.value].process_name))];
  }
  EXPECT_EQ(names["name1000"], 1);
  EXPECT_GT(names["[left out]"], 50);
}

TEST_F(PipelineBoundsTest, FilesBeyondTheLimitAreCountedAndShownByFile) {
  options_.max_pinned_files = 1;
  Map(kApp, 1, "/bin/app");
  Map(kLib, 2, "/lib/lib.so");
  Stack(1, {kLib + 0x110, kApp + 0x10});
  Sample(1);
  EXPECT_EQ(pipeline().images_over_limit(), 1u);
  EXPECT_EQ(pipeline().unopened_images(), 0u);
  EXPECT_THAT(FinishedStacks(), ElementsAre("_start;[unknown] lib.so+0x1110"));
}

// --- Snapshots -----------------------------------------------------------------------------------

class PipelineSnapshotTest : public PipelineTest {
 protected:
  // The pipeline is made with the options as they are now.
  void Begin() {
    options_.live = true;
    PipelineWorld world = world_.World();
    world.symbolize = [this](std::vector<ImageQuery>& queries, int threads, DebugFileFinder* finder) {
      for (const ImageQuery& query : queries) asked_.push_back(query.offsets.size());
      SymbolizeImages(queries, threads, finder);
    };
    pipeline_ = std::make_unique<Pipeline>(options_, set_, world_, std::move(world));
    Map(kApp, 1, "/bin/app");
    Stack(1, WorkStack());
    Stack(2, {kApp + 0x310, kApp + 0x110, kApp + 0x10});
  }
  Profile Snapshot(uint64_t lost = 0) {
    auto profile = pipeline().TakeSnapshot({.samples_lost = lost});
    EXPECT_TRUE(profile.ok()) << profile.status();
    return profile.ok() ? *std::move(profile) : Profile();
  }

  std::vector<size_t> asked_;  // offsets of each query
};

TEST_F(PipelineSnapshotTest, HasWhatWasSampledSinceTheLast) {
  Begin();
  Sample(1);
  Sample(1);
  EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;work", "_start;main;work"));
  Sample(2);
  const Profile second = Snapshot(/*lost=*/3);
  EXPECT_THAT(Stacks(second), ElementsAre("_start;main;idle"));
  EXPECT_EQ(second.accounting.kept, 1u);
  EXPECT_EQ(second.accounting.taken, 4u);
  EXPECT_TRUE(Snapshot().samples.empty());
}

TEST_F(PipelineSnapshotTest, AFileIsAskedForNewOffsetsAlone) {
  Begin();
  Sample(1);
  Snapshot();
  EXPECT_THAT(asked_, ElementsAre(3));
  Sample(1);
  Snapshot();
  EXPECT_THAT(asked_, ElementsAre(3));
  Sample(2);
  EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;idle"));
  EXPECT_THAT(asked_, ElementsAre(3, 1));
}

TEST_F(PipelineSnapshotTest, ADraftHasAllSoFarAndTheEndAsksForTheRestAlone) {
  Begin();
  Sample(1);
  ProfileDraft draft = pipeline().Draft({.samples_lost = 2});
  Sample(2);
  Sample(2);
  absl::StatusOr<Profile> so_far = draft.Build();
  ASSERT_TRUE(so_far.ok()) << so_far.status();
  EXPECT_THAT(Stacks(*so_far), ElementsAre("_start;main;work"));
  EXPECT_EQ(so_far->accounting.taken, 3u);
  EXPECT_THAT(asked_, ElementsAre(3));
  const Profile whole = Finish({.samples_lost = 2});
  EXPECT_THAT(Stacks(whole),
              UnorderedElementsAre("_start;main;work", "_start;main;idle", "_start;main;idle"));
  EXPECT_EQ(whole.accounting.taken, 5u);
  EXPECT_THAT(asked_, ElementsAre(3, 1));
}

TEST_F(PipelineSnapshotTest, GoesOnWhenWhatWasInternedIsForgotten) {
  options_.max_frame_bytes = 2000;
  world_.maps[kPid] = {Mapped(kApp, 1, "/bin/app")};
  Begin();
  Symbol(7, "render");
  RuntimeStack(3, {{.address = kJit, .symbol = 7, .kind = Kind::kRuntime}, {.address = kApp + 0x10}});
  for (int i = 0; i < 50; ++i) {
    Stack(100 + static_cast<uint32_t>(i), {kApp + 0x210 + static_cast<uint64_t>(i), kApp + 0x10});
    Sample(1);
    Sample(100 + static_cast<uint32_t>(i));
    Sample(3);
    EXPECT_THAT(Stacks(Snapshot()), ElementsAre("_start;main;work", "_start;work", HasSubstr(";")));
  }
  EXPECT_LT(pipeline().frame_bytes(), 20'000u);
}

}  // namespace
}  // namespace jprof
