#include "symbolize/dwarf_types.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "symbolize/dwarf.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

std::string Bytes(uint64_t value, size_t size) {
  return std::string(reinterpret_cast<const char*>(&value), size);
}

// Functions of 16 bytes from 0x1000 on, each with so many parameters, each of an enumeration of its
// own with so many enumerators without names.
std::string Functions(int functions, int parameters, int enumerators) {
  const std::string kNone(1, '\0'), kUnit = "\1", kFunction = "\2", kParameter = "\3",
                                     kEnum = "\4", kEnumerator = "\5";
  constexpr absl::string_view kAbbreviations(
      "\x01\x11\x01\x11\x01\x12\x07\0\0"  // unit: low_pc addr, high_pc data8
      "\x02\x2e\x01\x11\x01\x12\x07\0\0"  // subprogram, likewise
      "\x03\x05\x00\x49\x13\0\0"          // formal_parameter: type ref4
      "\x04\x04\x01\x0b\x0b\0\0"          // enumeration_type: byte_size data1
      "\x05\x28\x00\x1c\x0b\0\0"          // enumerator: const_value data1
      "\0", 9 + 9 + 7 + 7 + 7 + 1);
  std::string unit = Bytes(4, 2) + Bytes(0, 4) + Bytes(8, 1);  // version, abbreviations, address
  unit += kUnit + Bytes(0x1000, 8) + Bytes(16 * static_cast<uint64_t>(functions), 8);
  const auto offset = [&unit] { return 4 + unit.size(); };
  for (int f = 0; f < functions; ++f) {
    std::vector<uint64_t> types;
    for (int p = 0; p < parameters; ++p) {
      types.push_back(offset());
      unit += kEnum + Bytes(1, 1);
      for (int e = 0; e < enumerators; ++e) unit += kEnumerator + Bytes(7, 1);
      unit += kNone;
    }
    unit += kFunction + Bytes(0x1000 + 16 * static_cast<uint64_t>(f), 8) + Bytes(16, 8);
    for (uint64_t type : types) unit += kParameter + Bytes(type, 4);
    unit += kNone;
  }
  unit += kNone;
  return ElfBuilder()
      .NamedSection(".debug_info", 0, Bytes(unit.size(), 4) + unit)
      .NamedSection(".debug_abbrev", 0, kAbbreviations)
      .Build();
}

// Of all functions' parameters.
std::vector<NativeType> TypesOf(const std::string& bytes, int functions) {
  auto file = ElfFile::Open(FileOf(bytes), "file");
  EXPECT_TRUE(file.ok()) << file.status();
  std::vector<ElfAddress> addresses;
  for (int f = 0; f < functions; ++f) addresses.push_back({0x1000 + 16 * uint64_t(f)});
  WorkBudget budget({}), values_budget({});
  SourceInfo info;
  FrameValues values;
  const ParameterSearch parameters{values_budget, values};
  EXPECT_TRUE(FindSource(*file, nullptr, addresses, budget, &info, &parameters).ok());
  EXPECT_FALSE(values_budget.exhausted());
  return values.types;
}

TEST(DwarfTypesTest, AnEnumerationHasItsEnumerators) {
  const std::vector<NativeType> types = TypesOf(Functions(1, 2, 3), 1);
  ASSERT_EQ(types.size(), 2u);
  for (const NativeType& type : types) {
    EXPECT_EQ(type.kind, NativeType::Kind::kEnum);
    EXPECT_EQ(type.size, 1u);
    ASSERT_EQ(type.enumerators.size(), 3u);
    EXPECT_EQ(type.enumerators[2].value, 7u);
  }
}

TEST(DwarfTypesTest, WhatTypesAreMadeOfIsBoundedInAll) {
  const std::vector<NativeType> types = TypesOf(Functions(2, 60, 1000), 2);
  EXPECT_EQ(types.size(), 120u);
  size_t enumerators = 0;
  for (const NativeType& type : types) enumerators += type.enumerators.size();
  EXPECT_EQ(enumerators, 100'000u);
}

}  // namespace
}  // namespace jprof
