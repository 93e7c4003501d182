// jprof trap on a program that makes the system calls it is told to.
#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/process/cgroup.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/proc_status.h"
#include "tests/e2e/run_jprof.h"
#include "tests/testing/paths.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A control group with one below it, in which a process is for as long as the object lives.
class ControlGroup {
 public:
  explicit ControlGroup(Pid pid) : name_(absl::StrCat("jprof_trap_", ::getpid())), pid_(pid) {
    auto root = FindCgroup("/");
    EXPECT_TRUE(root.ok()) << root.status();
    if (root.ok()) root_ = *std::move(root);
    EXPECT_EQ(::mkdirat(root_.directory.get(), name_.c_str(), 0755), 0);
    EXPECT_EQ(::mkdirat(root_.directory.get(), Below().c_str(), 0755), 0);
    Move(Below() + "/");
  }
  ~ControlGroup() {
    Move("");
    EXPECT_EQ(::unlinkat(root_.directory.get(), Below().c_str(), AT_REMOVEDIR), 0);
    EXPECT_EQ(::unlinkat(root_.directory.get(), name_.c_str(), AT_REMOVEDIR), 0);
  }
  std::string name() const { return absl::StrCat("/", name_); }

 private:
  std::string Below() const { return name_ + "/below"; }
  void Move(const std::string& folder) const {
    const UniqueFd processes(
        ::openat(root_.directory.get(), (folder + "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    const std::string text = absl::StrCat(pid_);
    EXPECT_EQ(::write(processes.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  const std::string name_;
  const Pid pid_;
  Cgroup root_;
};

// A program of i386 that waits: pause() by int 0x80.
std::string ProgramOf32Bits() {
  constexpr uint32_t kBase = 0x08048000, kCode = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
  constexpr absl::string_view kPauses("\xb8\x1d\x00\x00\x00\xcd\x80\xeb\xf7", 9);
  Elf32_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_version = EV_CURRENT;
  header.e_entry = kBase + kCode;
  header.e_phoff = sizeof(header);
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  const Elf32_Phdr segment = {.p_type = PT_LOAD,
                              .p_offset = 0,
                              .p_vaddr = kBase,
                              .p_paddr = kBase,
                              .p_filesz = kCode + kPauses.size(),
                              .p_memsz = kCode + kPauses.size(),
                              .p_flags = PF_R | PF_X,
                              .p_align = 0x1000};
  std::string file(reinterpret_cast<const char*>(&header), sizeof(header));
  file.append(reinterpret_cast<const char*>(&segment), sizeof(segment));
  return absl::StrCat(file, kPauses);
}

size_t HitsIn(const JprofResult& result) {
  size_t hits = 0;
  for (size_t at = 0; (at = result.out.find("trapped (pid ", at)) != std::string::npos; ++at)
    ++hits;
  return hits;
}

class TrapTest : public testing::Test {
 protected:
  void SetUp() override {
    JPROF_REQUIRE_ROOT();
    const UniqueFd file(::open((folder_ / "count").c_str(), O_RDWR | O_CREAT, 0600));
    ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
    void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    count_ = static_cast<const volatile long*>(memory);
    absl::StatusOr<Child> trapped = Child::SpawnReady({TestProgram("trapped"), folder_ / "count"});
    ASSERT_TRUE(trapped.ok()) << trapped.status();
    trapped_ = *std::move(trapped);
  }
  void TearDown() override {
    if (count_ != nullptr) ::munmap(const_cast<long*>(count_), 4096);
  }

  Pid pid() const { return trapped_->pid(); }
  char State() const {
    auto stat = ReadProcStat(pid());
    return stat.ok() ? stat->state : '?';
  }
  void AwaitState(char state) const {
    for (int i = 0; i < 10'000 && State() != state; ++i) ::usleep(1000);
    ASSERT_EQ(State(), state);
  }
  void Tell(absl::string_view letters) { ASSERT_TRUE(trapped_->Write(letters).ok()); }
  void ExpectDone(absl::string_view letter) {
    auto line = trapped_->ReadLine();
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(*line, absl::StrCat("done ", letter));
  }

  // A copy of the program by a name that no other process of the machine has; returns the name.
  std::string CopyByOwnName() const {
    const std::string name = absl::StrCat("trapped", ::getpid());
    CopyForAll(TestProgram("trapped"), folder_ / name);
    return name;
  }

  // A trap about the program, which is armed.
  Jprof Arm(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "trap");
    absl::StatusOr<Jprof> jprof = Jprof::Start(arguments);
    EXPECT_TRUE(jprof.ok()) << jprof.status();
    EXPECT_TRUE(jprof->WaitForText("armed: "));
    return *std::move(jprof);
  }
  std::string Of(absl::string_view condition) const {
    return absl::StrCat(condition, condition.empty() ? "" : " ", "pid=", pid());
  }
  // What is told of the one hit that the letter brings about.
  std::string HitBy(absl::string_view letter, std::vector<std::string> arguments) {
    Jprof jprof = Arm(std::move(arguments));
    Tell(letter);
    const JprofResult result = jprof.Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    return result.out;
  }

  const TemporaryFolder folder_;
  const volatile long* count_ = nullptr;
  std::optional<Child> trapped_;
};

TEST_F(TrapTest, TheStackIsThatOfTheInstant) {
  EXPECT_THAT(HitBy("c", {Of("close errno=EBADF comm=trap* fd<0")}),
              AllOf(HasSubstr("trapped (pid "), HasSubstr("close(-1) = -9 EBADF"),
                    HasSubstr("  #0  close_badly"), HasSubstr("main")));
  ExpectDone("c");
}

TEST_F(TrapTest, EachKindOfTermIsTrueOfTheCallThatItIsAbout) {
  EXPECT_THAT(HitBy("o", {Of("openat path=/jprof-test/absent/* errno!=0 arg2=0")}),
              HasSubstr("ENOENT"));
  ExpectDone("o");
  EXPECT_THAT(HitBy("w", {Of("write buf=ERROR ret<0 uid=0")}), HasSubstr("EBADF"));
  ExpectDone("w");
  EXPECT_THAT(HitBy("s", {Of("nanosleep,clock_nanosleep duration>=20ms comm!=other")}),
              HasSubstr(" = 0, "));
  ExpectDone("s");
  // By the kernel's ticks: never too short, and not for one that is far from it.
  EXPECT_THAT(HitBy("p", {Of("nanosleep,clock_nanosleep duration>=1.1s")}),
              testing::ContainsRegex(" = 0, 1[0-9]{3}[.]"));
  ExpectDone("p");
}

TEST_F(TrapTest, DataInPiecesAndEveryPathAreCompared) {
  const struct {
    const char *condition, *told;
  } kRows[] = {{"writev buf=ERROR", "writev("},
               {"readv buf=ERROR", "= 8"},
               {"sendmsg buf=ERROR", "ENOTCONN"},
               {"rename path=/jprof-test/from", "ENOENT"},
               {"rename path=/jprof-test/t*", "ENOENT"},
               {"connect path=/jprof-test/socket", "ENOENT"},
               {"connect path=/jprof-test/*", "ENOENT"},
               {"connect path=@jprof-test", "ECONNREFUSED"}};
  for (const auto& row : kRows) {
    EXPECT_THAT(HitBy("i", {Of(row.condition)}), HasSubstr(row.told)) << row.condition;
    ExpectDone("i");
  }
}

TEST_F(TrapTest, WhatCannotBeComparedIsCounted) {
  const std::string told =
      "warning: 1 times a path or data could not be read, and was taken as not equal";
  for (const char* condition :
       {"writev buf!=ERROR", "sendmsg buf!=ERROR", "connect path!=/jprof-test/socket"}) {
    Jprof jprof = Arm({Of(condition)});
    Tell("u");
    const JprofResult result = jprof.Wait();
    EXPECT_THAT(result.out, HasSubstr("EFAULT")) << condition;
    EXPECT_THAT(result.err, HasSubstr(told)) << condition;
    ExpectDone("u");
  }
  Jprof jprof = Arm({Of("writev buf=ERROR")});
  Tell("ui");
  const JprofResult result = jprof.Wait();
  EXPECT_THAT(result.out, Not(HasSubstr("EFAULT")));
  EXPECT_THAT(result.err, HasSubstr(told));
}

// JPROF_TRAPS: so many times.
TEST_F(TrapTest, AStoppedThreadExecutesNothingAfterTheCall) {
  const char* times = std::getenv("JPROF_TRAPS");
  for (long i = 0; i < (times == nullptr ? 3 : std::atol(times)); ++i) {
    Jprof jprof = Arm({Of("close errno=EBADF"), "--do", "stop", "--allow-stop"});
    Tell("c");
    const JprofResult result = jprof.Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("is stopped; kill -CONT"));
    AwaitState('T');
    EXPECT_EQ(count_[0], i);
    trapped_->Signal(SIGCONT);
    ExpectDone("c");
    EXPECT_EQ(count_[0], i + 1);
  }
}

// Nobody can have changed it.
TEST_F(TrapTest, OfOneThatIsStoppedThePathIsTold) {
  EXPECT_THAT(HitBy("o", {Of("openat path=/jprof-test/absent/*"), "--do", "stop", "--allow-stop"}),
              HasSubstr("openat(AT_FDCWD, \"/jprof-test/absent/"));
  AwaitState('T');
  trapped_->Signal(SIGCONT);
  ExpectDone("o");
}

TEST_F(TrapTest, AnAbortedThreadExecutesNothingAfterTheCall) {
  HitBy("c", {Of("close errno=EBADF"), "--do=abort", "--allow-signal"});
  EXPECT_EQ(WTERMSIG(trapped_->Wait()), SIGABRT);
  EXPECT_EQ(count_[0], 0);
}

TEST_F(TrapTest, ACoreIsOfTheInstantAndTheProcessGoesOn) {
  HitBy("c", {Of("close errno=EBADF"), "--do", "core", "--allow-stop", "-o", folder_ / "core"});
  ExpectDone("c");
  EXPECT_EQ(count_[0], 1);
  EXPECT_THAT(RunJprof({"stacks", folder_ / "core"}).out, HasSubstr("#0  close_badly"));
}

// Into a pipe, so that it takes as long as nobody reads.
TEST_F(TrapTest, AProcessGoesOnWhileItsCoreIsWritten) {
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  UniqueFd reader(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));
  Jprof jprof = Arm({Of("close errno=EBADF"), "--do", "core", "--allow-stop", "-o", pipe});
  Tell("c");
  ExpectDone("c");
  EXPECT_EQ(count_[0], 1);
  auto copy = Child::Spawn({"/bin/sh", "-c", absl::StrCat("cat ", pipe, " > ", folder_ / "core")});
  ASSERT_TRUE(copy.ok()) << copy.status();
  const JprofResult result = jprof.Wait();
  reader.Reset();
  EXPECT_EQ(copy->Wait(), 0);
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.err, testing::ContainsRegex(absl::StrCat("the core is in ", pipe, "; process ",
                                                              pid(), " stood still for [0-9]")));
  EXPECT_THAT(RunJprof({"stacks", folder_ / "core"}).out, HasSubstr("#0  close_badly"));
}

// The child of a process that has two such words next to each other in its command; 0: there is none.
Pid ChildWith(absl::string_view word, absl::string_view next, Pid parent) {
  const std::string words = absl::StrCat(word, absl::string_view("\0", 1), next);
  const absl::StatusOr<std::vector<Pid>> processes = ListProcesses();
  for (Pid pid : processes.ok() ? *processes : std::vector<Pid>()) {
    const absl::StatusOr<ProcStat> stat = ReadProcStat(pid);
    if (stat.ok() && stat->parent == parent &&
        absl::StrContains(ReadWholeFile(absl::StrCat("/proc/", pid, "/cmdline")), words)) {
      return pid;
    }
  }
  return 0;
}

TEST_F(TrapTest, AProcessGoesOnWhenWhoWritesItsCoreIsKilled) {
  const std::string pipe = folder_ / "pipe";  // that nobody reads
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const UniqueFd reader(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));
  for (const bool whole : {false, true}) {  // or the process alone that it works in
    Jprof jprof = Arm({Of("close errno=EBADF"), "--do", "core", "--stopped", "--allow-stop", "-o",
                       pipe});
    Tell("c");
    AwaitState('t');
    const Pid writer = ChildWith("core", absl::StrCat(pid()), jprof.pid());
    ASSERT_NE(writer, 0);
    const Pid worker = ChildWith("core", absl::StrCat(pid()), writer);
    ASSERT_NE(worker, 0);
    ::kill(whole ? writer : worker, SIGKILL);
    ExpectDone("c");
    EXPECT_THAT(jprof.Wait().err, HasSubstr(absl::StrCat("no core of process ", pid())));
  }
}

// Closed, or the core would be what it writes to.
TEST_F(TrapTest, WhoTellsOfACopyNeedsAPipe) {
  for (const char* third : {"3>&-", "3>/dev/null"}) {
    auto jprof = Child::Spawn({"/bin/sh", "-c",
                               absl::StrCat("exec ", JPROF_BINARY, " core ", pid(), " -o ",
                                            folder_ / "core", " --tell-copied ", third)});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    EXPECT_EQ(WEXITSTATUS(jprof->Wait()), 2) << third;
    EXPECT_NE(::access((folder_ / "core").c_str(), F_OK), 0) << third;
  }
}

TEST_F(TrapTest, ACommandComesAfterTheCore) {
  HitBy("c", {Of("close errno=EBADF"), "--do", "core", "--allow-stop", "-o", folder_ / "core",
              "--do", absl::StrCat("exec=test -s ", folder_ / "core", " && echo there > ",
                                   folder_ / "told"),
              "--allow-exec"});
  EXPECT_EQ(ReadWholeFile(folder_ / "told"), "there\n");
}

// The command ends when its file is there, which the test makes when both have gone on.
TEST_F(TrapTest, NobodyStandsForACommand) {
  const std::string name = CopyByOwnName(), end = folder_ / "end", told = folder_ / "told";
  std::vector<Child> two;
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<Child> child = Child::SpawnReady({folder_ / name, folder_ / "count"});
    ASSERT_TRUE(child.ok()) << child.status();
    two.push_back(*std::move(child));
  }
  Jprof jprof = Arm({"close errno=EBADF comm=" + name, "--do", "core", "--mini", "--allow-stop",
                     "--count", "2", "-o", folder_ / "core", "--allow-exec", "--do",
                     absl::StrCat("exec=echo begun >> ", told, "; while [ ! -e ", end,
                                  " ]; do sleep 0.01; done")});
  ASSERT_TRUE(two[0].Write("c").ok());
  for (int i = 0; i < 10'000 && ::access(told.c_str(), F_OK) != 0; ++i) ::usleep(1000);
  ASSERT_TRUE(two[1].Write("c").ok());
  for (Child& child : two) EXPECT_EQ(child.ReadLine().value_or(""), "done c");
  const UniqueFd file(::open(end.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(jprof.Wait().exit_code(), 0);
  EXPECT_EQ(ReadWholeFile(told), "begun\nbegun\n");
}

TEST_F(TrapTest, ASignalArrivesAndACommandRuns) {
  HitBy("c", {Of("close errno=EBADF"), "--do", "signal=USR2", "--allow-signal", "--do",
              absl::StrCat("exec=echo $JPROF_PID > ", folder_ / "told"), "--allow-exec"});
  ExpectDone("c");
  EXPECT_EQ(count_[1], 1);
  EXPECT_EQ(ReadWholeFile(folder_ / "told"), absl::StrCat(pid(), "\n"));
}

TEST_F(TrapTest, WhatAltersAProcessIsAskedForTwice) {
  for (const char* action : {"stop", "abort", "core", "signal=USR2", "exec=true"}) {
    const JprofResult result = RunJprof({"trap", Of("close"), "--do", action});
    EXPECT_EQ(result.exit_code(), 2) << action;
    EXPECT_THAT(result.err, HasSubstr("--allow-"));
  }
}

TEST_F(TrapTest, OfAMillionCallsItTakesWhatItWasTold) {
  Tell("l");
  const JprofResult result = RunJprof(
      {"trap", Of("close errno=EBADF"), "--do", "signal=USR2", "--allow-signal", "--count", "3"});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_EQ(HitsIn(result), 3u);
  EXPECT_EQ(count_[1], 3);
}

TEST_F(TrapTest, AFunctionASignalAndAnEndAreMetToo) {
  const std::string program = TestProgram("trapped");
  EXPECT_THAT(
      HitBy("f", {"--on", absl::StrCat("uprobe:", program, ":trapped_function"), Of("arg0=41")}),
      AllOf(HasSubstr("function called with (0x29"), HasSubstr("#0  trapped_function"),
            HasSubstr("#1  main")));
  ExpectDone("f");
  EXPECT_THAT(HitBy("v", {"--on", "signal=SEGV", Of("")}),
              AllOf(HasSubstr("signal SIGSEGV"), HasSubstr("main")));
}

TEST_F(TrapTest, BreakpointsAreInTheProcessThatItIsAboutAlone) {
  const std::string program = TestProgram("trapped");
  absl::StatusOr<Child> other = Child::SpawnReady({program, folder_ / "count"});
  ASSERT_TRUE(other.ok()) << other.status();
  // The program's code, as it is in the memory of a process.
  auto code = [&program](Pid process) {
    std::string bytes;
    for (const ProcMapping& m : ReadProcMaps(process).value_or(std::vector<ProcMapping>())) {
      if (!m.executable || m.path != std::filesystem::canonical(program)) continue;
      bytes.resize(m.range.size());
      EXPECT_TRUE(LiveMemory(process).ReadExactly(
          m.range.begin, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
    }
    return bytes;
  };
  const std::string before = code(pid());
  ASSERT_FALSE(before.empty());
  ASSERT_EQ(code(other->pid()), before);
  Jprof jprof = Arm({"--on", absl::StrCat("uprobe:", program, ":trapped_function"), Of("")});
  EXPECT_NE(code(pid()), before);
  EXPECT_EQ(code(other->pid()), before);
  Tell("f");
  EXPECT_EQ(jprof.Wait().exit_code(), 0);
  ExpectDone("f");
}

TEST_F(TrapTest, ACallThatWasInterruptedHasNoResultButEintr) {
  Jprof failing = Arm({Of("read errno!=0")});
  Jprof jprof = Arm({Of("read errno=EINTR")});
  trapped_->Signal(SIGUSR2);  // begins anew after it
  EXPECT_THAT(jprof.Wait().out,
              AllOf(HasSubstr("read(0, "), HasSubstr(") is interrupted (restarts, or EINTR)")));
  failing.Signal(SIGINT);
  EXPECT_THAT(failing.Wait().err, HasSubstr("the trap was not met"));
  Tell("f");
  ExpectDone("f");
}

TEST_F(TrapTest, WhatCannotActAtAnEndIsRefused) {
  for (const char* action : {"stop", "abort", "core", "signal=USR2"}) {
    for (const std::vector<std::string>& end : {std::vector<std::string>{"--on", "exit=nonzero"},
                                                {"exit_group arg0=1"},
                                                {"exit,exit_group"}}) {
      std::vector<std::string> command = {"trap", "--do", action, "--allow-stop", "--allow-signal"};
      command.insert(command.end(), end.begin(), end.end());
      const JprofResult result = RunJprof(command);
      EXPECT_EQ(result.exit_code(), 2) << action;
      EXPECT_THAT(result.err, HasSubstr("at its end a process cannot be stopped"));
    }
  }
  const std::string told = folder_ / "told";
  Jprof jprof =
      Arm({"--on", "exit=nonzero", Of(""), "--do", "exec=echo end > " + told, "--allow-exec"});
  Tell("x");
  EXPECT_EQ(jprof.Wait().exit_code(), 0);
  EXPECT_EQ(ReadWholeFile(told), "end\n");
}

TEST_F(TrapTest, ACoreOfAFilteredProcessIsWrittenWhileItStands) {
  Tell("g");
  ExpectDone("g");
  std::vector<std::string> command = {Of("close errno=EBADF"), "--do", "core",
                                      "--allow-stop",          "-o",   folder_ / "core"};
  std::vector<std::string> refused = command;
  refused.insert(refused.begin(), "trap");
  const JprofResult result = RunJprof(refused);
  EXPECT_EQ(result.exit_code(), 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("seccomp"), HasSubstr("--stopped")));
  command.insert(command.end(), {"--stopped", "--mini"});
  HitBy("c", command);
  ExpectDone("c");
  EXPECT_THAT(RunJprof({"stacks", folder_ / "core"}).out, HasSubstr("#0  close_badly"));
  EXPECT_EQ(RunJprof({"trap", "close", "--stopped"}).exit_code(), 2);
}

TEST_F(TrapTest, OnlyAnEndThatIsNoSuccessIsMet) {
  Jprof jprof = Arm({"--on", "exit=nonzero", Of("")});
  Tell("cx");
  const JprofResult result = jprof.Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("exit_group(3)"), HasSubstr("main"), Not(HasSubstr("close"))));
}

TEST_F(TrapTest, AnEndBySigkillIsMetOnce) {
  Jprof jprof = Arm({"--on", "exit=nonzero", Of(""), "--count", "5"});
  trapped_->Signal(SIGKILL);
  const JprofResult result = jprof.Wait();  // it ends with the process
  EXPECT_THAT(result.out, AllOf(HasSubstr("signal SIGKILL"), HasSubstr("main")));
  EXPECT_EQ(HitsIn(result), 1u) << result.out;
}

TEST_F(TrapTest, AnEndOfSeveralThreadsBySigkillIsMetOnce) {
  Tell("t");
  ExpectDone("t");
  Jprof jprof = Arm({"--on", "exit=nonzero", Of(""), "--count", "9"});
  trapped_->Signal(SIGKILL);
  const JprofResult result = jprof.Wait();
  EXPECT_THAT(result.out, HasSubstr("signal SIGKILL"));
  EXPECT_EQ(HitsIn(result), 1u) << result.out;
}

TEST_F(TrapTest, AnExitOfSeveralThreadsIsMetOnce) {
  Tell("t");
  ExpectDone("t");
  Jprof jprof = Arm({"--on", "exit=nonzero", Of(""), "--count", "9"});
  Tell("x");
  const JprofResult result = jprof.Wait();
  EXPECT_THAT(result.out, AllOf(HasSubstr(": exit_group(3)"), HasSubstr("main")));
  EXPECT_EQ(HitsIn(result), 1u) << result.out;
}

TEST_F(TrapTest, ASignalThatEndsAProcessUnhandledIsMet) {
  Jprof jprof = Arm({"--on", "signal=TERM", Of("")});
  trapped_->Signal(SIGTERM);
  EXPECT_THAT(jprof.Wait().out, HasSubstr("signal SIGTERM"));
}

TEST_F(TrapTest, AnEndOfTheLastThreadIsMet) {
  EXPECT_THAT(HitBy("b", {"--on", "exit=nonzero", Of("")}),
              AllOf(HasSubstr(": exit(5)"), HasSubstr("main")));
}

// Whatever it was about to do: nothing of it stays.
TEST_F(TrapTest, AProcessRunsOnWheneverJprofIsKilled) {
  Tell("l");
  for (int i = 0; i < 6; ++i) {
    auto jprof = Jprof::Start({"trap", Of("close errno=EBADF"), "--do", "core", "--allow-stop",
                               "--count", "1000", "-o", folder_ / "core"});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ::usleep(static_cast<useconds_t>(100'000 + 150'000 * i));
    jprof->Signal(SIGKILL);
    jprof->Wait();
    const long before = count_[0];
    for (int wait = 0; wait < 5000 && count_[0] == before; ++wait) ::usleep(1000);
    EXPECT_GT(count_[0], before) << "killed after " << 100 + 150 * i << " ms";
  }
}

// All of them wait at the same time, those too of which no core is written any more.
TEST_F(TrapTest, ManyProcessesRunOnAfterTheirCores) {
  const std::string name = CopyByOwnName();
  std::vector<Child> many;
  for (int i = 0; i < 80; ++i) {
    absl::StatusOr<Child> child = Child::SpawnReady({folder_ / name, folder_ / "count"});
    ASSERT_TRUE(child.ok()) << child.status();
    many.push_back(*std::move(child));
  }
  Jprof jprof = Arm({"close errno=EBADF comm=" + name, "--do", "core", "--allow-stop", "--count",
                     "80", "-o", folder_ / "core"});
  for (Child& child : many) ASSERT_TRUE(child.Write("c").ok());
  ASSERT_TRUE(jprof.WaitForText("the core is in "));
  jprof.Signal(SIGINT);
  EXPECT_EQ(jprof.Wait().exit_code(), 0);
  for (Child& child : many) EXPECT_EQ(child.ReadLine().value_or(""), "done c");
}

TEST_F(TrapTest, AHistogramHasEveryCallAndTheStackOfTheSlowest) {
  absl::StatusOr<Jprof> jprof =
      Jprof::Start({"hist", "syscall:clock_nanosleep", "-p", absl::StrCat(pid())});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("measuring syscall:clock_nanosleep"));
  Tell("ss");
  ExpectDone("s");
  ExpectDone("s");
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("4 times"), HasSubstr("the slowest, "), HasSubstr("main")));
}

TEST_F(TrapTest, AFunctionsTimeIsMeasuredToo) {
  absl::StatusOr<Jprof> jprof = Jprof::Start(
      {"hist", absl::StrCat("uprobe:", TestProgram("trapped"), ":trapped_function"), "--json"});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("measuring uprobe:"));
  Tell("fff");
  for (int i = 0; i < 3; ++i) ExpectDone("f");
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("\"count\":"), HasSubstr("\"slowest\""), HasSubstr("\"main\"")));
}

TEST_F(TrapTest, OfCallsWithinEachOtherTheOutermostIsMeasured) {
  absl::StatusOr<Jprof> jprof = Jprof::Start(
      {"hist", absl::StrCat("uprobe:", TestProgram("trapped"), ":recursive_function")});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("measuring uprobe:"));
  Tell("rr");
  for (int i = 0; i < 2; ++i) ExpectDone("r");
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("2 times, "), HasSubstr("and 200 from within these")));
}

TEST_F(TrapTest, ACallThatWasLeftIsNoneThatOthersAreWithin) {
  absl::StatusOr<Jprof> jprof =
      Jprof::Start({"hist", absl::StrCat("uprobe:", TestProgram("trapped"), ":left_function")});
  ASSERT_TRUE(jprof.ok()) << jprof.status();
  ASSERT_TRUE(jprof->WaitForText("measuring uprobe:"));
  Tell("jj");
  for (int i = 0; i < 2; ++i) ExpectDone("j");
  jprof->Signal(SIGINT);
  const JprofResult result = jprof->Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("6 times, "), Not(HasSubstr("from within these"))));
}

TEST_F(TrapTest, AGroupIsItsProcessesAndThoseOfTheGroupsBelow) {
  const ControlGroup group(pid());
  EXPECT_THAT(HitBy("c", {absl::StrCat("close errno=EBADF cgroup=", group.name())}),
              HasSubstr("EBADF"));
  ExpectDone("c");
  Jprof others = Arm({Of(absl::StrCat("close errno=EBADF cgroup!=", group.name()))});
  Tell("c");
  ExpectDone("c");
  others.Signal(SIGINT);
  EXPECT_THAT(others.Wait().err, HasSubstr("was not met"));
}

TEST_F(TrapTest, WhatJprofStartsIsLeftOut) {
  const std::string told = folder_ / "told", name = CopyByOwnName();
  absl::StatusOr<Child> other = Child::SpawnReady({folder_ / name, folder_ / "count"});
  ASSERT_TRUE(other.ok()) << other.status();
  trapped_ = *std::move(other);
  Jprof jprof = Arm({"close errno=EBADF comm=" + name, "--count", "2", "--allow-exec", "--do",
                     absl::StrCat("exec=echo c | ", folder_ / name, " ", folder_ / "count",
                                  "; echo x >> ", told)});
  Tell("c");
  for (int i = 0; i < 10'000 && ::access(told.c_str(), F_OK) != 0; ++i) ::usleep(1000);
  Tell("c");
  const JprofResult result = jprof.Wait();
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_EQ(ReadWholeFile(told), "x\nx\n");
  const std::string own = absl::StrCat(name, " (pid ", pid(), ",");
  const size_t first = result.out.find(own);
  ASSERT_NE(first, std::string::npos) << result.out;
  EXPECT_NE(result.out.find(own, first + 1), std::string::npos) << result.out;
}

// How often, by the line of a kind.
int TimesOf(absl::string_view kind, const std::string& text) {
  const size_t at = text.find(absl::StrCat(kind, ": "));
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + kind.size() + 2);
}

TEST_F(TrapTest, CollectionsAreMeasuredByKind) {
  // Functions of the collector are inlined into each other in some of them.
  for (const char* version : {"18.20.8", "22.23.3", "26.10.0"}) {
    absl::StatusOr<Child> node =
        Child::SpawnReady({absl::StrCat(JPROF_SOURCE_DIR "/build/nodes/", version, "/bin/node"),
                           "--expose-gc", JPROF_SOURCE_DIR "/tests/programs/collect.js"});
    ASSERT_TRUE(node.ok()) << node.status();
    absl::StatusOr<Jprof> jprof = Jprof::Start({"hist", "gc", "-p", absl::StrCat(node->pid())});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ASSERT_TRUE(jprof->WaitForText("measuring gc"));
    ASSERT_TRUE(node->Write("x").ok());
    ASSERT_TRUE(node->ReadLine().ok());
    jprof->Signal(SIGINT);
    const JprofResult result = jprof->Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    const int whole = TimesOf("mark-compact (whole heap)", result.out);
    const int young = TimesOf("scavenge (young generation)", result.out);
    EXPECT_GE(whole, 5) << version;
    EXPECT_GE(young, 7) << version;
    EXPECT_EQ(TimesOf("any, from prologue to callbacks", result.out), whole + young) << version;
    // The slowest of each kind tells who had it made, within others whose return is met as well.
    const std::vector<std::string> kinds = absl::StrSplit(result.out, "\n\n");
    EXPECT_GE(kinds.size(), 3u) << version;
    for (const std::string& kind : kinds) {
      EXPECT_THAT(kind, AllOf(HasSubstr("collect.js:"), Not(HasSubstr("[truncated]")))) << version;
    }
  }
  EXPECT_THAT(RunJprof({"hist", "gc", "-p", absl::StrCat(pid())}).err,
              HasSubstr("none of V8's collector's symbols"));
}

TEST_F(TrapTest, A32BitProgramIsRefused) {
  const std::string path = folder_ / "program";
  {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
    const std::string bytes = ProgramOf32Bits();
    ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  auto program = Child::Spawn({path});
  ASSERT_TRUE(program.ok()) << program.status();
  const std::string pid = absl::StrCat(program->pid());
  for (std::error_code error;;) {  // ends with the test's time limit if it never is that program
    if (std::filesystem::read_symlink("/proc/" + pid + "/exe", error) == path) break;
  }
  for (const JprofResult& refused :
       {RunJprof({"trap", "close pid=" + pid}), RunJprof({"stacks", pid}),
        RunJprof({"-p", pid, "-d", "300ms"})}) {
    EXPECT_EQ(refused.exit_code(), 1);
    EXPECT_THAT(refused.messages(), ElementsAre("jprof: error: process " + pid +
                                                " runs a 32-bit program: jprof reads 64-bit ones"));
  }
  Tell("l");
  EXPECT_EQ(RunJprof({"-a", "-d", "300ms", "--format", "folded"}).exit_code(), 0);
}

TEST_F(TrapTest, WhatWasNotMeasuredIsNotInJson) {
  EXPECT_THAT(HitBy("c", {Of("close errno=EBADF"), "--json"}),
              AllOf(HasSubstr("\"ret\":-9,"), Not(HasSubstr("duration_ns"))));
  ExpectDone("c");
  EXPECT_THAT(HitBy("s", {Of("nanosleep,clock_nanosleep duration>=20ms"), "--json"}),
              AllOf(HasSubstr("\"ret\":0,"), testing::ContainsRegex("\"duration_ns\":[1-9]")));
  ExpectDone("s");
  EXPECT_THAT(HitBy("v", {"--on", "signal=SEGV", Of(""), "--json"}),
              AllOf(HasSubstr("signal SIGSEGV"), Not(HasSubstr("\"ret\""))));
}

TEST_F(TrapTest, WhatIsNoTrapIsSaid) {
  EXPECT_THAT(RunJprof({"trap", "close", "-o", "x"}).err, HasSubstr("it goes with --do core"));
  EXPECT_THAT(RunJprof({"trap", "close", "--do", "core", "--allow-stop", "-o", "-"}).err,
              HasSubstr("standard output is for the stacks"));
  // One more than the highest that Linux gives.
  EXPECT_THAT(RunJprof({"trap", "close tid=4194304", "-d", "200ms"}).err,
              HasSubstr("there is no thread 4194304"));
  EXPECT_EQ(RunJprof({"hist", "nothing"}).exit_code(), 2);
  EXPECT_THAT(RunJprof({"trap", "closs"}).err, HasSubstr("no system call 'closs'"));
  EXPECT_EQ(RunJprof({"trap"}).exit_code(), 2);
  EXPECT_THAT(RunJprof({"trap", "--on", "uprobe:/bin/true:absent"}).err, HasSubstr("absent"));
  const JprofResult unmet = RunJprof({"trap", Of("close errno=EINTR"), "-d", "200ms"});
  EXPECT_EQ(unmet.exit_code(), 1);
  EXPECT_THAT(unmet.err, HasSubstr("the trap was not met"));
}

}  // namespace
}  // namespace jprof
