#include "profiler/capture/register_reader.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/testing/require.h"

namespace jprof {
namespace {

constexpr uint64_t kMains = 0x1000, kOthers = 0x2000;

// pause(), with these and the five numbers behind in the registers that a call keeps.
[[noreturn]] void SleepWith(uint64_t first) {
  asm volatile(
      "mov %0, %%rbx\n"
      "lea 1(%%rbx), %%r12\n"
      "lea 2(%%rbx), %%r13\n"
      "lea 3(%%rbx), %%r14\n"
      "lea 4(%%rbx), %%r15\n"
      "lea 5(%%rbx), %%rbp\n"
      "0: mov %1, %%eax\n"
      "syscall\n"
      "jmp 0b\n"
      :
      : "r"(first), "i"(SYS_pause));
  __builtin_unreachable();
}

// Where a thread that sleeps in pause() left user space.
struct Place {
  uint64_t sp = 0, pc = 0;
};
Place AwaitPlace(Pid pid, Tid tid) {
  while (true) {
    std::ifstream file(absl::StrCat("/proc/", pid, "/task/", tid, "/syscall"));
    std::string text;
    std::getline(file, text);
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    Place place;
    if (words.size() == 9 && words[0] == absl::StrCat(SYS_pause) &&
        absl::SimpleHexAtoi(words[7], &place.sp) && absl::SimpleHexAtoi(words[8], &place.pc)) {
      return place;
    }
    ::usleep(1000);
  }
}

class RegisterReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    JPROF_REQUIRE_ROOT();
    pid_ = ::fork();
    if (pid_ == 0) {
      std::thread([] { SleepWith(kOthers); }).detach();
      SleepWith(kMains);
    }
    while (other_ == 0) {
      for (const auto& task :
           std::filesystem::directory_iterator(absl::StrCat("/proc/", pid_, "/task"))) {
        const Tid tid = std::stoi(task.path().filename());
        if (tid != pid_) other_ = tid;
      }
    }
    auto reader = RegisterReader::Make(pid_);
    ASSERT_TRUE(reader.ok()) << reader.status();
    reader_.emplace(*std::move(reader));
  }
  void TearDown() override {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  Pid pid_ = 0;
  Tid other_ = 0;
  std::optional<RegisterReader> reader_;
};

TEST_F(RegisterReaderTest, ReadsAllOfEachThread) {
  for (const auto& [tid, first] : {std::pair(pid_, kMains), std::pair(other_, kOthers)}) {
    const Place place = AwaitPlace(pid_, tid);
    auto registers = reader_->Read(tid, place.pc, place.sp);
    ASSERT_TRUE(registers.ok()) << registers.status();
    EXPECT_EQ(registers->rbx, first);
    EXPECT_EQ(registers->r12, first + 1);
    EXPECT_EQ(registers->r13, first + 2);
    EXPECT_EQ(registers->r14, first + 3);
    EXPECT_EQ(registers->r15, first + 4);
    EXPECT_EQ(registers->rbp, first + 5);
    EXPECT_EQ(registers->rip, place.pc);
    EXPECT_EQ(registers->rsp, place.sp);
    EXPECT_EQ(registers->orig_rax, static_cast<uint64_t>(SYS_pause));
  }
}

TEST_F(RegisterReaderTest, OneThatHasRunIsNotFound) {
  const Place place = AwaitPlace(pid_, other_);
  EXPECT_TRUE(absl::IsNotFound(reader_->Read(other_, place.pc, place.sp - 8).status()));
  EXPECT_TRUE(absl::IsNotFound(reader_->Read(other_, place.pc + 2, place.sp).status()));
}

// As on kernels that do not find it by its number.
TEST_F(RegisterReaderTest, AThreadIsFoundAmongAllOfItsProcess) {
  const Place place = AwaitPlace(pid_, other_);
  auto registers = reader_->Read(0x3ffffff, place.pc, place.sp);
  ASSERT_TRUE(registers.ok()) << registers.status();
  EXPECT_EQ(registers->rbx, kOthers);
}

}  // namespace
}  // namespace jprof
