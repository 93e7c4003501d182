#include "helpers/v8/v8_isolate.h"

#include <optional>
#include <span>
#include <vector>

#include "gtest/gtest.h"

namespace jprof::v8 {
namespace {

class Code {
 public:
  // mov [r13+slot], a register of 16 by number: rbp is 5
  Code& Store(int32_t slot, int times, uint8_t from = 5) {
    const uint8_t prefix = from < 8 ? 0x49 : 0x4d;
    const uint8_t operands = static_cast<uint8_t>(0x45 | (from & 7) << 3);
    for (int i = 0; i < times; ++i) {
      if (-128 <= slot && slot < 128) {
        Add({prefix, 0x89, operands, static_cast<uint8_t>(slot)});
      } else {
        const auto bits = static_cast<uint32_t>(slot);
        Add({prefix, 0x89, static_cast<uint8_t>(operands ^ 0xc0), static_cast<uint8_t>(bits),
             static_cast<uint8_t>(bits >> 8), static_cast<uint8_t>(bits >> 16),
             static_cast<uint8_t>(bits >> 24)});
      }
      Add({0x90, 0xc3});
    }
    return *this;
  }
  std::optional<IsolateSlots> Find() const { return FindIsolateSlots(bytes_); }
  size_t size() const { return bytes_.size(); }
  std::optional<int32_t> FindMicrotask(size_t loop_begin) const {
    return FindMicrotaskSlot(bytes_, std::span(bytes_).subspan(loop_begin));
  }

 private:
  void Add(std::vector<uint8_t> bytes) {
    for (uint8_t b : bytes) bytes_.push_back(std::byte{b});
  }
  std::vector<std::byte> bytes_;
};

TEST(V8IsolateTest, MostStoresAreOfFastCallsThenOfExitFrames) {
  auto slots = Code().Store(0x3090, 12).Store(0x91f8, 268).Store(0x40, 3).Find();
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->exit_frame, 0x3090);
  EXPECT_EQ(slots->fast_call, 0x91f8);
  slots = Code().Store(-0x48, 247).Store(0x70, 13).Find();
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->exit_frame, 0x70);
  EXPECT_EQ(slots->fast_call, -0x48);
}

TEST(V8IsolateTest, TooFewStoresTellNothing) {
  EXPECT_FALSE(Code().Find());
  EXPECT_FALSE(Code().Store(0x68, 942).Find());
  EXPECT_FALSE(Code().Store(0x68, 942).Store(0x100, 3).Find());
  EXPECT_FALSE(Code().Store(0x68, 50).Store(0x100, 12).Find());
}

TEST(V8IsolateTest, SlotsThatCanBeNoneAreNotCounted) {
  auto slots =
      Code().Store(0x68, 942).Store(0x100, 10).Store(0x105, 500).Store(0x7fff0000, 800).Find();
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->exit_frame, 0x100);
}

constexpr uint8_t kRdx = 2, kR9 = 9;

TEST(V8IsolateTest, MicrotaskIsWhatItsLoopAloneStoresTwice) {
  Code code;
  code.Store(0x90, 40, kRdx).Store(0x70, 13);
  const size_t loop = code.size();
  code.Store(0x90, 6, kRdx).Store(0x18a8, 1, kR9).Store(0x70, 2).Store(0x18a8, 1, kRdx);
  EXPECT_EQ(code.FindMicrotask(loop), 0x18a8);
  // More often than twice.
  EXPECT_EQ(code.Store(0x1c0, 10, kRdx).FindMicrotask(loop), 0x18a8);
}

TEST(V8IsolateTest, MicrotaskIsNotGuessed) {
  EXPECT_FALSE(Code().FindMicrotask(0));
  EXPECT_FALSE(Code().Store(0x18a8, 1, kR9).FindMicrotask(0));
  EXPECT_FALSE(Code().Store(0x18a8, 2).FindMicrotask(0)) << "frame pointers";
  EXPECT_FALSE(Code().Store(0x20, 2, kRdx).Store(0x18a8, 2, kR9).FindMicrotask(0));
  Code code;
  code.Store(0x18a8, 1, kR9);
  const size_t loop = code.size();
  EXPECT_FALSE(code.Store(0x18a8, 2, kR9).FindMicrotask(loop)) << "somebody else stores it, too";
}

}  // namespace
}  // namespace jprof::v8
