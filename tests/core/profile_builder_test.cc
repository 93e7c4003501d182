#include "profiler/core/profile_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "absl/strings/string_view.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

class ProfileBuilderTest : public ::testing::Test {
 protected:
  LocationId Frame(absl::string_view name) {
    FunctionId f = builder_.AddFunction(name, name, "", 0, FrameKind::kNative);
    Line line{f, 0, 0};
    return builder_.AddLocation(ImageId{}, 0, {&line, 1});
  }
  void Sample(int64_t time_ns, StackId stack) {
    std::array<int64_t, 2> values = {1, 10'101'010};
    builder_.AddSample(time_ns, thread_, 0, stack, values);
    builder_.accounting().taken++;
    builder_.accounting().kept++;
  }

  ProfileBuilder builder_{{{"samples", "count"}, {"cpu", "nanoseconds"}},
                          {"cpu", "nanoseconds"}, 10'101'010};
  ThreadId thread_ = builder_.AddThread(7, 8, "node", "worker");
};

TEST_F(ProfileBuilderTest, EqualStacksAreStoredOnce) {
  StackId main = builder_.AddStack(StackId{}, Frame("main"));
  StackId foo = builder_.AddStack(main, Frame("foo"));
  EXPECT_EQ(builder_.AddStack(StackId{}, Frame("main")), main);
  EXPECT_EQ(builder_.AddStack(main, Frame("foo")), foo);
  EXPECT_NE(builder_.AddStack(foo, Frame("foo")), foo);
  EXPECT_EQ(builder_.profile().stacks.size(), 3u);
  EXPECT_EQ(builder_.profile().functions.size(), 2u);
}

TEST_F(ProfileBuilderTest, SamplesComeOutInTimeOrderWithTheirValues) {
  StackId main = builder_.AddStack(StackId{}, Frame("main"));
  std::array<int64_t, 2> first = {1, 100}, second = {2, 200};
  builder_.AddSample(20, thread_, 1, main, second);
  builder_.AddSample(10, thread_, 0, main, first);
  builder_.accounting().taken = builder_.accounting().kept = 2;
  auto profile = std::move(builder_).Build();
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->samples[0].time_ns, 10);
  EXPECT_EQ(profile->Value(0, 1), 100);
  EXPECT_EQ(profile->Value(1, 1), 200);
}

TEST_F(ProfileBuilderTest, ASampleThatVanishedUncountedIsAnError) {
  Sample(1, StackId{});
  builder_.accounting().taken++;
  auto profile = std::move(builder_).Build();
  EXPECT_EQ(profile.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(profile.status().message()), HasSubstr("2 taken, 1 kept or dropped"));
}

TEST_F(ProfileBuilderTest, ADroppedSampleBalances) {
  Sample(1, StackId{});
  builder_.accounting().taken++;
  builder_.accounting().dropped_ring_full++;
  EXPECT_TRUE(std::move(builder_).Build().ok());
}

TEST_F(ProfileBuilderTest, AScriptFunctionIsShownWithItsDefinitionLine) {
  builder_.AddFunction("render", "render", "/srv/app.js", 12, FrameKind::kScript);
  builder_.AddFunction("memcpy", "memcpy", "memcpy.S", 30, FrameKind::kNative);
  const Profile& p = builder_.profile();
  EXPECT_EQ(FunctionText(p, p.functions[0]), "render /srv/app.js:12");
  EXPECT_EQ(FunctionText(p, p.functions[1]), "memcpy");
}

TEST_F(ProfileBuilderTest, AnIndexOutOfRangeIsFound) {
  Sample(1, builder_.AddStack(StackId{}, Frame("main")));
  auto profile = std::move(builder_).Build();
  ASSERT_TRUE(profile.ok());
  profile->stacks[0].caller = StackId{0};
  EXPECT_EQ(ValidateProfile(*profile).message(), "stack is not below its caller");
}

}  // namespace
}  // namespace jprof
