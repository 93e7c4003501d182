// A file with an embedded blob as V8's builds hold it: a table of builtins and their instructions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/symbolize/elf_builder.h"

namespace jprof {

struct BlobSpec {
  uint32_t header = 24;  // bytes of the table before its entries
  uint32_t stride = 12;
  bool joint = false;  // the instructions follow the table
  size_t builtins = 600;
};

// Read-only data at kData, executable memory at kText, what lies in between is nothing.
class BlobFile {
 public:
  static constexpr uint64_t kData = 0x400000;
  static constexpr uint64_t kText = 0x500000;
  static constexpr uint64_t kTable = kData + 0x88;
  static constexpr uint64_t kCode = kText + 0x2e0;

  explicit BlobFile(const BlobSpec& spec = {}) : spec_(spec) {
    const std::string instructions = MakeInstructions();
    table_ = std::string(spec.header, '\x5a');
    // Two checksums of 32 bits and a hash.
    for (size_t i = 4; spec.header == 24 && i < 16; i += i == 7 ? 5 : 1) table_[i] = 0;
    for (size_t i = 0; i < spec.builtins; ++i) {
      std::string entry(spec.stride, '\x01');
      Store(entry, 0, offsets[i]);
      Store(entry, 4, lengths[i]);
      table_ += entry;
    }
    data = std::string(kTable - kData, '\x11') + table_;
    if (spec.joint) {
      data.resize((data.size() + 31) / 32 * 32, '\xcc');
      begin = kData + data.size();
      data += instructions;
      text = std::string(0x100, '\x90');
    } else {
      begin = kCode;
      text = std::string(kCode - kText, '\x90') + instructions;
    }
    data += std::string(4096, '\x11');
    text += std::string(4096, '\x90');
  }

  // All of it; more symbols may be added before Build().
  ElfBuilder Elf() const {
    std::string content = data;
    content.resize((content.size() + 4095) / 4096 * 4096, '\0');
    const uint64_t text_at = ElfBuilder::kContent + content.size();
    content += text;
    ElfBuilder elf;
    elf.Segment(ElfBuilder::kContent, kData, data.size(), data.size(),
                spec_.joint ? PF_R | PF_X : PF_R)
        .Segment(text_at, kText, text.size(), text.size(), PF_R | PF_X)
        .CodeSection(kText, text.size())
        .Content(content);
    return elf;
  }

  static void Store(std::string& bytes, size_t at, uint32_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  }

  uint64_t Begin(size_t builtin) const { return begin + offsets[builtin]; }
  uint64_t End(size_t builtin) const { return Begin(builtin) + lengths[builtin]; }
  // The builtin's entry, in `data`.
  size_t EntryAt(size_t builtin) const {
    return kTable - kData + spec_.header + spec_.stride * builtin;
  }

  std::vector<uint32_t> offsets, lengths;
  uint64_t begin = 0;
  std::string data, text;

 private:
  std::string MakeInstructions() {
    std::string result;
    for (size_t i = 0; i < spec_.builtins; ++i) {
      offsets.push_back(static_cast<uint32_t>(result.size()));
      lengths.push_back(static_cast<uint32_t>(1 + i * 37 % 300));
      result += std::string(lengths.back(), '\x48');
      result.resize((result.size() + 1 + 31) / 32 * 32, '\xcc');
    }
    return result;
  }

  const BlobSpec spec_;
  std::string table_;
};

}  // namespace jprof
