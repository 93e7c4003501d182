#include "profiler/cli/stack_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "profiler/process/live_memory.h"

namespace jprof {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kStack = 0x7000'0000;
constexpr uint64_t kHeap = 0x1000'0000;

// Has everything; each word of the stack's page points at a page of its own.
class LargeMemory : public MemoryReader {
 public:
  size_t Read(Address address, std::span<std::byte> out) const override {
    std::memset(out.data(), 0, out.size());
    for (size_t at = 0; address.value == kStack && at < out.size(); at += sizeof(uint64_t)) {
      const uint64_t word = kHeap + at / sizeof(uint64_t) * kPage;
      std::memcpy(out.data() + at, &word, sizeof(word));
    }
    return out.size();
  }
};

TEST(StackCopierTest, AStackIsCopiedUpToALimit) {
  const LargeMemory memory;
  const StackCopier copier(memory, 0);
  const std::vector<std::byte> stack = copier.CopyStack(kStack + 256);
  EXPECT_GE(stack.size(), StackCopier::kStackBytes);
  EXPECT_LT(stack.size(), StackCopier::kStackBytes + kPage);
}

// Of our own process: pages that nobody has touched are in no memory.
TEST(StackCopierTest, AStackIsCopiedAsFarAsItIsInMemory) {
  constexpr size_t kPages = 8, kTouched = 3;
  auto* pages = static_cast<char*>(::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ::madvise(pages, kPages * kPage, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < kTouched; ++i) pages[i * kPage] = 'x';
  const LiveMemory memory(::getpid());
  const StackCopier copier(memory, ::getpid());
  const auto begin = reinterpret_cast<uint64_t>(pages);
  EXPECT_EQ(copier.CopyStack(begin).size(), kTouched * kPage);
  EXPECT_EQ(copier.CopyStack(begin + kTouched * kPage).size(), 0u);
  ::munmap(pages, kPages * kPage);
}

TEST(StackCopierTest, ACopyThatIsGoneTakesNoRoom) {
  const LargeMemory memory;
  StackCopier copier(memory, 0);
  const Registers registers = {.sp = kStack + 256};
  std::vector<FramePlace> places(1);
  places[0].sp = kStack + kPage - 1024;
  auto has_heap = [&](const std::shared_ptr<const MemoryReader>& copy) {
    return copy->ReadValue<uint64_t>(Address{kHeap + 300 * kPage}).has_value();
  };
  std::vector<std::shared_ptr<const MemoryReader>> copies;
  while (copies.size() < 100) {
    copies.push_back(copier.Copy(registers, places));
    if (!has_heap(copies.back())) break;
  }
  EXPECT_GT(copies.size(), 1u);
  EXPECT_LT(copies.size(), 100u);  // of all together there is no more
  copies.clear();
  EXPECT_TRUE(has_heap(copier.Copy(registers, places)));
}

}  // namespace
}  // namespace jprof
