#include "profiler/corefile/core_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/corefile/mapped_files.h"
#include "tests/corefile/core_builder.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Example() {
  return CoreBuilder()
      .Thread(12, 0x401000, 0x7000'0010)
      .Process(11, "program")
      .Thread(11, 0x401100, 0x7100'0010)
      .File(0x400000, 0x401000, 0, "/nowhere/program")
      .File(0x401000, 0x403000, 0x1000, "/nowhere/program")
      .Load(0x401000, 0x1000, "", PF_R | PF_X)
      .Load(0x7000'0000, 0x20, std::string(0x20, 's'), PF_R | PF_W)
      .Load(0x7100'0000, 0x40, std::string(0x20, 'm'), PF_R | PF_W)
      .Bytes();
}

CoreFile OpenCore(absl::string_view bytes) {
  auto core = CoreFile::Open(FileOf(bytes), "core");
  if (!core.ok()) {
    ADD_FAILURE() << core.status();
    std::abort();
  }
  return *std::move(core);
}

TEST(CoreFileTest, HasThreadsAndProcess) {
  const CoreFile core = OpenCore(Example());
  EXPECT_EQ(core.pid(), 11);
  EXPECT_EQ(core.comm(), "program");
  ASSERT_EQ(core.threads().size(), 2u);
  EXPECT_EQ(core.threads()[0].tid, 12);
  EXPECT_EQ(core.threads()[0].registers.rip, 0x401000u);
  EXPECT_EQ(core.threads()[1].registers.rsp, 0x71000010u);
}

TEST(CoreFileTest, WhatLiesInFilesIsMappedThoughItIsNotInTheCore) {
  const CoreFile core = OpenCore(Example());
  std::vector<std::string> shown;
  for (const ProcMapping& m : core.mappings()) {
    shown.push_back(absl::StrCat(absl::Hex(m.range.begin.value), "-", absl::Hex(m.range.end.value),
                                 "+", absl::Hex(m.offset.value), " ", m.path));
  }
  EXPECT_THAT(shown, ElementsAre("400000-401000+0 /nowhere/program",
                                 "401000-402000+1000 /nowhere/program",
                                 "402000-403000+2000 /nowhere/program", "70000000-70000020+0 ",
                                 "71000000-71000040+0 [stack]"));
}

TEST(CoreFileTest, MemoryIsWhatTheFileHoldsAndNoMore) {
  const CoreFile core = OpenCore(Example());
  EXPECT_EQ(core.ReadValue<char>(Address{0x7000'001f}), 's');
  EXPECT_EQ(core.ReadValue<char>(Address{0x7100'0000}), 'm');
  std::byte bytes[0x40];
  EXPECT_EQ(core.Read(Address{0x7100'0010}, bytes), 0x10u);  // the rest was not written
  EXPECT_EQ(core.Read(Address{0x401000}, bytes), 0u);
  EXPECT_EQ(core.Read(Address{UINT64_MAX}, bytes), 0u);
}

TEST(CoreFileTest, CutAnywhereItSaysWhatItHas) {
  const std::string whole = Example();
  for (size_t size = 0; size < whole.size(); ++size) {
    auto core = CoreFile::Open(FileOf(absl::string_view(whole).substr(0, size)), "core");
    if (!core.ok()) continue;
    EXPECT_GT(core->missing_bytes(), 0u) << size;
    for (const ProcMapping& m : core->mappings()) {
      std::byte bytes[0x40];
      EXPECT_LE(core->Read(m.range.begin, bytes), m.range.size());
    }
  }
  auto core = CoreFile::Open(FileOf(absl::string_view(whole).substr(0, whole.size() - 8)), "core");
  ASSERT_TRUE(core.ok()) << core.status();
  EXPECT_EQ(core->missing_bytes(), 8u);
  EXPECT_TRUE(core->IsCutOff(Address{0x7100'0018}));
  EXPECT_FALSE(core->IsCutOff(Address{0x7100'0017}));
}

TEST(CoreFileTest, OtherFilesAreRefused) {
  EXPECT_THAT(CoreFile::Open(FileOf("#!/bin/sh"), "x").status().message(), HasSubstr("not a core"));
  std::string other = Example();
  other[EI_CLASS] = ELFCLASS32;
  EXPECT_THAT(CoreFile::Open(FileOf(other), "x").status().message(), HasSubstr("not x86-64"));
  EXPECT_TRUE(absl::IsDataLoss(
      CoreFile::Open(FileOf(CoreBuilder().Process(1, "x").Bytes()), "x").status()));
}

TEST(MappedFilesTest, AMissingFileIsSaid) {
  const CoreFile core = OpenCore(Example());
  const MappedFiles files(core, {});
  EXPECT_THAT(files.Troubles(), ElementsAre(HasSubstr("/nowhere/program")));
  const CoreMemory memory(core, files);
  EXPECT_FALSE(memory.ReadValue<char>(Address{0x401000}));
  EXPECT_EQ(memory.ReadValue<char>(Address{0x7000'0000}), 's');
}

TEST(MappedFilesTest, MemoryOutsideOfTheCoreIsTheFiles) {
  const CoreFile core = OpenCore(CoreBuilder()
                                     .Thread(1, 0x400000, 0x7000'0000)
                                     .File(0x400000, 0x401000, 0, "/proc/self/exe")
                                     .Bytes());
  const MappedFiles files(core, {});
  const CoreMemory memory(core, files);
  EXPECT_EQ(memory.ReadValue<char>(Address{0x400001}), 'E');
}

TEST(MappedFilesTest, AFileOfAnotherBuildIsNotTaken) {
  // An ELF header with a note that says another build ID than this program's.
  std::string page(0x200, '\0');
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr note = {};
  note.p_type = PT_NOTE;
  note.p_offset = 0x100;
  note.p_filesz = 20;
  const Elf64_Nhdr name = {4, 4, NT_GNU_BUILD_ID};
  std::memcpy(page.data(), &header, sizeof(header));
  std::memcpy(page.data() + sizeof(header), &note, sizeof(note));
  std::memcpy(page.data() + 0x100, &name, sizeof(name));
  std::memcpy(page.data() + 0x10c, "GNU\0abcd", 8);
  const CoreFile core = OpenCore(CoreBuilder()
                                     .Thread(1, 0x400000, 0x7000'0000)
                                     .File(0x400000, 0x401000, 0, "/proc/self/exe")
                                     .Load(0x400000, 0x1000, page, PF_R | PF_X)
                                     .Bytes());
  const MappedFiles files(core, {});
  EXPECT_THAT(files.Troubles(), ElementsAre(HasSubstr("the core's is 61626364")));
}

}  // namespace
}  // namespace jprof
