#include "profiler/process/address_space.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace jprof {
namespace {

Mapping File(uint64_t begin, uint64_t end, uint64_t offset, uint64_t inode) {
  return {{{begin}, {end}}, {offset}, {8, 1, inode}, absl::StrCat("/f", inode)};
}

Mapping Anonymous(uint64_t begin, uint64_t end) {
  return {{{begin}, {end}}, {}, {}, kAnonymousPath};
}

// "begin-end@offset /path" for each mapping.
std::string Text(const AddressSpace& space) {
  return absl::StrJoin(space.Mappings(), ", ", [](std::string* out, const Mapping& m) {
    absl::StrAppend(out, m.range.begin.value, "-", m.range.end.value, "@", m.offset.value, " ",
                    m.path);
  });
}

TEST(AddressSpaceTest, AnEmptyOneFindsNothing) {
  AddressSpace space;
  EXPECT_EQ(space.Find({0}), nullptr);
  EXPECT_TRUE(space.empty());
}

TEST(AddressSpaceTest, ARangeIsHalfOpen) {
  AddressSpace space;
  space.Add(File(10, 20, 100, 1));
  EXPECT_EQ(space.Find({9}), nullptr);
  ASSERT_NE(space.Find({10}), nullptr);
  EXPECT_EQ(space.Find({10})->ToFileOffset({10}).value, 100u);
  EXPECT_EQ(space.Find({19})->ToFileOffset({19}).value, 109u);
  EXPECT_EQ(space.Find({20}), nullptr);
}

TEST(AddressSpaceTest, AnEmptyRangeIsIgnored) {
  AddressSpace space;
  space.Add(File(10, 10, 0, 1));
  space.Add(File(10, 5, 0, 1));
  EXPECT_TRUE(space.empty());
}

TEST(AddressSpaceTest, NewerMappingInsideCutsTheOlderInTwo) {
  AddressSpace space;
  space.Add(File(10, 20, 100, 1));
  space.Add(File(13, 15, 0, 2));
  EXPECT_EQ(Text(space), "10-13@100 /f1, 13-15@0 /f2, 15-20@105 /f1");
}

TEST(AddressSpaceTest, NewerMappingCutsTheRightEnd) {
  AddressSpace space;
  space.Add(File(10, 20, 100, 1));
  space.Add(File(15, 25, 0, 2));
  EXPECT_EQ(Text(space), "10-15@100 /f1, 15-25@0 /f2");
}

TEST(AddressSpaceTest, NewerMappingCutsTheLeftEnd) {
  AddressSpace space;
  space.Add(File(10, 20, 100, 1));
  space.Add(File(5, 12, 0, 2));
  EXPECT_EQ(Text(space), "5-12@0 /f2, 12-20@102 /f1");
}

TEST(AddressSpaceTest, NewerMappingReplacesAnEqualOne) {
  AddressSpace space;
  space.Add(File(10, 20, 100, 1));
  space.Add(File(10, 20, 0, 2));
  EXPECT_EQ(Text(space), "10-20@0 /f2");
}

TEST(AddressSpaceTest, NewerMappingSwallowsAllThatItCovers) {
  AddressSpace space;
  space.Add(File(10, 12, 0, 1));
  space.Add(File(14, 16, 0, 2));
  space.Add(File(16, 20, 0, 3));
  space.Add(File(11, 18, 0, 4));
  EXPECT_EQ(Text(space), "10-11@0 /f1, 11-18@0 /f4, 18-20@2 /f3");
}

TEST(AddressSpaceTest, NeighboursDoNotTouchEachOther) {
  AddressSpace space;
  space.Add(File(10, 20, 0, 1));
  space.Add(File(20, 30, 0, 2));
  space.Add(File(0, 10, 0, 3));
  EXPECT_EQ(space.size(), 3u);
  EXPECT_EQ(space.generation(), 0u);
}

TEST(AddressSpaceTest, ProtectionChangesOfAPieceKeepAnonymousMemoryWhole) {
  AddressSpace space;
  space.Add(Anonymous(0, 1000));
  for (uint64_t page = 0; page < 1000; page += 10) space.Add(Anonymous(page, page + 10));
  EXPECT_EQ(Text(space), "0-1000@0 //anon");
  EXPECT_EQ(space.generation(), 0u);
}

TEST(AddressSpaceTest, AGrowingAnonymousMappingIsNoNewGeneration) {
  AddressSpace space;
  space.Add(Anonymous(10, 20));
  space.Add(Anonymous(10, 40));
  EXPECT_EQ(space.size(), 1u);
  EXPECT_NE(space.Find({39}), nullptr);
  EXPECT_EQ(space.generation(), 0u);
}

TEST(AddressSpaceTest, ClearingIsANewGenerationOnlyIfThereWasSomething) {
  AddressSpace space;
  space.Clear();
  EXPECT_EQ(space.generation(), 0u);
  space.Add(File(10, 20, 0, 1));
  space.Clear();
  EXPECT_EQ(space.generation(), 1u);
  EXPECT_EQ(space.Find({10}), nullptr);
}

TEST(AddressSpaceTest, ACopyIsIndependent) {
  AddressSpace parent;
  parent.Add(File(10, 20, 0, 1));
  AddressSpace child = parent;
  child.Add(File(10, 20, 0, 2));
  EXPECT_EQ(Text(parent), "10-20@0 /f1");
  EXPECT_EQ(Text(child), "10-20@0 /f2");
  parent.Add(File(30, 40, 0, 3));
  EXPECT_EQ(child.Find({30}), nullptr);
  child.Clear();
  EXPECT_EQ(parent.size(), 2u);
}

TEST(AddressSpaceTest, BeyondTheBoundTheOlderHalfIsForgotten) {
  AddressSpace space;
  for (uint64_t i = 0; i <= AddressSpace::kMaxMappings; ++i) {
    // Descending, so that the oldest are not also the lowest.
    uint64_t at = 10 * (AddressSpace::kMaxMappings - i);
    space.Add(File(at, at + 5, 0, 1 + i));
  }
  EXPECT_LE(space.size(), AddressSpace::kMaxMappings / 2 + 1);
  EXPECT_GE(space.size(), AddressSpace::kMaxMappings / 2 - 1);
  EXPECT_NE(space.Find({0}), nullptr) << "the newest is kept";
  EXPECT_EQ(space.Find({10 * AddressSpace::kMaxMappings}), nullptr) << "the oldest is not";
  EXPECT_EQ(space.generation(), 1u);
}

TEST(AddressSpaceTest, APieceCutTooOftenIsForgottenInHalvesToo) {
  AddressSpace space;
  space.Add(File(0, 1'000'000, 0, 1));
  for (uint64_t i = 0; i < AddressSpace::kMaxMappings; ++i) {
    space.Add(File(10 * i + 5, 10 * i + 6, 0, 2));
    ASSERT_LE(space.size(), AddressSpace::kMaxMappings);
  }
}

TEST(AddressSpaceTest, LongPathsAreBoundedToo) {
  AddressSpace space;
  for (uint64_t i = 0; i < 3 * AddressSpace::kMaxPathBytes / 4096; ++i) {
    space.Add({{{10 * i}, {10 * i + 5}}, {}, {8, 1, 1 + i}, std::string(4096, 'x')});
  }
  EXPECT_LE(space.size(), AddressSpace::kMaxPathBytes / 4096);
  EXPECT_GT(space.size(), 0u);
}

// Every sequence of three mappings in a space of four bytes, against a table of what each byte is.
TEST(AddressSpaceTest, EverySequenceOfThreeMappingsAgreesWithATableOfBytes) {
  constexpr uint64_t kBytes = 4;
  std::vector<Mapping> choices;
  for (uint64_t begin = 0; begin < kBytes; ++begin) {
    for (uint64_t end = begin + 1; end <= kBytes; ++end) {
      choices.push_back(File(begin, end, 100 + begin, 1));  // these agree with each other
      choices.push_back(File(begin, end, 50, 1));           // these mostly do not
      choices.push_back(File(begin, end, 100 + begin, 2));
      choices.push_back(Anonymous(begin, end));
    }
  }
  struct Byte {
    uint64_t inode;
    uint64_t offset;
    bool operator==(const Byte&) const = default;
  };
  using Table = std::array<std::optional<Byte>, kBytes>;
  auto apply = [](Table& table, const Mapping& m) {
    bool changed = false;
    for (uint64_t a = m.range.begin.value; a < m.range.end.value; ++a) {
      Byte now = {m.file.inode, m.file.valid() ? m.ToFileOffset({a}).value : 0};
      changed |= table[a].has_value() && table[a] != now;
      table[a] = now;
    }
    return changed;
  };
  auto check = [](const Table& table, const AddressSpace& space) {
    for (uint64_t a = 0; a < kBytes; ++a) {
      const Mapping* m = space.Find({a});
      if ((m != nullptr) != table[a].has_value()) return false;
      if (m == nullptr) continue;
      if (m->file.inode != table[a]->inode) return false;
      if (m->file.valid() && m->ToFileOffset({a}).value != table[a]->offset) return false;
    }
    return true;
  };
  for (const Mapping& first : choices) {
    AddressSpace one;
    Table table_one = {};
    one.Add(first);
    apply(table_one, first);
    for (const Mapping& second : choices) {
      AddressSpace two = one;
      Table table_two = table_one;
      two.Add(second);
      bool changed = apply(table_two, second);
      ASSERT_TRUE(check(table_two, two)) << Text(one) << " + " << Text(two);
      ASSERT_EQ(two.generation() != one.generation(), changed) << Text(one) << " -> " << Text(two);
      for (const Mapping& third : choices) {
        AddressSpace three = two;
        Table table_three = table_two;
        three.Add(third);
        changed = apply(table_three, third);
        ASSERT_TRUE(check(table_three, three)) << Text(two) << " -> " << Text(three);
        ASSERT_EQ(three.generation() != two.generation(), changed)
            << Text(two) << " -> " << Text(three);
      }
    }
  }
}

}  // namespace
}  // namespace jprof
