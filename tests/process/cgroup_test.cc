#include "profiler/process/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

using ::testing::Contains;

const std::string kId(64, 'a');
const std::string kOther = std::string(32, '0') + std::string(32, 'f');

TEST(CgroupTest, TheGroupOfVersionTwoIsTaken) {
  EXPECT_EQ(ParseProcCgroup("1:cpu:/x\n0::/system.slice/nginx.service\n"),
            "/system.slice/nginx.service");
  EXPECT_EQ(ParseProcCgroup("0::/a:b\n"), "/a:b");
}

TEST(CgroupTest, WhereItIsTheRootOneOfVersionOneMayTellTheContainer) {
  EXPECT_EQ(ParseProcCgroup(absl::StrCat("5:memory:/docker/", kId, "\n4:cpu:/x\n0::/\n")),
            absl::StrCat("/docker/", kId));
  EXPECT_EQ(ParseProcCgroup("5:memory:/x\n0::/\n"), "/");
  EXPECT_EQ(ParseProcCgroup("junk\n\n:::"), "");
}

TEST(CgroupTest, AContainersIdIsFoundInEachRuntimesPath) {
  for (
      const std::string& path : {
          absl::StrCat("/docker/", kId),
          absl::StrCat("/system.slice/docker-", kId, ".scope"),
          absl::StrCat("/system.slice/docker-", kId, ".scope/init.scope"),
          absl::StrCat("/machine.slice/libpod-", kId, ".scope/container"),
          absl::StrCat(
              "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-",
              kId, ".scope"),
          absl::StrCat("/kubepods/besteffort/pod12/crio-", kId, ".scope"),
          absl::StrCat("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:", kId),
      }) {
    EXPECT_EQ(ContainerId(path), kId) << path;
  }
  EXPECT_EQ(ContainerId(absl::StrCat("/docker/", kOther, "/docker/", kId)), kId);
}

TEST(CgroupTest, WhatIsNoContainerHasNoId) {
  for (const std::string& path :
       {std::string(""), std::string("/"), std::string("/user.slice/session-1.scope"),
        absl::StrCat("/x/", kId, "a"), absl::StrCat("/x/", kId.substr(1)),
        absl::StrCat("/x/name", kId), absl::StrCat("/x/", std::string(64, 'G')),
        absl::StrCat("/machine.slice/libpod-conmon-", kId, ".scope")}) {
    EXPECT_EQ(ContainerId(path), "") << path;
  }
}

TEST(CgroupTest, OurOwnGroupIsFoundAndHasUs) {
  const absl::StatusOr<std::string> own = ReadCgroup(::getpid());
  ASSERT_TRUE(own.ok()) << own.status();
  const absl::StatusOr<Cgroup> root = FindCgroup("/");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_THAT(ListCgroup(*root), Contains(::getpid()));
}

TEST(CgroupTest, NoOtherFolderIsAGroup) {
  EXPECT_FALSE(FindCgroup("/no/such/group").ok());
  EXPECT_FALSE(FindCgroup("/../../../tmp").ok());
  EXPECT_FALSE(FindCgroup(kId).ok());
}

}  // namespace
}  // namespace jprof
