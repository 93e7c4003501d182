// What holds for every subcommand.
#include "profiler/cli/command_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "profiler/cli/output_file.h"

namespace jprof {
namespace {

TEST(CommandLineTest, WhatIsOpenedNeverTakesThePlaceOfAClosedStream) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
    char program[] = "jprof", option[] = "--version";
    char* arguments[] = {program, option, nullptr};
    CommandLineMain(2, arguments, {});
    const bool taken = ::open("/dev/null", O_WRONLY) <= STDERR_FILENO;
    const bool can_write = OutputFile::Open("").ok();
    ::_exit((taken ? 1 : 0) + (can_write ? 2 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace jprof
