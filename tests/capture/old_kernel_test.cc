// What kernels before the one at hand ask of a BPF program, which may let pass what most refuse: up
// to Linux 6.8 each function's stack counts in steps of 32 bytes, and only a jump may lead back to
// the beginning of a loop. From kernel/bpf/verifier.c of Linux 6.1: check_max_stack_depth(),
// check_cfg().
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

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

// The instructions that lead back without being jumps. Goes through the code in the
// order of check_cfg(), on which it depends what is a way back.
std::vector<int> FindLoopsWithoutJump(std::span<const bpf_insn> code) {
  enum class State : uint8_t { kNew, kOpen, kDone };
  std::vector<State> states(code.size(), State::kNew);
  struct Edge {
    int to;
    bool may_lead_back;
  };
  const auto edges_of = [&](int at) -> std::vector<Edge> {
    const bpf_insn& i = code[static_cast<size_t>(at)];
    const int operation = BPF_OP(i.code);
    if (i.code == (BPF_LD | BPF_IMM | BPF_DW)) return {{at + 2, false}};
    if (BPF_CLASS(i.code) != BPF_JMP && BPF_CLASS(i.code) != BPF_JMP32) return {{at + 1, false}};
    if (operation == BPF_EXIT) return {};
    if (operation == BPF_CALL) {
      if (i.src_reg != BPF_PSEUDO_CALL) return {{at + 1, false}};
      return {{at + 1, false}, {at + i.imm + 1, true}};
    }
    if (operation == BPF_JA) return {{at + i.off + 1, true}};
    return {{at + 1, true}, {at + i.off + 1, true}};
  };
  std::vector<int> open = {0}, found;
  states[0] = State::kOpen;
  while (!open.empty()) {
    const int at = open.back();
    bool went_on = false;
    for (const Edge& edge : edges_of(at)) {
      State& state = states.at(static_cast<size_t>(edge.to));
      if (state == State::kOpen && !edge.may_lead_back) found.push_back(at);
      if (state != State::kNew) continue;
      state = State::kOpen;
      open.push_back(edge.to);
      went_on = true;
      break;
    }
    if (went_on) continue;
    states[static_cast<size_t>(at)] = State::kDone;
    open.pop_back();
  }
  return found;
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

class OldKernelTest : public testing::TestWithParam<const char*> {};

TEST_P(OldKernelTest, HasStackAndLoopsAsTheyTakeThem) {
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
  const std::span code(bpf_program__insns(program), bpf_program__insn_cnt(program));
  EXPECT_THAT(FindLoopsWithoutJump(code), testing::IsEmpty());
  const Functions functions = ReadFunctions(code);
  ASSERT_GT(functions.stack_bytes.size(), 10u);
  const Chain deepest = DeepestFrom(functions, 0);
  EXPECT_LE(deepest.stack_bytes, kMaxStackBytes);
  EXPECT_LE(deepest.calls, kMaxCalls);
}

INSTANTIATE_TEST_SUITE_P(Programs, OldKernelTest,
                         testing::Values("jp_on_sample", "jp_probe_enter", "jp_probe_exit",
                                         "jp_probe_signal", "jp_probe_entry", "jp_probe_return"),
                         [](const auto& program) { return std::string(program.param); });

}  // namespace
}  // namespace jprof
