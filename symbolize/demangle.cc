// abi::__cxa_demangle prints into memory without a limit, and a name of 240 bytes whose parts refer
// to each other unfolds to 150 MB in 1.5 s, one of 500 bytes never ends. The function beneath it
// hands out its text piece by piece to a callback; that one can stop at a limit.
#include "symbolize/demangle.h"

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "symbolize/rust_demangle.h"

// libsupc++'s cp-demangle.c. It is not exported by libstdc++.so, so the build takes the object file
// out of libstdc++.a. All its state is on the stack: leaving it by longjmp leaks nothing.
extern "C" int __gcclibcxx_demangle_callback(const char* mangled,
                                             void (*callback)(const char*, size_t, void*),
                                             void* opaque);

namespace jprof {
namespace {

constexpr size_t kMaxInputBytes = 16 * 1024;
constexpr size_t kMaxOutputBytes = 64 * 1024;
constexpr size_t kRustHashBytes = 17;  // 'h' and 16 hex digits

struct Printer {
  std::jmp_buf too_long;
  size_t size = 0;
  size_t limit = 0;
  char* text = nullptr;
};

void Print(const char* bytes, size_t size, void* opaque) {
  auto* printer = static_cast<Printer*>(opaque);
  if (size > printer->limit - printer->size) std::longjmp(printer->too_long, 1);
  std::memcpy(printer->text + printer->size, bytes, size);
  printer->size += size;
}

// No object with a destructor lives in this frame, so the jump skips none. 0: not mangled, or
// damaged; `limit` + 1: too long.
size_t PrintCxx(const char* mangled, char* text, size_t limit) {
  Printer printer;
  printer.limit = limit;
  printer.text = text;
  if (setjmp(printer.too_long) != 0) return limit + 1;
  return __gcclibcxx_demangle_callback(mangled, &Print, &printer) == 0 ? printer.size : 0;
}

bool IsRustHash(absl::string_view part) {
  if (part.size() != kRustHashBytes || part[0] != 'h') return false;
  for (char c : part.substr(1)) {
    if (!absl::ascii_isdigit(c) && !(c >= 'a' && c <= 'f')) return false;
  }
  return true;
}

// One path component: "$LT$" is '<', "$u7b$" is '{', ".." is "::".
void AppendRustPart(absl::string_view part, std::string* out) {
  static constexpr std::pair<absl::string_view, char> kEscapes[] = {
      {"SP", '@'}, {"BP", '*'}, {"RF", '&'}, {"LT", '<'},
      {"GT", '>'}, {"LP", '('}, {"RP", ')'}, {"C", ','}};
  if (absl::StartsWith(part, "_$")) part.remove_prefix(1);
  while (!part.empty()) {
    if (absl::ConsumePrefix(&part, "..")) {
      out->append("::");
      continue;
    }
    if (part[0] == '$') {
      const size_t end = part.find('$', 1);
      if (end != absl::string_view::npos) {
        absl::string_view code = part.substr(1, end - 1);
        char c = '\0';
        for (const auto& [name, value] : kEscapes) {
          if (code == name) c = value;
        }
        uint32_t number = 0;
        if (c == '\0' && code.size() == 3 && code[0] == 'u' &&
            absl::SimpleHexAtoi(code.substr(1), &number) && absl::ascii_isprint(number)) {
          c = static_cast<char>(number);
        }
        if (c != '\0') {
          out->push_back(c);
          part.remove_prefix(end + 1);
          continue;
        }
      }
    }
    out->push_back(part[0]);
    part.remove_prefix(1);
  }
}

// The older of Rust's two schemes: a nested C++ name whose last component is a hash.
bool DemangleRust(absl::string_view name, std::string* out) {
  // Hardly a C++ name gets past the hash's beginning.
  if (!absl::ConsumePrefix(&name, "_ZN") || !absl::StrContains(name, "17h")) return false;
  std::vector<absl::string_view> parts;
  while (!name.empty() && name[0] != 'E') {
    size_t digits = 0;
    while (digits < name.size() && absl::ascii_isdigit(name[digits])) ++digits;
    uint32_t length = 0;
    if (!absl::SimpleAtoi(name.substr(0, digits), &length)) return false;
    name.remove_prefix(digits);
    if (length == 0 || length > name.size()) return false;
    parts.push_back(name.substr(0, length));
    name.remove_prefix(length);
  }
  // After the E at most a suffix that the compiler's back end added.
  if (parts.size() < 2 || !IsRustHash(parts.back()) || name.empty() ||
      (name.size() > 1 && name[1] != '.')) {
    return false;
  }
  parts.pop_back();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out->append("::");
    AppendRustPart(parts[i], out);
  }
  return true;
}

}  // namespace

std::string Demangle(absl::string_view name, size_t* budget) {
  // Without the prefix a name can still be a mangled type: "i" is not "int".
  std::string mangled(name);
  const bool rust_v0 = absl::StartsWith(name, "_R");
  if (!(rust_v0 || absl::StartsWith(name, "_Z")) || name.size() > kMaxInputBytes ||
      (budget != nullptr && *budget == 0)) {
    return mangled;
  }
  std::string rust;
  if (rust_v0) {
    size_t steps = kMaxOutputBytes;
    const bool demangled = DemangleRustV0(name, kMaxOutputBytes, &steps, &rust);
    if (budget != nullptr) *budget -= std::min(*budget, kMaxOutputBytes - steps + rust.size());
    return demangled ? rust : mangled;
  }
  if (DemangleRust(name, &rust)) return rust;

  const auto text = std::make_unique_for_overwrite<char[]>(kMaxOutputBytes);
  const size_t size = PrintCxx(mangled.c_str(), text.get(), kMaxOutputBytes);
  if (budget != nullptr) *budget -= std::min(*budget, size);
  if (size == 0 || size > kMaxOutputBytes) return mangled;
  return std::string(text.get(), size);
}

}  // namespace jprof
