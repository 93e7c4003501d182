// Functions of WebAssembly, found from a pc.
//
//   instance --> module object --> Foreign --> record --> NativeModule --+--> the module's bytes:
//     (the frame's)    |                                                 |    names
//                      |                                                 +--> WasmCode of every
//                      +--> Script: "wasm://wasm/HASH"                        function
//
// The jump table tells where the code of each function is *now*. That is not enough: a loop goes on
// in the code it began in long after a better one was made, and nothing in the table leads there.
// So all code that the module owns is read, superseded code too, and each says its range and its
// function's number. A pc outside of those ranges has no name.
//
// NativeModule and what hangs on it are C++ objects, of which the metadata says nothing. Where they
// have their members is therefore found by content: a pair of pointer and length that leads to
// "\0asm", a tree or an array of pointers to objects that point back to the module. Only a
// WasmCode's own members are known by version. All is hostile: reads, steps and sizes are bounded,
// and code is believed when it says itself that it begins where the module has it and belongs to
// that module.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_layout.h"
#include "helpers/v8/wasm_names.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// The modules of one process. Answers hold for one instant: Advance() tells that the process may
// have run, after which code is checked before it is believed again.
class WasmModules {
 public:
  // Both outlive this.
  WasmModules(const jp_v8_layout& layout, const MemoryReader& memory);

  // The function whose code holds `pc`. `instance`: of the frame, tagged; 0: not known, then only
  // the modules seen before are asked. A name of kind kBuiltin: the module's code, but of no
  // function.
  std::optional<FrameName> Find(Address pc, uint64_t instance);
  void Advance();

  static constexpr size_t kMaxModules = 256;
  static constexpr size_t kMaxInstances = 4096;
  static constexpr size_t kMaxCodes = size_t{1} << 17;        // of a module
  static constexpr size_t kMaxNameBytes = size_t{128} << 20;  // of all modules
  static constexpr int kMaxCodesPerSearch = 16384;

 private:
  // Where WasmCode has its members.
  struct CodeFields {
    uint32_t first_version;  // major * 100 + minor
    uint16_t module;
    uint16_t start;
    uint16_t size;
    uint16_t function;
  };
  static const CodeFields kCodeFields[];

  struct Code {
    uint64_t object = 0;
    uint64_t end = 0;
    uint32_t function = 0;
    uint64_t instant = 0;  // when it was checked last
  };
  using Codes = absl::btree_map<uint64_t, Code>;
  struct Span {
    uint64_t begin = 0;
    uint64_t size = 0;
    friend bool operator==(const Span&, const Span&) = default;
  };
  struct Module {
    uint64_t native = 0;     // NativeModule
    uint64_t wire_slot = 0;  // where it says where the module's bytes are
    Span wire;
    uint64_t tree = 0;    // header of the map of code; 0: there is none
    uint64_t vector = 0;  // of code that is not in the map yet; 0: there is none
    WasmNames names;
    std::string url;
    Codes codes;                            // by begin; ranges do not overlap
    absl::flat_hash_set<uint64_t> objects;  // of `codes`
    uint64_t checked = 0;   // the instant when `wire` was seen last
    uint64_t searched = 0;  // the instant of the last search for new code
  };
  // How an instance leads to its module object.
  struct Route {
    uint16_t offset = 0;
    bool through_object = false;  // by way of the object that JavaScript sees
    friend bool operator==(const Route&, const Route&) = default;
  };

  static bool IsNear(const Codes& codes, uint64_t pc);
  Module* FindModule(uint64_t instance);
  Module* ModuleBehind(uint64_t instance, Route route, int& budget);
  Module* MakeModule(uint64_t native, uint64_t module_object);
  bool IsAlive(Module& module) const;
  bool FindMembers(Module& module) const;
  std::string UrlOf(uint64_t module_object) const;
  const Code* FindCode(Module& module, uint64_t pc);
  void SearchTree(Module& module, uint64_t pc);
  void SearchVector(Module& module);
  void AddCode(Module& module, uint64_t object);
  static Codes::iterator DropCode(Module& module, Codes::iterator code);
  // The code's begin, its end and function.
  std::optional<std::pair<uint64_t, Code>> ReadCode(uint64_t native, uint64_t object) const;
  std::optional<Span> ReadWire(uint64_t slot) const;
  std::optional<uint64_t> Word(uint64_t address) const;
  std::optional<uint16_t> TypeOf(uint64_t tagged) const;

  const jp_v8_layout& layout_;
  const MemoryReader& memory_;
  const CodeFields* fields_ = nullptr;  // null: not known
  uint64_t instant_ = 1;
  size_t name_bytes_ = 0;
  std::optional<Route> route_;                         // the one that led somewhere last
  absl::flat_hash_map<uint64_t, uint64_t> instances_;  // to NativeModule; of this instant
  absl::flat_hash_map<uint64_t, uint64_t> strangers_;  // instances that led nowhere, and when
  absl::flat_hash_map<uint64_t, std::unique_ptr<Module>> modules_;  // by NativeModule
};

}  // namespace jprof::v8
