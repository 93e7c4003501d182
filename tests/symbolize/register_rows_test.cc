#include "symbolize/register_rows.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/symbolize/elf_builder.h"

namespace jprof {
namespace {

constexpr uint64_t kSection = 0x100000;  // its address

std::string Bytes(uint64_t value, size_t size) {
  return std::string(reinterpret_cast<const char*>(&value), size);
}

// One CIE and its FDEs.
class Section {
 public:
  // `wide`: lengths of 64 bits. `encoding`: of addresses, in .eh_frame.
  explicit Section(bool is_eh_frame, bool wide = false, uint8_t encoding = 0)
      : is_eh_frame_(is_eh_frame), wide_(wide), encoding_(encoding) {
    const std::string columns("\1\x78\x10", 3);              // code, data alignment; return address
    const std::string program("\x0c\7\x08\x90\1", 5);  // CFA = rsp + 8, the address below it
    const uint64_t id = is_eh_frame ? 0 : UINT64_MAX;
    Append(Bytes(id, IdBytes()),
           is_eh_frame ? absl::StrCat(absl::string_view("\1zR\0", 4), columns, "\1",
                                      Bytes(encoding, 1), program)
                       : absl::StrCat(absl::string_view("\1\0", 2), columns, program));
  }

  // A function, all of it behind `push rbp`.
  Section& Function(uint64_t begin, uint64_t size) {
    const uint64_t id_at = bytes_.size() + (wide_ ? 12 : 4);
    const uint64_t place = kSection + id_at + IdBytes();
    const uint64_t first = encoding_ == 0x10 ? begin - place : begin;
    Append(Bytes(is_eh_frame_ ? id_at : 0, IdBytes()),
           absl::StrCat(Bytes(first, 8), Bytes(size, 8),
                        is_eh_frame_ ? absl::string_view("\0", 1) : "",
                        absl::string_view("\x0e\x10\x86\2", 4)));
    return *this;
  }

  // What is found at these addresses: "rsp+16 6@-16", or "" where nothing is.
  std::vector<std::string> At(const std::vector<ElfAddress>& addresses) const {
    const std::string file =
        ElfBuilder().NamedSection(is_eh_frame_ ? ".eh_frame" : ".debug_frame", kSection, bytes_)
            .Build();
    auto elf = ElfFile::Open(FileOf(file), "file");
    EXPECT_TRUE(elf.ok()) << elf.status();
    WorkBudget budget({});
    std::vector<RegisterRow> rows;
    FindRegisterRows(*elf, addresses, budget, rows);
    std::vector<std::string> texts;
    for (const RegisterRow& row : rows) texts.push_back(Text(row));
    return texts;
  }

 private:
  static std::string Text(const RegisterRow& row) {
    if (!row.known) return "";
    std::string text = row.cfa == "\x77\x10" ? "rsp+16" : "?";
    for (const RegisterRule& rule : row.rules) {
      if (rule.kind == RegisterRule::Kind::kAtCfa && rule.number != 16) {
        absl::StrAppend(&text, " ", rule.number, "@", rule.offset);
      }
    }
    return text;
  }
  size_t IdBytes() const { return wide_ && !is_eh_frame_ ? 8 : 4; }
  void Append(const std::string& id, const std::string& body) {
    const uint64_t size = id.size() + body.size();
    bytes_ += wide_ ? absl::StrCat("\xff\xff\xff\xff", Bytes(size, 8)) : Bytes(size, 4);
    bytes_ += id + body;
  }

  const bool is_eh_frame_;
  const bool wide_;
  const uint8_t encoding_;
  std::string bytes_;
};

using Texts = std::vector<std::string>;

TEST(RegisterRowsTest, EachAddressHasTheRowOfItsFunction) {
  for (bool is_eh_frame : {false, true}) {
    Section section(is_eh_frame);
    section.Function(0x1000, 0x20).Function(0x2000, 0x10);
    EXPECT_EQ(section.At({{0xfff}, {0x1000}, {0x101f}, {0x1020}, {0x2008}}),
              (Texts{"", "rsp+16 6@-16", "rsp+16 6@-16", "", "rsp+16 6@-16"}));
  }
}

TEST(RegisterRowsTest, LengthsMayHave64Bits) {
  for (bool is_eh_frame : {false, true}) {
    Section section(is_eh_frame, /*wide=*/true);
    section.Function(0x1000, 0x20);
    EXPECT_EQ(section.At({{0x1000}}), Texts{"rsp+16 6@-16"}) << is_eh_frame;
  }
}

TEST(RegisterRowsTest, AddressesAreAbsoluteOrRelativeToTheirPlace) {
  for (uint8_t encoding : {0x00, 0x10}) {
    Section section(/*is_eh_frame=*/true, /*wide=*/false, encoding);
    section.Function(0x1000, 0x20);
    EXPECT_EQ(section.At({{0x1000}}), Texts{"rsp+16 6@-16"}) << int{encoding};
  }
  // To other sections, to the function, aligned; where a pointer to it is.
  for (uint8_t encoding : {0x20, 0x30, 0x40, 0x50, 0x80, 0xff}) {
    Section section(/*is_eh_frame=*/true, /*wide=*/false, encoding);
    section.Function(0x1000, 0x20);
    EXPECT_EQ(section.At({{0x1000}}), Texts{""}) << int{encoding};
  }
}

TEST(RegisterRowsTest, FunctionsThatTheLinkerDroppedHaveNone) {
  Section section(/*is_eh_frame=*/false);
  section.Function(0, 0x2000).Function(0x1000, 0x20);
  EXPECT_EQ(section.At({{0x10}, {0x1010}}), (Texts{"", "rsp+16 6@-16"}));
  Section dropped(/*is_eh_frame=*/false);
  dropped.Function(0, 0x2000);
  EXPECT_EQ(dropped.At({{0x1010}}), Texts{""});
}

}  // namespace
}  // namespace jprof
