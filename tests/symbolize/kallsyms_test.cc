#include "symbolize/kallsyms.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Kallsyms> LoadText(absl::string_view text) {
  std::string path = absl::StrCat(testing::TempDir(), "kallsyms-", ::getpid());
  std::ofstream(path) << text;
  auto symbols = Kallsyms::Load(path);
  std::remove(path.c_str());
  return symbols;
}

Kallsyms MustLoad(absl::string_view text) {
  auto symbols = LoadText(text);
  EXPECT_TRUE(symbols.ok()) << symbols.status();
  return *std::move(symbols);
}

// "name+offset", or "name+offset [module]".
std::string Find(const Kallsyms& symbols, uint64_t address) {
  auto match = symbols.Find(address);
  if (match.name.empty()) return "-";
  std::string text = absl::StrCat(match.name, "+", match.offset);
  if (!match.module.empty()) absl::StrAppend(&text, " [", match.module, "]");
  return text;
}

TEST(KallsymsTest, LastSymbolAtOrBelowIsFound) {
  Kallsyms symbols = MustLoad(
      "ffffffff81000000 T first\n"
      "ffffffff81000100 t second\n"
      "ffffffff81000200 W third\n");
  EXPECT_EQ(symbols.size(), 3u);
  EXPECT_EQ(Find(symbols, 0xffffffff80ffffff), "-");
  EXPECT_EQ(Find(symbols, 0xffffffff81000000), "first+0");
  EXPECT_EQ(Find(symbols, 0xffffffff810000ff), "first+255");
  EXPECT_EQ(Find(symbols, 0xffffffff81000100), "second+0");
  EXPECT_EQ(Find(symbols, 0xffffffff81000208), "third+8");
}

TEST(KallsymsTest, AddressFarBehindTheLastSymbolHasNoName) {
  Kallsyms symbols = MustLoad("ffffffff81000000 T last\n");
  EXPECT_EQ(Find(symbols, 0xffffffff81000000 + Kallsyms::kMaxOffset),
            absl::StrCat("last+", Kallsyms::kMaxOffset));
  EXPECT_EQ(Find(symbols, 0xffffffff81000001 + Kallsyms::kMaxOffset), "-");
  EXPECT_EQ(Find(symbols, ~uint64_t{0}), "-");
}

TEST(KallsymsTest, ModulesMayLieBelowTheKernelAndOutOfOrder) {
  Kallsyms symbols = MustLoad(
      "ffffffff81000000 T kernel_function\n"
      "ffffffffc0200000 t second_module\t[beta]\n"
      "ffffffffc0100000 t first_module\t[alpha]\n"
      "ffffffffc0300000 t bpf_prog_1\t[bpf]\n"
      "ffffffff80000000 t low_module\t[alpha]\n");
  EXPECT_EQ(Find(symbols, 0xffffffffc0100004), "first_module+4 [alpha]");
  EXPECT_EQ(Find(symbols, 0xffffffffc0200004), "second_module+4 [beta]");
  EXPECT_EQ(Find(symbols, 0xffffffffc0300000), "bpf_prog_1+0 [bpf]");
  EXPECT_EQ(Find(symbols, 0xffffffff80000000), "low_module+0 [alpha]");
  EXPECT_EQ(Find(symbols, 0xffffffff81000000), "kernel_function+0");
}

TEST(KallsymsTest, DataIsNoCode) {
  Kallsyms symbols = MustLoad(
      "0000000000000000 A fixed_percpu_data\n"
      "ffffffff81000000 T function\n"
      "ffffffff81000010 D data\n"
      "ffffffff81000020 r constant\n");
  EXPECT_EQ(symbols.size(), 1u);
  EXPECT_EQ(Find(symbols, 0xffffffff81000028), "function+40");
}

TEST(KallsymsTest, GlobalNameOfAnAddressIsPreferred) {
  Kallsyms symbols = MustLoad(
      "ffffffff81000000 W weak\n"
      "ffffffff81000000 t local\n"
      "ffffffff81000000 T global\n"
      "ffffffff81000000 T other_global\n");
  EXPECT_EQ(Find(symbols, 0xffffffff81000001), "global+1");
}

TEST(KallsymsTest, ZeroedAddressesArePermissionDenied) {
  absl::Status status = LoadText(
                            "0000000000000000 T _text\n"
                            "0000000000000000 t other\n")
                            .status();
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(HintOf(status), HasSubstr("kernel.kptr_restrict"));
}

TEST(KallsymsTest, NothingToReadIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(LoadText("").status()));
  EXPECT_TRUE(absl::IsNotFound(LoadText("ffffffff81000000 D data\n").status()));
  EXPECT_TRUE(absl::IsNotFound(Kallsyms::Load("/nonexistent/kallsyms").status()));
}

TEST(KallsymsTest, LinesThatAreNoSymbolsAreSkipped) {
  Kallsyms symbols = MustLoad(
      "\n"
      "ffffffff81000000\n"
      "ffffffff81000000 T \n"
      "ffffffff81000000 T\n"
      "not an address T name\n"
      "ffffffff810000000 T seventeen_digits\n" +
      std::string(200'000, 'x') +
      "\n"
      "ffffffff81000100 T good");
  EXPECT_EQ(symbols.size(), 1u);
  EXPECT_EQ(Find(symbols, 0xffffffff81000100), "good+0");
}

TEST(KallsymsTest, LinesMayCrossReads) {
  std::string text;
  for (uint64_t i = 0; i < 50'000; ++i) {
    absl::StrAppendFormat(&text, "%016x t function_%d\n", 0xffffffff81000000 + i * 16, i);
  }
  Kallsyms symbols = MustLoad(text);
  ASSERT_EQ(symbols.size(), 50'000u);
  for (uint64_t i = 0; i < 50'000; ++i) {
    ASSERT_EQ(Find(symbols, 0xffffffff81000007 + i * 16), absl::StrCat("function_", i, "+7"));
  }
}

TEST(KallsymsTest, EnclosedIsWhatLiesBetweenTwoOfOneModule) {
  Kallsyms symbols = MustLoad(
      "ffffffff81000000 T one\n"
      "ffffffff81000100 T two\n"
      "ffffffffc0000000 t first\t[ext4]\n"
      "ffffffffc0000100 t second\t[ext4]\n");
  EXPECT_TRUE(symbols.Find(0xffffffff81000010).enclosed);
  EXPECT_FALSE(symbols.Find(0xffffffff81000110).enclosed);
  EXPECT_TRUE(symbols.Find(0xffffffffc0000010).enclosed);
  EXPECT_FALSE(symbols.Find(0xffffffffc0000110).enclosed);
}

TEST(KallsymsTest, RunningKernelHasSymbolsOrSaysWhyNot) {
  auto symbols = Kallsyms::Load();
  if (!symbols.ok()) {
    EXPECT_TRUE(absl::IsPermissionDenied(symbols.status()) || absl::IsNotFound(symbols.status()))
        << symbols.status();
    return;
  }
  EXPECT_GT(symbols->size(), 1000u);
}

}  // namespace
}  // namespace jprof
