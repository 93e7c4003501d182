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

TEST(HostCheckTest, OnlyWhatIsRequiredForbidsARecording) {
  HostCheck denied{.what = "x", .status = absl::PermissionDeniedError("no")};
  EXPECT_TRUE(CanRecord({denied}));
  denied.required = true;
  EXPECT_FALSE(CanRecord({denied}));
}

TEST(HostCheckTest, AnObjectThatIsNoBpfObjectIsSaidNotToLoad) {
  const std::vector<HostCheck> checks = CheckHost({.bpf_object = "no object"});
  EXPECT_FALSE(CanRecord(checks));
  EXPECT_THAT(HostText(checks), HasSubstr("no   loading the sampler: "));
}

}  // namespace
}  // namespace jprof
