// Our tables against elfutils' reading of the same call-frame information, row by row, in the
// libraries that this program itself is linked to.
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "profiler/unwind/call_frames.h"

namespace jprof {
namespace {

std::vector<std::string> OwnLibraries() {
  std::vector<std::string> paths;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        if (info->dlpi_name[0] == '/') {
          static_cast<std::vector<std::string>*>(out)->push_back(info->dlpi_name);
        }
        return 0;
      },
      &paths);
  return paths;
}

// What elfutils says of `address`, as far as our rules go: "7+8 fp@-16 ra", "none", "root".
std::string PeersRule(Dwarf_CFI* cfi, uint64_t address) {
  Dwarf_Frame* found = nullptr;
  if (::dwarf_cfi_addrframe(cfi, address, &found) != 0) return "none";
  const std::unique_ptr<Dwarf_Frame, decltype(&std::free)> frame(found, std::free);
  Dwarf_Op memory[3];
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  auto reg = [&](int number) -> std::string {
    if (::dwarf_frame_register(frame.get(), number, memory, &ops, &count) != 0) return "error";
    if (count == 0) return ops == nullptr ? "same" : "undefined";
    // A value at CFA + n: call_frame_cfa, plus_uconst n; n is 0: call_frame_cfa alone.
    if (ops[0].atom == DW_OP_call_frame_cfa && count == 1) return "@0";
    if (ops[0].atom == DW_OP_call_frame_cfa && count == 2 && ops[1].atom == DW_OP_plus_uconst) {
      return absl::StrCat("@", static_cast<int64_t>(ops[1].number));
    }
    return "expression";
  };
  const std::string ra = reg(16);
  if (ra == "undefined") return "root";
  const std::string fp = reg(JP_REGISTER_RBP);
  if (::dwarf_frame_cfa(frame.get(), &ops, &count) != 0) return "error";
  if (ra != "@-8" || fp == "expression" || count != 1) return "expression";
  std::string cfa = "expression";
  if (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
    cfa = absl::StrCat(ops[0].atom - DW_OP_breg0, "+", static_cast<int64_t>(ops[0].number));
  } else if (ops[0].atom == DW_OP_bregx) {
    cfa = absl::StrCat(ops[0].number, "+", static_cast<int64_t>(ops[0].number2));
  }
  return fp == "same" || fp == "undefined" ? cfa : absl::StrCat(cfa, " ", fp);
}

std::string OurRule(const jp_rule& rule) {
  switch (rule.kind) {
    case JP_RULE_NONE:
      return "none";
    case JP_RULE_FRAME:
      return "6+16 @-16";
    case JP_RULE_ROOT:
      return "root";
    case JP_RULE_OFFSET:
      if (rule.fp == JP_FP_AT_FP) return "expression";
      return absl::StrCat(int{rule.base}, "+", rule.cfa_offset,
                          rule.fp == JP_FP_AT_CFA ? absl::StrCat(" @", rule.fp_offset) : "");
    default:
      return "expression";
  }
}

TEST(CallFramesPeerTest, EachRowOfOurLibrariesIsElfutilsToo) {
  size_t rows = 0, libraries = 0;
  for (const std::string& path : OwnLibraries()) {
    auto elf = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
    ASSERT_TRUE(elf.ok()) << elf.status();
    auto table = CallFrames(*elf).Build();
    ASSERT_TRUE(table.ok()) << path << table.status();
    ++libraries;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ::elf_version(EV_CURRENT);
    const std::unique_ptr<Elf, decltype(&::elf_end)> peer(
        ::elf_begin(fd.get(), ELF_C_READ, nullptr), ::elf_end);
    Dwarf_CFI* cfi = ::dwarf_getcfi_elf(peer.get());
    ASSERT_NE(cfi, nullptr) << path;
    size_t wrong = 0;
    jp_rule last = {.kind = JP_RULE_NONE};
    for (uint64_t i = 0; i < table->size(); ++i) {
      const uint64_t address = table->begin().value + i;
      const jp_rule rule = *table->Find({address});
      if (std::memcmp(&rule, &last, sizeof(rule)) == 0) continue;
      last = rule;
      const std::string ours = OurRule(rule);
      const std::string theirs = PeersRule(cfi, address);
      ++rows;
      // A gap between two functions has one row, and padding none.
      if (ours != theirs && ++wrong < 10) {
        ADD_FAILURE() << path << " 0x" << std::hex << address << ": ours " << ours
                      << ", elfutils' " << theirs;
      }
    }
    EXPECT_EQ(wrong, 0u) << path;
    ::dwarf_cfi_end(cfi);
  }
  EXPECT_GE(libraries, 3u);  // C, C++ and mathematics
  EXPECT_GT(rows, 50'000u);
}

}  // namespace
}  // namespace jprof
