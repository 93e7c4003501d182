// What can go wrong, as a user sees it: the exit status, one line that says what failed on what and
// the least that fixes it, and no file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "profiler/process/proc_status.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ErrorsTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

Child StartSpin() {
  absl::StatusOr<Child> child = Child::SpawnReady({TestProgram("spin")});
  if (!child.ok()) {
    ADD_FAILURE() << child.status();
    std::abort();
  }
  return *std::move(child);
}

// `fix` is a part of what follows the error's own words; "" when nothing does.
void ExpectError(const JprofResult& result, int exit_code, const std::string& error,
                 const std::string& fix) {
  EXPECT_EQ(result.exit_code(), exit_code);
  EXPECT_EQ(result.out, "");
  const std::vector<std::string> lines = result.messages();
  ASSERT_EQ(lines.size(), 1u) << result.err;
  EXPECT_THAT(lines[0], testing::StartsWith("jprof: error: "));
  const size_t at = lines[0].find(error);
  ASSERT_NE(at, std::string::npos) << lines[0];
  EXPECT_THAT(lines[0].substr(at + error.size()), HasSubstr(fix));
}

// Interrupted once it has samples, so that it does not matter how much CPU time others leave to it.
JprofResult RunSampled(const std::vector<std::string>& arguments,
                       const JprofOptions& options = {}) {
  absl::StatusOr<Jprof> jprof = Jprof::Start(arguments, options);
  if (!jprof.ok()) {
    ADD_FAILURE() << jprof.status();
    return {};
  }
  // If it ended without, the result tells why.
  if (jprof->WaitForSamples(3)) jprof->Signal(SIGINT);
  return jprof->Wait();
}

TEST_F(ErrorsTest, NoSuchProcess) {
  auto gone = Child::Spawn({"/bin/true"});
  ASSERT_TRUE(gone.ok());
  const Pid pid = gone->pid();
  gone->Wait();
  ExpectError(RunJprof({"-p", absl::StrCat(pid)}), 1, absl::StrCat("there is no process ", pid),
              "pgrep");
  ExpectError(RunJprof({"-t", absl::StrCat(pid)}), 1, absl::StrCat("there is no thread ", pid),
              "/proc/PID/task");
}

TEST_F(ErrorsTest, AThreadIsNoProcess) {
  auto threads = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(threads.ok() && threads->Write("x").ok());
  ASSERT_EQ(threads->ReadLine().value_or(""), "ready");
  auto tids = ListThreads(threads->pid());
  ASSERT_TRUE(tids.ok() && tids->size() == 2);
  const Tid worker = (*tids)[0] == threads->pid() ? (*tids)[1] : (*tids)[0];
  ExpectError(RunJprof({"-p", absl::StrCat(worker)}), 1,
              absl::StrCat(worker, " is a thread of process ", threads->pid(), ", not a process"),
              absl::StrCat("-p ", threads->pid()));
}

TEST_F(ErrorsTest, AZombieIsCalledOne) {
  auto zombie = Child::Spawn({"/bin/true"});
  ASSERT_TRUE(zombie.ok());
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie->pid()), &info, WEXITED | WNOWAIT), 0);
  ExpectError(RunJprof({"-p", absl::StrCat(zombie->pid())}), 1, "zombie", "");
}

TEST_F(ErrorsTest, ASleepingProcessHasNoSamplesAndGetsNoFile) {
  auto sleeper = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(sleeper.ok());
  TemporaryFolder folder;
  ExpectError(RunJprof({"-p", absl::StrCat(sleeper->pid()), "-d", "300ms", "-o", folder / "o.svg"}),
              1, absl::StrCat("no samples: threads (pid ", sleeper->pid(), ") used no CPU time"),
              "sleeps");
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST_F(ErrorsTest, ARecordingOfLessThanAFewPeriodsSaysNothingOfSleep) {
  auto sleeper = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(sleeper.ok());
  const JprofResult result =
      RunJprof({"-p", absl::StrCat(sleeper->pid()), "-F", "1", "-d", "300ms"});
  ExpectError(result, 1, absl::StrCat("no samples: threads (pid ", sleeper->pid(),
                                      ") was recorded for "),
              "profile longer");
  EXPECT_THAT(result.err, testing::Not(HasSubstr("sleep")));
}

TEST_F(ErrorsTest, AProcessThatExitsUnsampledIsSaidToHaveExited) {
  auto sleeper = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(sleeper.ok());
  // One sample a second: its last few instructions will hardly meet one.
  auto jprof = Jprof::Start({"-p", absl::StrCat(sleeper->pid()), "-F", "1"});
  ASSERT_TRUE(jprof.ok());
  ASSERT_TRUE(jprof->WaitForRecording());
  sleeper->CloseStdin();
  ExpectError(jprof->Wait(), 1, "no samples", "it exited");
}

TEST_F(ErrorsTest, AnOldFileSurvivesARecordingThatFails) {
  auto sleeper = Child::SpawnReady({TestProgram("threads")});
  ASSERT_TRUE(sleeper.ok());
  TemporaryFolder folder;
  ASSERT_EQ(std::system(absl::StrCat("echo old >", folder / "o.svg").c_str()), 0);
  EXPECT_EQ(RunJprof({"-p", absl::StrCat(sleeper->pid()), "-d", "300ms", "-o", folder / "o.svg"})
                .exit_code(),
            1);
  EXPECT_EQ(ReadWholeFile(folder / "o.svg"), "old\n");
  EXPECT_THAT(folder.Names(), ElementsAre("o.svg"));
}

TEST_F(ErrorsTest, AFullDiskLeavesNothing) {
  Child spin = StartSpin();
  TemporaryFolder folder;
  ASSERT_EQ(::mount("jprof-test", folder.path().c_str(), "tmpfs", 0, "size=8k"), 0)
      << "needs to mount a tmpfs";
  const JprofResult result =
      RunSampled({"-p", absl::StrCat(spin.pid()), "-o", folder / "out.svg"});
  const std::vector<std::string> names = folder.Names();
  ::umount2(folder.path().c_str(), MNT_DETACH);
  ExpectError(result, 1, absl::StrCat("cannot write ", folder / "out.svg", ": No space left"),
              "make room");
  EXPECT_THAT(names, IsEmpty());
}

TEST_F(ErrorsTest, AFullDeviceBehindStandardOutput) {
  Child spin = StartSpin();
  ExpectError(RunSampled({"-p", absl::StrCat(spin.pid())},
                       {.standard_output = JprofOptions::Stdout::kFullDevice}),
              1, "cannot write standard output: No space left on device", "make room");
}

TEST_F(ErrorsTest, ABrokenPipeIsAMessageNotASignal) {
  Child spin = StartSpin();
  ExpectError(RunSampled({"-p", absl::StrCat(spin.pid())},
                       {.standard_output = JprofOptions::Stdout::kBrokenPipe}),
              1, "cannot write standard output: Broken pipe", "reader of the pipe has gone");
  ExpectError(RunJprof({"--help"}, {.standard_output = JprofOptions::Stdout::kBrokenPipe}), 1,
              "cannot write standard output: Broken pipe", "");
}

TEST_F(ErrorsTest, AnUnwritableOutputIsToldBeforeTheRecording) {
  Child spin = StartSpin();
  // Without -d this would never end.
  ExpectError(RunJprof({"-p", absl::StrCat(spin.pid()), "-o", "/nowhere/at/all/out.svg"}), 1,
              "cannot write /nowhere/at/all/out.svg: No such file or directory",
              "mkdir -p /nowhere/at/all");
  ExpectError(RunJprof({"-p", absl::StrCat(spin.pid()), "-o", "/tmp", "--format", "svg"}), 1,
              "cannot write /tmp: Is a directory", "-o FILE");
}

TEST_F(ErrorsTest, ATerminalGetsNoBinaryAndNoPicture) {
  Child spin = StartSpin();
  const JprofOptions terminal = {.standard_output = JprofOptions::Stdout::kTerminal};
  const std::string pid = absl::StrCat(spin.pid());
  ExpectError(RunJprof({"-p", pid, "--format", "pprof"}, terminal), 2,
              "the format pprof is binary and standard output is a terminal", "-o FILE");
  ExpectError(RunJprof({"-p", pid}, terminal), 2, "standard output is a terminal", "-o FILE");
  // Text that was asked for is fine.
  EXPECT_EQ(RunSampled({"-p", pid, "--format", "folded"}, terminal).exit_code(), 0);
}

TEST_F(ErrorsTest, StandardOutputHasANameInDev) {
  Child spin = StartSpin();
  const std::string pid = absl::StrCat(spin.pid());
  const JprofResult result = RunSampled({"-p", pid, "-o", "/dev/stdout"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("<svg"));
  EXPECT_EQ(RunSampled({"-p", pid, "-o", "/dev/null"}).exit_code(), 0);
}

TEST_F(ErrorsTest, WrongUsageIsStatus2) {
  ExpectError(RunJprof({}), 2, "nothing to profile", "");
  ExpectError(RunJprof({"--frmat", "svg"}), 2, "did you mean '--format'?", "");
  ExpectError(RunJprof({"-p", "1", "--format", "foldde"}), 2, "did you mean 'folded'?", "");
  ExpectError(RunJprof({"-p", "1", "-a"}), 2, "exclude each other", "");
  ExpectError(RunJprof({"-p", "1", "-o", "x.png"}), 2, "no suffix that names a format", "");
  ExpectError(RunJprof({"-a", "--level", "ring"}), 2,
              "-a, --cgroup and --comm take the level kernel", "-p");
  ExpectError(RunJprof({"-p", "1", "--level", "rings"}), 2, "--level takes kernel or ring", "");
  ExpectError(RunJprof({"-p", "1", "-F", "0"}), 2, "from 1 to 50000, not '0'", "");
}

TEST_F(ErrorsTest, JprofDoesNotProfileItself) {
  // A process that becomes jprof keeps its number.
  TemporaryFolder folder;
  const int status = std::system(absl::StrCat("sh -c 'exec ", JPROF_BINARY, " -p $$' 2>",
                                              folder / "err")
                                     .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(ReadWholeFile(folder / "err"), HasSubstr("is jprof itself"));
}

// Runs it by a shell that prepares what is special.
JprofResult RunInShell(const std::string& before, const std::string& arguments,
                       const std::string& after = "") {
  return RunSampled({"-c", absl::StrCat(before, " ", JPROF_BINARY, " ", arguments, after)},
                    {.binary = "/bin/sh"});
}

TEST_F(ErrorsTest, AFrequencyBeyondAllIsStatus2) {
  ExpectError(RunJprof({"-p", "1", "-F", "1000000000"}), 2, "from 1 to 50000, not '1000000000'",
              "");
}

TEST_F(ErrorsTest, FewDescriptorsAreNamedWhereTheyFail) {
  Child spin = StartSpin();
  const std::string target = absl::StrCat("-p ", spin.pid(), " --format folded");
  EXPECT_EQ(RunInShell("ulimit -n 64; exec", target).exit_code(), 0);
  ExpectError(RunInShell("ulimit -n 12; exec", target), 1,
              "Too many open files; the limit of open files is 12", "ulimit -Hn");
  const JprofResult ring = RunInShell("ulimit -n 24; exec", target);
  EXPECT_EQ(ring.exit_code(), 0);
  EXPECT_THAT(ring.err,
              HasSubstr("level ring, since loading BPF: Too many open files; the limit of "
                        "open files is 24; raise"));
  const JprofResult all = RunInShell("ulimit -n 64; exec", "-a --format folded");
  EXPECT_EQ(all.exit_code(), 0);
  EXPECT_THAT(all.err, testing::Not(HasSubstr("could not be opened")));
  EXPECT_THAT(all.err, testing::Not(HasSubstr("ended, or did not answer")));
}

TEST_F(ErrorsTest, LittleMemoryIsEnoughAndTooLittleIsAMessage) {
  Child spin = StartSpin();
  const std::string target = absl::StrCat("-p ", spin.pid(), " --format folded");
  EXPECT_EQ(RunInShell("ulimit -v 262144; exec", target).exit_code(), 0);
  EXPECT_EQ(RunInShell("ulimit -l 4; exec", target).exit_code(), 0);
  const JprofResult result = RunInShell("ulimit -v 24576; exec", target);
  EXPECT_EQ(result.exit_code(), 1) << result.err;
  EXPECT_THAT(result.messages(), ElementsAre(HasSubstr("jprof: error: ")));
}

TEST_F(ErrorsTest, ASmallStackIsEnoughForNames) {
  Child spin = StartSpin();
  const JprofResult result =
      RunInShell("ulimit -s 64; exec", absl::StrCat("-p ", spin.pid(), " --format folded"));
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_THAT(result.out, HasSubstr(";main;"));
  EXPECT_THAT(result.err, testing::Not(HasSubstr("have no names")));
}

TEST_F(ErrorsTest, NothingIsNeededOfTheEnvironment) {
  Child spin = StartSpin();
  const JprofResult result = RunInShell(
      "exec env -i", absl::StrCat("-p ", spin.pid(), " --format folded"));
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("spin;"));
}

TEST_F(ErrorsTest, InAFolderThatWasRemovedItWritesToStandardOutputAlone) {
  Child spin = StartSpin();
  TemporaryFolder folder;
  const std::string gone = absl::StrCat("mkdir ", folder / "x", " && cd ", folder / "x",
                                        " && rmdir ", folder / "x", " && exec");
  const std::string target = absl::StrCat("-p ", spin.pid());
  ExpectError(RunInShell(gone, target + " -o out.svg"), 1,
              "cannot write out.svg: the current folder was removed", "whole path");
  EXPECT_EQ(RunInShell(gone, target).exit_code(), 0);
}

TEST_F(ErrorsTest, AClosedStandardOutputIsNeverStatus0) {
  Child spin = StartSpin();
  for (const std::string& arguments :
       {absl::StrCat("-p ", spin.pid()), absl::StrCat("stacks ", spin.pid()),
        std::string("doctor"), std::string("--help"), std::string("--version")}) {
    for (const char* to : {" >&-", " >/dev/full"}) {
      const JprofResult result = RunInShell("exec", arguments, to);
      EXPECT_EQ(result.exit_code(), 1) << arguments << to;
      EXPECT_THAT(result.err, HasSubstr("cannot write standard output: ")) << arguments << to;
    }
  }
}

TEST_F(ErrorsTest, WithoutTypesOfTheKernelTheNextLevelIsUsed) {
  Child spin = StartSpin();
  const std::string target = absl::StrCat("-p ", spin.pid(), " --format folded");
  for (const char* hidden : {"/sys/kernel/btf", "/sys"}) {
    const std::string hide =
        absl::StrCat("exec unshare -m sh -c 'mount -t tmpfs x ", hidden, " && exec");
    const JprofResult result = RunInShell(hide, target, "'");
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(result.err,
                HasSubstr("level ring, since loading BPF: the kernel does not tell its types"));
    EXPECT_THAT(result.out, HasSubstr("spin;"));
    ExpectError(RunInShell(hide, target + " --level kernel", "'"), 1, "does not tell its types",
                "CONFIG_DEBUG_INFO_BTF");
  }
}

TEST_F(ErrorsTest, WithoutProcItIsProcThatIsMissing) {
  ExpectError(
      RunInShell("exec unshare -m sh -c 'mount -t tmpfs x /proc && exec", "-p 1 -d 300ms", "'"), 1,
      "/proc does not show even jprof's own process", "mount -t proc");
  const JprofResult doctor =
      RunInShell("exec unshare -m sh -c 'mount -t tmpfs x /proc && exec", "doctor", "'");
  EXPECT_EQ(doctor.exit_code(), 1);
  EXPECT_THAT(doctor.out, HasSubstr("no   a /proc of jprof's own pid namespace: /proc does not"));
  EXPECT_THAT(doctor.out, HasSubstr("nothing can be recorded"));
}

TEST_F(ErrorsTest, AnotherPidNamespacesProcIsNotRead) {
  for (const char* command : {"-p 1 -d 300ms", "stacks 1", "core 1 -o /dev/null", "why 1"}) {
    const JprofResult result = RunJprof(
        {"-c", absl::StrCat("unshare -pf sh -c '", JPROF_BINARY, " ", command, "; exit $?'")},
        {.binary = "/bin/sh"});
    ExpectError(result, 1, "/proc is that of another pid namespace", "unshare --mount-proc");
  }
}

TEST_F(ErrorsTest, AThreadOfTheKernelIsCalledOne) {
  ExpectError(RunJprof({"-p", "2", "-d", "300ms"}), 1,
              "no samples: kthreadd (a thread of the kernel, pid 2)", "");
}

TEST_F(ErrorsTest, WithoutPermissionTheCapabilityIsNamed) {
  Child spin = StartSpin();
  TemporaryFolder folder;  // the build's folder may be hidden from others
  const std::string binary = CopyForAll(JPROF_BINARY, folder / "jprof");
  ExpectError(
      RunJprof({"-p", absl::StrCat(spin.pid())}, {.as_nobody = true, .binary = binary}), 1,
      absl::StrCat("cannot look into spin (pid ", spin.pid(), "): reading it takes CAP_SYS"),
      "setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep");

  ExpectError(RunJprof({"-a"}, {.as_nobody = true, .binary = binary}), 1,
              "cannot sample all processes", "CAP_PERFMON and CAP_BPF: sudo setcap");
  auto own =
      Child::SpawnReady({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                         CopyForAll(TestProgram("spin"), folder / "spin")});
  ASSERT_TRUE(own.ok()) << own.status();
  ExpectError(RunJprof({"-p", absl::StrCat(own->pid()), "--level", "kernel"},
                       {.as_nobody = true, .binary = binary}),
              1, absl::StrCat("cannot sample spin (pid ", own->pid(), ")"),
              "CAP_PERFMON and CAP_BPF: sudo setcap");
}

// What root may do but for some capabilities.
JprofResult RunWithout(const std::string& capabilities, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--bounding-set=-" + capabilities, JPROF_BINARY});
  return RunSampled(arguments, {.binary = "/usr/bin/setpriv"});
}

TEST_F(ErrorsTest, TheDoctorTriesOtherUsersProcesses) {
  TemporaryFolder folder;
  auto other =
      Child::SpawnReady({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                         CopyForAll(TestProgram("spin"), folder / "spin")});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_THAT(RunSampled({"doctor"}).out, HasSubstr("yes  looking into other users' processes: "));
  EXPECT_THAT(
      RunWithout("sys_ptrace", {"doctor"}).out,
      HasSubstr("no   looking into other users' processes: reading it takes CAP_SYS_PTRACE"));
}

TEST_F(ErrorsTest, ATargetThatMayNotBeReadIsToldBeforeTheRecording) {
  Child spin = StartSpin();
  // Without -d this would never end.
  ExpectError(RunWithout("sys_ptrace", {"-p", absl::StrCat(spin.pid()), "--format", "folded"}), 1,
              absl::StrCat("cannot look into spin (pid ", spin.pid(),
                           "): reading it takes CAP_SYS_PTRACE, which jprof lacks"),
              "setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep");
}

TEST_F(ErrorsTest, ProcessesThatMayNotBeReadAreCounted) {
  Child spin = StartSpin();
  const JprofResult result =
      RunWithout("sys_ptrace", {"-a", "--format", "folded"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.messages(),
              testing::Contains(testing::MatchesRegex(
                  "jprof: warning: [0-9]+ of [0-9]+ processes cannot be looked into, such as "
                  "[0-9]+: reading it takes CAP_SYS_PTRACE, which jprof lacks; .*setcap.*")));
}

TEST_F(ErrorsTest, EachMissingCapabilityIsNamed) {
  Child spin = StartSpin();
  const std::string pid = absl::StrCat(spin.pid());
  ExpectError(RunWithout("sys_admin,-perfmon", {"-p", pid, "--level", "kernel"}), 1,
              "needs CAP_PERFMON", "setcap cap_perfmon");
  ExpectError(RunWithout("sys_admin,-bpf", {"-p", pid, "--level", "kernel"}), 1,
              "loading BPF: permission denied", "CAP_BPF");
  ExpectError(RunWithout("sys_admin", {"hist", absl::StrCat("uprobe:", TestProgram("spin"), ":main"),
                                       "-p", pid}),
              1, "it takes CAP_SYS_ADMIN, which jprof lacks", "setcap cap_sys_admin");
}

}  // namespace
}  // namespace jprof
