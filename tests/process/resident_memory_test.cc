#include "profiler/process/resident_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/process/proc_maps.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr size_t kPage = 4096;

// Counts what it is asked for, and gives fives.
class Others : public MemoryReader {
 public:
  explicit Others(int& reads) : reads_(reads) {}
  size_t Read(Address, std::span<std::byte> out) const override {
    ++reads_;
    std::fill(out.begin(), out.end(), std::byte{5});
    return out.size();
  }

 private:
  int& reads_;
};

// 100 pages of sevens, of which number 64 is not there.
class ResidentMemoryTest : public testing::Test {
 protected:
  ResidentMemoryTest()
      : pages_(static_cast<std::byte*>(::mmap(nullptr, 100 * kPage, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    ::madvise(pages_, 100 * kPage, MADV_NOHUGEPAGE);
    std::memset(pages_, 7, 100 * kPage);
    EXPECT_EQ(::madvise(pages_ + 64 * kPage, kPage, MADV_DONTNEED), 0);
  }
  ~ResidentMemoryTest() override { ::munmap(pages_, 100 * kPage); }
  Address At(size_t offset) const { return {reinterpret_cast<uint64_t>(pages_) + offset}; }

  std::byte* const pages_;
  int reads_ = 0;
};

TEST_F(ResidentMemoryTest, WhatIsThereIsReadAtOnce) {
  const ResidentMemory memory(::getpid(), std::make_unique<Others>(reads_));
  for (auto [at, size] : {std::pair<size_t, size_t>{0, 8}, {kPage - 4, 8}, {3, 64 * kPage - 3},
                          {65 * kPage, 35 * kPage}}) {
    std::vector<std::byte> out(size);
    EXPECT_EQ(memory.Read(At(at), out), size) << at;
    EXPECT_EQ(out, std::vector<std::byte>(size, std::byte{7})) << at;
  }
  EXPECT_EQ(reads_, 0);
}

TEST_F(ResidentMemoryTest, WhatIsNotIsLeftToOthers) {
  const ResidentMemory memory(::getpid(), std::make_unique<Others>(reads_));
  for (auto [at, size] : {std::pair<size_t, size_t>{64 * kPage, 8}, {64 * kPage - 4, 8},
                          {0, 100 * kPage}}) {
    std::vector<std::byte> out(size);
    EXPECT_EQ(memory.Read(At(at), out), size) << at;
    EXPECT_EQ(out, std::vector<std::byte>(size, std::byte{5})) << at;
  }
  EXPECT_EQ(reads_, 3);
}

TEST_F(ResidentMemoryTest, WithoutOthersAReadEndsAtTheFirstPageThatIsMissing) {
  const ResidentMemory memory(::getpid(), nullptr);
  std::vector<std::byte> out(100 * kPage);
  EXPECT_EQ(memory.Read(At(5), out), 64 * kPage - 5);
  EXPECT_EQ(memory.Read(At(64 * kPage), out), 0u);
  // Nor was it asked for: it is missing still.
  EXPECT_EQ(memory.Read(At(64 * kPage), out), 0u);
}

// The bytes that are there at the end of its stack.
size_t StackBytes(const MemoryReader& memory, Pid pid) {
  const absl::StatusOr<std::vector<ProcMapping>> maps = ReadProcMaps(pid);
  if (!maps.ok()) return 0;
  const auto stack = std::find_if(maps->begin(), maps->end(),
                                  [](const ProcMapping& m) { return m.path == "[stack]"; });
  if (stack == maps->end()) return 0;
  std::byte out[16];
  return memory.Read({stack->range.end.value - sizeof(out)}, out);
}

TEST_F(ResidentMemoryTest, AProcessMayStartAnotherProgram) {
  absl::StatusOr<Child> child =
      Child::SpawnReady({"/bin/sh", "-c", "echo ready; read go; exec " + TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  const ResidentMemory memory(child->pid(), nullptr);
  EXPECT_EQ(StackBytes(memory, child->pid()), 16u);
  ASSERT_TRUE(child->Write("go\n").ok());
  ASSERT_TRUE(child->ReadLine().ok());  // of the program: it is ready
  EXPECT_EQ(StackBytes(memory, child->pid()), 16u);
}

TEST_F(ResidentMemoryTest, OfAProcessThatIsGoneNothingIsThere) {
  const ResidentMemory memory(0x7ffffff0, nullptr);
  std::byte out[8];
  EXPECT_EQ(memory.Read(At(0), out), 0u);
  EXPECT_EQ(memory.Read({UINT64_MAX - 3}, out), 0u);
}

}  // namespace
}  // namespace jprof
