#include "profiler/capture/perf_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "tests/testing/require.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(CpuListTest, RangesAndNumbers) {
  EXPECT_THAT(*ParseCpuList("0-3,8,10-11\n"), ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(*ParseCpuList("0\n"), ElementsAre(0));
  EXPECT_THAT(*ParseCpuList("\n"), IsEmpty());
}

TEST(CpuListTest, OtherTextIsDataLoss) {
  for (absl::string_view text : {"a", "1-", "-1", "3-1", "1,1", "2,1", "0-2,2", "0-4000000000", ",",
                                 "0-99999999", "1-2-3"}) {
    EXPECT_EQ(ParseCpuList(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(CpuListTest, TheCpuWeRunOnIsOnline) {
  auto cpus = OnlineCpus();
  ASSERT_TRUE(cpus.ok()) << cpus.status();
  EXPECT_THAT(*cpus, ::testing::Contains(::sched_getcpu()));
}

TEST(PerfOpenStatusTest, ARefusalNamesTheSettingAndTheLeastFix) {
  std::string paranoid;
  ASSERT_TRUE(std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> paranoid);
  absl::Status s = PerfOpenStatus(EACCES, "cannot sample cpu 3", PerfScope::kCpu, false);
  EXPECT_EQ(s.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(s.message()), HasSubstr("cannot sample cpu 3: perf_event_open: "));
  EXPECT_THAT(std::string(s.message()),
              HasSubstr(absl::StrCat("kernel.perf_event_paranoid is ", paranoid)));
  EXPECT_THAT(HintOf(s), Not(IsEmpty()));
  EXPECT_EQ(PerfOpenStatus(EPERM, "x").code(), absl::StatusCode::kPermissionDenied);
}

TEST(PerfOpenStatusTest, OwnThreadsNeedLessThanACpu) {
  int paranoid = 0;
  ASSERT_TRUE(std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> paranoid);
  absl::Status s = PerfOpenStatus(EACCES, "cannot sample thread 7", PerfScope::kOwnThread, false);
  EXPECT_THAT(std::string(s.message()), Not(HasSubstr("CAP_PERFMON")));
  EXPECT_THAT(paranoid > 2 ? HintOf(s) : std::string(s.message()),
              HasSubstr(paranoid > 2 ? "sysctl kernel.perf_event_paranoid=2" : "seccomp"));
}

TEST(PerfOpenStatusTest, WhoHasTheCapabilityIsNotToldToGetIt) {
  for (const PerfScope scope : {PerfScope::kCpu, PerfScope::kOwnThread}) {
    absl::Status s = PerfOpenStatus(EPERM, "cannot sample", scope, true);
    EXPECT_THAT(std::string(s.message()), HasSubstr("seccomp"));
    EXPECT_THAT(HintOf(s), Not(HasSubstr("root")));
  }
}

TEST(PerfOpenStatusTest, TooManyFilesNamesTheLimit) {
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  absl::Status s = PerfOpenStatus(EMFILE, "cannot sample cpu 0");
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(s.message()), HasSubstr(absl::StrCat("is ", limit.rlim_cur)));
  EXPECT_THAT(HintOf(s), Not(IsEmpty()));
}

TEST(SamplingEventTest, ItCountsWhatRunsOnItsCpu) {
  for (SamplingSource source : {SamplingSource::kBest, SamplingSource::kCpuClock}) {
    cpu_set_t before, only;
    ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
    const int cpu = ::sched_getcpu();
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    auto event = OpenSamplingEvent(cpu, 99, source);
    ASSERT_TRUE(event.ok()) << event.status();
    EXPECT_FALSE(event->hardware && source == SamplingSource::kCpuClock);
    ASSERT_EQ(::sched_setaffinity(0, sizeof(only), &only), 0);
    auto reading = ReadEvent(event->fd);
    ASSERT_TRUE(reading.ok()) << reading.status();
    EXPECT_EQ(reading->value, 0u) << "it is opened disabled";
    EXPECT_EQ(reading->enabled_ns, 0u);
    ASSERT_TRUE(EnableEvent(event->fd).ok());
    do {  // ends with the test's time limit if it never counts
      reading = ReadEvent(event->fd);
      ASSERT_TRUE(reading.ok()) << reading.status();
    } while (reading->value == 0);
    EXPECT_GT(reading->running_ns, 0u);
    EXPECT_LE(reading->running_ns, reading->enabled_ns);
    EXPECT_TRUE(DisableEvent(event->fd).ok());
    ::sched_setaffinity(0, sizeof(before), &before);
  }
}

TEST(SamplingEventTest, AFrequencyAboveTheMaximumNamesTheMaximum) {
  std::string maximum;
  ASSERT_TRUE(std::ifstream("/proc/sys/kernel/perf_event_max_sample_rate") >> maximum);
  auto event = OpenSamplingEvent(0, 1'000'000'000);
  EXPECT_EQ(event.status().code(), absl::StatusCode::kInvalidArgument) << event.status();
  EXPECT_THAT(std::string(event.status().message()), HasSubstr(maximum));
}

TEST(SamplingEventTest, ACpuThatDoesNotExistIsAnError) {
  EXPECT_FALSE(OpenSamplingEvent(60'000, 99).ok());
  EXPECT_FALSE(OpenSidebandEvent(60'000, 1).ok());
}

TEST(SamplingEventTest, WithoutPrivilegesItIsRefusedWithAHint) {
  JPROF_REQUIRE_ROOT();  // to drop it
  int paranoid = 0;
  ASSERT_TRUE(std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> paranoid);
  ASSERT_GT(paranoid, 0) << "needs kernel.perf_event_paranoid above 0";
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    if (::setuid(65534) != 0) ::_exit(9);
    auto event = OpenSamplingEvent(0, 99);
    auto sideband = OpenSidebandEvent(0, 1);
    const bool refused = absl::IsPermissionDenied(event.status()) &&
                         !HintOf(event.status()).empty() &&
                         absl::IsPermissionDenied(sideband.status());
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace jprof
