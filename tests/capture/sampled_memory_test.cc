#include "profiler/capture/sampled_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/testing/fake_memory.h"

namespace jprof {
namespace {

constexpr uint64_t kSp = 0x7ffe00000000;
constexpr uint64_t kHeap = 0x10000;

std::vector<std::byte> Words(size_t count, uint64_t first) {
  std::vector<std::byte> bytes(count * sizeof(uint64_t));
  for (size_t i = 0; i < count; ++i) {
    const uint64_t word = first + i;
    std::memcpy(bytes.data() + i * sizeof(word), &word, sizeof(word));
  }
  return bytes;
}

class SampledMemoryTest : public testing::Test {
 protected:
  SampledMemoryTest() {
    // A page below the stack, two of it: what lies there now.
    live_.Zero({{kSp - 4096}, {kSp + 8192}});
    live_.Zero({{kHeap}, {kHeap + 8192}});
    live_.PutValue(Address{kHeap + 8}, uint64_t{5});
    live_.Put(Address{kSp + 4096}, Words(512, 9000));
  }
  uint64_t At(uint64_t address) {
    return memory_.ReadValue<uint64_t>(Address{address}).value_or(~uint64_t{0});
  }

  FakeMemory live_;
  SampledMemory memory_;
  const std::vector<std::byte> copy_ = Words(512, 1000);
};

TEST_F(SampledMemoryTest, TheStackIsOfTheSampleAndAllElseOfNow) {
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  EXPECT_EQ(At(kSp), 1000u);
  EXPECT_EQ(At(kSp + 4088), 1511u);
  EXPECT_EQ(At(kHeap + 8), 5u);
  EXPECT_FALSE(memory_.went_beyond());
}

TEST_F(SampledMemoryTest, AReadOverTheBordersHasWhatIsOfEach) {
  memory_.Begin(live_, kSp, copy_, /*whole=*/false);
  live_.PutValue(Address{kSp - 8}, uint64_t{3});
  live_.PutValue(Address{kSp}, uint64_t{4});
  std::vector<uint64_t> two(2);
  ASSERT_TRUE(memory_.ReadExactly(Address{kSp - 8}, std::as_writable_bytes(std::span(two))));
  EXPECT_EQ(two, (std::vector<uint64_t>{3, 1000}));
  ASSERT_TRUE(memory_.ReadExactly(Address{kSp + 4088}, std::as_writable_bytes(std::span(two))));
  EXPECT_EQ(two, (std::vector<uint64_t>{1511, 9000}));
  EXPECT_TRUE(memory_.went_beyond());
}

TEST_F(SampledMemoryTest, BeyondTheCopyIsOfTheSampleWhileItsEndIsThereUnchanged) {
  live_.Put(Address{kSp}, copy_);
  memory_.Begin(live_, kSp, copy_, /*whole=*/false);
  EXPECT_EQ(At(kSp + 4096), 9000u);
  EXPECT_TRUE(memory_.IsUnchangedBeyond());
  live_.PutValue(Address{kSp + 4080}, uint64_t{1});
  EXPECT_FALSE(memory_.IsUnchangedBeyond());
  memory_.CloseBeyond();
  EXPECT_EQ(At(kSp + 4096), ~uint64_t{0});
  EXPECT_EQ(At(kHeap + 8), 5u);
}

TEST_F(SampledMemoryTest, BeyondAWholeStackIsOtherMemory) {
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  EXPECT_EQ(At(kSp + 4096), 9000u);
  EXPECT_FALSE(memory_.went_beyond());
}

TEST_F(SampledMemoryTest, FramesThatAreStillThereAreBelievedAndNoOthers) {
  live_.Put(Address{kSp}, copy_);
  live_.PutValue(Address{kSp + 64}, uint64_t{1});
  memory_.Begin(live_, kSp, copy_, /*whole=*/false);
  EXPECT_EQ(At(kHeap + 8), 5u);
  live_.PutValue(Address{kHeap + 8}, uint64_t{6});
  memory_.BelieveUnchangedFrames();
  memory_.AtFrame(kSp + 64);
  EXPECT_EQ(At(kHeap + 8), ~uint64_t{0});
  EXPECT_EQ(At(kSp), 1000u);
  EXPECT_EQ(At(kSp + 4096), 9000u);
  memory_.AtFrame(kSp + 72);
  EXPECT_EQ(At(kHeap + 8), 6u);
  memory_.BelieveNoFrame();
  EXPECT_EQ(At(kHeap + 8), ~uint64_t{0});
}

TEST_F(SampledMemoryTest, AnUnchangedStackIsBelievedAltogether) {
  live_.Put(Address{kSp}, copy_);
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  memory_.BelieveUnchangedFrames();
  memory_.AtFrame(kSp - 40);
  EXPECT_EQ(At(kHeap + 8), 5u);
}

TEST_F(SampledMemoryTest, AStackThatIsGoneIsNotBelieved) {
  memory_.Begin(live_, kSp + 0x100000, copy_, /*whole=*/true);
  memory_.BelieveUnchangedFrames();
  memory_.AtFrame(kSp + 0x100000 + 4000);
  EXPECT_EQ(At(kHeap + 8), ~uint64_t{0});
}

TEST_F(SampledMemoryTest, APageIsReadOnceForASample) {
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  At(kHeap + 8);
  const uint64_t reads = live_.reads();
  At(kHeap + 4000);
  EXPECT_EQ(live_.reads(), reads);
  live_.PutValue(Address{kHeap + 8}, uint64_t{6});
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  EXPECT_EQ(At(kHeap + 8), 6u);
}

TEST_F(SampledMemoryTest, ReadsEndWhereTheMemoryDoes) {
  memory_.Begin(live_, kSp, copy_, /*whole=*/true);
  std::vector<std::byte> bytes(16);
  EXPECT_EQ(memory_.Read(Address{kHeap + 8184}, bytes), 8u);
  EXPECT_EQ(memory_.Read(Address{0}, bytes), 0u);
  EXPECT_EQ(memory_.Read(Address{UINT64_MAX - 7}, bytes), 0u);
}

}  // namespace
}  // namespace jprof
