#include "profiler/capture/kernel_lookup.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
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
  EXPECT_THAT(ParseKernelSymbol("bpf_prog_6deef7357e7b4530_a+0xf/0x20"),
              Optional(KernelSymbol{"bpf_prog_6deef7357e7b4530_a", "bpf", 15}));
  EXPECT_THAT(ParseKernelSymbol("bpf_trampoline_6442536467+0xf/0x20"),
              Optional(KernelSymbol{"bpf_trampoline_6442536467", "bpf", 15}));
  EXPECT_THAT(ParseKernelSymbol("bpf_prog_load+0xf/0x20"),
              Optional(KernelSymbol{"bpf_prog_load", "", 15}));
  EXPECT_THAT(ParseKernelSymbol("bpf_trampoline_link_prog+0xf/0x20"),
              Optional(KernelSymbol{"bpf_trampoline_link_prog", "", 15}));
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

  std::optional<KernelSymbol> Find(uint64_t address) {
    auto found = lookup_->Find(address);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::nullopt;
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
    const std::optional<KernelSymbol> found = Find(address);
    ASSERT_TRUE(found) << *next->second.begin();
    EXPECT_THAT(next->second, Contains(found->name));
    EXPECT_EQ(found->offset, size / 2) << found->name;
    EXPECT_EQ(found->module, "");
    ++asked;
  }
  EXPECT_GT(asked, 100u);
}

TEST_F(KernelLookupTest, WhereNoCodeIsThereIsNone) {
  EXPECT_EQ(Find(0), std::nullopt);
  EXPECT_EQ(Find(reinterpret_cast<uint64_t>(this)), std::nullopt);
  EXPECT_EQ(Find(~uint64_t{0}), std::nullopt);
}

TEST_F(KernelLookupTest, ABpfProgramIsOne) {
  const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  const UniqueFd program(::bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "jprof_test", "GPL", code,
                                         std::size(code), nullptr));
  ASSERT_TRUE(program.valid());
  uint64_t address = 0;
  bpf_prog_info info = {};
  info.nr_jited_ksyms = 1;
  info.jited_ksyms = reinterpret_cast<uint64_t>(&address);
  uint32_t size = sizeof(info);
  ASSERT_EQ(::bpf_obj_get_info_by_fd(program.get(), &info, &size), 0);
  if (address == 0) GTEST_SKIP() << "BPF programs are interpreted";
  const std::optional<KernelSymbol> found = Find(address + 1);
  ASSERT_TRUE(found);
  EXPECT_THAT(found->name, testing::AllOf(testing::StartsWith("bpf_prog_"),
                                          testing::EndsWith("_jprof_test")));
  EXPECT_EQ(found->module, "bpf");
  EXPECT_EQ(found->offset, 1u);
}

}  // namespace
}  // namespace jprof
