// Kernel symbols from /proc/kallsyms. Immutable once loaded, so any thread may look up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jprof {

class Kallsyms {
 public:
  // Reads kallsyms text. PermissionDenied when every address is zero (kernel.kptr_restrict), with a
  // hint. Keeps text symbols only; of several at one address the global one, else the first.
  // Lines that are no symbols are skipped. NotFound when there is no text symbol.
  static absl::StatusOr<Kallsyms> Load(const std::string& path = "/proc/kallsyms");

  struct Match {
    absl::string_view name;    // valid as long as the Kallsyms
    absl::string_view module;  // "" for the kernel proper
    uint64_t offset = 0;
    bool enclosed = false;  // the next symbol is of the same module, so all between is this one's
  };
  // The last symbol at or below `address`; an empty name when there is none, or none within
  // kMaxOffset: symbols have no sizes, and behind the last one of a module is something else.
  Match Find(uint64_t address) const;
  size_t size() const { return symbols_.size(); }

  static constexpr uint64_t kMaxOffset = uint64_t{1} << 20;

 private:
  struct Symbol {
    uint64_t address;
    uint32_t name;    // offset in text_
    uint32_t module;  // offset in text_, 0: none
  };
  std::vector<Symbol> symbols_;  // by address, distinct
  std::string text_;             // strings that end with NUL; the first one is empty
};

}  // namespace jprof
