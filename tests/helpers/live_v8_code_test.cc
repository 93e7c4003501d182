// Lines, columns and inlined functions of a running node against what its own Error.stack said of
// the same calls (v8_truth.js), in each tier.
#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_layout.h"
#include "helpers/v8/v8_positions.h"
#include "jprof_runtimes.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/proc_maps.h"
#include "tests/helpers/stopped_process.h"
#include "tests/helpers/test_nodes.h"
#include "tests/testing/paths.h"
#include "tests/testing/spawn.h"

namespace jprof::v8 {
namespace {

using ::testing::Combine;
using ::testing::Values;
using ::testing::ValuesIn;

constexpr char kScript[] = JPROF_SOURCE_DIR "/tests/helpers/v8_truth.js";

struct Site {
  std::string name;
  int line = 0;  // 0: not known
  int column = 0;
  std::string tier;
  std::string Text() const { return absl::StrCat(name, ":", line, ":", column, " ", tier); }
};
std::string TextOf(const std::vector<Site>& chain) {
  return absl::StrJoin(chain, " > ",
                       [](std::string* out, const Site& s) { absl::StrAppend(out, s.Text()); });
}

// [["plain",32,28],["leaf",14,16]]
std::vector<Site> ParseTruth(absl::string_view json) {
  std::vector<Site> chain;
  for (absl::string_view part : absl::StrSplit(json, "],[")) {
    absl::ConsumePrefix(&part, "[[");
    absl::ConsumeSuffix(&part, "]]");
    std::vector<absl::string_view> fields = absl::StrSplit(part, ',');
    Site site;
    absl::ConsumePrefix(&fields[0], "\"");
    absl::ConsumeSuffix(&fields[0], "\"");
    site.name = std::string(fields[0]);
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[1], &site.line) ||
        !absl::SimpleAtoi(fields[2], &site.column)) {
      return {};
    }
    chain.push_back(site);
  }
  return chain;
}

struct Score {
  int samples = 0;
  int judged = 0;       // at least one function of a scenario on the stack
  int right_chain = 0;  // all functions are those of the truth, from the outermost on
  int callers = 0;      // of right chains, functions that call another one of the chain
  int right_lines = 0;
  int right_columns = 0;
  int unknown_lines = 0;
  int unfound_code = 0;  // return addresses in JIT memory without code
  int unverified = 0;    // code of another function than the frame's, or chains that broke off
  std::map<std::string, int> tiers;
  std::map<std::string, int> mistakes;
};

// A walk of a stopped thread by its frame pointers, nothing of it repaired: what is judged here is
// what CodeFinder and CodePositions say of a frame.
class Walker {
 public:
  Walker(Pid pid, const std::string& node, const RuntimeImage& image)
      : pid_(pid), node_(std::filesystem::canonical(node).string()), memory_(pid) {
    std::memcpy(&names_, image.layout.data(), sizeof(names_));
    std::memcpy(&layout_, image.user_layout.data(), sizeof(layout_));
    code_ = image.code;
    finder_ = std::make_unique<CodeFinder>(layout_, memory_);
    positions_ = std::make_unique<CodePositions>(layout_, memory_);
    std::ifstream in(kScript);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_starts_.push_back(static_cast<int>(i) + 1);
    }
  }

  // The script's functions, outermost first. False: stopped in native code.
  bool Take(Score& score, std::vector<Site>& chain) {
    auto thread = StoppedThread::Stop(pid_);
    if (!thread.ok()) return false;
    finder_->Advance();
    positions_->Advance();
    const Registers& r = thread->registers();
    auto maps = ReadProcMaps(pid_);
    if (!maps.ok()) return false;
    maps_ = *std::move(maps);
    uint64_t pc = r.pc, fp = r.fp;
    bool exact = true;
    if (Where(pc) == 'N') return false;
    for (int depth = 0; depth < 200; ++depth) {
      AddFrame(pc, fp, exact, score, chain);
      auto next_pc = Word(fp + 8), next_fp = Word(fp);
      if (!next_pc || !next_fp || *next_fp <= fp) break;
      pc = *next_pc;
      fp = *next_fp;
      exact = false;
    }
    std::reverse(chain.begin(), chain.end());
    return true;
  }

 private:
  std::optional<uint64_t> Word(uint64_t address) {
    return memory_.ReadValue<uint64_t>(Address{address});
  }
  int TypeOf(uint64_t tagged) {
    if ((tagged & 3) != 1) return -1;
    auto map = Word(tagged - 1);
    if (!map || (*map & 3) != 1) return -1;
    auto type = memory_.ReadValue<uint16_t>(Address{*map - 1 + names_.map_instance_type});
    return type ? *type : -1;
  }

  // 'J' compiled code, 'B' builtins, 'N' native.
  char Where(uint64_t pc) {
    for (const ProcMapping& map : maps_) {
      if (!map.range.Contains(Address{pc})) continue;
      if (!map.executable) return 'N';
      if (map.path.empty()) return 'J';
      if (map.path != node_) return 'N';
      const uint64_t offset = map.offset.value + pc - map.range.begin.value;
      for (const FileRange& range : code_) {
        if (range.begin.value <= offset && offset < range.end.value) return 'B';
      }
      return 'N';
    }
    return 'N';
  }

  std::string String(uint64_t tagged) {
    int type = TypeOf(tagged);
    // Script names are put together, and flat once anyone has looked at them.
    for (int i = 0; i < 2 && type >= 0 && type < names_.first_nonstring_type; ++i) {
      const int tag = type & names_.representation_mask;
      if (tag != names_.cons_tag && tag != names_.thin_tag) break;
      tagged = Word(tagged - 1 + (tag == names_.cons_tag ? names_.cons_first : names_.thin_actual))
                   .value_or(0);
      type = TypeOf(tagged);
    }
    if (type < 0 || type >= names_.first_nonstring_type) return "";
    auto length = memory_.ReadValue<int32_t>(Address{tagged - 1 + names_.string_length});
    if ((type & names_.representation_mask) != names_.sequential_tag ||
        (type & names_.one_byte_bit) == 0 || !length || *length < 0 || *length > 4096) {
      return "";
    }
    std::string text(static_cast<size_t>(*length), '\0');
    memory_.ReadExactly(Address{tagged - 1 + names_.string_chars},
                        std::as_writable_bytes(std::span(text)));
    return text;
  }

  bool InScript(uint64_t shared) {
    auto script = Word(shared - 1 + names_.shared_script);
    if (!script || TypeOf(*script) != names_.script_type) return false;
    auto name = Word(*script - 1 + names_.script_name);
    return name && absl::EndsWith(String(*name), "/v8_truth.js");
  }

  std::string NameOf(uint64_t shared) {
    const uint64_t scope = Word(shared - 1 + names_.shared_name_or_scope_info).value_or(0);
    if (TypeOf(scope) != names_.scope_info_type) return String(scope);
    const uint64_t slots = scope - 1 + names_.scope_slots;
    const uint64_t flags = Word(slots).value_or(0);
    const uint64_t locals = Word(slots + 16).value_or(0) >> 32;
    const uint32_t type = ((flags & 0xffffffff) == 0 ? flags >> 32 : flags) & 15;
    uint64_t at = slots + 8 * (names_.scope_base + (type == names_.scope_module_type) + 2 * locals);
    for (int i = 0; i < 3; ++i, at += 8) {
      const uint64_t name = Word(at).value_or(0), index = Word(at + 8).value_or(0);
      if ((index & 0xffffffff) != 0) continue;
      if (std::string text = String(name); !text.empty()) return text;
    }
    return "";
  }

  Site Make(uint64_t shared, int position, std::string tier) {
    Site site{NameOf(shared), 0, 0, std::move(tier)};
    if (position >= 0) {
      auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), position);
      site.line = static_cast<int>(next - line_starts_.begin());
      site.column = position - *(next - 1) + 1;
    }
    return site;
  }

  void AddFrame(uint64_t pc, uint64_t fp, bool exact, Score& score, std::vector<Site>& chain) {
    auto context = Word(fp - 8), function = Word(fp - 16);
    if (!context || !function || (*context & 3) != 1) return;
    const int type = TypeOf(*function);
    if (type < names_.first_js_function_type || type > names_.last_js_function_type) return;
    auto shared = Word(*function - 1 + names_.function_shared);
    if (!shared || TypeOf(*shared) != names_.shared_type) return;
    const PcKind kind = exact ? PcKind::kExact : PcKind::kReturnAddress;
    const bool in_script = InScript(*shared);
    const bool old = layout_.version < 900;
    const uint64_t bytecode = Word(fp - (old ? 24 : 32)).value_or(0);
    const uint64_t offset = Word(fp - (old ? 32 : 40)).value_or(0);
    std::string tier = "?";
    int position = -1;

    if (Where(pc) == 'J') {
      auto code = finder_->Find(Address{exact ? pc : pc - 1});
      if (!code) {
        if (!exact) ++score.unfound_code;
        tier = "no code";
      } else if (IsOptimized(code->kind)) {
        tier = code->kind == CodeKind::kMaglev ? "+" : "*";
        if (exact && positions_->Owner(*code) != *shared) {
          tier = "callee";  // in its prologue: fp is still the caller's
        } else {
          auto inlined = positions_->Optimized(*code, Address{pc}, kind);
          if (inlined.empty() || inlined.back().shared != *shared) ++score.unverified;
          for (const ScriptPosition& at : inlined) {
            const bool last = &at == &inlined.back();
            if (InScript(at.shared)) {
              ++score.tiers[last ? tier : "inlined"];
              chain.push_back(Make(at.shared, at.position, last ? tier : tier + "i"));
            }
          }
          if (!inlined.empty()) return;
        }
      } else if (code->kind == CodeKind::kBaseline) {
        tier = "^";
        auto owner = positions_->Owner(*code);
        if (exact && owner && *owner != bytecode) {
          tier = "callee";
        } else {
          if (owner && *owner != bytecode) ++score.unverified;
          position = positions_->Baseline(*code, bytecode, Address{pc}, kind).value_or(-1);
        }
      } else if (code->kind == CodeKind::kBuiltin) {
        tier = "~";
        position = positions_->Interpreted(bytecode, offset).value_or(-1);
      } else {
        tier = absl::StrCat("kind ", static_cast<int>(code->kind));
      }
    } else if (TypeOf(bytecode) == layout_.bytecode_array_type && (offset & 0xffffffff) == 0) {
      tier = "~";
      position = positions_->Interpreted(bytecode, offset).value_or(-1);
    } else {
      tier = "B";
    }
    if (!in_script) return;
    ++score.tiers[tier];
    chain.push_back(Make(*shared, position, tier));
  }

  Pid pid_;
  std::string node_;
  LiveMemory memory_;
  jp_v8_layout names_;
  CodeLayout layout_;
  std::vector<FileRange> code_;
  std::unique_ptr<CodeFinder> finder_;
  std::unique_ptr<CodePositions> positions_;
  std::vector<ProcMapping> maps_;
  std::vector<int> line_starts_ = {0};
};

void Judge(const std::vector<Site>& chain, const std::vector<std::vector<Site>>& truths,
           Score& score) {
  ++score.samples;
  for (const std::vector<Site>& truth : truths) {
    auto from = std::find_if(chain.begin(), chain.end(),
                             [&](const Site& s) { return s.name == truth[0].name; });
    if (from == chain.end()) continue;
    ++score.judged;
    const std::vector<Site> seen(from, chain.end());
    for (size_t i = 0; i < seen.size(); ++i) {
      if (i >= truth.size() || seen[i].name != truth[i].name) {
        ++score.mistakes[absl::StrCat("chain ", TextOf(seen))];
        return;
      }
    }
    ++score.right_chain;
    for (size_t i = 0; i + 1 < seen.size(); ++i) {
      ++score.callers;
      score.right_lines += seen[i].line == truth[i].line;
      score.right_columns += seen[i].line == truth[i].line && seen[i].column == truth[i].column;
      score.unknown_lines += seen[i].line == 0;
      if (seen[i].line != truth[i].line || seen[i].column != truth[i].column) {
        ++score.mistakes[absl::StrCat(seen[i].Text(), " is ", truth[i].line, ":", truth[i].column,
                                      " before ", seen[i + 1].Text())];
      }
    }
    return;
  }
}

// More of them for a closer look.
int Stops() {
  int stops = 0;
  const char* wanted = std::getenv("JPROF_TEST_STOPS");
  return wanted != nullptr && absl::SimpleAtoi(wanted, &stops) ? stops : 100;
}

using Param = std::tuple<std::string, std::string, std::string>;

std::string ParamName(const ::testing::TestParamInfo<Param>& param) {
  const auto& [node, flags, leaf] = param.param;
  return absl::StrCat(TestNameOf(node), "_", flags.empty() ? "default" : TestNameOf(flags), "_",
                      leaf);
}

class LiveV8CodeTest : public ::testing::TestWithParam<Param> {};

TEST_P(LiveV8CodeTest, CallersAreWhereErrorStackSays) {
  const auto& [node, flags, leaf] = GetParam();
  if (std::string why = WhyNoNode(node); !why.empty()) GTEST_SKIP() << why;
  auto fd = UniqueFd(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
  auto elf = ElfFile::Open(std::move(fd), node);
  ASSERT_TRUE(elf.ok()) << elf.status();
  auto image = BuiltinRuntimes().runtimes[0]->Probe(*elf);
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_TRUE(image->has_value());
  ASSERT_EQ((*image)->user_layout.size(), sizeof(CodeLayout));

  std::vector<std::string> command = {node};
  for (absl::string_view flag : absl::StrSplit(flags, ' ', absl::SkipEmpty())) {
    command.emplace_back(flag);
  }
  command.insert(command.end(), {kScript, leaf});
  auto child = Child::Spawn(command);
  ASSERT_TRUE(child.ok()) << child.status();
  std::vector<std::vector<Site>> truths;
  for (;;) {
    auto line = child->ReadLine();
    if (!line.ok()) GTEST_SKIP() << "this node does not run with " << flags;
    if (*line == "ready") break;
    truths.push_back(ParseTruth(*line));
    ASSERT_FALSE(truths.back().empty()) << *line;
    truths.back().back().name = leaf == "big" ? "bigLeaf" : "smallLeaf";
  }

  const int stops = Stops();
  Walker walker(child->pid(), node, **image);
  Score score;
  std::minstd_rand random(1);
  for (int i = 0; i < stops; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 9000));
    std::vector<Site> chain;
    if (walker.Take(score, chain)) Judge(chain, truths, score);
  }
  std::cout << TestNameOf(node) << " [" << flags << " " << leaf << "] samples " << score.samples
            << " judged " << score.judged << " right chain " << score.right_chain << " callers "
            << score.callers << " lines " << score.right_lines << " columns " << score.right_columns
            << " unknown " << score.unknown_lines << " unfound " << score.unfound_code
            << " unverified " << score.unverified << " tiers";
  for (const auto& [tier, count] : score.tiers) std::cout << " " << tier << "=" << count;
  std::cout << "\n";
  for (const auto& [mistake, count] : score.mistakes) {
    std::cout << "  " << count << " x " << mistake << "\n";
  }
  EXPECT_GE(score.judged, stops / 2);
  EXPECT_EQ(score.unfound_code, 0);
  EXPECT_EQ(score.unverified, 0);
  // The tier that was meant was there; from V8 13 on --no-opt leaves Maglev.
  EXPECT_GT(score.tiers[flags == "--always-sparkplug --no-opt" ? "^"
                        : flags == "--no-opt --no-sparkplug"   ? "~"
                        : flags == "--maglev --no-turbofan"    ? (score.tiers["+"] > 0 ? "+" : "^")
                                                               : "*"],
            0);
  EXPECT_GE(score.right_chain * 1000, score.judged * 995);
  EXPECT_GE(score.right_lines * 100, score.callers * 99);
}

INSTANTIATE_TEST_SUITE_P(Nodes, LiveV8CodeTest,
                         Combine(ValuesIn(TestNodes()),
                                 Values("", "--no-opt --no-sparkplug",
                                        "--always-sparkplug --no-opt", "--no-maglev",
                                        "--maglev --no-turbofan"),
                                 Values("small", "big")),
                         ParamName);

}  // namespace
}  // namespace jprof::v8
