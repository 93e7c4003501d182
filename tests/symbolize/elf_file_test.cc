#include "symbolize/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace jprof {
namespace {

__attribute__((noinline, used)) int FunctionToFind(int x) { return x * 3 + 1; }
const char kReadOnlyBytes[] = "bytes of the read-only segment";
uint64_t zeroed_words[4];

ElfFile OpenSelf() {
  auto file = ElfFile::Open(UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), "self");
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

ElfAddress FindSymbol(const ElfFile& file, absl::string_view part) {
  ElfAddress found;
  EXPECT_TRUE(file.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
                    if (s.name.find(part) == absl::string_view::npos) return true;
                    found = s.address;
                    return false;
                  }).ok());
  return found;
}

TEST(ElfFileTest, ReadsWhatTheProgramSees) {
  ElfFile file = OpenSelf();
  // The symbol table and the running program differ by one load bias.
  uint64_t bias = reinterpret_cast<uint64_t>(&FunctionToFind) -
                  FindSymbol(file, "FunctionToFind").value;
  EXPECT_EQ(bias % 4096, 0u);

  char text[sizeof(kReadOnlyBytes)];
  ASSERT_TRUE(file.ReadAt({reinterpret_cast<uint64_t>(kReadOnlyBytes) - bias},
                          std::as_writable_bytes(std::span(text))));
  EXPECT_STREQ(text, kReadOnlyBytes);

  zeroed_words[1] = 7;
  uint64_t words[4] = {1, 1, 1, 1};
  ASSERT_TRUE(file.ReadAt({reinterpret_cast<uint64_t>(zeroed_words) - bias},
                          std::as_writable_bytes(std::span(words))));
  EXPECT_EQ(words[0], 0u);
  EXPECT_EQ(words[1], 0u);
}

}  // namespace
}  // namespace jprof
