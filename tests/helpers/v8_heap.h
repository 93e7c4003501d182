// Builds V8's objects and frames in a FakeMemory, with the layout of a node version, so that the
// helper can be shown any object graph there is, and those that there should not be.
//
//   V8Heap heap(20);
//   uint64_t f = heap.Function(heap.Shared(heap.OneByte("paint"), heap.Script({})));
//   V8Stack stack(heap);
//   stack.Native(kNativePc).Js(kJitPc, f);
//
// Objects are tagged addresses, as V8 has them: address + 1. Small integers are Smis.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "helpers/abi/records.h"
#include "helpers/native_runner.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "tests/testing/fake_memory.h"

namespace jprof {

// What the probe makes of a node of this major version (18, 20, 22 or 24); v8_probe_test compares.
// Where the builtins are is made up.
jp_v8_layout V8LayoutOfNode(int major);

// Instance types of strings, the same in every version: representation, encoding, and the bit of
// strings that are not internalized.
inline constexpr uint16_t kV8SeqTwoByte = 0x20;
inline constexpr uint16_t kV8SeqOneByte = 0x28;
inline constexpr uint16_t kV8InternalizedOneByte = 0x08;
inline constexpr uint16_t kV8Cons = 0x21;
inline constexpr uint16_t kV8ExternalTwoByte = 0x22;
inline constexpr uint16_t kV8ExternalOneByte = 0x2a;
inline constexpr uint16_t kV8Sliced = 0x23;
inline constexpr uint16_t kV8Thin = 0x25;
inline constexpr uint16_t kV8UncachedBit = 0x10;

class V8Heap {
 public:
  explicit V8Heap(int node_major) : layout_(V8LayoutOfNode(node_major)), major_(node_major) {}

  const jp_v8_layout& layout() const { return layout_; }
  // As the probe would give it, without what it takes to read code: names and their lines only.
  RuntimeImage Image() const;
  FakeMemory& memory() { return memory_; }

  static uint64_t Smi(int32_t value) { return static_cast<uint64_t>(uint32_t(value)) << 32; }

  // A new object of `bytes` zero bytes with the map of `type`.
  uint64_t Object(uint16_t type, uint64_t bytes);
  // The map of a type, made at first use.
  uint64_t Map(uint16_t type);
  uint64_t Undefined();

  template <typename T>
  V8Heap& Set(uint64_t object, uint64_t offset, T value) {
    memory_.PutValue(Address{object - 1 + offset}, value);
    return *this;
  }
  // The collector has moved `object` to `to`: its map word is the new address.
  V8Heap& Forward(uint64_t object, uint64_t to) { return Set(object, 0, to - 1); }
  // What a collection leaves of an object: nothing that can be read.
  V8Heap& Unmap(uint64_t object, uint64_t bytes);

  // Strings.
  uint64_t OneByte(absl::string_view latin1, uint16_t type = kV8SeqOneByte);
  uint64_t TwoByte(std::u16string_view units, uint16_t type = kV8SeqTwoByte);
  uint64_t Cons(uint64_t first, uint64_t second);
  uint64_t Thin(uint64_t actual);
  uint64_t Sliced(uint64_t parent, int32_t offset, int32_t length);
  uint64_t ExternalOneByte(absl::string_view latin1, bool cached = true);
  uint64_t ExternalTwoByte(std::u16string_view units, bool cached = true);
  int32_t Length(uint64_t string) const;

  struct ScopeSpec {
    bool has_name = true;  // functions have one, even if empty; top levels have not
    uint64_t name = 0;     // 0: anonymous
    std::optional<uint64_t> inferred;
    int locals = 0;  // context locals; from 75 on their names are in one table
    bool receiver = false;
    bool module = false;
    int32_t start = 10;
    int32_t end = 100;
  };
  uint64_t ScopeInfo(const ScopeSpec& spec);

  struct ScriptSpec {
    uint64_t name = 0;    // 0: undefined
    uint64_t source = 0;  // 0: undefined
    int32_t id = 7;
    int32_t line_offset = 0;
  };
  uint64_t Script(const ScriptSpec& spec);
  uint64_t Script(absl::string_view name) { return Script(ScriptSpec{.name = OneByte(name)}); }

  // SharedFunctionInfo of a function with bytecode.
  uint64_t Shared(uint64_t name_or_scope_info, uint64_t script);
  // Of a function of JavaScript's own library.
  uint64_t BuiltinShared(absl::string_view name, int32_t builtin);
  // `type` counts from the first of the JSFunction types.
  uint64_t Function(uint64_t shared, uint16_t type = 0);
  uint64_t Context() { return Object(static_cast<uint16_t>(layout_.script_type + 40), 64); }

 private:
  uint64_t Allocate(uint64_t bytes);

  jp_v8_layout layout_;
  int major_;
  FakeMemory memory_;
  uint64_t next_ = 0x2000'0000'0000;
  uint64_t meta_map_ = 0;  // the map of maps, and its own
  absl::flat_hash_map<uint16_t, uint64_t> maps_;
};

// Addresses of code, in the ranges of V8Stack::process().
inline constexpr uint64_t kBlobPc = 0x1400'0100;    // an embedded builtin
inline constexpr uint64_t kMicrotasksPc = 0x1400'8000;  // of them, the loop over the microtasks
inline constexpr uint64_t kJitPc = 0x7e00'0000'0100;  // compiled code
inline constexpr uint64_t kNativePc = 0x55'0000'0100;

// A stack, built from its outermost frame to its leaf. A frame's pc is where it stands: in callers
// right behind the call.
class V8Stack {
 public:
  explicit V8Stack(V8Heap& heap) : heap_(heap) {}

  V8Stack& Native(uint64_t pc) { return Frame(pc, 0, 0); }
  V8Stack& Js(uint64_t pc, uint64_t function) { return Frame(pc, heap_.Context(), function); }
  // A frame without a function: entry, exit, stub.
  V8Stack& Typed(uint64_t pc, int type) { return Frame(pc, static_cast<uint64_t>(type) << 1, 0); }
  // Any words below the frame pointer.
  V8Stack& Frame(uint64_t pc, uint64_t slot_8, uint64_t slot_16);

  Registers registers() const {
    return {.pc = pc_, .sp = fp_ - 64, .fp = fp_, .stack_base = kBase};
  }
  static jp_process process();

 private:
  V8Heap& heap_;
  uint64_t pc_ = 0;  // of the frame built last
  uint64_t fp_ = 0;
  uint64_t next_ = 0x7ffd'0000'0000;
  static constexpr uint64_t kBase = 0x7ffd'0100'0000;  // far above: no walk ends near it
};

}  // namespace jprof
