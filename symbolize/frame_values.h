// What it takes to read the parameters of the functions on a stack: where each is kept, of what
// type it is, and where a function has saved its caller's registers. As files say it: nothing here
// is more than well-formed, and what is not understood is absent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace jprof {

inline constexpr uint32_t kNoType = UINT32_MAX;

// Without names for the same (typedef) and without const and its like.
struct NativeType {
  enum class Kind : uint8_t {
    kUnknown,
    kSigned,
    kUnsigned,
    kBool,
    kCharacter,  // of one byte, as are those of the next
    kUnsignedCharacter,
    kFloat,
    kPointer,
    kReference,
    kEnum,
    kStruct,  // or class, or union
    kArray,
    kText,  // a std::string or std::string_view: a pointer and a length, members 0 and 1
  };
  static constexpr Kind kLastKind = Kind::kText;
  struct Member {
    std::string name;  // "" where it has none
    uint32_t type = kNoType;
    uint64_t offset = 0;
    uint32_t bits = 0;       // of a bit field; 0: it is none
    uint32_t first_bit = 0;  // from `offset` on
  };
  struct Enumerator {
    std::string name;
    uint64_t value = 0;  // of which the lowest `size` bytes count
  };

  Kind kind = Kind::kUnknown;
  uint64_t size = 0;          // bytes, 0 where not known
  uint32_t target = kNoType;  // what a pointer or reference leads to; what an array is of
  uint64_t count = 0;         // of an array
  std::vector<Member> members;
  std::vector<Enumerator> enumerators;
};

struct Parameter {
  std::string name;         // "" where it has none
  uint32_t type = kNoType;  // into FrameValues::types
  std::string location;     // a DWARF expression; "": it is kept nowhere
};

// One function at an address.
struct FrameFunction {
  bool known = false;  // its parameters are
  std::vector<Parameter> parameters;
};

// Where the caller has a register from.
struct RegisterRule {
  enum class Kind : uint8_t {
    kSame,
    kUndefined,
    kAtCfa,         // in memory at CFA + offset
    kCfaPlus,       // is CFA + offset
    kRegister,      // is register `offset`
    kAtExpression,  // in memory where `expression` says, begun with the CFA
    kExpression,    // is what it says
  };
  static constexpr Kind kLastKind = Kind::kExpression;
  uint32_t number = 0;  // DWARF's
  Kind kind = Kind::kSame;
  int64_t offset = 0;
  std::string expression;
};

// A row of call-frame information.
struct RegisterRow {
  bool known = false;
  std::string cfa;                  // a DWARF expression
  std::vector<RegisterRule> rules;  // of those registers of which something is said
};

// What a call passed in a register, as its caller can tell while the call lasts.
struct PassedValue {
  uint32_t number = 0;     // DWARF's, of the register
  std::string expression;  // in the caller's frame
};

// What lies at one address.
struct FrameValue {
  std::string frame_base;                // a DWARF expression, "" where there is none
  std::vector<FrameFunction> functions;  // the physical one first, then those inlined in it
  RegisterRow row;
  // The physical function as the linker names it, or as it is declared; and the one that is called
  // right before this address, "" where that is not known, with what it was passed.
  std::string function;
  std::string callee;
  std::vector<PassedValue> passed;
};

struct FrameValues {
  std::vector<NativeType> types;
  std::vector<FrameValue> at;  // of each address that was asked for
};

}  // namespace jprof
