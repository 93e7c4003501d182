// What DWARF 2 to 5 is made of, under the standard's names, as far as functions, inlined functions,
// lines, parameters and their types are written in it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace jprof::dwarf {

inline constexpr uint64_t kNone = UINT64_MAX;

// The part of <dwarf.h>'s numbers that is used here, under the standard's names.
enum Tag : uint64_t {
  kArrayType = 0x01,
  kClassType = 0x02,
  kEntryPoint = 0x03,
  kEnumerationType = 0x04,
  kFormalParameter = 0x05,
  kLexicalBlock = 0x0b,
  kMember = 0x0d,
  kPointerType = 0x0f,
  kReferenceType = 0x10,
  kStructureType = 0x13,
  kTypedef = 0x16,
  kUnionType = 0x17,
  kInheritance = 0x1c,
  kInlinedSubroutine = 0x1d,
  kModule = 0x1e,
  kSubrangeType = 0x21,
  kWithStatement = 0x22,
  kBaseType = 0x24,
  kCatchBlock = 0x25,
  kConstType = 0x26,
  kEnumerator = 0x28,
  kSubprogram = 0x2e,
  kTryBlock = 0x32,
  kVolatileType = 0x35,
  kRestrictType = 0x37,
  kNamespace = 0x39,
  kRvalueReferenceType = 0x42,
  kAtomicType = 0x47,
  kCallSite = 0x48,
  kCallSiteParameter = 0x49,
  kGnuCallSite = 0x4109,
  kGnuCallSiteParameter = 0x410a,
};
enum Attribute : uint64_t {
  kSibling = 0x01,
  kLocation = 0x02,
  kName = 0x03,
  kByteSize = 0x0b,
  kBitOffset = 0x0c,
  kBitSize = 0x0d,
  kStmtList = 0x10,
  kLowPc = 0x11,
  kHighPc = 0x12,
  kCompDir = 0x1b,
  kConstValue = 0x1c,
  kUpperBound = 0x2f,
  kAbstractOrigin = 0x31,
  kArtificial = 0x34,
  kCount = 0x37,
  kMemberLocation = 0x38,
  kDeclLine = 0x3b,
  kDeclaration = 0x3c,
  kEncoding = 0x3e,
  kExternal = 0x3f,
  kFrameBase = 0x40,
  kSpecification = 0x47,
  kType = 0x49,
  kRanges = 0x55,
  kCallColumn = 0x57,
  kCallFile = 0x58,
  kCallLine = 0x59,
  kDataBitOffset = 0x6b,
  kLinkageName = 0x6e,
  kStrOffsetsBase = 0x72,
  kAddrBase = 0x73,
  kRnglistsBase = 0x74,
  kCallReturnPc = 0x7d,
  kCallValue = 0x7e,
  kCallOrigin = 0x7f,
  kLoclistsBase = 0x8c,
  kMipsLinkageName = 0x2007,
  kGnuCallSiteValue = 0x2111,
};
enum Form : uint64_t {
  kAddr = 0x01,
  kBlock2 = 0x03,
  kBlock4 = 0x04,
  kData2 = 0x05,
  kData4 = 0x06,
  kData8 = 0x07,
  kString = 0x08,
  kBlock = 0x09,
  kBlock1 = 0x0a,
  kData1 = 0x0b,
  kFlag = 0x0c,
  kSdata = 0x0d,
  kStrp = 0x0e,
  kUdata = 0x0f,
  kRefAddr = 0x10,
  kRef1 = 0x11,
  kRef2 = 0x12,
  kRef4 = 0x13,
  kRef8 = 0x14,
  kRefUdata = 0x15,
  kIndirect = 0x16,
  kSecOffset = 0x17,
  kExprloc = 0x18,
  kFlagPresent = 0x19,
  kStrx = 0x1a,
  kAddrx = 0x1b,
  kRefSup4 = 0x1c,
  kStrpSup = 0x1d,
  kData16 = 0x1e,
  kLineStrp = 0x1f,
  kRefSig8 = 0x20,
  kImplicitConst = 0x21,
  kLoclistx = 0x22,
  kRnglistx = 0x23,
  kRefSup8 = 0x24,
  kStrx1 = 0x25,
  kStrx4 = 0x28,
  kAddrx1 = 0x29,
  kAddrx4 = 0x2c,
  kGnuRefAlt = 0x1f20,
  kGnuStrpAlt = 0x1f21,
};

// An attribute's value; strings are read when they are wanted.
struct Value {
  enum class Class : uint8_t {
    kAbsent,
    kNumber,
    kAddress,
    kAddressIndex,
    kInfoString,  // number: offset in .debug_info
    kLineString,  // in .debug_line
    kStrp,        // in .debug_str
    kLineStrp,    // in .debug_line_str
    kStrIndex,
    kSupString,  // in .debug_str of the supplementary file
    kRangesIndex,
    kLocationIndex,
    kBlock1,  // number: offset in .debug_info of the block's length, which has one byte
    kBlock2,
    kBlock4,
    kBlock,   // LEB128
    kReference,     // in .debug_info of the same file
    kSupReference,  // of the supplementary file
    kOther,
  };
  Class kind = Class::kAbsent;
  uint64_t number = 0;

  bool present() const { return kind != Class::kAbsent; }
};
using Class = Value::Class;

struct Unit {
  uint64_t offset = 0;
  uint64_t end = 0;
  uint64_t first_entry = 0;
  uint64_t abbreviations = 0;
  uint16_t version = 0;
  uint8_t offset_size = 4;
  uint8_t address_size = 8;
  bool has_code = false;  // may have, by its type
  // From its first entry.
  bool root_read = false;
  uint64_t low_pc = 0;
  uint64_t str_offsets_base = 0;
  uint64_t address_base = 0;
  uint64_t ranges_base = 0;
  uint64_t locations_base = 0;
  uint64_t lines = kNone;
  Value directory;
};

struct AbbreviatedAttribute {
  uint64_t name;
  uint64_t form;
  int64_t implicit;
};
struct Abbreviation {
  uint64_t code = 0;
  uint64_t tag = 0;
  bool has_children = false;
  uint32_t first = 0;
  uint32_t count = 0;
};
struct AbbreviationTable {
  std::vector<Abbreviation> entries;  // sorted by code
  std::vector<AbbreviatedAttribute> attributes;

  const Abbreviation* Find(uint64_t code) const {
    if (code - 1 < entries.size() && entries[code - 1].code == code) return &entries[code - 1];
    auto it = std::lower_bound(entries.begin(), entries.end(), code,
                               [](const Abbreviation& a, uint64_t c) { return a.code < c; });
    return it == entries.end() || it->code != code ? nullptr : &*it;
  }
};

// What is of interest of an entry.
struct Entry {
  Value name, linkage_name, low_pc, high_pc, ranges, origin, specification, call_file, call_line,
      call_column, decl_line, sibling, lines, directory, str_offsets_base, address_base,
      ranges_base, locations_base;

  Value* Slot(uint64_t attribute) {
    switch (attribute) {
      case kName: return &name;
      case kLinkageName: return &linkage_name;
      case kMipsLinkageName: return &linkage_name;
      case kLowPc: return &low_pc;
      case kHighPc: return &high_pc;
      case kRanges: return &ranges;
      case kAbstractOrigin: return &origin;
      case kSpecification: return &specification;
      case kCallFile: return &call_file;
      case kCallLine: return &call_line;
      case kCallColumn: return &call_column;
      case kDeclLine: return &decl_line;
      case kSibling: return &sibling;
      case kStmtList: return &lines;
      case kCompDir: return &directory;
      case kStrOffsetsBase: return &str_offsets_base;
      case kAddrBase: return &address_base;
      case kRnglistsBase: return &ranges_base;
      case kLoclistsBase: return &locations_base;
      default: return nullptr;
    }
  }
};

// 0, which is "not known", for what no file has so many of.
inline uint32_t Narrow(uint64_t value) {
  return value > UINT32_MAX ? 0 : static_cast<uint32_t>(value);
}

}  // namespace jprof::dwarf
