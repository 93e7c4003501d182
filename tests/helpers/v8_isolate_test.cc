#include "helpers/v8/v8_isolate.h"

#include <vector>

#include "gtest/gtest.h"

namespace jprof::v8 {
namespace {

class Code {
 public:
  // mov [r13+slot], rbp
  Code& Store(int32_t slot, int times) {
    for (int i = 0; i < times; ++i) {
      if (-128 <= slot && slot < 128) {
        Add({0x49, 0x89, 0x6d, static_cast<uint8_t>(slot)});
      } else {
        const auto bits = static_cast<uint32_t>(slot);
        Add({0x49, 0x89, 0xad, static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8),
             static_cast<uint8_t>(bits >> 16), static_cast<uint8_t>(bits >> 24)});
      }
      Add({0x90, 0xc3});
    }
    return *this;
  }
  std::optional<IsolateSlots> Find() const { return FindIsolateSlots(bytes_); }

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
  auto slots = Code().Store(0x68, 942).Store(0x100, 10).Store(0x105, 500).Store(0x7fff0000, 800).Find();
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->exit_frame, 0x100);
}

}  // namespace
}  // namespace jprof::v8
