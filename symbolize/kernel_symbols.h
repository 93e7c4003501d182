// Kernel symbols from /proc/kallsyms.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace jprof {

class KernelSymbols {
 public:
  // Reads kallsyms text. PermissionDenied when every address is zero (kernel.kptr_restrict), with a
  // hint. Keeps text symbols only.
  static absl::StatusOr<KernelSymbols> Load(const std::string& path = "/proc/kallsyms");

  struct Match {
    absl::string_view name;    // valid as long as the KernelSymbols
    absl::string_view module;  // "" for the kernel proper
    uint64_t offset = 0;
  };
  // The last symbol at or below `address`; an empty name when there is none.
  Match Find(uint64_t address) const;
  size_t size() const { return symbols_.size(); }

 private:
  struct Symbol {
    uint64_t address;
    uint32_t name;    // offset in text_
    uint32_t module;  // offset in text_, 0: none
  };
  std::vector<Symbol> symbols_;
  std::string text_;
};

}  // namespace jprof
