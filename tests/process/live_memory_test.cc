#include "profiler/process/live_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "profiler/process/proc_maps.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr size_t kPage = 4096;

// Pages with a pattern, the last of them without access.
class GuardedPages {
 public:
  explicit GuardedPages(size_t readable_pages) : size_((readable_pages + 1) * kPage) {
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < size_; ++i) base_[i] = Pattern(i);
    ::mprotect(base_ + readable_pages * kPage, kPage, PROT_NONE);
  }
  ~GuardedPages() { ::munmap(base_, size_); }
  static std::byte Pattern(size_t i) { return static_cast<std::byte>(i * 31 + i / 251 + 1); }
  Address At(size_t i) const { return {reinterpret_cast<uint64_t>(base_) + i}; }
  std::byte* data() const { return base_; }

 private:
  size_t size_;
  std::byte* base_;
};

TEST(LiveMemoryTest, TheMainThreadNeedNotLive) {
  auto child = Child::SpawnReady({TestProgram("threads"), "leave"});
  ASSERT_TRUE(child.ok()) << child.status();
  const auto maps = ReadProcMaps(child->pid());
  ASSERT_TRUE(maps.ok()) << maps.status();
  ASSERT_TRUE(EndMainThread(*child).ok());
  LiveMemory memory(child->pid());
  std::vector<std::byte> out(4);
  ASSERT_EQ(memory.Read(maps->at(0).range.begin, out), out.size());
  EXPECT_EQ(out[1], std::byte{'E'});
}

TEST(LiveMemoryTest, ReadsWhatIsThere) {
  GuardedPages pages(2);
  LiveMemory memory(::getpid());
  std::vector<std::byte> out(5000);
  ASSERT_EQ(memory.Read(pages.At(7), out), out.size());
  EXPECT_EQ(std::memcmp(out.data(), pages.data() + 7, out.size()), 0);
}

TEST(LiveMemoryTest, AReadStopsAtTheUnreadablePage) {
  GuardedPages pages(2);
  LiveMemory memory(::getpid());
  std::vector<std::byte> out(3 * kPage, std::byte{0xee});
  ASSERT_EQ(memory.Read(pages.At(100), out), 2 * kPage - 100);
  EXPECT_EQ(std::memcmp(out.data(), pages.data() + 100, 2 * kPage - 100), 0);
  EXPECT_EQ(out[2 * kPage - 100], std::byte{0xee}) << "never padded";
}

TEST(LiveMemoryTest, ManyVectorsMakeOneRead) {
  GuardedPages pages(50);
  LiveMemory memory(::getpid());
  std::vector<std::byte> out(60 * kPage);
  ASSERT_EQ(memory.Read(pages.At(1), out), 50 * kPage - 1);
  for (size_t i = 0; i < 50 * kPage - 1; ++i) ASSERT_EQ(out[i], GuardedPages::Pattern(i + 1));
}

TEST(LiveMemoryTest, UnmappedMemoryReadsAsNothing) {
  GuardedPages pages(1);
  LiveMemory memory(::getpid());
  EXPECT_FALSE(memory.ReadValue<uint64_t>(pages.At(kPage)).has_value());
  EXPECT_FALSE(memory.ReadValue<uint64_t>(pages.At(kPage - 4)).has_value());
  EXPECT_TRUE(memory.ReadValue<uint64_t>(pages.At(kPage - 8)).has_value());
  EXPECT_FALSE(memory.ReadValue<uint64_t>({0}).has_value());
}

TEST(LiveMemoryTest, TheTopOfTheAddressSpaceDoesNotWrap) {
  LiveMemory memory(::getpid());
  std::vector<std::byte> out(64);
  EXPECT_EQ(memory.Read({UINT64_MAX - 3}, out), 0u);
  EXPECT_EQ(memory.Read({UINT64_MAX}, out), 0u);
}

TEST(LiveMemoryTest, AProcessThatIsGoneReadsAsNothing) {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("spin")});
  ASSERT_TRUE(child.ok()) << child.status();
  Pid pid = child->pid();
  child->Signal(SIGKILL);
  child->Wait();
  int value = 1;
  EXPECT_FALSE(LiveMemory(pid).ReadValue<int>({reinterpret_cast<uint64_t>(&value)}).has_value());
}

}  // namespace
}  // namespace jprof
