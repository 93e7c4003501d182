#include "profiler/trap/spec.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/spawn.h"

namespace jprof {

// Not of the anonymous namespace: its name shall be a plain one.
[[gnu::noinline]] int Overloaded(int) { return 2; }
[[gnu::noinline]] int Overloaded(char) { return 3; }

namespace {

using ::testing::HasSubstr;

TrapSpec Parsed(absl::string_view text, absl::string_view on = "") {
  absl::StatusOr<TrapSpec> spec = ParseTrap(text, on);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *std::move(spec) : TrapSpec{};
}

std::string Wrong(absl::string_view text, absl::string_view on = "") {
  return std::string(ParseTrap(text, on).status().message());
}

bool HasCall(const jp_probe_config& config, int number) {
  return (config.calls[number / 64] >> (number % 64) & 1) != 0;
}

TEST(TrapSpecTest, ATrapIsASystemCallAndItsTerms) {
  const TrapSpec spec = Parsed("close errno=EBADF pid=42 arg0>=3");
  const jp_probe_config& config = spec.probe.config;
  EXPECT_TRUE(HasCall(config, SYS_close));
  EXPECT_FALSE(HasCall(config, SYS_read));
  EXPECT_EQ(spec.probe.pid, 42);
  ASSERT_EQ(config.term_count, 2u);
  EXPECT_EQ(config.terms[0].field, JP_PROBE_ERRNO);
  EXPECT_EQ(config.terms[0].value, EBADF);
  EXPECT_EQ(config.terms[1].field, JP_PROBE_ARGUMENT);
  EXPECT_EQ(config.terms[1].op, JP_PROBE_GE);
  EXPECT_EQ(config.points, static_cast<uint32_t>(JP_PROBE_AT_EXIT));
}

TEST(TrapSpecTest, ATextIsWholeUnlessAnAsteriskEndsIt) {
  const jp_probe_config whole = Parsed("openat path=/etc/x").probe.config;
  EXPECT_EQ(whole.terms[0].bytes, std::strlen("/etc/x") + 1);
  EXPECT_EQ(whole.terms[0].argument, 1);
  const jp_probe_config beginning = Parsed("openat path=/etc/*").probe.config;
  EXPECT_EQ(beginning.terms[0].bytes, std::strlen("/etc/"));
  EXPECT_STREQ(beginning.terms[0].text, "/etc/");
}

TEST(TrapSpecTest, DataIsComparedAsFarAsItWasMovedOnly) {
  const jp_probe_config write = Parsed("write buf=GET").probe.config;
  ASSERT_EQ(write.term_count, 1u);
  EXPECT_EQ(write.terms[0].field, JP_PROBE_MEMORY);
  EXPECT_EQ(write.terms[0].length, 2);
  EXPECT_EQ(Parsed("read,pread64 buf=GET").probe.config.terms[0].length, JP_PROBE_LENGTH_RET);
  const jp_probe_term pieces = Parsed("writev buf=GET").probe.config.terms[0];
  EXPECT_EQ(pieces.layout, JP_PROBE_VECTOR);
  EXPECT_EQ(pieces.length, JP_PROBE_LENGTH_OWN);
  EXPECT_EQ(Parsed("recvmsg buf=GET").probe.config.terms[0].layout, JP_PROBE_MESSAGE);
  EXPECT_THAT(Wrong("read,write buf=GET"), HasSubstr("take two traps"));
  EXPECT_THAT(Wrong("write,writev buf=GET"), HasSubstr("different"));
}

TEST(TrapSpecTest, APathIsEitherOfTwo) {
  const jp_probe_term one = Parsed("openat path=/x").probe.config.terms[0];
  EXPECT_EQ(one.argument, 1);
  EXPECT_EQ(one.second, 1);
  const jp_probe_term two = Parsed("renameat2,linkat path=/x").probe.config.terms[0];
  EXPECT_EQ(two.argument, 1);
  EXPECT_EQ(two.second, 3);
  EXPECT_THAT(Wrong("openat,renameat path=/x"), HasSubstr("different"));
}

TEST(TrapSpecTest, ALocalSocketsAddressIsAPath) {
  const jp_probe_term address = Parsed("connect,bind path=/run/x").probe.config.terms[0];
  EXPECT_EQ(address.layout, JP_PROBE_ADDRESS);
  EXPECT_EQ(address.argument, 1);
  EXPECT_EQ(address.length, 2);
}

TEST(TrapSpecTest, ADurationTakesTheBeginningToo) {
  const jp_probe_config config = Parsed("any duration>1.5ms").probe.config;
  EXPECT_EQ(config.points, static_cast<uint32_t>(JP_PROBE_AT_ENTER | JP_PROBE_AT_EXIT));
  EXPECT_EQ(config.hit_point, static_cast<uint32_t>(JP_PROBE_AT_EXIT));
  EXPECT_EQ(config.terms[0].value, 1'500'000);
  EXPECT_TRUE(HasCall(config, SYS_fsync));
}

TEST(TrapSpecTest, CallsThatAreTooShortAreToldByTheirLeastDuration) {
  const auto least = [](absl::string_view text) { return Parsed(text).probe.config.at_least_ns; };
  EXPECT_EQ(least("any duration>10ms"), 10'000'000U);
  EXPECT_EQ(least("any duration>=5ms duration>20ms duration<9s"), 20'000'000U);
  EXPECT_EQ(least("any duration<5ms"), 0U);
  EXPECT_EQ(least("any duration!=5ms"), 0U);
}

TEST(TrapSpecTest, LongDurationsAreCountedInTicks) {
  const auto times = [](absl::string_view text) { return Parsed(text).probe.config.times; };
  EXPECT_EQ(times("any errno=EIO"), JP_PROBE_TIMES_NONE);
  EXPECT_EQ(times("any duration>999ms"), JP_PROBE_TIMES_EXACT);
  EXPECT_EQ(times("any duration<5s"), JP_PROBE_TIMES_EXACT);
  EXPECT_EQ(times("any duration>=1s"), JP_PROBE_TIMES_BY_TICK);
  EXPECT_EQ(times("any duration>5s duration>=1s"), JP_PROBE_TIMES_BY_TICK);
  // An upper end would be missed by some that are shorter.
  EXPECT_EQ(times("any duration<9s duration>5s"), JP_PROBE_TIMES_EXACT);
}

TEST(TrapSpecTest, ACallThatDoesNotReturnIsMetAtItsBeginning) {
  EXPECT_EQ(Parsed("exit_group arg0=1").probe.config.points,
            static_cast<uint32_t>(JP_PROBE_AT_ENTER));
  for (const char* mixed : {"exit_group,close", "exit_group,close errno=EBADF", "execve,close"}) {
    EXPECT_THAT(Wrong(mixed), HasSubstr("take two traps")) << mixed;
  }
  EXPECT_THAT(Wrong("exit ret=0"), HasSubstr("has no result"));
  EXPECT_THAT(Wrong("exit_group duration>1s"), HasSubstr("has no result"));
  // Where its result is asked for, it has one.
  for (const char* failed : {"execve errno=ENOENT", "execve,open errno=ENOENT"}) {
    EXPECT_EQ(Parsed(failed).probe.config.points, static_cast<uint32_t>(JP_PROBE_AT_EXIT))
        << failed;
  }
}

TEST(TrapSpecTest, ADescriptorAndANegativeArgumentAreInts) {
  for (const char* narrow :
       {"fd=-1", "fd=1", "fd<0", "fd>1000", "arg0=-1", "arg0<0", "arg0<=0", "arg0>-2"}) {
    EXPECT_TRUE(Parsed(absl::StrCat("close ", narrow)).probe.config.terms[0].narrow) << narrow;
  }
  for (const char* whole : {"arg0=1", "arg0>1000", "arg0>0", "arg0=0", "arg1>=0x100000000"}) {
    EXPECT_FALSE(Parsed(absl::StrCat("close ", whole)).probe.config.terms[0].narrow) << whole;
  }
  EXPECT_EQ(Parsed("close fd=0xffffffff").probe.config.terms[0].value, -1);
  EXPECT_THAT(Wrong("close fd=0x100000000"), HasSubstr("fd takes a descriptor's number"));
}

TEST(TrapSpecTest, ASignalAnEndAndAFunctionAreOtherInstants) {
  EXPECT_EQ(Parsed("comm=node", "signal=SEGV").probe.config.terms[0].value, SIGSEGV);
  EXPECT_TRUE(Parsed("", "exit=nonzero").probe.config.only_failing);
  EXPECT_FALSE(ParseTrap("arg0=1", "signal=SEGV").ok());
  const TrapSpec spec = Parsed("arg0=1", "uprobe:" + TestProgram("spin") + ":main");
  ASSERT_EQ(spec.probe.places.size(), 1u);
  EXPECT_GT(spec.probe.places[0].offset, 0u);
}

TEST(TrapSpecTest, EachGroupIsOfOneTerm) {
  const TrapSpec spec = Parsed("close cgroup=/ cgroup!=/");
  ASSERT_EQ(spec.probe.cgroups.size(), 2u);
  ASSERT_EQ(spec.probe.config.term_count, 2u);
  EXPECT_EQ(spec.probe.config.terms[0].argument, 0);
  EXPECT_EQ(spec.probe.config.terms[1].argument, 1);
  EXPECT_EQ(spec.probe.config.terms[1].op, JP_PROBE_NE);
  EXPECT_THAT(Wrong("close cgroup>/"), HasSubstr("cgroup takes = or !="));
}

TEST(TrapSpecTest, AllFunctionsOfANameAreMeantAndListed) {
  EXPECT_EQ(Overloaded(1) + Overloaded('1'), 5);
  const TrapSpec spec = Parsed("", "uprobe:/proc/self/exe:jprof::Overloaded");
  EXPECT_EQ(spec.probe.places.size(), 2u);
  ASSERT_EQ(spec.notes.size(), 1u);
  EXPECT_THAT(spec.notes[0], HasSubstr("2 functions, all are meant: "));
  EXPECT_THAT(spec.notes[0], HasSubstr("jprof::Overloaded(char)"));
  const TrapSpec one = Parsed("", "uprobe:/proc/self/exe:jprof::Overloaded(char)");
  EXPECT_EQ(one.probe.places.size(), 1u);
  EXPECT_TRUE(one.notes.empty());
  EXPECT_THAT(Wrong("", "uprobe:/proc/self/exe:_Z*"), HasSubstr("more than 64 functions"));
}

TEST(TrapSpecTest, AFunctionThatIsChosenAtTheStartIsRefused) {
  ElfBuilder builder;
  builder.Segment(0x1000, 0x1000, 0x2000, 0x2000, PF_R | PF_X)
      .CodeSection(0x1000, 0x1000)
      .DynamicSymbol("chosen", 0x1100, 0x10, STT_GNU_IFUNC)
      .Symbol("chosen", 0x1100, 0x10, STT_GNU_IFUNC)
      .Symbol("plain", 0x1200, 0x10);
  const std::string file = absl::StrCat(testing::TempDir(), "chosen_", ::getpid());
  std::ofstream(file) << builder.Build();
  const std::string place = absl::StrCat("uprobe:", file, ":");
  for (const char* symbol : {"chosen", "cho*"}) {
    EXPECT_THAT(Wrong("", place + symbol), HasSubstr("(IFUNC)"));
  }
  EXPECT_EQ(Parsed("", place + "plain").probe.places.size(), 1u);
  ::unlink(file.c_str());
}

TEST(TrapSpecTest, ReturnsOfGoProgramsAreNotMet) {
  const std::string go = absl::StrCat(testing::TempDir(), "go_program_", ::getpid());
  ASSERT_EQ(std::system(absl::StrCat("objcopy --add-section .note.go.buildid=/proc/self/comm ",
                                     TestProgram("spin"), " ", go)
                            .c_str()),
            0);
  EXPECT_THAT(CheckReturns(go).message(), HasSubstr("has code of Go"));
  ::unlink(go.c_str());
  EXPECT_TRUE(CheckReturns(TestProgram("spin")).ok());
}

TEST(TrapSpecTest, NamesAreFound) {
  EXPECT_EQ(SystemCallNumber("openat2"), SYS_openat2);
  EXPECT_EQ(SystemCallNumber(""), -1);
  EXPECT_EQ(SignalNumber("sigusr2"), SIGUSR2);
  EXPECT_EQ(SignalNumber("99"), -1);
  EXPECT_EQ(ErrorNumber("enoent"), ENOENT);
  EXPECT_EQ(ErrorNumber("ENOTHING"), -1);
}

TEST(TrapSpecTest, WhatIsWrongIsSaid) {
  EXPECT_THAT(Wrong(""), HasSubstr("begins with the name of a system call"));
  EXPECT_THAT(Wrong("closs"), HasSubstr("no system call 'closs'"));
  EXPECT_THAT(Wrong("close EBADF"), HasSubstr("'EBADF' is no term"));
  EXPECT_THAT(Wrong("close errno=EBADFF"), HasSubstr("no error 'EBADFF'"));
  EXPECT_THAT(Wrong("close path=/x"), HasSubstr("close has no path"));
  EXPECT_THAT(Wrong("any path=/x"), HasSubstr("goes with the name of a system call"));
  EXPECT_THAT(Wrong("open,openat path=/x"), HasSubstr("different places"));
  EXPECT_THAT(Wrong("openat path>/x"), HasSubstr("takes = or !="));
  EXPECT_THAT(Wrong("openat path=" + std::string(64, 'x')), HasSubstr("1 to 63 characters"));
  EXPECT_THAT(Wrong("close duration>10"), HasSubstr("takes a time"));
  EXPECT_THAT(Wrong("close duration>1e300s"), HasSubstr("takes a time"));
  EXPECT_THAT(Wrong("close arg6=1"), HasSubstr("'arg6' is none of"));
  EXPECT_THAT(Wrong("close uid=root"), HasSubstr("takes a number"));
  EXPECT_THAT(Wrong("ret<0", "signal=SEGV"), HasSubstr("go with system calls"));
  EXPECT_THAT(Wrong("", "signal=NONE"), HasSubstr("no signal 'NONE'"));
  EXPECT_THAT(Wrong("", "uprobe:/bin/true"), HasSubstr("needs a file and a function"));
  EXPECT_THAT(Wrong("", "elsewhere"), HasSubstr("--on takes"));
  EXPECT_THAT(Wrong("openat path=/etc/*foo"), HasSubstr("a * at its end alone"));
  EXPECT_THAT(Wrong("close comm=a*b*"), HasSubstr("a * at its end alone"));
  EXPECT_EQ(Parsed("write buf=*3").probe.config.terms[0].bytes, 2u);
  EXPECT_THAT(Wrong("any,close"), HasSubstr("stands for all system calls"));
  EXPECT_THAT(Wrong("close,any"), HasSubstr("stands for all system calls"));
  for (const char* number : {"tid=0", "tid=99999999", "tid!=-1", "pid=99999999", "uid=-1"}) {
    EXPECT_THAT(Wrong(absl::StrCat("close ", number)), HasSubstr(" takes ")) << number;
  }
  std::string many = "close";
  for (int i = 0; i <= JP_PROBE_TERMS; ++i) many += " ret<0";
  EXPECT_THAT(Wrong(many), HasSubstr("at most 12 terms"));
}

TEST(TrapSpecTest, AHitIsToldWithItsErrorByName) {
  jp_probe_hit hit = {};
  hit.point = JP_PROBE_AT_EXIT;
  hit.number = SYS_close;
  hit.ret = -EBADF;
  hit.duration_ns = 2'500'000;
  std::fill(std::begin(hit.arguments), std::end(hit.arguments), 0x3efc244afe236f00);
  hit.arguments[0] = 987;
  EXPECT_EQ(DescribeHit(hit), "close(987) = -9 EBADF, 2.500 ms");
  hit.number = 1 << 20;
  hit.ret = -5000;
  EXPECT_THAT(DescribeHit(hit), HasSubstr("system call 1048576(...) = "));
}

}  // namespace
}  // namespace jprof
