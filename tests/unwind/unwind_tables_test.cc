#include "profiler/unwind/unwind_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/symbolize/elf_builder.h"
#include "tests/unwind/cfi_builder.h"
#include "tests/unwind/process_tables.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSecond = 1'000'000'000;

// A shared object with code at 0x1000 and a section .eh_frame that describes `rows` rows of it.
std::string Library(uint8_t cfa_offset, int rows = 1) {
  CfiBuilder cfi;
  cfi.Cie();
  for (int i = 0; i < rows; ++i) {
    cfi.Fde(0x1000 + static_cast<uint64_t>(i) * 32, 32,
            {kDefCfaOffset, static_cast<uint8_t>(cfa_offset + 8 * (i % 2))});
  }
  return ElfBuilder()
      .Segment(ElfBuilder::kContent, 0x1000, 0x10000, 0x10000, PF_R | PF_X)
      .Content(std::string(0x10000, '\xcc'))
      .NamedSection(".eh_frame", cfi.address(),
                    std::string(cfi.bytes().begin(), cfi.bytes().end()))
      .Build();
}

class UnwindTablesTest : public testing::Test {
 protected:
  UnwindTables& Make(UnwindTables::Limits limits = {}) {
    tables_.emplace(sink_,
                    UnwindTables::World{
                        .open_image = [this](const MapEvent& map) -> absl::StatusOr<ElfFile> {
                          ++opened_;
                          opened_files_.push_back(map.file.inode);
                          auto it = files_.find(map.file.inode);
                          if (it == files_.end() || unreadable_by_ == map.pid) {
                            return absl::PermissionDeniedError("no");
                          }
                          return ElfFile::Open(FileOf(it->second), map.path);
                        },
                        .open_debug_file =
                            [this](const std::string& build_id) -> absl::StatusOr<ElfFile> {
                          auto it = debug_files_.find(build_id);
                          if (it == debug_files_.end()) return absl::NotFoundError("no");
                          return ElfFile::Open(FileOf(it->second), build_id);
                        },
                        .now = [this] { return now_ns_; }},
                    limits);
    return *tables_;
  }
  void Map(Pid pid, uint64_t address, uint64_t inode) {
    processes_.Apply(MapEvent{1, pid, {{address}, {address + 0x10000}}, {ElfBuilder::kContent},
                              {8, 1, inode}, "/lib"});
    tables_->OnChange(pid);
  }
  void Update() { tables_->Update(processes_, kSecond); }
  // Of the walk: the CFA's offset from rsp at an address, -1 where there is no table.
  int CfaOffset(Pid pid, uint64_t address) {
    for (const jp_mapping& m : sink_.MappingsOf(pid)) {
      if (address < m.begin || address >= m.end || address - m.base >= m.size) continue;
      auto half = [this](uint32_t run, uint64_t index) {
        return static_cast<uint32_t>(sink_.pool.at(run + index / 2) >> index % 2 * 32);
      };
      const uint64_t offset = address - m.base;
      const uint32_t bucket = half(m.buckets, offset >> JP_BUCKET_SHIFT);
      uint32_t row = bucket >> JP_BUCKET_SHIFT;
      const uint32_t last = row + bucket % JP_BUCKET_BYTES;
      while (row < last && half(m.rows, row + 1) % JP_BUCKET_BYTES <= offset % JP_BUCKET_BYTES) {
        ++row;
      }
      const uint64_t rule = sink_.pool.at(m.rules + 2 * (half(m.rows, row) >> JP_BUCKET_SHIFT));
      return static_cast<int>(rule & 0xffffffff);
    }
    return -1;
  }

  RecordingUnwindSink sink_;
  std::map<std::string, std::string> debug_files_;  // by build ID
  std::map<uint64_t, std::string> files_ = {{1, Library(16)}, {2, Library(40)}};
  ProcessTable processes_;
  std::optional<UnwindTables> tables_;
  uint64_t now_ns_ = 0;
  int opened_ = 0;
  std::vector<uint64_t> opened_files_;
  Pid unreadable_by_ = 0;
};

TEST_F(UnwindTablesTest, AProcessHasTheTablesOfItsMappings) {
  Make();
  Map(10, 0x7000'0000, 1);
  Map(10, 0x6000'0000, 2);
  EXPECT_TRUE(tables_->HasPending());
  Update();
  EXPECT_FALSE(tables_->HasPending());
  EXPECT_EQ(CfaOffset(10, 0x7000'0010), 16);
  EXPECT_EQ(CfaOffset(10, 0x6000'0010), 40);
  EXPECT_EQ(CfaOffset(10, 0x6000'0020), -1);  // behind the function
  EXPECT_EQ(CfaOffset(11, 0x7000'0010), -1);
}

TEST_F(UnwindTablesTest, WhatAFileLacksIsInItsDebugFile) {
  CfiBuilder cfi(/*is_eh_frame=*/false, 0);
  cfi.Cie().Fde(0x1000, 0x10000, {kDefCfaOffset, 48});
  const std::string frames(cfi.bytes().begin(), cfi.bytes().end());
  debug_files_["abcd"] = ElfBuilder().NamedSection(".debug_frame", 0, frames).Build();
  const ElfBuilder code = ElfBuilder()
                              .Segment(ElfBuilder::kContent, 0x1000, 0x10000, 0x10000, PF_R | PF_X)
                              .Content(std::string(0x10000, '\xcc'));
  files_[3] = ElfBuilder(code).BuildId("\xab\xcd").Build();
  files_[4] = ElfBuilder(code).BuildId("\xab\xce").Build();
  Make();
  Map(10, 0x7000'0000, 3);
  Map(10, 0x6000'0000, 4);
  Update();
  EXPECT_EQ(CfaOffset(10, 0x7000'0010), 48);
  EXPECT_EQ(CfaOffset(10, 0x6000'0010), -1);
}

TEST_F(UnwindTablesTest, MappingsAreSorted) {
  Make();
  for (uint64_t address : {0x7000'0000, 0x5000'0000, 0x6000'0000}) Map(10, address, 1);
  Update();
  ASSERT_THAT(sink_.MappingsOf(10), SizeIs(3));
  EXPECT_LT(sink_.MappingsOf(10)[0].begin, sink_.MappingsOf(10)[1].begin);
  EXPECT_LT(sink_.MappingsOf(10)[1].begin, sink_.MappingsOf(10)[2].begin);
}

TEST_F(UnwindTablesTest, ATableIsSharedByAllThatMapTheFile) {
  Make();
  Map(10, 0x7000'0000, 1);
  Update();
  const size_t words = sink_.pool.size();
  Map(11, 0x5000'0000, 1);
  Update();
  EXPECT_EQ(sink_.pool.size(), words);
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(CfaOffset(11, 0x5000'0010), 16);
}

TEST_F(UnwindTablesTest, ATableIsSharedByFilesThatSayTheSame) {
  files_[3] = files_[1];
  Make();
  Map(10, 0x7000'0000, 1);
  Update();
  const size_t words = sink_.pool.size();
  Map(11, 0x5000'0000, 3);
  Update();
  EXPECT_EQ(sink_.pool.size(), words);
  EXPECT_EQ(CfaOffset(11, 0x5000'0010), 16);
}

TEST_F(UnwindTablesTest, AProcessThatIsGoneHasNone) {
  Make();
  Map(10, 0x7000'0000, 1);
  Update();
  tables_->OnGone(10);
  EXPECT_THAT(sink_.MappingsOf(10), IsEmpty());
}

TEST_F(UnwindTablesTest, AFileThatOneProcessDoesNotGiveIsAskedOfAnother) {
  unreadable_by_ = 10;
  Make();
  Map(10, 0x7000'0000, 1);
  Update();
  EXPECT_EQ(CfaOffset(10, 0x7000'0010), -1);
  Map(11, 0x7000'0000, 1);
  Update();
  EXPECT_EQ(CfaOffset(11, 0x7000'0010), 16);
}

TEST_F(UnwindTablesTest, MappingsThatStayTheSameAreNotWrittenAgain) {
  Make();
  Map(10, 0x7000'0000, 1);
  Update();
  const uint32_t first = sink_.slices[10].first;
  for (int i = 0; i < 100; ++i) {
    tables_->OnChange(10);
    Update();
  }
  EXPECT_EQ(sink_.slices[10].first, first);
  EXPECT_THAT(sink_.mappings, SizeIs(1));
}

TEST_F(UnwindTablesTest, ATableWithoutRoomIsCountedAndWordsOfUnusedOnesAreUsedAgain) {
  const uint32_t words = 8;  // of one of these tables
  Make({.words = words});
  Map(10, 0x7000'0000, 1);
  Update();
  EXPECT_EQ(CfaOffset(10, 0x7000'0010), 16);
  Map(11, 0x7000'0000, 2);
  Update();
  EXPECT_EQ(CfaOffset(11, 0x7000'0010), -1);
  EXPECT_EQ(tables_->tables_without_room(), 1u);

  tables_->OnGone(10);
  now_ns_ += 2 * kSecond;
  Map(12, 0x6000'0000, 2);
  Update();
  EXPECT_EQ(CfaOffset(12, 0x6000'0010), -1);  // the words may still be read
  now_ns_ += 2 * kSecond;
  Map(12, 0x5000'0000, 2);
  Update();
  EXPECT_EQ(CfaOffset(12, 0x5000'0010), 40);
  EXPECT_EQ(tables_->tables_without_room(), 0u);
}

TEST_F(UnwindTablesTest, AFileWhoseFramesAreTooManyToBeReadIsCounted) {
  Make();
  files_[3] = ElfBuilder()
                  .Segment(ElfBuilder::kContent, 0x1000, 0x10000, 0x10000, PF_R | PF_X)
                  .Content(std::string(0x10000, '\xcc'))
                  .NamedSection(".eh_frame", 0x20000, std::string((size_t{64} << 20) + 1, '\0'))
                  .Build();
  Map(10, 0x7000'0000, 3);
  Map(11, 0x7000'0000, 3);
  Update();
  EXPECT_EQ(CfaOffset(10, 0x7000'0010), -1);
  EXPECT_EQ(tables_->tables_without_room(), 1u);
}

TEST_F(UnwindTablesTest, AProcessWithoutRoomForItsMappingsIsCountedAndHasNone) {
  Make({.mappings = 2});
  Map(10, 0x7000'0000, 1);
  Update();
  Map(10, 0x6000'0000, 1);
  Update();  // two at once: those of before may still be read
  EXPECT_EQ(tables_->processes_without_room(), 1u);
  EXPECT_THAT(sink_.MappingsOf(10), IsEmpty());
}

TEST_F(UnwindTablesTest, AFileIsToldOfBeforeTheProcessThatMapsIt) {
  Make({.settle_ns = kSecond});
  const MapEvent map = {1,         10,    {{0x7000'0000}, {0x7001'0000}}, {ElfBuilder::kContent},
                        {8, 1, 1}, "/lib"};
  processes_.Apply(map);
  tables_->OnMap(map);
  EXPECT_TRUE(tables_->HasPending());
  Update();
  EXPECT_FALSE(tables_->HasPending());
  EXPECT_TRUE(tables_->HasLater());
  EXPECT_THAT(sink_.MappingsOf(10), IsEmpty());
  ASSERT_THAT(sink_.files, SizeIs(1));
  const jp_file_table told = sink_.files.begin()->second;

  now_ns_ += kSecond;
  Update();
  EXPECT_FALSE(tables_->HasLater());
  ASSERT_THAT(sink_.MappingsOf(10), SizeIs(1));
  const jp_mapping mapping = sink_.MappingsOf(10)[0];
  ASSERT_EQ(told.segment_count, 1u);
  EXPECT_EQ(mapping.base, map.range.begin.value - map.offset.value + told.segments[0].shift);
  EXPECT_EQ(mapping.buckets, told.mapping.buckets);
  EXPECT_EQ(mapping.rows, told.mapping.rows);
  EXPECT_EQ(mapping.rules, told.mapping.rules);
  EXPECT_EQ(mapping.size, told.mapping.size);
}

TEST_F(UnwindTablesTest, TheFileThatIsMappedMostComesFirst) {
  Make({.settle_ns = kSecond});
  for (uint64_t inode : {3, 1, 2, 1, 3, 1, 4, 4, 4, 4}) {
    tables_->OnMap({1, 10, {{0x7000'0000}, {0x7001'0000}}, {ElfBuilder::kContent}, {8, 1, inode},
                    "/lib"});
  }
  Update();
  EXPECT_THAT(opened_files_, ElementsAre(4, 1, 3, 2));
  EXPECT_FALSE(tables_->HasPending());
}

TEST_F(UnwindTablesTest, AProcessThatEndsBeforeItSettledIsNeverToldOf) {
  Make({.settle_ns = kSecond});
  Map(10, 0x7000'0000, 1);
  tables_->OnGone(10);
  EXPECT_FALSE(tables_->HasLater());
  now_ns_ += 2 * kSecond;
  Update();
  EXPECT_THAT(sink_.mappings, IsEmpty());
  EXPECT_EQ(opened_, 0);
}

TEST_F(UnwindTablesTest, AFileWhoseTableIsForgottenIsKnownNoMore) {
  Make({.words = 8});
  Map(10, 0x7000'0000, 1);
  Update();
  EXPECT_TRUE(sink_.files.contains(FileIdentity{8, 1, 1}));
  tables_->OnGone(10);
  Map(11, 0x7000'0000, 2);
  Update();
  EXPECT_FALSE(sink_.files.contains(FileIdentity{8, 1, 1}));
  // The words rest: there is no room for another table yet.
  ASSERT_TRUE(sink_.files.contains(FileIdentity{8, 1, 2}));
  EXPECT_EQ(sink_.files[(FileIdentity{8, 1, 2})].segment_count, 0u);
}

TEST(RangeAllocatorTest, RunsThatTouchBecomeOneAgain) {
  RangeAllocator allocator(10);
  EXPECT_EQ(allocator.Allocate(4, 0), 0u);
  EXPECT_EQ(allocator.Allocate(4, 0), 4u);
  EXPECT_EQ(allocator.Allocate(4, 0), std::nullopt);
  allocator.Free(4, 4, 0);
  allocator.Free(0, 4, 0);
  EXPECT_EQ(allocator.Allocate(10, 0), std::nullopt);
  EXPECT_EQ(allocator.Allocate(10, RangeAllocator::kRestNs), 0u);
}

}  // namespace
}  // namespace jprof
