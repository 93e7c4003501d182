// The limits that kernels put on calls within a BPF program. Up to Linux 6.8 each function's stack counts in steps
// of 32 bytes, later ones are laxer: what the kernel at hand lets pass may be refused by most.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "jprof_runtimes.h"

namespace jprof {
namespace {

constexpr int kMaxStackBytes = 512;
constexpr int kStackStep = 32;
constexpr int kMaxCalls = 8;

// Of the functions of a program, by where they begin.
struct Functions {
  std::map<int, int> stack_bytes;
  std::map<int, std::set<int>> calls;
};

Functions ReadFunctions(std::span<const bpf_insn> code) {
  Functions result;
  std::set<int> begins = {0};
  const auto target = [&](int at) { return at + code[static_cast<size_t>(at)].imm + 1; };
  const auto is_call = [&](int at) {
    const bpf_insn& i = code[static_cast<size_t>(at)];
    return i.code == (BPF_JMP | BPF_CALL) && i.src_reg == BPF_PSEUDO_CALL;
  };
  const int size = static_cast<int>(code.size());
  for (int at = 0; at < size; ++at) {
    if (is_call(at)) begins.insert(target(at));
  }
  int function = 0;
  std::set<int> frame_pointers;  // registers
  for (int at = 0; at < size; ++at) {
    const bpf_insn& i = code[static_cast<size_t>(at)];
    if (begins.contains(at)) function = at;
    int& deepest = result.stack_bytes[function];
    const int operation = BPF_CLASS(i.code);
    if (is_call(at)) result.calls[function].insert(target(at));
    if (i.code == (BPF_ALU64 | BPF_MOV | BPF_X) && i.src_reg == BPF_REG_10) {
      frame_pointers.insert(i.dst_reg);
    } else if (i.code == (BPF_ALU64 | BPF_ADD | BPF_K) && frame_pointers.contains(i.dst_reg)) {
      deepest = std::max(deepest, -i.imm);
      frame_pointers.erase(i.dst_reg);
    } else if ((operation == BPF_STX || operation == BPF_ST) && i.dst_reg == BPF_REG_10) {
      deepest = std::max(deepest, -int{i.off});
    } else if (operation == BPF_LDX && i.src_reg == BPF_REG_10) {
      deepest = std::max(deepest, -int{i.off});
    }
  }
  return result;
}

struct Chain {
  int stack_bytes = 0;
  int calls = 0;
};

Chain DeepestFrom(const Functions& functions, int function) {
  Chain deepest;
  if (auto calls = functions.calls.find(function); calls != functions.calls.end()) {
    for (int callee : calls->second) {
      const Chain below = DeepestFrom(functions, callee);
      deepest.stack_bytes = std::max(deepest.stack_bytes, below.stack_bytes);
      deepest.calls = std::max(deepest.calls, below.calls);
    }
  }
  const int own = std::max(1, functions.stack_bytes.at(function));
  deepest.stack_bytes += (own + kStackStep - 1) / kStackStep * kStackStep;
  ++deepest.calls;
  return deepest;
}

class BpfStackTest : public testing::TestWithParam<const char*> {};

TEST_P(BpfStackTest, FitsIntoThatOfOldKernels) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const absl::string_view bytes = BuiltinRuntimes().bpf_object;
  const std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object(
      bpf_object__open_mem(bytes.data(), bytes.size(), nullptr), &bpf_object__close);
  ASSERT_NE(object, nullptr);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    bpf_program__set_autoload(program, std::string(bpf_program__name(program)) == GetParam());
  }
  ASSERT_EQ(bpf_object__load(object.get()), 0);
  program = bpf_object__find_program_by_name(object.get(), GetParam());
  ASSERT_NE(program, nullptr);
  const Functions functions =
      ReadFunctions({bpf_program__insns(program), bpf_program__insn_cnt(program)});
  ASSERT_GT(functions.stack_bytes.size(), 10u);
  const Chain deepest = DeepestFrom(functions, 0);
  EXPECT_LE(deepest.stack_bytes, kMaxStackBytes);
  EXPECT_LE(deepest.calls, kMaxCalls);
}

INSTANTIATE_TEST_SUITE_P(Programs, BpfStackTest,
                         testing::Values("jp_on_sample", "jp_probe_enter", "jp_probe_exit",
                                         "jp_probe_signal", "jp_probe_entry", "jp_probe_return"),
                         [](const auto& program) { return std::string(program.param); });

}  // namespace
}  // namespace jprof
