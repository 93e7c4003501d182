#include "symbolize/symbolizer_process.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "profiler/core/status.h"
#include "profiler/process/cpu_time.h"
#include "symbolize/sandbox.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

ElfBuilder Code() {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x1000, 0x1000, 0x1000, PF_R | PF_X).CodeSection(0x1000, 0x1000);
  return builder;
}

ImageQuery Query(UniqueFd file, std::vector<uint64_t> offsets) {
  ImageQuery query;
  query.file = std::move(file);
  query.path = "test.so";
  for (uint64_t offset : offsets) query.offsets.push_back({offset});
  return query;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  std::vector<pid_t> children;
  for (pid_t child; in >> child;) children.push_back(child);
  return children;
}

std::vector<pid_t> Workers() {
  std::vector<pid_t> workers;
  for (pid_t forker : ChildrenOf(::getpid())) {
    for (pid_t worker : ChildrenOf(forker)) workers.push_back(worker);
  }
  return workers;
}

// Calls `on_find` while the worker waits for its answer.
struct CallbackFinder : DebugFileFinder {
  std::function<std::vector<UniqueFd>(size_t image, const Request&)> on_find;
  std::vector<UniqueFd> Find(size_t image, const Request& request) override {
    return on_find(image, request);
  }
};

TEST(SymbolizerProcessTest, AnswersAsThisProcessDoes) {
  auto process = SymbolizerProcess::Start();
  ASSERT_TRUE(process.ok()) << process.status();
  const std::string path = TestProgram("inlines");
  auto queries = [&] {
    std::vector<ImageQuery> q;
    q.push_back(Query(UniqueFd(::open(path.c_str(), O_RDONLY)), {}));
    for (uint64_t offset = 0x1000; offset < 0x9000; offset += 13) {
      q[0].offsets.push_back({offset});
    }
    q[0].want_source = true;
    q.push_back(Query(FileOf("no ELF file"), {0x1000}));
    q.push_back(Query(UniqueFd(), {0x1000}));
    q.push_back(Query(FileOf(Code().BuildId("\x12").Symbol("_Z1fi", 0x1100, 0x10).Build()),
                      {0x1100, 0x1200}));
    return q;
  };
  std::vector<ImageQuery> here = queries();
  std::vector<ImageQuery> there = queries();
  SymbolizeImages(here, 2);
  (*process)->Symbolize(there, 2, nullptr);
  EXPECT_GE((*process)->progress(), 2 * there.size());
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].status.code(), there[i].status.code()) << i;
    EXPECT_EQ(here[i].status.message(), there[i].status.message()) << i;
    EXPECT_EQ(here[i].build_id, there[i].build_id);
    EXPECT_EQ(here[i].is_stripped, there[i].is_stripped);
    EXPECT_FALSE(there[i].lost);
    EXPECT_FALSE(there[i].file.valid());
    ASSERT_EQ(here[i].names.size(), there[i].names.size());
    for (size_t k = 0; k < here[i].names.size(); ++k) {
      EXPECT_EQ(here[i].names[k].name, there[i].names[k].name);
      EXPECT_EQ(here[i].names[k].system_name, there[i].names[k].system_name);
      EXPECT_EQ(here[i].names[k].address, there[i].names[k].address);
    }
    EXPECT_EQ(here[i].source.functions, there[i].source.functions);
    EXPECT_EQ(here[i].source.files, there[i].source.files);
    EXPECT_EQ(here[i].source.first, there[i].source.first);
    EXPECT_EQ(here[i].source.frames, there[i].source.frames);
  }
  EXPECT_GT(there[0].source.frames.size(), 100u);
}

SymbolizerProcess::Parcel TellNiceness(SymbolizerProcess::Parcel) {
  return {absl::StrCat(::getpriority(PRIO_PROCESS, 0)), {}};
}

TEST(SymbolizerProcessTest, AStandInHasThePriorityOfWhoAsks) {
  auto process = SymbolizerProcess::Start({}, &TellNiceness);
  ASSERT_TRUE(process.ok()) << process.status();
  auto stand_in = (*process)->StartStandIn();
  ASSERT_TRUE(stand_in.ok()) << stand_in.status();
  std::thread([&] {  // whose niceness ends with it
    const int niceness = ::getpriority(PRIO_PROCESS, 0) + 3;
    ASSERT_EQ(::setpriority(PRIO_PROCESS, 0, niceness), 0);
    const auto answer = (*process)->Ask(*stand_in, "", {}, std::chrono::seconds(10));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->text, absl::StrCat(niceness));
  }).join();
}

TEST(SymbolizerProcessTest, DebugFilesAreFoundByTheCaller) {
  auto process = SymbolizerProcess::Start();
  CallbackFinder finder;
  uint64_t progress = 0;
  finder.on_find = [&](size_t image, const DebugFileFinder::Request& request) {
    EXPECT_EQ(image, 1u);
    progress = (*process)->progress();
    EXPECT_EQ(request.build_id, "01");
    std::vector<UniqueFd> found;
    found.push_back(FileOf("nothing"));
    found.push_back(FileOf(Code().BuildId("\x01").Symbol("f", 0x1100, 0x10).Build()));
    return found;
  };
  std::vector<ImageQuery> queries;
  queries.push_back(Query(FileOf(Code().Symbol("g", 0x1100, 0x10).Build()), {0x1100}));
  queries.push_back(Query(FileOf(Code().BuildId("\x01").Build()), {0x1100}));
  (*process)->Symbolize(queries, 1, &finder);
  EXPECT_EQ(queries[0].names[0].name, "g");
  EXPECT_EQ(queries[1].names[0].name, "f");
  // An image that asks for files is no standstill, however long each of them takes.
  EXPECT_GE(progress, 2u);
  EXPECT_GE((*process)->progress(), progress + 2);
}

// Images 0 to 4, of which number 2 has no symbols, so that its worker asks for a debug file.
std::vector<ImageQuery> FiveImages() {
  std::vector<ImageQuery> queries;
  for (int i = 0; i < 5; ++i) {
    ElfBuilder code = Code().BuildId("\x01");
    if (i != 2) code.Symbol(absl::StrCat("f", i), 0x1100, 0x10);
    queries.push_back(Query(FileOf(code.Build()), {0x1100}));
  }
  return queries;
}

void ExpectOnlyTheThirdIsLost(const std::vector<ImageQuery>& queries) {
  for (size_t i = 0; i < queries.size(); ++i) {
    EXPECT_EQ(queries[i].lost, i == 2);
    EXPECT_EQ(queries[i].status.ok(), i != 2);
    ASSERT_EQ(queries[i].names.size(), 1u);
    EXPECT_EQ(queries[i].names[0].name, i == 2 ? "" : absl::StrCat("f", i));
  }
}

TEST(SymbolizerProcessTest, WorkerThatDiesCostsItsImage) {
  auto process = SymbolizerProcess::Start();
  CallbackFinder finder;
  finder.on_find = [](size_t, const DebugFileFinder::Request&) {
    EXPECT_EQ(Workers().size(), 1u);
    for (pid_t worker : Workers()) ::kill(worker, SIGSEGV);
    return std::vector<UniqueFd>();
  };
  std::vector<ImageQuery> queries = FiveImages();
  (*process)->Symbolize(queries, 1, &finder);
  ExpectOnlyTheThirdIsLost(queries);
}

TEST(SymbolizerProcessTest, WorkerThatDoesNotAnswerCostsItsImage) {
  auto process = SymbolizerProcess::Start({.patience = std::chrono::seconds(5)});
  CallbackFinder finder;
  pid_t stopped = 0;
  finder.on_find = [&](size_t, const DebugFileFinder::Request&) {
    for (pid_t worker : Workers()) ::kill(stopped = worker, SIGSTOP);
    return std::vector<UniqueFd>();
  };
  std::vector<ImageQuery> queries = FiveImages();
  (*process)->Symbolize(queries, 1, &finder);
  ExpectOnlyTheThirdIsLost(queries);
  process->reset();
  // It ends with the others.
  ASSERT_NE(stopped, 0);
  for (int i = 0; i < 1000 && ::kill(stopped, 0) == 0; ++i) ::usleep(10'000);
  EXPECT_NE(::kill(stopped, 0), 0);
}

#ifndef JPROF_ADDRESS_SANITIZER
TEST(SymbolizerProcessTest, MemoryOfAWorkerIsLimited) {
  // Announces more than there is.
  Elf64_Chdr header = {};
  header.ch_type = ELFCOMPRESS_ZLIB;
  header.ch_size = 200 << 20;
  ElfBuilder large = Code().Symbol("f", 0x1100, 0x10);
  large.NamedSection(".debug_abbrev", 0, "x");
  large.CompressedSection(".debug_info",
                          {reinterpret_cast<const char*>(&header), sizeof(header)});
  auto process = SymbolizerProcess::Start({.memory_bytes = 160 << 20});
  std::vector<ImageQuery> queries;
  queries.push_back(Query(FileOf(large.Build()), {0x1100}));
  queries[0].want_source = true;
  queries.push_back(Query(FileOf(Code().Symbol("g", 0x1100, 0x10).Build()), {0x1100}));
  (*process)->Symbolize(queries, 1, nullptr);
  EXPECT_TRUE(queries[0].lost);
  EXPECT_EQ(queries[1].names[0].name, "g");
}
#endif

TEST(SymbolizerProcessTest, ImagesThatNoWorkerCanReadAreNotBlamed) {
  auto process = SymbolizerProcess::Start();
  std::vector<ImageQuery> queries = FiveImages();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  (*process)->Symbolize(queries, 2, nullptr);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const ImageQuery& query : queries) {
    EXPECT_TRUE(query.unread);
    EXPECT_FALSE(query.lost);
    EXPECT_FALSE(query.file.valid());
    EXPECT_EQ(query.names.size(), 1u);
    EXPECT_THAT(std::string(query.status.message()), HasSubstr("the limit of open files is 3"));
    EXPECT_THAT(HintOf(query.status), HasSubstr("ulimit -n"));
  }
  // With descriptors it is as before.
  std::vector<ImageQuery> again = FiveImages();
  (*process)->Symbolize(again, 2, nullptr);
  EXPECT_EQ(again[0].names[0].name, "f0");
}

TEST(SymbolizerProcessTest, AForkerThatDoesNotAnswerIsWaitedForOnce) {
  auto process = SymbolizerProcess::Start({.patience = std::chrono::seconds(2)});
  ASSERT_EQ(::kill((*process)->pid(), SIGSTOP), 0);
  std::vector<std::string> told;
  for (int round = 0; round < 2; ++round) {
    std::vector<ImageQuery> queries = FiveImages();
    (*process)->Symbolize(queries, 1, nullptr);
    for (const ImageQuery& query : queries) EXPECT_TRUE(query.unread);
    told.emplace_back(queries[0].status.message());
  }
  EXPECT_THAT(told[0], HasSubstr("did not answer"));
  EXPECT_THAT(told[1], HasSubstr("does not answer any more"));
  std::vector<SourceMapQuery> maps(1);
  maps[0].path = "x.map";
  maps[0].file = FileOf("{}");
  (*process)->ReadSourceMaps(maps);
  EXPECT_THAT(std::string(maps[0].status.message()), HasSubstr("does not answer any more"));

  ASSERT_EQ(::kill((*process)->pid(), SIGCONT), 0);
  std::string first_name;
  for (int i = 0; i < 1000 && first_name.empty(); ++i) {
    ::usleep(10'000);
    std::vector<ImageQuery> queries = FiveImages();
    (*process)->Symbolize(queries, 1, nullptr);
    first_name = queries[0].names[0].name;
  }
  EXPECT_EQ(first_name, "f0");
}

TEST(SymbolizerProcessTest, AllEndWithTheirOwner) {
  std::vector<pid_t> pids;
  {
    auto process = SymbolizerProcess::Start();
    CallbackFinder finder;
    finder.on_find = [&](size_t, const DebugFileFinder::Request&) {
      pids = Workers();
      for (pid_t forker : ChildrenOf(::getpid())) pids.push_back(forker);
      return std::vector<UniqueFd>();
    };
    std::vector<ImageQuery> queries = FiveImages();
    (*process)->Symbolize(queries, 1, &finder);
  }
  ASSERT_EQ(pids.size(), 2u);
  for (pid_t pid : pids) {
    for (int i = 0; i < 1000 && ::kill(pid, 0) == 0; ++i) ::usleep(10'000);
    EXPECT_NE(::kill(pid, 0), 0);
  }
}

TEST(SymbolizerProcessTest, CpuTimeOfWorkersThatEndedIsThatOfTheirParent) {
  auto process = SymbolizerProcess::Start();
  CallbackFinder finder;
  uint64_t used = 0;
  int workers = 0;
  finder.on_find = [&](size_t, const DebugFileFinder::Request&) {
    for (pid_t worker : Workers()) {
      ++workers;
      const absl::StatusOr<uint64_t> time = CpuTimeOfProcess(worker);
      EXPECT_TRUE(time.ok()) << time.status();
      used = time.value_or(0);
    }
    return std::vector<UniqueFd>();
  };
  std::vector<ImageQuery> queries;
  queries.push_back(Query(UniqueFd(::open("/proc/self/exe", O_RDONLY)), {}));
  for (uint64_t offset = 0; offset < 1 << 20; offset += 101) queries[0].offsets.push_back({offset});
  queries[0].want_source = true;
  queries.push_back(Query(FileOf(Code().BuildId("\x01").Build()), {0x1100}));
  (*process)->Symbolize(queries, 1, &finder);
  for (int i = 0; i < 1000 && !Workers().empty(); ++i) ::usleep(10'000);
  ASSERT_TRUE(Workers().empty());
  constexpr uint64_t kTickNs = 10'000'000;
  ASSERT_GT(workers, 0);
  ASSERT_GT(used, 3 * kTickNs) << "too little to be seen";
  EXPECT_GE(CpuTimeWithChildren((*process)->pid()).value_or(0) + 2 * kTickNs, used);
}

TEST(SymbolizerProcessTest, WhatIsLeftWhenAllTogetherTakeTooLongIsUnread) {
  auto process = SymbolizerProcess::Start({.altogether = std::chrono::milliseconds(50)});
  ASSERT_TRUE(process.ok()) << process.status();
  CallbackFinder finder;
  finder.on_find = [](size_t, const DebugFileFinder::Request&) {
    ::usleep(100'000);  // as long as its debug file takes to be read
    return std::vector<UniqueFd>();
  };
  std::vector<ImageQuery> queries;
  for (int i = 0; i < 5; ++i) {
    queries.push_back(Query(FileOf(Code().BuildId("\x01").Build()), {0x1100}));
  }
  (*process)->Symbolize(queries, 1, &finder);
  for (size_t i = 1; i < queries.size(); ++i) {
    EXPECT_TRUE(queries[i].unread);
    EXPECT_TRUE(absl::IsDeadlineExceeded(queries[i].status)) << queries[i].status;
    EXPECT_EQ(queries[i].names.size(), 1u);
    EXPECT_FALSE(queries[i].file.valid());
  }
}

// The wait status of a child that gives everything up and does `what`.
int StatusOf(const std::function<bool()>& what) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    GiveUpEverything(uint64_t{1} << 30);
    ::_exit(what() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

bool DiesOf(int status, int number) { return WIFSIGNALED(status) && WTERMSIG(status) == number; }

TEST(SandboxTest, ItSaysWhatTookEffect) {
  EXPECT_EQ(TrySandbox(), kWholeSandbox);
  EXPECT_EQ(SandboxText(kWholeSandbox),
            "no privileges, few resources, bounded memory, few system calls (seccomp)");
  EXPECT_EQ(SandboxText(kWholeSandbox & ~kSandboxCalls),
            "no privileges, few resources, bounded memory; refused: few system calls (seccomp)");
  EXPECT_EQ(SandboxText(0),
            "none of: no privileges, few resources, bounded memory, few system calls (seccomp)");
}

// In one that may not use seccomp, since an outer filter refuses it.
TEST(SandboxTest, ItSaysWhatDidNot) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      ::_exit(255);
    }
    const bool told = TrySandbox() == (kWholeSandbox & ~kSandboxCalls);
    auto process = SymbolizerProcess::Start();
    if (!process.ok()) ::_exit(2);
    std::vector<ImageQuery> queries;
    queries.push_back(Query(FileOf(Code().Symbol("f", 0x1100, 0x10).Build()), {0x1100}));
    (*process)->Symbolize(queries, 1, nullptr);
    const bool seen = (*process)->sandbox() == (kWholeSandbox & ~kSandboxCalls);
    ::_exit(told && seen && queries[0].status.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SandboxTest, WhatIsOpenCanBeRead) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY));
  EXPECT_EQ(StatusOf([&] {
              char bytes[4];
              std::string memory(1 << 20, 'x');
              return ::pread(file.get(), bytes, 4, 0) == 4 && bytes[1] == 'E' && !memory.empty();
            }),
            0);
}

TEST(SandboxTest, EverythingElseKills) {
  const std::vector<std::function<bool()>> forbidden = {
      [] { return ::open("/etc/passwd", O_RDONLY) >= 0; },
      [] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; },
      [] { return ::fork() >= 0; },
      [] { return ::execl("/bin/true", "true", nullptr) == 0; },
      [] { return ::kill(::getppid(), 0) == 0; },
      [] { return ::unlink("/nonexistent") == 0; },
      [] { return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0) != MAP_FAILED; },
  };
  for (size_t i = 0; i < forbidden.size(); ++i) {
    EXPECT_TRUE(DiesOf(StatusOf(forbidden[i]), SIGSYS)) << i;
  }
}

}  // namespace
}  // namespace jprof
