#include "profiler/capture/kernel_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace jprof {
namespace {

using testing::Contains;
using testing::Optional;

TEST(KernelSymbolTest, IsReadAsTheKernelPrintsIt) {
  EXPECT_THAT(ParseKernelSymbol("do_syscall_64+0x5b/0x90"),
              Optional(KernelSymbol{"do_syscall_64", "", 0x5b}));
  EXPECT_THAT(ParseKernelSymbol("ext4_sync_file+0x0/0x3a0 [ext4]"),
              Optional(KernelSymbol{"ext4_sync_file", "ext4", 0}));
  EXPECT_THAT(ParseKernelSymbol("bpf_prog_5d0ac9d2_a+0xf/0x20 [bpf]"),
              Optional(KernelSymbol{"bpf_prog_5d0ac9d2_a", "bpf", 15}));
  EXPECT_THAT(ParseKernelSymbol("<T+0x1>::f+0x2/0x3"), Optional(KernelSymbol{"<T+0x1>::f", "", 2}));
}

TEST(KernelSymbolTest, AnythingElseIsNone) {
  for (const char* text : {"", "0xffffffff81000000", "a", "+0x1/0x2", "a+0x1", "a+0x/0x2",
                           "a+0xzz/0x2", "a+0x1/0x2 b", "a+0x1/0x2 [b"}) {
    EXPECT_EQ(ParseKernelSymbol(text), std::nullopt) << text;
  }
}

class KernelLookupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_TRUE(lookup_.ok()) << lookup_.status();
  }

  absl::StatusOr<KernelLookup> lookup_ = KernelLookup::Make();
};

TEST_F(KernelLookupTest, FindsWhatTheKernelsListHas) {
  std::map<uint64_t, std::set<std::string>> symbols;
  std::ifstream kallsyms("/proc/kallsyms");
  for (std::string line; std::getline(kallsyms, line);) {
    if (line.find('\t') != std::string::npos || (line[17] != 'T' && line[17] != 't')) continue;
    symbols[std::stoull(line, nullptr, 16)].insert(line.substr(19));
  }
  ASSERT_GT(symbols.size(), 1000u);
  constexpr size_t kEach = 97;
  size_t asked = 0, at = 0;
  for (auto next = symbols.begin(); next != symbols.end(); ++next) {
    if (++at % kEach != 0 || std::next(next) == symbols.end()) continue;
    const uint64_t size = std::next(next)->first - next->first;
    const uint64_t address = next->first + size / 2;
    const std::optional<KernelSymbol> found = lookup_->Find(address);
    ASSERT_TRUE(found) << *next->second.begin();
    EXPECT_THAT(next->second, Contains(found->name));
    EXPECT_EQ(found->offset, size / 2) << found->name;
    EXPECT_EQ(found->module, "");
    ++asked;
  }
  EXPECT_GT(asked, 100u);
}

TEST_F(KernelLookupTest, WhereNoCodeIsThereIsNone) {
  EXPECT_EQ(lookup_->Find(0), std::nullopt);
  EXPECT_EQ(lookup_->Find(reinterpret_cast<uint64_t>(this)), std::nullopt);
  EXPECT_EQ(lookup_->Find(~uint64_t{0}), std::nullopt);
}

}  // namespace
}  // namespace jprof
