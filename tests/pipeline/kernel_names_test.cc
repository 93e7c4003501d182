#include "profiler/pipeline/kernel_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr char kBefore[] =
    "ffffffff81000000 T one\n"
    "ffffffff81000100 T two\n"
    "ffffffff81000200 T three\n"
    "ffffffffc0000000 t first\t[ext4]\n"
    "ffffffffc0000100 t second\t[ext4]\n"
    "ffffffffc0100000 t bpf_prog_a\t[bpf]\n"
    "ffffffffc0100100 t bpf_prog_b\t[bpf]\n";
// The kernel's lists as they are after the first reading: a name that was not there tells which
// reading answers.
constexpr char kAfter[] =
    "ffffffff81000000 T one\n"
    "ffffffff81000080 T new\n"
    "ffffffff81000200 T three\n"
    "ffffffffc0000080 t new\t[ext4]\n"
    "ffffffffc0100080 t new\t[bpf]\n";

class KernelNamesTest : public testing::Test {
 protected:
  KernelNamesTest() {
    Write("modules", "ext4 1000 1 - Live 0xffffffffc0000000\n");
    Write("kallsyms", kBefore);
    names_ = std::make_unique<KernelNames>(Path("kallsyms"), Path("modules"));
  }
  ~KernelNamesTest() override {
    std::remove(Path("modules").c_str());
    std::remove(Path("kallsyms").c_str());
  }

  static std::string Path(const std::string& name) {
    return absl::StrCat(testing::TempDir(), "/", name, ".", ::getpid());
  }
  static void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }
  std::string Find(uint64_t address) {
    const std::vector<uint64_t> addresses = {address};
    if (!names_->Learn(addresses).ok()) return "none";
    return std::string(names_->Find(address).name);
  }
  void ReadThenChange() {
    ASSERT_EQ(Find(0xffffffff81000010), "one");
    Write("kallsyms", kAfter);
  }

  std::unique_ptr<KernelNames> names_;
};

TEST_F(KernelNamesTest, TheKernelItselfIsReadOnce) {
  ReadThenChange();
  EXPECT_EQ(Find(0xffffffff81000090), "one");
}

TEST_F(KernelNamesTest, AModuleIsReadOnceWhileTheModulesAreTheSame) {
  ReadThenChange();
  EXPECT_EQ(Find(0xffffffffc0000090), "first");
}

TEST_F(KernelNamesTest, AModuleIsReadAgainWhenTheModulesAreOthers) {
  ReadThenChange();
  Write("modules", "ext4 1000 1 - Live 0xffffffffc0000000\nnfs 1000 1 - Live 0xffffffffc0200000\n");
  EXPECT_EQ(Find(0xffffffffc0000090), "new");
}

TEST_F(KernelNamesTest, BehindTheLastSymbolOfAModuleIsReadAgain) {
  ReadThenChange();
  EXPECT_EQ(Find(0xffffffffc0000110), "new");
}

TEST_F(KernelNamesTest, BpfProgramsAreReadAgain) {
  ReadThenChange();
  EXPECT_EQ(Find(0xffffffffc0100090), "new");
}

TEST_F(KernelNamesTest, WhoAsksOftenDoesNotHaveItReadEachTime) {
  names_ = std::make_unique<KernelNames>(Path("kallsyms"), Path("modules"), 10);
  const std::vector<uint64_t> bpf = {0xffffffffc0100090};
  auto find = [&](uint64_t now_ns) {
    EXPECT_TRUE(names_->Learn(bpf, now_ns).ok());
    return std::string(names_->Find(bpf[0]).name);
  };
  EXPECT_EQ(find(100), "bpf_prog_a");
  Write("kallsyms", kAfter);
  EXPECT_EQ(find(109), "bpf_prog_a");
  EXPECT_EQ(find(110), "new");
}

TEST_F(KernelNamesTest, OneWhoAnswersIsAskedEachTime) {
  std::vector<uint64_t> asked;
  auto ask = [&](uint64_t address) -> absl::StatusOr<std::optional<KernelSymbol>> {
    asked.push_back(address);
    if (address == 3) return std::nullopt;
    if (address == 4) return absl::PermissionDeniedError("no");
    return KernelSymbol{.name = absl::StrCat("name", asked.size()),
                        .module = address == 2 ? "ext4" : ""};
  };
  names_ = std::make_unique<KernelNames>("/nowhere", "/nowhere", 0, [&] { return ask; });
  names_->Begin();
  const std::vector<uint64_t> addresses = {1, 2, 3, 2};
  ASSERT_TRUE(names_->Learn(addresses).ok());
  EXPECT_EQ(names_->Find(1).name, "name1");
  EXPECT_EQ(names_->Find(2).name, "name2");
  EXPECT_EQ(names_->Find(2).module, "ext4");
  EXPECT_EQ(names_->Find(3).name, "");
  EXPECT_THAT(asked, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(names_->Learn(std::vector<uint64_t>{1, 4}).message(), "no");
  EXPECT_EQ(names_->Find(1).name, "name4");
  EXPECT_EQ(names_->Find(4).name, "");
  EXPECT_TRUE(names_->Learn(addresses).ok());
}

// It is a program in the kernel, which a profile without kernel frames does not need.
TEST_F(KernelNamesTest, OneWhoAnswersIsMadeOnceAndWhenNeeded) {
  int made = 0;
  const auto make = [&]() -> KernelNames::Asker {
    ++made;
    return [](uint64_t) { return KernelSymbol{.name = "asked"}; };
  };
  names_ = std::make_unique<KernelNames>("/nowhere", "/nowhere", 0, make);
  EXPECT_EQ(made, 0);
  names_->Begin();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(Find(1), "asked");
  names_->Begin();
  EXPECT_EQ(Find(1), "asked");
  EXPECT_EQ(made, 1);
}

TEST_F(KernelNamesTest, WhereNobodyAnswersTheListsAreRead) {
  const auto make = [] { return KernelNames::Asker(); };
  names_ = std::make_unique<KernelNames>(Path("kallsyms"), Path("modules"), 0, make);
  EXPECT_EQ(Find(0xffffffff81000010), "one");
}

TEST_F(KernelNamesTest, WithoutKallsymsThereIsNone) {
  names_ = std::make_unique<KernelNames>("/nowhere", "/nowhere");
  names_->Begin();
  EXPECT_EQ(Find(0xffffffff81000010), "none");
}

}  // namespace
}  // namespace jprof
