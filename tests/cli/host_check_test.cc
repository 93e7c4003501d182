#include "profiler/cli/host_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profiler/core/status.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

TEST(HostCheckTest, WhatIsGrantedIsOneLineWithWhatWasObserved) {
  EXPECT_EQ(HostText({{.what = "samples", .observed = "cycles", .lost = "all"}}),
            "yes  samples: cycles\n");
}

TEST(HostCheckTest, WhatIsRefusedSaysWhatIsLostAndWhatWouldGrantIt) {
  EXPECT_EQ(HostText({{.what = "samples",
                       .status = WithHint(absl::PermissionDeniedError("EACCES"), "be root"),
                       .observed = "cycles",
                       .lost = "any profile"}}),
            "no   samples: EACCES; lost without it: any profile; be root\n");
}

TEST(HostCheckTest, OnlyWhatIsRequiredForbidsALevel) {
  using Required = HostCheck::Required;
  auto denied = [](Required required) {
    return HostCheck{
        .what = "x", .status = absl::PermissionDeniedError("no"), .required = required};
  };
  EXPECT_EQ(BestLevel({denied(Required::kByNothing)}), CaptureLevel::kKernel);
  EXPECT_EQ(BestLevel({denied(Required::kByLevelRing)}), CaptureLevel::kKernel);
  EXPECT_EQ(BestLevel({denied(Required::kByLevelKernel)}), CaptureLevel::kRing);
  EXPECT_EQ(BestLevel({denied(Required::kByLevelKernel), denied(Required::kByLevelRing)}),
            CaptureLevel::kBest);
  EXPECT_EQ(BestLevel({denied(Required::kByEachLevel)}), CaptureLevel::kBest);
}

TEST(HostCheckTest, AClockThatDoesNotFireIsNoLevel) {
  const std::vector<HostCheck> checks = CheckHost(
      {.bpf_object = "no object"}, [](SamplingSource, bool) { return false; });
  EXPECT_EQ(BestLevel(checks), CaptureLevel::kBest);
  EXPECT_THAT(HostText(checks), HasSubstr("takes samples, on a busy thread of jprof's own"));
}

TEST(HostCheckTest, AnObjectThatIsNoBpfObjectIsSaidNotToLoad) {
  const std::vector<HostCheck> checks = CheckHost({.bpf_object = "no object"});
  EXPECT_NE(BestLevel(checks), CaptureLevel::kKernel);
  EXPECT_THAT(HostText(checks), HasSubstr("no   loading the sampler: "));
}

}  // namespace
}  // namespace jprof
