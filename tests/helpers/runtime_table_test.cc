// Which code the helpers are asked about, process by process. The runtimes are made up: the table
// knows nothing of any real one.
#include "helpers/runtime_table.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Pid kPid = 10;

// Recognises files by one symbol. Its code is the first 0x100 bytes at offset 0x1000.
class SymbolRuntime : public Runtime {
 public:
  SymbolRuntime(std::string symbol, bool jit) : symbol_(std::move(symbol)), jit_(jit) {}
  absl::string_view name() const override { return symbol_; }
  absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& image) const override {
    ++probes;
    bool found = false, broken = false;
    auto status = image.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
      found |= s.name == symbol_;
      broken |= s.name == absl::StrCat("broken_", symbol_);
      return true;
    });
    if (broken) return absl::FailedPreconditionError(absl::StrCat(symbol_, " 9 is too new"));
    if (!status.ok() || !found) return std::optional<RuntimeImage>();
    RuntimeImage result;
    result.version = absl::StrCat(symbol_, " 1");
    result.layout.resize(layout_bytes);
    result.code = {{FileOffset{0x1000}, FileOffset{0x1100}}};
    result.plumbing = {{FileOffset{0x1080}, FileOffset{0x1100}}};
    result.named_code = {{{FileOffset{0x1000}, FileOffset{0x1020}}, "Map"},
                         {{FileOffset{0x1030}, FileOffset{0x1040}}, "Sort"}};
    result.owns_anonymous_code = jit_;
    result.is_partial = partial;
    return std::optional<RuntimeImage>(std::move(result));
  }
  std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage&, const MemoryReader&) const override {
    class Instance : public RuntimeInstance {
      absl::StatusOr<FrameName> Describe(std::span<const uint8_t>) override { return FrameName{}; }
    };
    ++attached;
    return std::make_unique<Instance>();
  }
  std::optional<FrameName> DescribeBuiltin(absl::string_view) const override {
    return std::nullopt;
  }
  Fit Check(const RuntimeImage&, const MemoryReader&, AddressRange stack) const override {
    checked.push_back(stack.begin.value);
    return fit;
  }
  Fit fit = Fit::kUnseen;
  mutable std::vector<uint64_t> checked;
  mutable int probes = 0;
  mutable int attached = 0;
  size_t layout_bytes = 16;
  bool partial = false;

 private:
  const std::string symbol_;
  const bool jit_;
};

std::string FileWith(const std::string& symbol) {
  return ElfBuilder()
      .Segment(ElfBuilder::kContent, 0x1000, 0x200, 0x200, PF_R | PF_X)
      .CodeSection(0x1000, 0x200)
      .Content(std::string(0x200, '\xcc'))
      .Symbol(symbol, 0x1000, 0x100)
      .Build();
}

class Sink : public LayoutSink {
 public:
  bool SetLayout(uint32_t index, std::span<const std::byte> layout) override {
    if (full) return false;
    layouts[index] = layout.size();
    return true;
  }
  bool SetProcess(Pid pid, const jp_process& process) override {
    if (full) return false;
    for (uint32_t i = 0; i < process.range_count; ++i) {
      EXPECT_EQ(layouts.count(process.ranges[i].layout), 1u) << "a layout comes first";
    }
    ++updates;
    processes[pid] = process;
    return true;
  }
  void RemoveProcess(Pid pid) override { processes.erase(pid); }

  // "image 1000-1100 js" for each range.
  std::vector<std::string> Ranges(Pid pid) const {
    std::vector<std::string> result;
    auto it = processes.find(pid);
    if (it == processes.end()) return {"none"};
    for (uint32_t i = 0; i < it->second.range_count; ++i) {
      const jp_range& r = it->second.ranges[i];
      result.push_back(absl::StrCat(r.kind == JP_RANGE_JIT ? "jit " : "image ",
                                    absl::Hex(r.begin), "-", absl::Hex(r.end), " ", r.runtime));
    }
    return result;
  }
  std::map<uint32_t, size_t> layouts;
  std::map<Pid, jp_process> processes;
  int updates = 0;
  bool full = false;
};

class RuntimeTableTest : public testing::Test {
 protected:
  RuntimeTableTest() {
    set_.runtimes = {&js_, &py_};
    files_ = {{1, FileWith("js")}, {2, FileWith("py")}, {3, FileWith("libc")},
              {4, FileWith("broken_js")}};
    table_ = std::make_unique<RuntimeTable>(
        set_, sink_,
        RuntimeTable::World{
            .open_image = [this](const MapEvent& map) -> absl::StatusOr<ElfFile> {
              ++opened_;
              auto it = files_.find(map.file.inode);
              if (it == files_.end()) return absl::NotFoundError("no such file");
              return ElfFile::Open(FileOf(it->second), map.path);
            },
            .read_maps = [this](Pid pid) -> absl::StatusOr<std::vector<ProcMapping>> {
              ++maps_reads_;
              now_ns_ += read_maps_ns_;
              auto found = maps_.find(pid);
              if (found == maps_.end()) return absl::NotFoundError("no such process");
              return found->second;
            },
            .open_memory = [](Pid) { return std::make_unique<FakeMemory>(); },
            .now = [this] { return now_ns_; }});
  }

  static FileIdentity Identity(uint64_t inode) {
    return inode == 0 ? FileIdentity{} : FileIdentity{8, 1, inode};
  }
  static ProcMapping Mapping(uint64_t begin, uint64_t end, uint64_t inode, bool executable = true,
                             uint64_t offset = 0x1000) {
    ProcMapping m;
    m.range = {{begin}, {end}};
    m.file = Identity(inode);
    m.offset = {inode == 0 ? 0 : offset};
    m.executable = executable;
    m.path = inode == 0 ? "" : absl::StrCat("/file", inode);
    return m;
  }
  // The event of a mapping that is in maps_ already, a second after the one before.
  void Map(const ProcMapping& m, Pid pid = kPid) {
    now_ns_ += 1'000'000'000;
    MapNow(m, pid);
  }
  void MapNow(const ProcMapping& m, Pid pid = kPid) {
    table_->OnMap({now_ns_, pid, m.range, m.offset, m.file, m.file.valid() ? m.path : "//anon"});
  }
  // Adds it to the process's maps and tells of it.
  void Add(const ProcMapping& m, Pid pid = kPid) {
    maps_[pid].push_back(m);
    Map(m, pid);
  }

  SymbolRuntime js_{"js", /*jit=*/true};
  SymbolRuntime py_{"py", /*jit=*/false};
  RuntimeSet set_;
  Sink sink_;
  std::map<uint64_t, std::string> files_;
  std::map<Pid, std::vector<ProcMapping>> maps_;
  std::unique_ptr<RuntimeTable> table_;
  int opened_ = 0;
  int maps_reads_ = 0;
  uint64_t now_ns_ = 1'000'000'000;
  uint64_t read_maps_ns_ = 0;  // that reading the mappings takes
};

TEST_F(RuntimeTableTest, CodeOfARuntimeIsARangeOfTheProcess) {
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1"));
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (partly verified)"));
  EXPECT_EQ(sink_.layouts[0], 16u);
}

TEST_F(RuntimeTableTest, RangeFollowsTheMappingsOffset) {
  // The mapping begins before the code, within it, and at its last byte.
  Add(Mapping(0x400000, 0x402000, 1, true, 0xf80));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400080-400180 1"));
  Add(Mapping(0x500000, 0x502000, 1, true, 0x1080));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400080-400180 1", "image 500000-500080 1"));
  Add(Mapping(0x600000, 0x602000, 1, true, 0x1100));
  Add(Mapping(0x700000, 0x702000, 1, false, 0x1000));  // its data
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400080-400180 1", "image 500000-500080 1"));
}

TEST_F(RuntimeTableTest, FileIsProbedOnceForAllProcesses) {
  Add(Mapping(0x400000, 0x402000, 1), 10);
  Add(Mapping(0x500000, 0x502000, 1), 10);
  Add(Mapping(0x400000, 0x402000, 1), 11);
  EXPECT_EQ(js_.probes, 1);
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(sink_.layouts.size(), 1u);
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (partly verified)"));
  EXPECT_THAT(sink_.Ranges(11), ElementsAre("image 400000-400100 1"));
}

TEST_F(RuntimeTableTest, OtherFilesAreOfNoInterest) {
  Add(Mapping(0x400000, 0x402000, 3));
  Add(Mapping(0x500000, 0x502000, 77));  // cannot be opened
  Add(Mapping(0x600000, 0x700000, 0));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
  EXPECT_THAT(table_->recognised(), IsEmpty());
  EXPECT_THAT(table_->rejected(), IsEmpty());
}

TEST_F(RuntimeTableTest, RuntimeThatCannotBeReadIsSaidOnce) {
  Add(Mapping(0x400000, 0x402000, 4), 10);
  Add(Mapping(0x400000, 0x402000, 4), 11);
  EXPECT_THAT(table_->rejected(), ElementsAre("js 9 is too new"));
  EXPECT_THAT(sink_.Ranges(10), ElementsAre("none"));
}

TEST_F(RuntimeTableTest, TwoRuntimesInOneProcess) {
  Add(Mapping(0x400000, 0x402000, 1));
  Add(Mapping(0x500000, 0x502000, 2));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1", "image 500000-500100 2"));
  EXPECT_NE(table_->Instance(kPid, 1), nullptr);
  EXPECT_NE(table_->Instance(kPid, 2), nullptr);
  EXPECT_NE(table_->Instance(kPid, 1), table_->Instance(kPid, 2));
}

TEST_F(RuntimeTableTest, LayoutThatTheKernelHalfHasNoRoomForIsNotUsed) {
  js_.layout_bytes = JP_LAYOUT_BYTES + 1;
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
  EXPECT_THAT(sink_.layouts, IsEmpty());
}

TEST_F(RuntimeTableTest, MoreDistinctBinariesThanLayoutsAreSaid) {
  for (uint64_t i = 0; i < JP_MAX_LAYOUTS + 3; ++i) {
    files_[100 + i] = FileWith("js");
    Add(Mapping(0x400000 + i * 0x10000, 0x402000 + i * 0x10000, 100 + i), 100 + Pid(i));
  }
  EXPECT_EQ(sink_.layouts.size(), size_t{JP_MAX_LAYOUTS});
  EXPECT_EQ(sink_.processes.size(), size_t{JP_MAX_LAYOUTS});
  ASSERT_EQ(table_->rejected().size(), 1u);
  EXPECT_THAT(table_->rejected()[0], testing::HasSubstr("more distinct runtime binaries"));
}

// --- Anonymous code ------------------------------------------------------------------------------

TEST_F(RuntimeTableTest, AnonymousCodeBelongsToTheRuntimeThatMakesIt) {
  Add(Mapping(0x400000, 0x402000, 1));
  Add(Mapping(0x700000, 0x710000, 0));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1", "jit 700000-710000 1"));
}

TEST_F(RuntimeTableTest, AnonymousCodeOfARuntimeThatMakesNoneIsNobodys) {
  Add(Mapping(0x500000, 0x502000, 2));
  Add(Mapping(0x700000, 0x710000, 0));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 500000-500100 2"));
}

TEST_F(RuntimeTableTest, RunOfAnonymousMemoryAroundCodeIsTakenWhole) {
  maps_[kPid] = {Mapping(0x400000, 0x402000, 1),         Mapping(0x700000, 0x701000, 0, false),
                 Mapping(0x701000, 0x702000, 0),         Mapping(0x702000, 0x708000, 0, false),
                 Mapping(0x708000, 0x709000, 3),         Mapping(0x709000, 0x70a000, 0, false),
                 Mapping(0x800000, 0x801000, 0, false)};
  Map(maps_[kPid][0]);
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1", "jit 700000-708000 1"));
}

TEST_F(RuntimeTableTest, CodeWithinAKnownRunChangesNothing) {
  Add(Mapping(0x400000, 0x402000, 1));
  Add(Mapping(0x700000, 0x710000, 0));
  const int updates = sink_.updates;
  Map(Mapping(0x704000, 0x705000, 0));
  EXPECT_EQ(sink_.updates, updates);
  Add(Mapping(0x900000, 0x901000, 0));
  EXPECT_GT(sink_.updates, updates);
  EXPECT_EQ(sink_.Ranges(kPid).size(), 3u);
}

TEST_F(RuntimeTableTest, LibraryThatTakesThePlaceOfCodeIsNativeCode) {
  Add(Mapping(0x400000, 0x402000, 1));
  Add(Mapping(0x700000, 0x710000, 0));
  maps_[kPid].pop_back();
  Add(Mapping(0x700000, 0x704000, 3));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1"));
}

TEST_F(RuntimeTableTest, OfTooManyRangesTheLargestAreKept) {
  maps_[kPid] = {Mapping(0x400000, 0x402000, 1)};
  for (uint64_t i = 0; i < 40; ++i) {
    maps_[kPid].push_back(Mapping(0x1000000 * (i + 1), 0x1000000 * (i + 1) + 0x1000 * (i + 1), 0));
  }
  Map(maps_[kPid][0]);
  const std::vector<std::string> ranges = sink_.Ranges(kPid);
  ASSERT_EQ(ranges.size(), size_t{JP_MAX_RANGES});
  EXPECT_EQ(ranges[0], "image 400000-400100 1");
  EXPECT_EQ(ranges[1], "jit 28000000-28028000 1");
}

// --- How often mappings are read -----------------------------------------------------------------

TEST_F(RuntimeTableTest, EventsOfBeforeTheLastReadingReadNothing) {
  const uint64_t before = now_ns_;
  Add(Mapping(0x400000, 0x402000, 1));
  for (uint64_t i = 0; i < 1000; ++i) {
    const ProcMapping m = Mapping(0x700000 + i * 0x10000, 0x701000 + i * 0x10000, 0);
    table_->OnMap({before, kPid, m.range, m.offset, m.file, "//anon"});
  }
  EXPECT_EQ(maps_reads_, 1);
  EXPECT_FALSE(table_->HasPending());
}

TEST_F(RuntimeTableTest, AProcessThatMapsCodeAllTheTimeIsReadNowAndThen) {
  Add(Mapping(0x400000, 0x402000, 1));
  for (uint64_t i = 0; i < 1000; ++i) {
    now_ns_ += 1'000'000;
    maps_[kPid].push_back(Mapping(0x700000 + i * 0x10000, 0x701000 + i * 0x10000, 0));
    MapNow(maps_[kPid].back());
    table_->RefreshPending();
  }
  EXPECT_LE(maps_reads_, 1 + 1000 / 50);
  EXPECT_GE(maps_reads_, 1000 / 60);
}

TEST_F(RuntimeTableTest, WhatWasPutOffIsDoneWithoutAFurtherEvent) {
  Add(Mapping(0x400000, 0x402000, 1));
  maps_[kPid].push_back(Mapping(0x700000, 0x710000, 0));
  MapNow(maps_[kPid].back());
  table_->RefreshPending();
  EXPECT_TRUE(table_->HasPending());
  EXPECT_EQ(maps_reads_, 1);
  now_ns_ += 1'000'000'000;
  table_->RefreshPending();
  EXPECT_FALSE(table_->HasPending());
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("image 400000-400100 1", "jit 700000-710000 1"));
}

TEST_F(RuntimeTableTest, ReadingThatTakesLongIsDoneTheLessOften) {
  read_maps_ns_ = 40'000'000;
  Add(Mapping(0x400000, 0x402000, 1));
  const uint64_t began = now_ns_;
  while (now_ns_ < began + 10'000'000'000) {
    now_ns_ += 1'000'000;
    MapNow(Mapping(0x700000, 0x710000, 0));
    table_->RefreshPending();
  }
  EXPECT_LE(maps_reads_ * read_maps_ns_, (now_ns_ - began) / 15);
}

TEST_F(RuntimeTableTest, WhatWasPutOffForAProcessThatIsGoneIsForgotten) {
  Add(Mapping(0x400000, 0x402000, 1));
  MapNow(Mapping(0x700000, 0x710000, 0));
  table_->OnGone(kPid);
  table_->RefreshPending();
  EXPECT_FALSE(table_->HasPending());
  EXPECT_EQ(maps_reads_, 1);
}

TEST_F(RuntimeTableTest, AFileThatAProcessDoesNotGiveIsNotAskedForAgain) {
  for (int i = 0; i < 10; ++i) Map(Mapping(0x500000, 0x502000, 77));
  EXPECT_EQ(opened_, 1);
  files_[77] = FileWith("js");
  Add(Mapping(0x500000, 0x502000, 77), 11);
  EXPECT_EQ(opened_, 2);
  EXPECT_THAT(sink_.Ranges(11), ElementsAre("image 500000-500100 1"));
}

// --- What finds no room --------------------------------------------------------------------------

TEST_F(RuntimeTableTest, ALayoutThatIsNotTakenIsSaid) {
  sink_.full = true;
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_THAT(table_->rejected(), ElementsAre("js 1: the kernel takes no layout"));
  EXPECT_THAT(table_->recognised(), IsEmpty());
}

TEST_F(RuntimeTableTest, AProcessThatFindsNoRoomIsCountedOnce) {
  Add(Mapping(0x400000, 0x402000, 1), 10);
  EXPECT_EQ(table_->processes_without_room(), 0u);
  sink_.full = true;
  Add(Mapping(0x400000, 0x402000, 1), 11);
  Add(Mapping(0x500000, 0x502000, 1), 11);
  EXPECT_EQ(table_->processes_without_room(), 1u);
}

TEST_F(RuntimeTableTest, RangesThatFindNoRoomAreCountedOnce) {
  maps_[kPid] = {Mapping(0x400000, 0x402000, 1)};
  for (uint64_t i = 0; i < JP_MAX_RANGES + 3; ++i) {
    maps_[kPid].push_back(Mapping(0x1000000 * (i + 1), 0x1000000 * (i + 1) + 0x1000, 0));
  }
  Map(maps_[kPid][0]);
  Map(maps_[kPid][0]);
  EXPECT_EQ(table_->ranges_without_room(), 4u);
}

// --- Life ----------------------------------------------------------------------------------------

TEST_F(RuntimeTableTest, ChildHasItsParentsRuntimes) {
  Add(Mapping(0x400000, 0x402000, 1));
  maps_[11] = {Mapping(0x400000, 0x402000, 1)};
  table_->OnFork(kPid, 11);
  EXPECT_THAT(sink_.Ranges(11), ElementsAre("image 400000-400100 1"));
  RuntimeInstance* parent = table_->Instance(kPid, 1);
  EXPECT_NE(table_->Instance(11, 1), parent);
  table_->OnFork(99, 12);  // a parent without runtimes
  EXPECT_THAT(sink_.Ranges(12), ElementsAre("none"));
}

TEST_F(RuntimeTableTest, ProcessThatIsGoneIsTakenFromTheSink) {
  Add(Mapping(0x400000, 0x402000, 1));
  table_->OnGone(kPid);
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
  EXPECT_EQ(table_->Instance(kPid, 1), nullptr);
}

TEST_F(RuntimeTableTest, PidThatIsUsedAgainIsAnotherLife) {
  Add(Mapping(0x400000, 0x402000, 1));
  const uint32_t first = sink_.processes[kPid].life;
  table_->OnGone(kPid);
  Map(maps_[kPid][0]);
  EXPECT_NE(sink_.processes[kPid].life, first);
  EXPECT_NE(first, 0u);
}

TEST_F(RuntimeTableTest, InstanceIsMadeOnceAndOnlyForAKnownRuntime) {
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_EQ(js_.attached, 0);
  EXPECT_EQ(table_->Instance(kPid, 1), table_->Instance(kPid, 1));
  EXPECT_EQ(js_.attached, 1);
  for (uint8_t number : {0, 2, 3, 255}) EXPECT_EQ(table_->Instance(kPid, number), nullptr);
  EXPECT_EQ(table_->Instance(99, 1), nullptr);
}

TEST_F(RuntimeTableTest, ProcessOfWhichNothingCanBeReadIsLeftAlone) {
  Map(Mapping(0x400000, 0x402000, 1));  // it is gone already
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
}

TEST_F(RuntimeTableTest, RejectedProcessIsNotAskedUntilItExecs) {
  Add(Mapping(0x400000, 0x402000, 1));
  table_->Reject(kPid, 1);
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
  Add(Mapping(0x700000, 0x710000, 0));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
  EXPECT_EQ(table_->rejected().size(), 1u);
  table_->Reject(kPid, 1);
  EXPECT_EQ(table_->rejected().size(), 1u);
  table_->OnGone(kPid);  // exec
  Map(maps_[kPid][0]);
  EXPECT_THAT(sink_.Ranges(kPid), testing::Contains("image 400000-400100 1"));
}

// --- Fit -----------------------------------------------------------------------------------------

class RuntimeFitTest : public RuntimeTableTest {
 protected:
  RuntimeFitTest() {
    for (Pid pid : {10, 11}) {
      maps_[pid].push_back(Mapping(0x7f0000, 0x7f8000, 0, /*executable=*/false));
      maps_[pid].back().path = "[stack]";
    }
  }
};

TEST_F(RuntimeFitTest, LayoutIsVerifiedWhenALiveProcessFitsIt) {
  Add(Mapping(0x400000, 0x402000, 1), 10);
  EXPECT_THAT(js_.checked, ElementsAre(0x7f0000));
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (partly verified)"));
  js_.fit = Fit::kFits;
  Add(Mapping(0x400000, 0x402000, 1), 11);
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (verified)"));
}

TEST_F(RuntimeFitTest, ProcessIsLookedAtOnceAndNoneAfterOneFits) {
  js_.fit = Fit::kFits;
  Add(Mapping(0x400000, 0x402000, 1), 10);
  Add(Mapping(0x500000, 0x502000, 1), 10);
  Add(Mapping(0x400000, 0x402000, 1), 11);
  EXPECT_EQ(js_.checked.size(), 1u);
}

TEST_F(RuntimeFitTest, ProcessThatDoesNotFitIsRejected) {
  js_.fit = Fit::kDoesNotFit;
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_THAT(table_->rejected(),
              ElementsAre("js 1 of pid 10: its memory does not fit the layout"));
  EXPECT_THAT(sink_.Ranges(kPid), ElementsAre("none"));
}

TEST_F(RuntimeFitTest, FunctionThatWasReadVerifiesTheLayout) {
  Add(Mapping(0x400000, 0x402000, 1));
  table_->Confirm(kPid, 2);  // of another runtime
  table_->Confirm(99, 1);    // of another process
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (partly verified)"));
  table_->Confirm(kPid, 1);
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (verified)"));
}

TEST_F(RuntimeFitTest, LayoutWithoutAllItsPartsIsPartlyVerified) {
  js_.partial = true;
  js_.fit = Fit::kFits;
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_THAT(table_->recognised(), ElementsAre("js 1 (partly verified)"));
}

TEST_F(RuntimeTableTest, PlumbingIsKnownByFileAndOffset) {
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_FALSE(table_->IsPlumbing(Identity(1), FileOffset{0x107f}));
  EXPECT_TRUE(table_->IsPlumbing(Identity(1), FileOffset{0x1080}));
  EXPECT_TRUE(table_->IsPlumbing(Identity(1), FileOffset{0x10ff}));
  EXPECT_FALSE(table_->IsPlumbing(Identity(1), FileOffset{0x1100}));
  EXPECT_FALSE(table_->IsPlumbing(Identity(3), FileOffset{0x1080}));
}

TEST_F(RuntimeTableTest, SymbolThatTheFileLacksIsKnownByFileAndOffset) {
  Add(Mapping(0x400000, 0x402000, 1));
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0xfff}), "");
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0x1000}), "Map");
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0x101f}), "Map");
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0x1020}), "");
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0x103f}), "Sort");
  EXPECT_EQ(table_->SymbolOf(Identity(1), FileOffset{0x1040}), "");
  EXPECT_EQ(table_->SymbolOf(Identity(3), FileOffset{0x1000}), "");
}

}  // namespace
}  // namespace jprof
