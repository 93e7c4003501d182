#include "profiler/core/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace jprof {
namespace {

TEST(StatusTest, ErrnoKeepsContextAndCode) {
  absl::Status s = ErrnoStatus(EACCES, "open /x");
  EXPECT_EQ(s.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(s.message(), "open /x: Permission denied");
  EXPECT_EQ(ErrnoStatus(ESRCH, "pid 1").code(), absl::StatusCode::kNotFound);
}

TEST(StatusTest, AnnotationKeepsTheHint) {
  absl::Status s = WithHint(ErrnoStatus(EPERM, "perf_event_open"), "run as root");
  EXPECT_EQ(HintOf(Annotate(s, "cannot sample pid 1")), "run as root");
  EXPECT_EQ(Annotate(s, "cannot sample pid 1").message(),
            "cannot sample pid 1: perf_event_open: Operation not permitted");
  EXPECT_EQ(HintOf(absl::OkStatus()), "");
}

}  // namespace
}  // namespace jprof
