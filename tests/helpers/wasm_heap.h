// A process's memory that holds a WebAssembly instance and what V8 hangs on it, of one of two
// versions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "helpers/v8/v8_layout.h"
#include "profiler/process/memory_reader.h"

namespace jprof::v8 {

// Functions 1 to 3 of the module have code: of 1 and 2 in the tree, of 1 also newer code, of 3 in
// the vector. Function 0 is imported, its code is in the tree. 1 and 3 have names.
class WasmHeap : public MemoryReader {
 public:
  static constexpr uint64_t kBase = 0x10000;
  static constexpr uint64_t kBytes = 0x4000;
  static constexpr uint64_t kInstance = kBase + 0x101;  // tagged
  static constexpr uint64_t kNative = kBase + 0x1000;
  static constexpr uint64_t kTree = kNative + 0x180;
  static constexpr uint64_t kWire = kBase + 0x3000;
  static constexpr uint64_t kNodes = kBase + 0x2000;
  static constexpr uint64_t kCodes = kBase + 0x2400;
  static constexpr uint64_t kArray = kBase + 0x2800;
  // Begin of the code of each, 0x80 bytes long.
  static constexpr uint64_t kStub = 0x7f00'0000'1000;
  static constexpr uint64_t kImport = kStub + 0x100;
  static constexpr uint64_t kOld1 = kStub + 0x200;
  static constexpr uint64_t kCode2 = kStub + 0x300;
  static constexpr uint64_t kNew1 = kStub + 0x400;
  static constexpr uint64_t kCode3 = kStub + 0x500;
  static constexpr uint64_t kCodeBytes = 0x80;

  explicit WasmHeap(bool is_new = true) : is_new_(is_new), bytes_(kBytes) {
    const uint64_t object = kBase + 0x401, module = kBase + 0x501, foreign = kBase + 0x601;
    const uint64_t script = kBase + 0x701, url = kBase + 0x801, record = kBase + 0x900;
    const uint64_t map = kBase + 0xa00, string_map = kBase + 0xb00;
    // New instances lead to their module by way of the object that JavaScript sees.
    Put(kInstance - 1 + 160, is_new ? object : module);
    Put(object - 1 + 32, module);
    Put(module - 1 + 24, foreign);
    Put(module - 1 + 40, script);
    Put(script - 1, map + 1);
    Put(script - 1 + 16, url);
    Put<uint16_t>(map + 12, kScriptType);
    Put<uint16_t>(string_map + 12, 8);
    Put(url - 1, string_map + 1);
    const absl::string_view text = "wasm://wasm/12345678";
    Put<uint32_t>(url - 1 + 12, static_cast<uint32_t>(text.size()));
    PutText(url - 1 + 16, text);
    Put(foreign - 1 + 8, record);
    Put(record + 24, record + 64);
    Put(record + 64, kNative);

    PutText(kWire, Wire());
    Put(kNative + 200, kNative + 0x780);
    Put(kNative + 0x780, kWire);
    Put<uint64_t>(kNative + 0x788, Wire().size());
    AddCode(0, kStub, UINT32_MAX);
    AddCode(1, kImport, 0);
    AddCode(2, kOld1, 1);
    AddCode(3, kCode2, 2);
    AddCode(4, kNew1, 1);
    AddCode(5, kCode3, 3);
    // The tree: 2 above 0 (and 1 right of it) and 3.
    Put(kTree + 8, Node(2));
    Put(kTree + 32, uint64_t{4});
    AddNode(2, kTree, Node(0), Node(3), kOld1);
    AddNode(0, Node(2), 0, Node(1), kStub);
    AddNode(1, Node(0), 0, 0, kImport);
    AddNode(3, Node(2), 0, 0, kCode2);
    Put(kArray, CodeObject(4));
    Put(kArray + 8, CodeObject(5));
    Put(kTree + 40, kArray);
    Put(kTree + 48, kArray + 16);
    Put(kTree + 56, kArray + 64);
  }

  jp_v8_layout layout() const {
    jp_v8_layout l = {};
    l.version = is_new_ ? 13u << 24 | 6u << 16 : 10u << 24 | 2u << 16;
    l.map_instance_type = 12;
    l.script_type = kScriptType;
    l.script_name = 16;
    l.first_nonstring_type = 128;
    l.string_length = 12;
    l.string_chars = 16;
    l.thin_actual = 16;
    l.representation_mask = 7;
    l.thin_tag = 5;
    l.one_byte_bit = 8;
    return l;
  }

  static uint64_t Node(int i) { return kNodes + 0x40 * static_cast<uint64_t>(i); }
  static uint64_t CodeObject(int i) { return kCodes + 0x80 * static_cast<uint64_t>(i); }
  void AddCode(int i, uint64_t begin, uint32_t function) {
    Put(CodeObject(i), kNative);
    Put(CodeObject(i) + 8, begin);
    Put(CodeObject(i) + 32, static_cast<uint32_t>(kCodeBytes));
    Put(CodeObject(i) + (is_new_ ? 56 : 48), function);
  }

  template <typename T>
  void Put(uint64_t address, T value) {
    std::memcpy(&bytes_.at(address - kBase + sizeof(T) - 1) - (sizeof(T) - 1), &value, sizeof(T));
  }
  void PutText(uint64_t address, absl::string_view text) {
    std::memcpy(&bytes_.at(address - kBase), text.data(), text.size());
  }
  std::span<uint8_t> bytes() { return bytes_; }
  uint64_t reads() const { return reads_; }

  size_t Read(Address address, std::span<std::byte> out) const override {
    ++reads_;
    if (address.value < kBase || address.value >= kBase + kBytes) return 0;
    const uint64_t at = address.value - kBase;
    const size_t size = static_cast<size_t>(std::min<uint64_t>(out.size(), kBytes - at));
    std::memcpy(out.data(), bytes_.data() + at, size);
    return size;
  }

 private:
  static constexpr uint16_t kScriptType = 167;

  void AddNode(int i, uint64_t parent, uint64_t left, uint64_t right, uint64_t key) {
    Put(Node(i) + 8, parent);
    Put(Node(i) + 16, left);
    Put(Node(i) + 24, right);
    Put(Node(i) + 32, key);
    Put(Node(i) + 40, CodeObject(i));
  }
  // One import, "env" "f", of type 0; names of functions 1 and 3.
  static std::string Wire() {
    constexpr char kModule[] =
        "\0asm\1\0\0\0"
        "\2\x09\1\3env\1f\0\0"
        "\0\x15\4name\1\x0e\2\1\5outer\3\4leaf";
    return std::string(kModule, sizeof(kModule) - 1);
  }

  bool is_new_;
  std::vector<uint8_t> bytes_;
  mutable uint64_t reads_ = 0;
};

}  // namespace jprof::v8
