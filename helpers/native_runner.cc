#include "helpers/native_runner.h"

#include <algorithm>
#include <cstring>

#include "helpers/abi/records.h"

namespace jprof {

namespace {

jp_registers ToWords(const Registers& registers) {
  jp_registers result = {};
  auto* words = reinterpret_cast<__u64*>(&result);
  for (__u32 i = 0; i < JP_REGISTERS; ++i) words[jp_register_index(i)] = registers.others[i];
  result.pc = registers.pc;
  result.sp = registers.sp;
  result.fp = registers.fp;
  result.rdi = registers.rdi;
  result.r13 = registers.r13;
  return result;
}

}  // namespace

struct NativeRunner::Callbacks {
  NativeRunner& runner;
  Pid pid;
  uint32_t life;
  const Registers& start;
  Result& result;
  bool stepped = false;

  static Callbacks& Of(void* context) { return *static_cast<Callbacks*>(context); }

  static int Read(void* context, void* to, __u32 size, __u64 address) {
    return Of(context).runner.memory_.ReadExactly(Address{address},
                                                  {static_cast<std::byte*>(to), size})
               ? 0
               : -1;
  }
  static const void* Layout(void* context, __u32 index, __u64 stack_from) {
    if (Of(context).runner.on_frame_) Of(context).runner.on_frame_(stack_from);
    const auto& layouts = Of(context).runner.layouts_;
    return index < layouts.size() ? layouts[index].data() : nullptr;
  }
  static __u32 FindSymbol(void* context, __u8 runtime, __u64 identity, __u64 content) {
    const auto& symbols = Of(context).runner.symbols_;
    auto it = symbols.find({identity, Of(context).pid, Of(context).life, runtime});
    return it != symbols.end() && it->second.content == content ? it->second.number : 0;
  }
  static __u32 AddSymbol(void* context, jp_symbol* symbol, const __u8* text, __u64 content) {
    Callbacks& self = Of(context);
    symbol->number = self.runner.next_number_++;
    SymbolEvent event{symbol->number, self.pid, symbol->runtime, {}};
    event.record.resize(sizeof(*symbol) + symbol->text_bytes);
    std::memcpy(event.record.data(), symbol, sizeof(*symbol));
    std::memcpy(event.record.data() + sizeof(*symbol), text, symbol->text_bytes);
    auto& symbols = self.runner.symbols_;
    if (symbols.size() >= kMaxKnown) symbols.clear();
    symbols[{symbol->identity, self.pid, self.life, symbol->runtime}] = {content, symbol->number};
    self.result.symbols.push_back(std::move(event));
    return symbol->number;
  }
  static void Remember(void* context, __u32 tid, __u64 word) {
    auto& words = Of(context).runner.thread_words_;
    if (words.size() >= kMaxKnown) words.clear();
    words[tid] = word;
  }
  static __u64 Recall(void* context, __u32 tid) {
    const auto& words = Of(context).runner.thread_words_;
    auto it = words.find(tid);
    return it == words.end() ? 0 : it->second;
  }
  static void AtFrame(void* context, __u32 depth, __u64 pc, __u64 sp, __u64 fp) {
    Of(context).result.places.push_back({depth, pc, sp, fp});
  }
  static int Step(void* context, jp_caller* to) {
    Callbacks& self = Of(context);
    const std::optional<FrameCaller> caller =
        self.runner.stepper_({.pid = self.pid,
                              .start = self.start,
                              .frames = self.result.places,
                              .is_first = !std::exchange(self.stepped, true)});
    if (!caller) return -1;
    to->registers = ToWords(caller->registers);
    to->is_interrupted = caller->is_interrupted;
    return 0;
  }
  static void CountNoRule(void* context) { ++Of(context).result.no_rule; }
  static void Count(void* context, int answer) {
    ++(answer == JP_UNREADABLE ? Of(context).result.unreadable : Of(context).result.corrupt);
  }
};

NativeRunner::NativeRunner(const RuntimeSet& set, const MemoryReader& memory,
                           std::vector<std::vector<std::byte>> layouts)
    : set_(set), memory_(memory), layouts_(std::move(layouts)) {
  for (auto& layout : layouts_) layout.resize(JP_LAYOUT_BYTES);
}

void NativeRunner::SetLayout(uint32_t index, std::span<const std::byte> layout) {
  if (index >= layouts_.size()) layouts_.resize(index + 1);
  layouts_[index].assign(layout.begin(), layout.end());
  layouts_[index].resize(JP_LAYOUT_BYTES);
}

NativeRunner::Result NativeRunner::Walk(const jp_process& process, Pid pid,
                                        const Registers& registers) {
  Result result;
  Callbacks callbacks{.runner = *this,
                      .pid = pid,
                      .life = process.life,
                      .start = registers,
                      .result = result};
  // __u64 is another type of the same size.
  const auto* pool_words = reinterpret_cast<const __u64*>(pool_.data());
  const jp_host host = {.context = &callbacks,
                        .read = Callbacks::Read,
                        .layout = Callbacks::Layout,
                        .find_symbol = Callbacks::FindSymbol,
                        .add_symbol = Callbacks::AddSymbol,
                        .count = Callbacks::Count,
                        .remember = Callbacks::Remember,
                        .recall = Callbacks::Recall,
                        .count_no_rule = Callbacks::CountNoRule,
                        .at_frame = keeps_places_ || stepper_ ? Callbacks::AtFrame : nullptr,
                        .step = stepper_ ? Callbacks::Step : nullptr,
                        .pool = pool_words,
                        .pool_words = static_cast<__u32>(pool_.size()),
                        .mapping_count = static_cast<__u32>(mappings_.size()),
                        .mappings = mappings_.data()};
  std::vector<jp_frame> frames(JP_MAX_FRAMES);
  __u32 depth = 0;
  const jp_registers start = ToWords(registers);
  __u32 end = set_.native_walk(&host, &process, static_cast<__u32>(pid),
                               static_cast<__u32>(registers.tid), &start, registers.stack_base,
                               frames.data(), &depth);
  result.stack.pid = pid;
  result.stack.end = static_cast<WalkEnd>(end);
  result.stack.frames.reserve(depth);
  for (__u32 i = 0; i < depth; ++i) result.stack.frames.push_back(ToRawFrame(frames[i]));
  if (!keeps_places_) result.places.clear();
  return result;
}

RawFrame ToRawFrame(const jp_frame& frame) {
  return RawFrame{.address = frame.address,
                  .symbol = frame.symbol,
                  .kind = frame.kind <= JP_FRAME_UNRESOLVED
                              ? static_cast<RawFrame::Kind>(frame.kind)
                              : RawFrame::Kind::kUnresolved,
                  .runtime = frame.runtime,
                  .detail = frame.detail,
                  .is_return_address = (frame.flags & JP_FRAME_RETURN_ADDRESS) != 0,
                  .is_async = (frame.flags & JP_FRAME_ASYNC) != 0};
}

}  // namespace jprof
