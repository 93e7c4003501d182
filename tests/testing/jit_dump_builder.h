// Bytes of a jitdump, record by record.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

class JitDumpBuilder {
 public:
  struct Line {
    uint64_t address;
    uint32_t line;
    uint32_t discriminator;
    std::string file;
  };

  explicit JitDumpBuilder(uint32_t pid = 100, uint64_t flags = 0) {
    U32(0x4a695444).U32(1).U32(40).U32(62).U32(0).U32(pid).U64(0).U64(flags);
  }

  JitDumpBuilder& Load(uint64_t time_ns, uint64_t address, uint64_t size, absl::string_view name) {
    // The code itself is long in life, and of no interest.
    Head(0, 16 + 40 + name.size() + 1 + 4, time_ns);
    U32(100).U32(101).U64(address).U64(address).U64(size).U64(index_++).String(name);
    return U32(0xcccccccc);
  }
  JitDumpBuilder& Move(uint64_t time_ns, uint64_t from, uint64_t to, uint64_t size) {
    Head(1, 16 + 48, time_ns);
    return U32(100).U32(101).U64(to).U64(from).U64(to).U64(size).U64(0);
  }
  JitDumpBuilder& Lines(uint64_t address, const std::vector<Line>& lines) {
    size_t size = 16 + 16;
    for (const Line& line : lines) size += 16 + line.file.size() + 1;
    Head(2, size, 0).U64(address).U64(lines.size());
    for (const Line& line : lines) {
      U64(line.address).U32(line.line).U32(line.discriminator).String(line.file);
    }
    return *this;
  }
  JitDumpBuilder& Close(uint64_t time_ns) { return Head(3, 16, time_ns); }
  // The head of a record of any kind; its size is in it.
  JitDumpBuilder& Head(uint32_t id, size_t size, uint64_t time_ns) {
    return U32(id).U32(static_cast<uint32_t>(size)).U64(time_ns);
  }
  JitDumpBuilder& U32(uint32_t value) { return Bytes(&value, sizeof(value)); }
  JitDumpBuilder& U64(uint64_t value) { return Bytes(&value, sizeof(value)); }
  JitDumpBuilder& String(absl::string_view text) {
    bytes_.append(text.data(), text.size());
    bytes_.push_back('\0');
    return *this;
  }

  const std::string& bytes() const { return bytes_; }
  std::string& bytes() { return bytes_; }

 private:
  JitDumpBuilder& Bytes(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }

  std::string bytes_;
  uint64_t index_ = 0;
};

}  // namespace jprof
