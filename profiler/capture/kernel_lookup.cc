#include "profiler/capture/kernel_lookup.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "profiler/capture/bpf_instructions.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr char kFormat[8] = "%pS";

// KSYM_SYMBOL_LEN of the kernel's include/linux/kallsyms.h is below.
constexpr size_t kTextBytes = 1024;

constexpr int32_t kStackSlot = -8;

// An array of one element.
UniqueFd MakeMap(uint32_t bytes, uint32_t flags) {
  bpf_map_create_opts options = {};
  options.sz = sizeof(options);
  options.map_flags = flags;
  return UniqueFd(
      ::bpf_map_create(BPF_MAP_TYPE_ARRAY, "jprof_name", sizeof(uint32_t), bytes, 1, &options));
}

UniqueFd MakeFormat() {
  UniqueFd map = MakeMap(sizeof(kFormat), BPF_F_RDONLY_PROG);
  const uint32_t zero = 0;
  if (map.valid() && (::bpf_map_update_elem(map.get(), &zero, kFormat, BPF_ANY) != 0 ||
                      ::bpf_map_freeze(map.get()) != 0)) {
    map.Reset();
  }
  return map;
}

// As bpf_prog_ksym_set_name() and bpf_trampoline_ksym_add() of the kernel name them; no function of
// its own is named like that.
bool IsBpf(absl::string_view name) {
  constexpr size_t kTagDigits = 2 * BPF_TAG_SIZE;
  if (absl::ConsumePrefix(&name, "bpf_prog_")) {
    return name.size() >= kTagDigits &&
           std::all_of(name.begin(), name.begin() + kTagDigits, absl::ascii_isxdigit);
  }
  return absl::ConsumePrefix(&name, "bpf_trampoline_") && !name.empty() &&
         std::all_of(name.begin(), name.end(), absl::ascii_isdigit);
}

}  // namespace

std::optional<KernelSymbol> ParseKernelSymbol(absl::string_view text) {
  const size_t plus = text.rfind("+0x");
  if (plus == absl::string_view::npos || plus == 0) return std::nullopt;
  KernelSymbol result{.name = std::string(text.substr(0, plus))};
  text.remove_prefix(plus + 1);
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos ||
      !absl::SimpleHexAtoi(text.substr(0, slash), &result.offset)) {
    return std::nullopt;
  }
  const size_t space = text.find(' ', slash);
  if (space != absl::string_view::npos) {
    text.remove_prefix(space + 1);
    if (!absl::ConsumePrefix(&text, "[") || !absl::ConsumeSuffix(&text, "]")) return std::nullopt;
    result.module = std::string(text);
  } else if (IsBpf(result.name)) {
    result.module = "bpf";
  }
  return result;
}

absl::StatusOr<KernelLookup> KernelLookup::Make() {
  const UniqueFd format = MakeFormat();  // which the program keeps
  UniqueFd text = format.valid() ? MakeMap(kTextBytes, 0) : UniqueFd();
  if (!text.valid()) return ErrnoStatus(errno, "a BPF map for kernel symbols");
  // Called with an address: bpf_snprintf(text, kTextBytes, kFormat, &copy of it, 8)
  const bpf_insn program[] = {
      Load(BPF_REG_2, BPF_REG_1, 0),
      Instruction(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_2, kStackSlot, 0),
      Instruction(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, text.get()),
      Instruction(0, 0, 0, 0, 0),  // the second half: the offset in the value
      Set(BPF_REG_2, kTextBytes),
      Instruction(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, BPF_PSEUDO_MAP_VALUE, 0, format.get()),
      Instruction(0, 0, 0, 0, 0),
      Copy(BPF_REG_4, BPF_REG_10),
      Add(BPF_REG_4, kStackSlot),
      Set(BPF_REG_5, sizeof(uint64_t)),
      Call(BPF_FUNC_snprintf),
      Set(BPF_REG_0, 0),
      Exit(),
  };
  bpf_prog_load_opts options = {};
  options.sz = sizeof(options);
  // Which the kernel asks of programs that are called like this.
  options.prog_flags = BPF_F_SLEEPABLE;
  UniqueFd loaded(::bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "jprof_name", "Dual MIT/GPL", program,
                                  std::size(program), &options));
  if (!loaded.valid()) return ErrnoStatus(errno, "a BPF program that names kernel symbols");
  return KernelLookup(std::move(text), std::move(loaded));
}

absl::StatusOr<std::optional<KernelSymbol>> KernelLookup::Find(uint64_t address) {
  bpf_test_run_opts options = {};
  options.sz = sizeof(options);
  options.ctx_in = &address;
  options.ctx_size_in = sizeof(address);
  const uint32_t zero = 0;
  std::array<char, kTextBytes> text;
  if (::bpf_prog_test_run_opts(program_.get(), &options) != 0 ||
      ::bpf_map_lookup_elem(text_.get(), &zero, text.data()) != 0) {
    return ErrnoStatus(errno, "asking the kernel for its symbols by BPF");
  }
  return ParseKernelSymbol({text.data(), ::strnlen(text.data(), text.size())});
}

}  // namespace jprof
