// jprof stacks and jprof core on real processes.
#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
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
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

char StateOf(Pid pid) {
  auto stat = ReadProcStat(pid);
  return stat.ok() ? stat->state : '?';
}

// All threads of it: the last may be some time after the first, and after one that was traced.
void Stop(const Child& child) {
  child.Signal(SIGSTOP);
  auto threads = ListThreads(child.pid());
  ASSERT_TRUE(threads.ok()) << threads.status();
  for (Tid tid : *threads) {
    while (StateOf(tid) != 'T' && StateOf(tid) != '?') ::usleep(1000);
  }
}

// `stack`: bytes of the main thread's that are in use.
Child SpawnWaits(const char* stack = "0") {
  absl::StatusOr<Child> waits = Child::SpawnReady({TestProgram("waits"), stack});
  if (!waits.ok()) {
    ADD_FAILURE() << waits.status();
    std::abort();
  }
  // All but "spinner" sleep.
  for (int asleep = 0; asleep < 4;) {
    asleep = 0;
    auto threads = ListThreads(waits->pid());
    if (!threads.ok()) break;
    for (Tid tid : *threads) asleep += StateOf(tid) == 'S';
  }
  return *std::move(waits);
}

// `killed`: the kernel may end epoll_wait as after a signal when its thread's tracer dies.
void ExpectRunsOn(Child& waits, bool killed = false) {
  ASSERT_TRUE(waits.Write("x").ok());
  auto first = waits.ReadLine();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::StartsWith(*first, "whole ") ||
              (killed && absl::StartsWith(*first, "interrupted ")))
      << *first;
  std::string later = *first;
  for (int i = 0; i < 1000 && later == *first; ++i) {
    ::usleep(1000);
    ASSERT_TRUE(waits.Write("x").ok());
    auto line = waits.ReadLine();
    ASSERT_TRUE(line.ok()) << line.status();
    later = *line;
  }
  EXPECT_NE(later, *first);
  auto threads = ListThreads(waits.pid());
  ASSERT_TRUE(threads.ok());
  for (Tid tid : *threads) {
    for (int i = 0; i < 1000 && StateOf(tid) == 't'; ++i) ::usleep(1000);
    EXPECT_NE(StateOf(tid), 't');
  }
}

size_t ChildrenOf(Pid pid) {
  size_t children = 0;
  auto processes = ListProcesses();
  if (!processes.ok()) return 0;
  for (Pid child : *processes) {
    auto stat = ReadProcStat(child);
    children += stat.ok() && stat->parent == pid;
  }
  return children;
}

// The lines of frames, which are the same however a process is looked at.
std::vector<std::string> Frames(const std::string& text) {
  std::vector<std::string> frames;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "  #")) frames.emplace_back(line);
  }
  return frames;
}

// A report without what differs between two cores of one instant: their names, and CPU time spent
// for them.
std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StrContains(line, ", core file ")) continue;
    if (const size_t cpu = line.rfind(" s on CPU"); cpu != line.npos) {
      line = line.substr(0, line.rfind(',', cpu));
    }
    lines.emplace_back(line);
  }
  return lines;
}

std::vector<std::string> LinesWith(const std::string& text, absl::string_view part) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StrContains(line, part)) lines.emplace_back(line);
  }
  return lines;
}

// What a core has of a range of memory; "" when no segment begins there.
std::string BytesInCore(const std::string& path, const AddressRange& range) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header = {};
  file.read(reinterpret_cast<char*>(&header), sizeof(header));
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment = {};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof(segment)));
    file.read(reinterpret_cast<char*>(&segment), sizeof(segment));
    if (segment.p_type != PT_LOAD || segment.p_vaddr != range.begin.value) continue;
    std::string bytes(std::min(range.size(), segment.p_filesz), '\0');
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  }
  return "";
}

// The kernel's own code in the process, which is in no file.
void ExpectVdsoIn(const std::string& core, Pid pid) {
  auto maps = ReadProcMaps(pid);
  ASSERT_TRUE(maps.ok()) << maps.status();
  const auto vdso = std::find_if(maps->begin(), maps->end(),
                                 [](const ProcMapping& m) { return m.path == "[vdso]"; });
  ASSERT_NE(vdso, maps->end());
  std::string bytes(vdso->range.size(), '\0');
  ASSERT_TRUE(LiveMemory(pid).ReadExactly(
      vdso->range.begin, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
  EXPECT_TRUE(BytesInCore(core, vdso->range) == bytes);
}

class StacksTest : public testing::Test {
 protected:
  void SetUp() override { JPROF_REQUIRE_ROOT(); }
};

TEST_F(StacksTest, EachThreadHasItsStackAndWhatItWaitsFor) {
  Child waits = SpawnWaits();
  const JprofResult result = RunJprof({"stacks", absl::StrCat(waits.pid())});
  EXPECT_EQ(result.exit_code(), 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("5 threads"));
  EXPECT_THAT(result.out, HasSubstr("epoll of 1 file"));
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat("held by thread ", waits.pid())));
  EXPECT_THAT(result.out, HasSubstr("<pipe:["));
  EXPECT_THAT(result.out, HasSubstr("spin_here"));
  ExpectRunsOn(waits);
}

// Its main thread sleeps in a write that a stop ends early, and only rbp tells where the frame is
// that called it.
Child SpawnWrites(std::vector<std::string> command) {
  absl::StatusOr<Child> writes = Child::SpawnReady(command);
  if (!writes.ok()) {
    ADD_FAILURE() << writes.status();
    std::abort();
  }
  const std::string in_write = absl::StrCat(SYS_write, " ");
  while (!absl::StartsWith(ReadWholeFile(absl::StrCat("/proc/", writes->pid(), "/syscall")),
                           in_write)) {
    ::usleep(1000);
  }
  return *std::move(writes);
}

void ExpectWritesAll(Child& writes) {
  ASSERT_TRUE(writes.Write("x").ok());
  auto line = writes.ReadLine();
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(*line, "1048576 of 1048576");
}

TEST_F(StacksTest, ACallThatAStopWouldEndIsNotStopped) {
  Child writes = SpawnWrites({TestProgram("writes")});
  const std::string pid = absl::StrCat(writes.pid());
  for (const char* how : {"--all", "--args", "--no-stop"}) {
    const JprofResult text = RunJprof({"stacks", pid, how});
    EXPECT_EQ(text.exit_code(), 0) << text.err;
    EXPECT_THAT(text.out, testing::ContainsRegex("write_much.*\n.*main.*\n"));
    EXPECT_THAT(text.out, Not(HasSubstr("[truncated]")));
    EXPECT_THAT(LinesWith(RunJprof({"stacks", pid, how, "--json"}).out, "\"tid\""),
                testing::Each(HasSubstr("\"pause_ns\":0,")));
  }
  EXPECT_THAT(RunJprof({"why", pid}).out, HasSubstr("write_much"));
  ExpectWritesAll(writes);
}

TEST_F(StacksTest, WhereRegistersCannotBeReadTheStackOfSuchACallIsCut) {
  const TemporaryFolder folder;
  Child writes = SpawnWrites({"/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
                              "--clear-groups", CopyForAll(TestProgram("writes"), folder / "p")});
  const std::string pid = absl::StrCat(writes.pid());
  for (const char* how : {"--all", "--args"}) {
    const JprofResult cut = RunJprof({"stacks", pid, how}, {.as_nobody = true});
    EXPECT_EQ(cut.exit_code(), 0) << cut.err;
    EXPECT_THAT(cut.out, AllOf(HasSubstr("write"), HasSubstr("[truncated]"),
                               HasSubstr("a stop might end the thread's call"),
                               HasSubstr("CAP_BPF and CAP_PERFMON")));
    // That of the other thread is not: a read of a pipe bears a stop.
    EXPECT_THAT(cut.out, testing::ContainsRegex("wait_byte.*\n.*reader.*\n"));
  }
  ExpectWritesAll(writes);
}

TEST_F(StacksTest, WithoutAStopAThreadThatADebuggerHasIsReadToo) {
  Child waits = SpawnWaits();
  auto threads = ListThreads(waits.pid());
  ASSERT_TRUE(threads.ok());
  const auto spinner = std::find_if(threads->begin(), threads->end(), [&](Tid tid) {
    auto comm = ReadThreadComm(waits.pid(), tid);
    return comm.ok() && *comm == "spinner";
  });
  ASSERT_NE(spinner, threads->end());
  // There is one tracer at most, so whoever attaches now fails.
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, *spinner, 0, 0), 0);
  const std::string pid = absl::StrCat(waits.pid());
  const JprofResult stopping = RunJprof({"stacks", pid});
  EXPECT_THAT(stopping.out, HasSubstr("is traced already, by stacks_e2e_test"));
  EXPECT_THAT(stopping.out, Not(HasSubstr("spin_here")));
  const JprofResult sampling = RunJprof({"stacks", pid, "--no-stop"});
  EXPECT_EQ(sampling.exit_code(), 0) << sampling.err;
  EXPECT_THAT(sampling.out, HasSubstr("spin_here"));
  EXPECT_THAT(sampling.out, HasSubstr("epoll of 1 file"));
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, *spinner, 0, 0), 0);
  ASSERT_EQ(::waitpid(*spinner, nullptr, __WALL), *spinner);
  ASSERT_EQ(::ptrace(PTRACE_DETACH, *spinner, 0, 0), 0);
  ExpectRunsOn(waits);
}

TEST_F(StacksTest, WhatCannotBeReadIsSaidWithoutHarm) {
  EXPECT_EQ(RunJprof({"stacks", "x/y"}).exit_code(), 1);
  EXPECT_EQ(RunJprof({"stacks"}).exit_code(), 2);
  EXPECT_THAT(RunJprof({"stacks", "--no-stop", "x/y"}).err, HasSubstr("not for a core file"));
  EXPECT_THAT(RunJprof({"stacks", "67108863"}).err, HasSubstr("there is no process"));
  EXPECT_EQ(RunJprof({"core", absl::StrCat(::getpid())}).exit_code(), 2);
}

// The kernel calls such a process a zombie, though its other threads run on.
TEST_F(StacksTest, AProcessWhoseMainThreadHasEndedIsNoneThatHasExited) {
  absl::StatusOr<Child> threads = Child::SpawnReady({TestProgram("threads"), "leave"});
  ASSERT_TRUE(threads.ok()) << threads.status();
  ASSERT_TRUE(EndMainThread(*threads).ok());
  const std::string pid = absl::StrCat(threads->pid());
  for (const char* how : {"--all", "--no-stop"}) {
    const JprofResult stacks = RunJprof({"stacks", pid, how});
    EXPECT_EQ(stacks.exit_code(), 0) << stacks.err;
    EXPECT_THAT(stacks.out, HasSubstr("worker_loop")) << how;
  }
  const JprofResult why = RunJprof({"why", pid});
  EXPECT_EQ(why.exit_code(), 0) << why.err;
  EXPECT_THAT(why.out, HasSubstr("worker_loop"));
  const JprofResult core = RunJprof({"core", pid, "-o", "/dev/null"});
  EXPECT_EQ(core.exit_code(), 1);
  EXPECT_THAT(core.err, HasSubstr(absl::StrCat("the main thread of process ", pid, " has ended")));
}

// A stack of functions whose frames no table expresses, of a thread that sleeps (not all of its
// registers are known), is stopped, is sampled, and in cores.
TEST_F(StacksTest, FramesThatNoTableExpressesHaveTheirCallers) {
  const TemporaryFolder folder;
  for (const char* state : {"wait", "work"}) {
    auto program = Child::SpawnReady({TestProgram("expressions"), state});
    ASSERT_TRUE(program.ok()) << program.status();
    const std::string pid = absl::StrCat(program->pid());
    const std::string core = folder / absl::StrCat(state, ".core");
    const std::string mini = folder / absl::StrCat(state, ".mini");
    EXPECT_EQ(RunJprof({"core", pid, "-o", core}).exit_code(), 0);
    EXPECT_EQ(RunJprof({"core", pid, "--mini", "-o", mini}).exit_code(), 0);
    for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
             {pid}, {pid, "--no-stop"}, {core}, {mini}}) {
      std::vector<std::string> command = how;
      command.insert(command.begin(), "stacks");
      const JprofResult result = RunJprof(command);
      EXPECT_THAT(result.out,
                  testing::ContainsRegex("saves_rbx.*\n.*third.*\n.*by_jump.*\n.*second.*\n.*"
                                         "by_place.*\n.*first.*\n.*by_jump.*\n.*main"))
          << state << " " << testing::PrintToString(how) << result.err;
      EXPECT_THAT(result.out, Not(HasSubstr("[truncated]")));
    }
  }
}

TEST_F(StacksTest, ACoreSaysWhatTheStoppedProcessSays) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits();
  Stop(waits);
  const std::string pid = absl::StrCat(waits.pid());
  const JprofResult live = RunJprof({"stacks", pid, "--all"});
  Stop(waits);
  const JprofResult written = RunJprof({"core", pid, "-o", folder / "core"});
  EXPECT_EQ(written.exit_code(), 0) << written.err;
  const JprofResult core = RunJprof({"stacks", folder / "core", "--all"});
  EXPECT_EQ(core.exit_code(), 0) << core.err;
  EXPECT_FALSE(Frames(live.out).empty());
  EXPECT_EQ(Frames(core.out), Frames(live.out));
  EXPECT_THAT(core.out, HasSubstr("spinner"));
  Stop(waits);
  EXPECT_EQ(RunJprof({"core", pid, "--mini", "-o", folder / "mini"}).exit_code(), 0);
  EXPECT_EQ(Lines(RunJprof({"stacks", folder / "mini", "--all"}).out), Lines(core.out));
  ExpectVdsoIn(folder / "core", waits.pid());
  ExpectVdsoIn(folder / "mini", waits.pid());
  struct stat st;
  ASSERT_EQ(::stat((folder / "core").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(ChildrenOf(waits.pid()), 0u);
  EXPECT_EQ(StateOf(waits.pid()), 'T');
  waits.Signal(SIGCONT);
  ExpectRunsOn(waits);
}

// Interpreted, optimized and awaiting functions, of two threads, over objects that fill a heap.
constexpr char kService[] = R"(
const { Worker, isMainThread } = require('worker_threads');
if (isMainThread) new Worker(__filename);
globalThis.keep = Array.from({ length: 100000 }, (_, i) => ({ i, name: 'item ' + i }));
function leaf(n) { let x = n; for (let i = 0; i < 1e5; i++) x = (x * 31 + i) | 0; return x; }
class Shop {
  price(n) { return [1, 2, 3].map((x) => leaf(x + n)).reduce((a, b) => a + b); }
  async order(n) { await null; return this.price(n); }
}
async function handle(n) { return await new Shop().order(n); }
let turns = 0;
(async () => {
  for (;;) {
    await handle(turns);
    if (++turns == 100 && isMainThread) console.log('ready');
  }
})();
)";

TEST_F(StacksTest, ASmallCoreAWholeOneAndTheStoppedProcessSayTheSame) {
  constexpr size_t kMaxBytes = 4 << 20;
  const TemporaryFolder folder;
  std::ofstream(folder / "service.js") << kService;
  // JPROF_TEST_NODES=18.20.8,...: of these.
  const char* nodes = std::getenv("JPROF_TEST_NODES");
  const char* usual = "18.20.8,20.20.2,22.23.3,24.21.0,26.10.0";
  for (absl::string_view version : absl::StrSplit(nodes != nullptr ? nodes : usual, ',')) {
    SCOPED_TRACE(std::string(version));
    auto node =
        Child::SpawnReady({absl::StrCat(JPROF_SOURCE_DIR "/build/nodes/", version, "/bin/node"),
                           folder / "service.js"});
    ASSERT_TRUE(node.ok()) << node.status();
    Stop(*node);
    const std::string pid = absl::StrCat(node->pid());
    const JprofResult live = RunJprof({"stacks", pid, "--all"});
    EXPECT_EQ(live.exit_code(), 0) << live.err;
    Stop(*node);
    ASSERT_EQ(RunJprof({"core", pid, "-o", folder / "whole"}).exit_code(), 0);
    EXPECT_EQ(Frames(RunJprof({"stacks", folder / "whole", "--all"}).out), Frames(live.out));
    const JprofResult values = RunJprof({"stacks", pid, "--all", "--args"});
    EXPECT_EQ(Frames(RunJprof({"stacks", folder / "whole", "--all", "--args"}).out),
              Frames(values.out));
    Stop(*node);
    const JprofResult written = RunJprof({"core", pid, "--mini", "-o", folder / "mini"});
    ASSERT_EQ(written.exit_code(), 0) << written.err;
    for (const std::vector<std::string>& options : {std::vector<std::string>{"--all"},
                                                    {"--all", "--async", "--tiers"},
                                                    {"--all", "--args"}}) {
      std::vector<std::string> whole = {"stacks", folder / "whole"},
                               mini = {"stacks", folder / "mini"};
      whole.insert(whole.end(), options.begin(), options.end());
      mini.insert(mini.end(), options.begin(), options.end());
      const JprofResult of_mini = RunJprof(mini);
      EXPECT_EQ(of_mini.exit_code(), 0) << of_mini.err;
      const std::string of_whole = RunJprof(whole).out;
      if (options.back() == "--args") {  // what native pointers lead to is not in it
        EXPECT_EQ(LinesWith(of_mini.out, "service.js"), LinesWith(of_whole, "service.js"));
      } else {
        EXPECT_EQ(Lines(of_mini.out), Lines(of_whole));
      }
      EXPECT_THAT(of_mini.out, HasSubstr("service.js"));
    }
    struct stat st;
    ASSERT_EQ(::stat((folder / "mini").c_str(), &st), 0);
    EXPECT_LT(static_cast<size_t>(st.st_size), kMaxBytes);
    ASSERT_EQ(::stat((folder / "whole").c_str(), &st), 0);
    EXPECT_GT(static_cast<size_t>(st.st_blocks) * 512, 4 * kMaxBytes);
  }
}

TEST_F(StacksTest, ABundleIsReadWhereTheFilesAreNot) {
  const TemporaryFolder folder;
  const std::string program = folder / "program";
  CopyForAll(TestProgram("waits"), program);
  absl::StatusOr<Child> waits = Child::SpawnReady({program});
  ASSERT_TRUE(waits.ok()) << waits.status();
  ASSERT_EQ(::unlink(program.c_str()), 0);
  for (const bool mini : {false, true}) {
    const std::string pid = absl::StrCat(waits->pid()), bundle = folder / "bundle.tar.gz";
    std::vector<std::string> command = {"core", pid, "--bundle", "-o", bundle};
    if (mini) command.push_back("--mini");
    const JprofResult written = RunJprof(command);
    ASSERT_EQ(written.exit_code(), 0) << written.err;
    struct stat st;
    ASSERT_EQ(::stat(bundle.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    ASSERT_EQ(std::system(absl::StrCat("rm -rf ", folder / "core.*", "; cd ", folder.path(),
                                       " && tar xzf ", bundle)
                              .c_str()),
              0);
    const std::string unpacked = folder / absl::StrCat("core.", pid);
    const JprofResult elsewhere =
        RunJprof({"stacks", unpacked + "/core", "--sysroot", unpacked + "/root"});
    EXPECT_EQ(elsewhere.exit_code(), 0) << elsewhere.err;
    EXPECT_THAT(elsewhere.out, HasSubstr("spin_here"));
    EXPECT_THAT(elsewhere.out, AnyOf(HasSubstr("libc.so.6"), HasSubstr("libc_start_call_main.h")));
    EXPECT_THAT(elsewhere.out, Not(HasSubstr("No such file")));
    EXPECT_THAT(RunJprof({"stacks", unpacked + "/core"}).out, Not(HasSubstr("spin_here")));
  }
  EXPECT_EQ(folder.Names(),
            (std::vector<std::string>{"bundle.tar.gz", absl::StrCat("core.", waits->pid())}));
  ExpectRunsOn(*waits);
}

TEST_F(StacksTest, ACoreCanBeWrittenWithoutACopy) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits();
  std::ofstream(folder / "core") << "another one's";
  ASSERT_EQ(::chmod((folder / "core").c_str(), 0666), 0);
  ASSERT_EQ(::chown((folder / "core").c_str(), 65534, 65534), 0);
  const JprofResult written =
      RunJprof({"core", absl::StrCat(waits.pid()), "--stopped", "-o", folder / "core"});
  EXPECT_EQ(written.exit_code(), 0) << written.err;
  struct stat st;
  ASSERT_EQ(::stat((folder / "core").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u) << "whatever it replaces";
  EXPECT_EQ(st.st_uid, ::geteuid());
  EXPECT_THAT(RunJprof({"stacks", folder / "core"}).out, HasSubstr("spin_here"));
  ExpectRunsOn(waits);
}

// How much of a mapping's file is in memory or on disk.
blkcnt_t BlocksOf(Pid pid, absl::string_view range) {
  struct stat st = {};
  EXPECT_EQ(::stat(absl::StrCat("/proc/", pid, "/map_files/", range).c_str(), &st), 0) << range;
  return st.st_blocks;
}

TEST_F(StacksTest, ACoreHasMemoryThatIsSharedAndTakesNoneForIt) {
  constexpr size_t kPage = 4096, kPages = 64, kFilled = 3;
  const TemporaryFolder folder;
  absl::StatusOr<Child> shares = Child::SpawnReady({TestProgram("shares")});
  ASSERT_TRUE(shares.ok()) << shares.status();
  std::vector<std::string> places;
  for (int kind = 0; kind < 4; ++kind) places.push_back(shares->ReadLine().value_or(""));
  const std::string core = folder / "core";
  for (const bool stopped : {false, true}) {
    std::vector<std::string> command = {"core", absl::StrCat(shares->pid()), "-o", core};
    if (stopped) command.push_back("--stopped");
    const JprofResult written = RunJprof(command);
    ASSERT_EQ(written.exit_code(), 0) << written.err;
    for (size_t kind = 0; kind < places.size(); ++kind) {
      SCOPED_TRACE(absl::StrCat(places[kind], stopped ? " stopped" : ""));
      unsigned long begin = 0, end = 0;
      ASSERT_EQ(std::sscanf(places[kind].c_str(), "%lx-%lx", &begin, &end), 2);
      std::string content(kPages * kPage, '\0');
      for (const auto& [page, first] : {std::pair(1, 'a'), {40, '0'}, {63, 'A'}}) {
        content.replace(page * kPage, kPage, kPage, static_cast<char>(first + kind));
      }
      EXPECT_TRUE(BytesInCore(core, {Address{begin}, Address{end}}) == content);
      EXPECT_EQ(BlocksOf(shares->pid(), places[kind]),
                static_cast<blkcnt_t>(kFilled * kPage / 512));
    }
    struct stat st;
    ASSERT_EQ(::stat(core.c_str(), &st), 0);
    EXPECT_LT(static_cast<size_t>(st.st_blocks) * 512, kPages * kPage * places.size());
  }
}

TEST_F(StacksTest, ACoreCanBeMadeOfAThreadThatIsAtTheEndOfItsStack) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits("1000000");
  const JprofResult written = RunJprof({"core", absl::StrCat(waits.pid()), "-o", folder / "core"});
  EXPECT_EQ(written.exit_code(), 0) << written.err;
  EXPECT_EQ(ChildrenOf(waits.pid()), 0u);
  ExpectRunsOn(waits);
}

// With JPROF_TEST_ALL_NODES set, of all versions: V8 has passed them in several ways.
TEST_F(StacksTest, ArgumentsOfJavaScriptAreWhatWasPassed) {
  const TemporaryFolder folder;
  std::vector<std::string> versions = {"18.20.8", "24.21.0"};
  if (std::getenv("JPROF_TEST_ALL_NODES") != nullptr) {
    for (const char* more :
         {"12.22.12", "13.14.0", "14.21.3", "15.14.0", "16.20.2", "17.9.1", "19.8.1", "20.20.2",
          "21.7.3", "22.23.3", "23.11.1", "25.9.0", "26.10.0"}) {
      versions.push_back(more);
    }
  }
  for (const std::string& version : versions) {
    const std::string node = absl::StrCat(JPROF_SOURCE_DIR, "/build/nodes/", version, "/bin/node");
    if (::access(node.c_str(), X_OK) != 0) GTEST_SKIP() << node << ": see tools/fetch-node";
    auto child = Child::SpawnReady({node, JPROF_SOURCE_DIR "/tests/programs/called.js"});
    ASSERT_TRUE(child.ok()) << version << ": " << child.status();
    const std::string pid = absl::StrCat(child->pid());
    while (StateOf(child->pid()) != 'S') ::usleep(1000);
    const JprofResult live = RunJprof({"stacks", pid, "--args", "--filter", "leaf"});
    EXPECT_EQ(live.exit_code(), 0) << live.err;
    const std::string canvas = R"(Canvas {name: "main", width: 640, list: Array(3)})";
    EXPECT_THAT(live.out, HasSubstr(absl::StrCat(
                              R"(leaf(1, -7, "say \"hé\"\n)", std::string(31, 'x'),
                              R"("…, true, null, undefined, )", canvas, ")  ")))
        << version;
    EXPECT_THAT(live.out,
                HasSubstr(absl::StrCat("paint(this=", canvas, R"(, ")", std::string(40, 'x'),
                                       R"("…, Array(2) [1.5, -0.25])  )")))
        << version;
    EXPECT_THAT(live.out, HasSubstr(absl::StrCat("middle(function max, 12345678901234567890n, ",
                                                 canvas, ")  ")))
        << version;
    if (version[0] != '1' || version[1] > '5') {
      EXPECT_THAT(live.out, HasSubstr("many(1, 2, 3, 4, 5, 6, 7, 8, …)  ")) << version;
      EXPECT_THAT(live.out, HasSubstr("few(Object {deep: Object {…}, f: 0.5})  ")) << version;
    } else {  // what is beyond the parameters is not in the frame
      EXPECT_THAT(live.out,
                  HasSubstr("few(Object {deep: Object {…}, f: ?}, undefined, undefined)  "))
          << version;
    }
    if (version == "24.21.0") {
      const JprofResult hidden = RunJprof({"stacks", pid, "--filter", "leaf"});
      EXPECT_THAT(hidden.out, Not(HasSubstr("main\""))) << version;
      const JprofResult json = RunJprof({"stacks", pid, "--args", "--json", "--filter", "leaf"});
      EXPECT_THAT(json.out,
                  HasSubstr(R"("arguments":[{"name":"","value":"function max"},)")) << version;
      ASSERT_EQ(RunJprof({"core", pid, "-o", folder / "core"}).exit_code(), 0);
      const JprofResult core = RunJprof({"stacks", folder / "core", "--args", "--filter", "leaf"});
      EXPECT_EQ(LinesWith(core.out, "called.js"), LinesWith(live.out, "called.js"));
    }
    child->Signal(SIGKILL);
  }
}

// The values of tests/programs/called.cc's parameters by "function.name", of a report in JSON.
std::map<std::string, std::string> ValuesOf(const std::string& json) {
  std::map<std::string, std::string> values;
  std::smatch frame;
  const std::regex frames(
      R"re("name":"([A-Za-z:]+)[^"]*","kind":"native".*?"arguments":\[(.*?)\])re");
  const std::regex arguments(R"re(\{"name":"(\w*)","value":"((?:[^"\\]|\\.)*)"\})re");
  for (std::sregex_iterator f(json.begin(), json.end(), frames), end; f != end; ++f) {
    const std::string of_frame = (*f)[2];
    for (std::sregex_iterator a(of_frame.begin(), of_frame.end(), arguments); a != end; ++a) {
      values[absl::StrCat((*f)[1].str(), ".", (*a)[1].str())] = (*a)[2];
    }
  }
  return values;
}

// tests/e2e/arguments_peer compares with gdb.
TEST_F(StacksTest, ArgumentsOfNativeFunctionsAreWhatTheyAre) {
  const std::map<std::string, std::string> truth = {
      {"Wait.descriptor", "0"},
      {"Wait.rounds", "1000"},
      {"Wait.what", R"(\"the innermost\")"},
      {"Numbers.a", "-3"},
      {"Numbers.b", "65535"},
      {"Numbers.c", "-70000"},
      {"Numbers.d", "1234567890123"},
      {"Numbers.e", "true"},
      {"Numbers.f", "90 'Z'"},
      {"Numbers.g", "1.5"},
      {"Numbers.h", "-0.125"},
      {"Numbers.i", "kGreen"},
      {"Numbers.j", "kRead | kExec"},
      {"Things.point", R"({x=7, y=2.5, label=\"origin\"})"},
      {"Things.packed", R"({low=5, high=-9, set=true, name=\"seven77\", inner={…}})"},
      {"Things.text", absl::StrCat("\\\"", std::string(64, 's'), "\\\"…")},
      {"Things.view", R"(\"a view\")"},
      {"Things.nothing", "0x0"},
      {"Inlined.depth", "42"},
      {"Worker::Work.times", "21"},
      {"main.argc", "1"},
  };
  const TemporaryFolder folder;
  for (const char* program : {"called-O0-4", "called-O0-5", "called-O2-4", "called-O2-5"}) {
    SCOPED_TRACE(program);
    absl::StatusOr<Child> called = Child::SpawnReady({TestProgram(program)});
    ASSERT_TRUE(called.ok()) << called.status();
    while (StateOf(called->pid()) != 'S') ::usleep(1000);
    const std::string pid = absl::StrCat(called->pid());
    ASSERT_EQ(RunJprof({"core", pid, "-o", folder / "core"}).exit_code(), 0);
    for (const std::string& subject : {pid, folder / "core"}) {
      const JprofResult shown = RunJprof({"stacks", subject, "--args", "--json"});
      EXPECT_EQ(shown.exit_code(), 0) << shown.err;
      const std::map<std::string, std::string> values = ValuesOf(shown.out);
      size_t known = 0;
      for (const auto& [name, value] : truth) {
        const auto found = values.find(name);
        ASSERT_NE(found, values.end()) << name << " in " << shown.out;
        const bool is_known = found->second != "?" && found->second != "<optimized out>";
        known += is_known;
        // Optimized code need not keep it.
        if (is_known || program[8] == '0') {
          EXPECT_EQ(found->second, value) << name;
        }
      }
      EXPECT_GE(known, program[8] == '0' ? truth.size() : 5) << shown.out;
    }
    EXPECT_THAT(RunJprof({"stacks", pid}).out, Not(HasSubstr("kGreen")));
    const auto live = LinesWith(RunJprof({"stacks", pid, "--args"}).out, "called.cc");
    EXPECT_EQ(live, LinesWith(RunJprof({"stacks", folder / "core", "--args"}).out, "called.cc"));
    EXPECT_THAT(live, Contains(HasSubstr("  Wait(descriptor=0, rounds=1000, what=\"the inner")));
  }
}

TEST_F(StacksTest, ValuesInVectorRegistersAreThoseOfTheInnermostFunction) {
  const TemporaryFolder folder;
  absl::StatusOr<Child> called = Child::SpawnReady({TestProgram("called-O2-5"), "spin"});
  ASSERT_TRUE(called.ok()) << called.status();
  const std::string pid = absl::StrCat(called->pid());
  std::string shown;
  for (int i = 0; i < 50 && !absl::StrContains(shown, "Spin"); ++i) {
    shown = RunJprof({"stacks", pid, "--args"}).out;
  }
  EXPECT_THAT(shown, HasSubstr("Spin(factor=-2.5, offset=1.25)"));
  ASSERT_EQ(RunJprof({"core", pid, "-o", folder / "core"}).exit_code(), 0);
  EXPECT_THAT(RunJprof({"stacks", folder / "core", "--args"}).out,
              HasSubstr("Spin(factor=-2.5, offset=1.25)"));
}

TEST_F(StacksTest, ValuesOnTheStackAreInASampleToo) {
  absl::StatusOr<Child> called = Child::SpawnReady({TestProgram("called-O0-5"), "spin"});
  ASSERT_TRUE(called.ok()) << called.status();
  const std::string pid = absl::StrCat(called->pid());
  std::string shown;
  for (int i = 0; i < 50 && !absl::StrContains(shown, "Spin"); ++i) {
    shown = RunJprof({"stacks", pid, "--args", "--no-stop"}).out;
  }
  // Its own are below the stack pointer, of which a sample has nothing.
  EXPECT_THAT(shown,
              AllOf(HasSubstr("Spin(factor=?, offset=?)"), HasSubstr("main(argc=2, argv=0x"),
                    HasSubstr("--no-stop: of threads that run there are only those values")));
}

// The first child of a process; 0: none.
Pid FirstChildOf(Pid pid) {
  Pid child = 0;
  std::ifstream(absl::StrCat("/proc/", pid, "/task/", pid, "/children")) >> child;
  return child;
}

TEST_F(StacksTest, WithoutTheirValuesStacksArePrintedWhenThosePauseTooLong) {
  Child waits = SpawnWaits();
  JprofResult result;
  // Killed as the kernel does it; unless it was done before.
  for (int i = 0; i < 50 && !absl::StrContains(result.err, "left out"); ++i) {
    auto jprof = Jprof::Start({"stacks", absl::StrCat(waits.pid()), "--args"});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    Pid guarded = 0;
    while (guarded == 0 && StateOf(jprof->pid()) != 'Z') guarded = FirstChildOf(jprof->pid());
    if (guarded != 0) ::kill(guarded, SIGKILL);
    result = jprof->Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("epoll_wait"));
  }
  EXPECT_THAT(result.err, HasSubstr("values were read: they are left out"));
}

TEST_F(StacksTest, StacksArePrintedWhenNobodyStartsReadersOfFiles) {
  Child waits = SpawnWaits();
  JprofResult result;
  // Stopped before it has started one; unless it was done before.
  for (int i = 0; i < 50 && !absl::StrContains(result.out, "have no names"); ++i) {
    auto jprof = Jprof::Start({"stacks", absl::StrCat(waits.pid())});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    for (bool stopped = false; !stopped && StateOf(jprof->pid()) != 'Z';) {
      const Pid starter = FirstChildOf(FirstChildOf(jprof->pid()));
      auto stat = ReadProcStat(starter);
      stopped = stat.ok() && stat->comm == "jprof-symbols" && ::kill(starter, SIGSTOP) == 0;
    }
    result = jprof->Wait();
    EXPECT_EQ(result.exit_code(), 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("epoll_wait"));
  }
  EXPECT_THAT(result.out, HasSubstr("have no names: cannot start a process that reads files"));
  EXPECT_THAT(result.out, HasSubstr("[unknown] waits+0x"));
}

// What a command prints.
std::string OutputOf(const std::string& command) {
  std::string text;
  FILE* from = ::popen(command.c_str(), "r");
  if (from == nullptr) return "";
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), from)) > 0;) text.append(buffer, n);
  EXPECT_EQ(::pclose(from), 0) << command << ": " << text;
  return text;
}

constexpr const char* kFunctionsOfWaits[] = {"main",      "locker",  "reader",
                                             "spin_here", "spinner", "answerer"};

TEST_F(StacksTest, OtherToolsReadACore) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits();
  ASSERT_EQ(RunJprof({"core", absl::StrCat(waits.pid()), "-o", folder / "core"}).exit_code(), 0);
  const std::string elfutils = OutputOf(absl::StrCat("eu-stack --core=", folder / "core", " 2>&1"));
  const std::string gdb =
      OutputOf(absl::StrCat("gdb -batch -nx -ex 'thread apply all bt' ", TestProgram("waits"), " ",
                            folder / "core", " 2>&1"));
  for (const char* function : kFunctionsOfWaits) {
    EXPECT_THAT(elfutils, HasSubstr(absl::StrCat(" ", function, "\n")));
    EXPECT_THAT(gdb, HasSubstr(absl::StrCat(function, " (")));
  }
  EXPECT_THAT(elfutils, HasSubstr(absl::StrCat("TID ", waits.pid())));
}

// The kernel's name for cores, as it is while the object lives.
class CorePattern {
 public:
  explicit CorePattern(const std::string& pattern) : before_(ReadWholeFile(kFile)) {
    std::ofstream(kFile) << pattern;
  }
  ~CorePattern() { std::ofstream(kFile) << before_; }

 private:
  static constexpr const char* kFile = "/proc/sys/kernel/core_pattern";
  const std::string before_;
};

TEST_F(StacksTest, ACoreOfTheKernelIsReadAlsoWhenItIsCutShort) {
  const TemporaryFolder folder;
  const CorePattern pattern(folder / "core");
  Child waits = SpawnWaits();
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(waits.pid(), RLIMIT_CORE, &unlimited, nullptr), 0);
  waits.Signal(SIGABRT);
  ASSERT_TRUE(WCOREDUMP(waits.Wait()));
  std::string core = folder / "core";
  if (::access(core.c_str(), F_OK) != 0)
    core += absl::StrCat(".", waits.pid());  // kernel.core_uses_pid
  const JprofResult whole = RunJprof({"stacks", core});
  EXPECT_EQ(whole.exit_code(), 0) << whole.err;
  EXPECT_THAT(whole.out,
              AllOf(HasSubstr("5 threads"), HasSubstr("signal 6"), Not(HasSubstr("cut short"))));
  for (const char* function : kFunctionsOfWaits) EXPECT_THAT(whole.out, HasSubstr(function));
  struct stat st;
  ASSERT_EQ(::stat(core.c_str(), &st), 0);
  for (const off_t part : {2, 8}) {
    ASSERT_EQ(::truncate(core.c_str(), st.st_size / part), 0);
    const JprofResult cut = RunJprof({"stacks", core});
    EXPECT_EQ(cut.exit_code(), 0) << cut.err;
    EXPECT_THAT(cut.out, AllOf(HasSubstr("5 threads"), HasSubstr("the core file is cut short")));
  }
}

TEST_F(StacksTest, OnAFullDiskNothingIsLeft) {
  const TemporaryFolder folder;
  const std::string small = folder / "small";
  ASSERT_EQ(::mkdir(small.c_str(), 0700), 0);
  ASSERT_EQ(::mount("jprof-test", small.c_str(), "tmpfs", 0, "size=64k"), 0);
  Child waits = SpawnWaits();
  for (const bool stopped : {false, true}) {
    std::vector<std::string> command = {"core", absl::StrCat(waits.pid()), "-o", small + "/core"};
    if (stopped) command.push_back("--stopped");
    const JprofResult failed = RunJprof(command);
    EXPECT_EQ(failed.exit_code(), 1);
    EXPECT_THAT(failed.err, HasSubstr("No space left on device"));
    EXPECT_TRUE(std::filesystem::is_empty(small));
    EXPECT_EQ(ChildrenOf(waits.pid()), 0u);
  }
  EXPECT_EQ(::umount(small.c_str()), 0);
  ExpectRunsOn(waits);
}

TEST_F(StacksTest, AFullDeviceIsAFailure) {
  Child waits = SpawnWaits();
  const std::string pid = absl::StrCat(waits.pid());
  EXPECT_EQ(RunJprof({"core", pid, "-o", "/dev/full"}).exit_code(), 1);
  EXPECT_EQ(RunJprof({"core", pid, "--mini", "--bundle", "-o", "/dev/full"}).exit_code(), 1);
  EXPECT_EQ(ChildrenOf(waits.pid()), 0u);
  ExpectRunsOn(waits);
}

TEST_F(StacksTest, ACoreThatIsInterruptedLeavesNothing) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits();
  // Nobody reads what is written to it.
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const UniqueFd reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    for (const bool both : {false, true}) {  // a terminal tells the process that writes as well
      auto jprof = Jprof::Start({"core", absl::StrCat(waits.pid()), "-o", pipe});
      ASSERT_TRUE(jprof.ok()) << jprof.status();
      while (ChildrenOf(waits.pid()) == 0 && StateOf(jprof->pid()) != 'Z') ::usleep(1000);
      const Pid writer = FirstChildOf(jprof->pid());
      ASSERT_NE(writer, 0);
      jprof->Signal(number);
      if (both) ::kill(writer, number);
      const JprofResult result = jprof->Wait();
      EXPECT_EQ(result.signal(), number) << result.err;
      EXPECT_EQ(ChildrenOf(waits.pid()), 0u);
    }
  }
  ExpectRunsOn(waits, true);
}

// Where it ends meanwhile is left to chance.
TEST_F(StacksTest, OfAProcessThatEndsMeanwhileItIsSaid) {
  const TemporaryFolder folder;
  for (int i = 0; i < 40; ++i) {
    Child waits = SpawnWaits();
    auto jprof = Jprof::Start({"core", absl::StrCat(waits.pid()), "-o", folder / "core"});
    ASSERT_TRUE(jprof.ok()) << jprof.status();
    ::usleep(static_cast<useconds_t>(4000 + 500 * i));
    waits.Signal(SIGKILL);
    const JprofResult result = jprof->Wait();
    if (result.exit_code() == 0) continue;
    const std::string process = absl::StrCat("jprof: error: process ", waits.pid());
    EXPECT_THAT(result.messages(),
                testing::AnyOf(testing::ElementsAre(process + " exited meanwhile"),
                               testing::ElementsAre(
                                   process + " has exited already and waits for its parent (zombie)")))
        << "killed after " << 4000 + 500 * i << " us";
  }
}

// tests/stop/kill_at_random does it hundreds of times.
TEST_F(StacksTest, AProcessRunsOnWheneverJprofIsKilled) {
  const TemporaryFolder folder;
  Child waits = SpawnWaits();
  for (const char* command : {"stacks", "core"}) {
    std::vector<std::string> arguments = {command, absl::StrCat(waits.pid())};
    if (command == std::string("core")) arguments.insert(arguments.end(), {"-o", folder / "core"});
    ASSERT_EQ(RunJprof(arguments).exit_code(), 0);  // the first takes longer
    // It takes longer when others have the CPU, as they may have had.
    auto measured = [&] {
      const absl::Time begin = absl::Now();
      EXPECT_EQ(RunJprof(arguments).exit_code(), 0);
      return absl::Now() - begin;
    };
    absl::Duration whole = measured();
    int eighth = 0;
    for (int i = 0; i < 100 && eighth < 8; ++i) {
      auto jprof = Jprof::Start(arguments);
      ASSERT_TRUE(jprof.ok()) << jprof.status();
      absl::SleepFor(whole * eighth / 8);
      jprof->Signal(SIGKILL);
      const bool in_time = jprof->Wait().signal() == SIGKILL;
      ExpectRunsOn(waits, true);
      if (in_time) {
        ++eighth;
      } else {
        whole = std::min(whole, measured());
      }
    }
    EXPECT_EQ(eighth, 8) << command;
  }
}

}  // namespace
}  // namespace jprof
