#include "helpers/v8/wasm_names.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "absl/strings/str_cat.h"

namespace jprof::v8 {
namespace {

constexpr char kMagic[] = "\0asm\1\0\0";  // ends in the string's own 0
constexpr uint64_t kMagicBytes = 8;
// A section's number and size, and of a custom one the size of its name and "name".
constexpr size_t kHeaderBytes = 1 + 5 + 1 + 4;
constexpr uint8_t kCustomSection = 0;
constexpr uint8_t kImportSection = 2;
constexpr uint8_t kFunctionNames = 1;

// Numbers and runs of bytes, of what is left.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : bytes_(bytes) {}

  bool AtEnd() const { return bytes_.empty(); }
  std::optional<uint32_t> Number() {
    uint64_t value = 0;
    for (size_t i = 0; i < std::min<size_t>(bytes_.size(), 5); ++i) {
      const auto byte = static_cast<uint8_t>(bytes_[i]);
      value |= uint64_t{byte & 0x7fu} << (7 * i);
      if ((byte & 0x80) != 0) continue;
      bytes_.remove_prefix(i + 1);
      if (value > UINT32_MAX) return std::nullopt;
      return static_cast<uint32_t>(value);
    }
    return std::nullopt;
  }
  std::optional<uint8_t> Byte() {
    if (bytes_.empty()) return std::nullopt;
    const auto byte = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return byte;
  }
  // Bytes with their number in front.
  std::optional<absl::string_view> Bytes() {
    auto size = Number();
    if (!size || *size > bytes_.size()) return std::nullopt;
    absl::string_view bytes = bytes_.substr(0, *size);
    bytes_.remove_prefix(*size);
    return bytes;
  }
  // A number of any size, whatever it is.
  bool Skip() {
    for (size_t i = 0; i < std::min<size_t>(bytes_.size(), 10); ++i) {
      if ((static_cast<uint8_t>(bytes_[i]) & 0x80) != 0) continue;
      bytes_.remove_prefix(i + 1);
      return true;
    }
    return false;
  }
  size_t left() const { return bytes_.size(); }

 private:
  absl::string_view bytes_;
};

// A reference to a heap type has that type behind it.
bool SkipType(Cursor& cursor) {
  const auto type = cursor.Byte();
  return type && ((*type != 0x63 && *type != 0x64) || cursor.Skip());
}

// At least so many, at most so many, pages of such a size.
bool SkipLimits(Cursor& cursor) {
  const auto flags = cursor.Number();
  return flags && cursor.Skip() && ((*flags & 1) == 0 || cursor.Skip()) &&
         ((*flags & 8) == 0 || cursor.Skip());
}

// How many functions the section imports; when it is damaged, how many before that.
uint32_t CountImportedFunctions(absl::string_view section) {
  Cursor cursor(section);
  const auto count = cursor.Number();
  uint32_t functions = 0;
  for (uint32_t i = 0; count && i < *count; ++i) {
    if (!cursor.Bytes() || !cursor.Bytes()) break;  // module, name
    const auto kind = cursor.Byte();
    if (!kind) break;
    bool good = false;
    switch (*kind) {
      case 0:  // function
        good = cursor.Skip();
        functions += good;
        break;
      case 1:  // table
        good = SkipType(cursor) && SkipLimits(cursor);
        break;
      case 2:  // memory
        good = SkipLimits(cursor);
        break;
      case 3:  // global, and whether it can change
        good = SkipType(cursor) && cursor.Byte();
        break;
      case 4:  // tag
        good = cursor.Byte() && cursor.Skip();
        break;
    }
    if (!good) break;
  }
  return functions;
}

void AppendCut(std::string& text, absl::string_view name) {
  if (name.size() <= WasmNames::kMaxNameBytes) {
    absl::StrAppend(&text, name);
    return;
  }
  size_t bytes = WasmNames::kMaxNameBytes;
  // Between two characters of UTF-8.
  while (bytes > 0 && (static_cast<uint8_t>(name[bytes]) & 0xc0) == 0x80) --bytes;
  absl::StrAppend(&text, name.substr(0, bytes), "\xe2\x80\xa6");
}

}  // namespace

std::optional<WasmNames> WasmNames::Read(const MemoryReader& memory, Address wire, uint64_t size) {
  char magic[kMagicBytes];
  if (size < kMagicBytes ||
      !memory.ReadExactly(wire, std::as_writable_bytes(std::span(magic))) ||
      std::memcmp(magic, kMagic, kMagicBytes) != 0) {
    return std::nullopt;
  }
  WasmNames names;
  uint64_t at = kMagicBytes;
  for (int section = 0; section < kMaxSections && at < size; ++section) {
    char bytes[kHeaderBytes];
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(kHeaderBytes, size - at));
    if (!memory.ReadExactly(wire + at, std::as_writable_bytes(std::span(bytes).first(wanted)))) {
      break;
    }
    Cursor header(absl::string_view(bytes, wanted));
    const auto id = header.Byte();
    const auto section_bytes = header.Number();
    if (!section_bytes) break;
    at += wanted - header.left();
    if (*section_bytes > size - at) break;
    if (*id == kCustomSection && header.Bytes() == absl::string_view("name")) {
      // Of several the first one counts.
      if (*section_bytes > kMaxSectionBytes) break;
      std::string content(*section_bytes, '\0');
      if (memory.ReadExactly(wire + at, std::as_writable_bytes(std::span(content)))) {
        names.ReadFunctionNames(content);
      }
      break;
    }
    if (*id == kImportSection && *section_bytes <= kMaxSectionBytes) {
      std::string content(*section_bytes, '\0');
      if (memory.ReadExactly(wire + at, std::as_writable_bytes(std::span(content)))) {
        names.imported_ = CountImportedFunctions(content);
      }
    }
    at += *section_bytes;
  }
  return names;
}

// The section's name, then parts, each with a number and its size.
void WasmNames::ReadFunctionNames(absl::string_view section) {
  Cursor cursor(section);
  if (!cursor.Bytes()) return;
  while (!cursor.AtEnd()) {
    const auto part = cursor.Byte();
    const auto bytes = cursor.Bytes();
    if (!bytes) return;
    if (*part != kFunctionNames) continue;
    Cursor functions(*bytes);
    const auto count = functions.Number();
    if (!count) return;
    for (uint32_t i = 0; i < *count && names_.size() < kMaxFunctions; ++i) {
      const auto function = functions.Number();
      if (!function) break;
      const auto name = functions.Bytes();
      if (!name) break;
      const auto begin = static_cast<uint32_t>(text_.size());
      AppendCut(text_, *name);
      names_.push_back({*function, begin, static_cast<uint32_t>(text_.size() - begin)});
    }
    // Of several names the first one counts.
    std::stable_sort(names_.begin(), names_.end(),
                     [](const Name& a, const Name& b) { return a.function < b.function; });
    return;
  }
}

std::string WasmNames::Find(uint32_t function) const {
  auto it = std::lower_bound(names_.begin(), names_.end(), function,
                             [](const Name& n, uint32_t f) { return n.function < f; });
  if (it == names_.end() || it->function != function) return "";
  return text_.substr(it->begin, it->bytes);
}

}  // namespace jprof::v8
