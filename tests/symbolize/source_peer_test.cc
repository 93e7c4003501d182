// Second opinion: functions, inlined functions and lines as elfutils' eu-addr2line has them. At
// some addresses in a hundred it contradicts itself (an inlined call more than it says the function
// is in, rows of another unit for code without any); there binutils' addr2line and LLVM's, where it
// is installed, have the casting vote.
//   JPROF_ELF=FILE JPROF_ADDRESSES=10000 source_peer_test     another file, more addresses
//   JPROF_ELF_DEBUG=FILE                                      its debug file
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "symbolize/dwarf.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

std::string Environment(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

ElfFile Open(const std::string& path) {
  auto file = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

// Drawn from all code of sized functions; with the functions' names, of which C1 and C2 are two.
std::map<ElfAddress, std::set<std::string>> RandomAddresses(const ElfFile& file, size_t count) {
  struct Function {
    uint64_t begin;
    uint64_t size;
  };
  std::vector<Function> functions;
  std::map<uint64_t, std::set<std::string>> names;
  EXPECT_TRUE(file.ForEachSymbol(ElfFile::Table::kSymtab, [&](const auto& s) {
                    if (s.type == STT_FUNC && s.size > 0) {
                      functions.push_back({s.address.value, s.size});
                      names[s.address.value].emplace(s.name);
                    }
                    return true;
                  }).ok());
  std::mt19937 random(5);
  std::map<ElfAddress, std::set<std::string>> addresses;
  for (size_t i = 0; i < count && !functions.empty(); ++i) {
    const Function& function = functions[random() % functions.size()];
    addresses.emplace(ElfAddress{function.begin + random() % function.size},
                      names[function.begin]);
  }
  return addresses;
}

// For each address the function and its place, innermost first: "name", "file:line", ...
using Answer = std::vector<std::string>;

std::vector<Answer> Ask(const std::string& command, const std::vector<ElfAddress>& addresses) {
  const std::string list = absl::StrCat(testing::TempDir(), "addresses-", ::getpid());
  std::ofstream out(list);
  for (ElfAddress a : addresses) out << absl::StrFormat("0x%x\n", a.value);
  out.close();
  std::string text;
  FILE* pipe = ::popen(absl::StrCat(command, " < '", list, "'").c_str(), "r");
  char chunk[4096];
  for (size_t n; (n = std::fread(chunk, 1, sizeof(chunk), pipe)) > 0;) text.append(chunk, n);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  std::remove(list.c_str());
  std::vector<Answer> answers;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "0x")) {
      answers.emplace_back();
      continue;
    }
    if (answers.empty()) break;
    std::string word(line);
    if (answers.back().size() % 2 == 0) {
      // "f inlined at place in g": the lines that follow say the same.
      word = word.substr(0, std::min(word.find(" inlined at "), word.find(" inlined from ")));
    } else {
      word = word.substr(0, word.find(" (discriminator"));
      if (std::count(word.begin(), word.end(), ':') > 1) word.resize(word.rfind(':'));  // column
    }
    answers.back().push_back(std::move(word));
  }
  EXPECT_EQ(answers.size(), addresses.size()) << command;
  answers.resize(addresses.size());
  return answers;
}

std::string PlaceOf(const SourceInfo& info, const SourceFrame& frame) {
  return frame.file == 0 ? "??:0" : absl::StrCat(info.files[frame.file], ":", frame.line);
}

std::string NameOf(const SourceFunction& function) {
  return function.linkage_name.empty() ? function.name : function.linkage_name;
}

TEST(SourcePeerTest, FunctionsInlinedFunctionsAndLinesAreThoseOfElfutils) {
  ASSERT_EQ(std::system("command -v eu-addr2line && command -v addr2line"), 0)
      << "needs elfutils and binutils";
  const std::string path = Environment("JPROF_ELF", TestProgram("inlines"));
  const std::string debug_path = Environment("JPROF_ELF_DEBUG", path);
  size_t wanted = 400;
  ASSERT_TRUE(absl::SimpleAtoi(Environment("JPROF_ADDRESSES", "400"), &wanted));

  const ElfFile file = Open(debug_path);
  const std::map<ElfAddress, std::set<std::string>> symbols = RandomAddresses(file, wanted);
  std::vector<ElfAddress> addresses;
  for (const auto& [address, name] : symbols) addresses.push_back(address);
  ASSERT_GT(addresses.size(), wanted / 2);
  WorkBudget budget({});
  SourceInfo info;
  ASSERT_TRUE(FindSource(file, nullptr, addresses, budget, &info).ok());
  size_t inlined = 0;
  std::vector<Answer> ours;
  for (size_t i = 0; i < addresses.size(); ++i) {
    Answer answer;
    for (const SourceFrame& frame : info.FramesOf(i)) {
      answer.push_back(NameOf(info.functions[frame.function]));
      answer.push_back(PlaceOf(info, frame));
    }
    inlined += answer.size() > 2;
    ours.push_back(std::move(answer));
  }
  // Code that no DWARF speaks of, the C library's start-up: they take its name from the symbols.
  size_t unknown = 0;
  auto agree = [&](size_t i, const Answer& theirs) {
    if (ours[i] == theirs) return true;
    if (ours[i].empty()) return theirs.size() == 2;
    // Of the function that the code belongs to they may take the symbol's name, as we do later
    // where DWARF has no whole one: for what is local to a file or to a function. A constructor has
    // two.
    const size_t name = theirs.size() - 2;
    const std::set<std::string>& symbol = symbols.at(addresses[i]);
    if (ours[i].size() != theirs.size() || ours[i][name].empty() ||
        symbol.count(theirs[name]) == 0 ||
        (absl::StartsWith(ours[i][name], "_Z") && symbol.count(ours[i][name]) == 0)) {
      return false;
    }
    Answer same = theirs;
    same[name] = ours[i][name];
    return ours[i] == same;
  };
  const std::vector<Answer> elfutils =
      Ask(absl::StrCat("eu-addr2line -a -i -f -e '", path, "'"), addresses);
  std::vector<ElfAddress> disputed;
  std::vector<size_t> indexes;
  for (size_t i = 0; i < addresses.size(); ++i) {
    unknown += ours[i].empty();
    if (agree(i, elfutils[i])) continue;
    disputed.push_back(addresses[i]);
    indexes.push_back(i);
  }
  std::vector<std::vector<Answer>> others;
  for (const char* other : {"addr2line", "llvm-addr2line"}) {
    if (std::system(absl::StrCat("command -v ", other).c_str()) != 0) continue;
    others.push_back(Ask(absl::StrCat(other, " -a -i -f -e '", path, "'"), disputed));
  }
  for (size_t i = 0; i < disputed.size(); ++i) {
    bool outvoted = false;
    std::string answers;
    for (const std::vector<Answer>& other : others) {
      outvoted |= agree(indexes[i], other[i]);
      absl::StrAppend(&answers, "\n  another  ", absl::StrJoin(other[i], " | "));
    }
    EXPECT_TRUE(outvoted) << absl::StrFormat("%x", disputed[i].value) << "\n  ours     "
                          << absl::StrJoin(ours[indexes[i]], " | ") << "\n  elfutils "
                          << absl::StrJoin(elfutils[indexes[i]], " | ") << answers;
  }
  EXPECT_LE(unknown, addresses.size() / 20);
  // In what clang compiles it leaves inlined functions out.
  const bool own = std::getenv("JPROF_ELF") == nullptr;
  EXPECT_LE(disputed.size(), addresses.size() / (own ? 50 : 2));
  EXPECT_GT(inlined, addresses.size() / 4) << "hardly anything is inlined there";
  std::printf("%zu addresses, inlined %zu, of no DWARF %zu; elfutils outvoted at %zu\n",
              addresses.size(), inlined, unknown, disputed.size());
}

}  // namespace
}  // namespace jprof
