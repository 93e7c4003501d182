// Names of the kernel's own addresses, asked one by one: a BPF program of a few instructions has
// the kernel print the symbol (bpf_snprintf with "%pS"). All of /proc/kallsyms would take some
// 80 ms of CPU time to be printed by the kernel and read, for the few hundred addresses of a
// profile. Needs Linux 5.14, and what sampling by BPF needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

struct KernelSymbol {
  std::string name;
  std::string module;   // "" for the kernel proper, "bpf" for BPF programs
  uint64_t offset = 0;  // of the address in it

  friend bool operator==(const KernelSymbol&, const KernelSymbol&) = default;
};

// Of text as "%pS" prints it, "name+0x12/0x34 [module]". BPF programs and trampolines have no
// module there: they are told by their names. nullopt: no symbol is there.
std::optional<KernelSymbol> ParseKernelSymbol(absl::string_view text);

// One thread at a time.
class KernelLookup {
 public:
  // An error where the kernel does not allow it, or is too old.
  static absl::StatusOr<KernelLookup> Make();

  // The symbol that holds `address` now; nullopt: there is none, or it is of code that the kernel
  // made for ftrace and kprobes. An error: the kernel does not answer.
  absl::StatusOr<std::optional<KernelSymbol>> Find(uint64_t address);

 private:
  KernelLookup(UniqueFd text, UniqueFd program)
      : text_(std::move(text)), program_(std::move(program)) {}

  UniqueFd text_;  // a map: where the program prints to
  UniqueFd program_;
};

}  // namespace jprof
