#include "profiler/stop/injected_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/stopped_thread.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

constexpr uint64_t kNewUmask = 0123, kLaterUmask = 0124;
constexpr int kNewNiceness = 3, kLaterNiceness = 5;

// A line of a process's status behind its name.
std::string StatusOf(Pid pid, absl::string_view name) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/status"), 1 << 16);
  if (!text.ok()) return "";
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (absl::ConsumePrefix(&line, name)) return std::string(absl::StripAsciiWhitespace(line));
  }
  return "";
}

class InjectTest : public testing::Test {
 protected:
  void SetUp() override {
    JPROF_REQUIRE_ROOT();
    absl::StatusOr<Child> waits = Child::SpawnReady({TestProgram("waits")});
    ASSERT_TRUE(waits.ok()) << waits.status();
    waits_ = *std::move(waits);
    while (ReadProcStat(pid()).value().state != 'S') ::usleep(1000);
    auto maps = ReadProcMaps(pid());
    ASSERT_TRUE(maps.ok()) << maps.status();
    maps_ = *std::move(maps);
    const std::optional<CodePlaces> places = FindCodePlaces(LiveMemory(pid()), maps_);
    ASSERT_TRUE(places);
    places_ = *places;
  }
  Pid pid() const { return waits_->pid(); }
  int NicenessOf() const { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid())); }
  static InjectedCall SetUmask(uint64_t mask) { return {SYS_umask, {mask}}; }
  static InjectedCall SetNiceness(uint64_t niceness) {
    return {SYS_setpriority, {PRIO_PROCESS, 0, niceness}};
  }

  absl::StatusOr<InjectedResult> InjectInto(const Injection& injection) const {
    auto main = StoppedThread::Stop(pid());
    if (!main.ok()) return main.status();
    return Inject(pid(), maps_, places_, injection);
  }
  // The same in a process that is killed by `before`.
  void InjectAndDie(Injection injection) const {
    injection.before = [] { ::kill(::getpid(), SIGKILL); };
    const pid_t tracer = ::fork();
    if (tracer == 0) {
      static_cast<void>(InjectInto(injection));
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(tracer, &status, 0), tracer);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
  }
  void ExpectRunsOn() {
    ASSERT_TRUE(waits_->Write("x").ok());
    auto line = waits_->ReadLine();
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_FALSE(absl::StartsWith(*line, "broken")) << *line;
    for (int i = 0; i < 10'000 && ReadProcStat(pid()).value().state != 'S'; ++i) ::usleep(1000);
    EXPECT_EQ(ReadProcStat(pid()).value().state, 'S');
    EXPECT_EQ(StatusOf(pid(), "SigBlk:"), "0000000000000000");
    EXPECT_EQ(StatusOf(pid(), "TracerPid:"), "0");
  }

  std::optional<Child> waits_;
  std::vector<ProcMapping> maps_;
  CodePlaces places_;
};

TEST_F(InjectTest, CallsAndThoseThatUndoAreMadeInTheirOrder) {
  auto result = InjectInto({.calls = {SetUmask(kNewUmask), SetNiceness(kNewNiceness)},
                            .undo = {SetUmask(kLaterUmask), SetNiceness(kLaterNiceness)}});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->values.size(), 4u);
  EXPECT_EQ(result->values[2], static_cast<int64_t>(kNewUmask));
  EXPECT_EQ(StatusOf(pid(), "Umask:"), "0124");
  EXPECT_EQ(NicenessOf(), kLaterNiceness);
  EXPECT_EQ(result->child, 0);
  ExpectRunsOn();
}

TEST_F(InjectTest, AThreadWhoseTracerDiesUndoesByItself) {
  InjectAndDie(
      {.calls = {SetUmask(kNewUmask), SetUmask(0)},
       .undo = {SetNiceness(kNewNiceness), SetUmask(kLaterUmask), SetNiceness(kLaterNiceness)}});
  for (int i = 0; i < 10'000 && NicenessOf() != kLaterNiceness; ++i) ::usleep(1000);
  EXPECT_EQ(NicenessOf(), kLaterNiceness);
  EXPECT_EQ(StatusOf(pid(), "Umask:"), "0124");
  ExpectRunsOn();
}

TEST_F(InjectTest, AChildWhoseTracerDiesExits) {
  InjectAndDie({.calls = {{SYS_clone, {CLONE_FILES}, true}}, .undo = {SetUmask(kLaterUmask)}});
  for (int i = 0; i < 10'000 && StatusOf(pid(), "Umask:") != "0124"; ++i) ::usleep(1000);
  EXPECT_EQ(StatusOf(pid(), "Umask:"), "0124");
  ExpectRunsOn();
}

}  // namespace
}  // namespace jprof
