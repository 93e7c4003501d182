#include "profiler/corefile/core_areas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "profiler/corefile/core_file.h"
#include "profiler/corefile/core_writer.h"
#include "tests/corefile/core_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kPages = 8;

AddressRange Pages(uint64_t begin, uint64_t end) {
  return {{begin * kCorePageBytes}, {end * kCorePageBytes}};
}

// Memory of this process, each page of it filled with its number from 1 on; one of its own mapping.
class Memory {
 public:
  Memory()
      : at_(static_cast<char*>(::mmap(nullptr, size(), PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    for (size_t i = 0; i < kPages; ++i) {
      std::memset(at_ + i * kCorePageBytes, static_cast<int>(i + 1), kCorePageBytes);
    }
    // No neighbour is like it.
    ::mprotect(at_, size(), PROT_READ | PROT_WRITE | PROT_EXEC);
  }
  ~Memory() { ::munmap(at_, size()); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  static size_t size() { return kPages * kCorePageBytes; }
  char* data() { return at_; }
  Address page(size_t i) const { return {reinterpret_cast<uint64_t>(at_) + i * kCorePageBytes}; }

 private:
  char* at_;
};

class StringSink : public CoreSink {
 public:
  absl::Status Append(absl::string_view more) override {
    bytes.append(more.data(), more.size());
    return absl::OkStatus();
  }
  absl::Status AppendHole(uint64_t size) override {
    bytes.append(size, '\0');
    return absl::OkStatus();
  }
  std::string bytes;
};

TEST(PageSetTest, PagesAreAddedWholeAndRunsAreCutToARange) {
  PageSet pages;
  pages.Add({{5 * kCorePageBytes + 7}, {5 * kCorePageBytes + 8}});
  pages.Add({{6 * kCorePageBytes}, {7 * kCorePageBytes + 1}});
  pages.Add({{9 * kCorePageBytes}, {9 * kCorePageBytes}});
  pages.Add(Pages(12, 14));
  EXPECT_EQ(pages.size(), 5u);
  EXPECT_TRUE(pages.Contains(7 * kCorePageBytes + 4095));
  EXPECT_FALSE(pages.Contains(8 * kCorePageBytes));
  EXPECT_THAT(pages.RunsIn(Pages(0, 20)), ElementsAre(Pages(5, 8), Pages(12, 14)));
  EXPECT_THAT(pages.RunsIn(Pages(6, 13)), ElementsAre(Pages(6, 8), Pages(12, 13)));
  EXPECT_THAT(pages.RunsIn(Pages(8, 12)), IsEmpty());
}

TEST(NotedMemoryTest, NotesThePagesThatAreRead) {
  Memory memory;
  const auto areas = ReadCoreAreas(::getpid());
  ASSERT_TRUE(areas.ok()) << areas.status();
  PageSet noted;
  const NotedMemory reader(::getpid(), *areas, noted);
  std::byte bytes[16];
  EXPECT_EQ(reader.Read({memory.page(3).value - 8}, bytes), 16u);
  EXPECT_EQ(bytes[7], std::byte{3});
  EXPECT_EQ(bytes[8], std::byte{4});
  EXPECT_EQ(reader.Read({8}, bytes), 0u);
  EXPECT_THAT(noted.RunsIn({{0}, {UINT64_MAX}}),
              ElementsAre(AddressRange{memory.page(2), memory.page(4)}));
}

TEST(NotedMemoryTest, WhatTheProcessWantsLeftOutIsNotThere) {
  Memory memory;
  ASSERT_EQ(::madvise(memory.data() + kCorePageBytes, kCorePageBytes, MADV_DONTDUMP), 0);
  const auto areas = ReadCoreAreas(::getpid());
  ASSERT_TRUE(areas.ok()) << areas.status();
  PageSet noted;
  const NotedMemory reader(::getpid(), *areas, noted);
  std::byte bytes[16];
  EXPECT_EQ(reader.Read({memory.page(1).value - 8}, bytes), 8u);
  EXPECT_EQ(reader.Read(memory.page(1), bytes), 0u);
  EXPECT_EQ(noted.size(), 1u);
}

TEST(NotForkedRangesTest, AreTogetherWhereTheyTouch) {
  Memory memory;
  ASSERT_EQ(::madvise(memory.data() + kCorePageBytes, 2 * kCorePageBytes, MADV_DONTFORK), 0);
  ASSERT_EQ(::mprotect(memory.data() + kCorePageBytes, kCorePageBytes, PROT_READ), 0);
  const auto areas = ReadCoreAreas(::getpid());
  ASSERT_TRUE(areas.ok()) << areas.status();
  EXPECT_THAT(NotForkedRanges(*areas),
              ElementsAre(AddressRange{memory.page(1), memory.page(3)}));
}

TEST(CoreWriterTest, OfSomePagesOthersAreNotThereAndTheMappingIsWhole) {
  Memory memory;
  const auto areas = ReadCoreAreas(::getpid());
  ASSERT_TRUE(areas.ok()) << areas.status();
  CoreProcess process;
  process.pid = ::getpid();
  process.threads.resize(1);
  process.threads[0].tid = ::getpid();
  PageSet only;
  only.Add({memory.page(2), memory.page(4)});
  only.Add({memory.page(6), memory.page(7)});
  static volatile int in_data = 1;
  in_data = 4711;  // no longer as in this program's file
  StringSink sink;
  const auto figures =
      WriteCore(process, ::getpid(), *areas, &only, sink,
                [](uint64_t, uint64_t) { return absl::OkStatus(); });
  ASSERT_TRUE(figures.ok()) << figures.status();
  const auto core = CoreFile::Open(FileOf(sink.bytes), "core");
  ASSERT_TRUE(core.ok()) << core.status();
  EXPECT_EQ(core->missing_bytes(), 0u);
  EXPECT_FALSE(core->ReadValue<char>(memory.page(1)));
  EXPECT_EQ(core->ReadValue<char>(memory.page(2)), 3);
  EXPECT_EQ(core->ReadValue<char>(memory.page(3)), 4);
  EXPECT_FALSE(core->ReadValue<char>(memory.page(4)));
  EXPECT_EQ(core->ReadValue<char>(memory.page(6)), 7);
  bool found = false;
  for (const ProcMapping& m : core->mappings()) {
    found |= m.range == AddressRange{memory.page(0), memory.page(kPages)};
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(core->ReadValue<int>({reinterpret_cast<uint64_t>(&in_data)}), 4711);
}

}  // namespace
}  // namespace jprof
