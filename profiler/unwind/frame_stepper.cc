#include "profiler/unwind/frame_stepper.h"

#include <iterator>
#include <utility>

#include "helpers/abi/records.h"
#include "profiler/unwind/call_frame_entry.h"
#include "profiler/unwind/call_frame_program.h"
#include "profiler/unwind/frame_row.h"

namespace jprof {
namespace {

constexpr uint64_t kRdi = 5, kR13 = 13;
// What an address, and an entry besides its bytes, take at most.
constexpr size_t kBytesOfAddress = 32, kBytesOfEntry = 512;

FrameRegisters FromStart(const Registers& start) {
  FrameRegisters registers;
  registers.Set(FrameRegisters::kPc, start.pc);
  registers.Set(JP_REGISTER_RSP, start.sp);
  if (!start.all_known) return registers;
  for (uint64_t i = 0; i < JP_REGISTERS; ++i) {
    if (i != JP_REGISTER_RSP) registers.Set(i, start.others[i]);
  }
  registers.Set(JP_REGISTER_RBP, start.fp);
  registers.Set(kRdi, start.rdi);
  registers.Set(kR13, start.r13);
  return registers;
}

// What the walk knows.
FrameRegisters FromPlace(const FramePlace& place) {
  FrameRegisters registers;
  registers.Set(FrameRegisters::kPc, place.pc);
  registers.Set(JP_REGISTER_RSP, place.sp);
  if (place.fp != kUnknownRegister) registers.Set(JP_REGISTER_RBP, place.fp);
  return registers;
}

Registers ToRegisters(const FrameRegisters& frame) {
  auto get = [&frame](uint64_t number) { return frame.Get(number).value_or(kUnknownRegister); };
  Registers registers = {.pc = get(FrameRegisters::kPc),
                         .sp = get(JP_REGISTER_RSP),
                         .fp = get(JP_REGISTER_RBP),
                         .rdi = get(kRdi),
                         .r13 = get(kR13)};
  for (uint64_t i = 0; i < JP_REGISTERS; ++i) registers.others[i] = get(i);
  return registers;
}

bool IsAt(const FrameRegisters& registers, const FramePlace& place) {
  return registers.Get(FrameRegisters::kPc) == place.pc &&
         registers.Get(JP_REGISTER_RSP) == place.sp;
}

// Reads are steps, too.
class CountedMemory : public MemoryReader {
 public:
  CountedMemory(const MemoryReader& memory, int& steps) : memory_(memory), steps_(steps) {}
  size_t Read(Address address, std::span<std::byte> out) const override {
    steps_ -= FrameStepper::kStepsOfRead;
    return steps_ < 0 ? 0 : memory_.Read(address, out);
  }

 private:
  const MemoryReader& memory_;
  int& steps_;
};

}  // namespace

struct FrameStepper::Entry {
  FrameCode bytes;
  cfi::CieHead cie;
  cfi::Reader cie_program;
  cfi::Reader program;
  cfi::CodeSpan code;

  size_t size() const { return kBytesOfEntry + bytes.fde.capacity() + bytes.cie.capacity(); }

  // nullptr: it is damaged.
  static std::unique_ptr<const Entry> Parse(FrameCode bytes) {
    auto entry = std::make_unique<Entry>();
    entry->bytes = std::move(bytes);
    size_t next;
    const auto fde = cfi::TakeEntry(entry->bytes.fde, 0, /*is_eh_frame=*/true, next);
    if (!fde || fde->is_cie) return nullptr;
    const auto cie = cfi::TakeEntry(entry->bytes.cie, 0, /*is_eh_frame=*/true, next);
    if (!cie || !cie->is_cie) return nullptr;
    entry->cie_program = cie->content;
    const std::optional<cfi::CieHead> head = cfi::TakeCieHead(entry->cie_program);
    if (!head) return nullptr;
    entry->cie = *head;
    entry->program = fde->content;
    const std::optional<cfi::CodeSpan> code = cfi::TakeFdeHead(
        entry->cie, entry->program, entry->bytes.address + fde->body, /*is_eh_frame=*/true);
    if (!code) return nullptr;
    entry->code = *code;
    return entry;
  }

  // nullopt: it is damaged.
  std::optional<FrameRow> RowAt(uint64_t address) const {
    std::vector<FrameRow> remembered;
    FrameRow initial;
    if (!cfi::RunProgram<FrameRow>(cie, cie_program, 0, 0, nullptr, remembered, initial,
                                   [](uint64_t) { return true; })) {
      return std::nullopt;
    }
    FrameRow row = initial, found = initial;
    auto keep = [&](uint64_t location) {
      if (location > address) return false;
      found = row;
      return true;
    };
    if (!cfi::RunProgram(cie, program, code.begin, code.end, &initial, remembered, row, keep)) {
      return std::nullopt;
    }
    return found;
  }
};

FrameStepper::FrameStepper(Find find) : find_(std::move(find)) {}
FrameStepper::~FrameStepper() = default;

void FrameStepper::Forget(Pid pid) {
  auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  bytes_ -= it->second.without.size() * kBytesOfAddress;
  for (const auto& [begin, entry] : it->second.entries) bytes_ -= entry->size();
  processes_.erase(it);
}

const FrameStepper::Entry* FrameStepper::Known(const Process& process, uint64_t address) {
  auto above = process.entries.upper_bound(address);
  if (above == process.entries.begin()) return nullptr;
  const Entry& entry = *std::prev(above)->second;
  return address < entry.code.end ? &entry : nullptr;
}

void FrameStepper::Keep(Pid pid, uint64_t address, FrameCode code) {
  std::unique_ptr<const Entry> entry;
  if (code.address != 0) entry = Entry::Parse(std::move(code));
  if (entry != nullptr && (address < entry->code.begin || address >= entry->code.end)) {
    entry = nullptr;
  }
  const size_t bytes = entry == nullptr ? kBytesOfAddress : entry->size();
  if (bytes_ + bytes > kMaxBytes) {
    processes_.clear();
    bytes_ = 0;
  }
  Process& process = processes_[pid];
  if (entry == nullptr) {
    bytes_ += process.without.insert(address).second ? bytes : 0;
    return;
  }
  std::unique_ptr<const Entry>& place = process.entries[entry->code.begin];
  if (place != nullptr) bytes_ -= place->size();
  place = std::move(entry);
  bytes_ += bytes;
}

const FrameStepper::Entry* FrameStepper::FindEntry(const WalkSoFar& walk, uint64_t address) {
  auto is_told = [&](uint64_t of) {
    auto process = processes_.find(walk.pid);
    return process != processes_.end() &&
           (process->second.without.contains(of) || Known(process->second, of) != nullptr);
  };
  if (!is_told(address)) {
    if (questions_ == kMaxQuestions) return nullptr;
    ++questions_;
    // And of what comes next: to ask may be a way to another process.
    std::vector<uint64_t> addresses = {address};
    absl::flat_hash_set<uint64_t> asked = {address};
    for (size_t i = at_ + 1; i < walk.frames.size() && addresses.size() < kMaxAddresses; ++i) {
      const uint64_t next = walk.frames[i].pc - 1;
      if (!is_told(next) && asked.insert(next).second) addresses.push_back(next);
    }
    std::vector<FrameCode> found = find_(walk.pid, addresses);
    if (found.empty()) return nullptr;  // no answer, this time
    found.resize(addresses.size());
    for (size_t i = addresses.size(); i-- > 0;) Keep(walk.pid, addresses[i], std::move(found[i]));
  }
  auto process = processes_.find(walk.pid);
  return process == processes_.end() ? nullptr : Known(process->second, address);
}

void FrameStepper::Leave(const WalkSoFar& walk, const MemoryReader& stack) {
  const uint64_t pc = *registers_.Get(FrameRegisters::kPc);
  const uint64_t address = is_leaf_ ? pc : pc - 1;
  caller_.reset();
  is_signal_ = false;
  const Entry* entry = steps_ < 0 ? nullptr : FindEntry(walk, address);
  if (entry == nullptr) return;
  is_signal_ = entry->cie.is_signal;
  steps_ -= static_cast<int>(entry->bytes.fde.size() + entry->bytes.cie.size());
  if (steps_ < 0) return;
  const std::optional<FrameRow> row = entry->RowAt(address);
  if (!row) return;
  // A leaf's caller relies on it to leave registers alone: assembly that calls its own parts.
  caller_ = row->CallerOf(registers_, CountedMemory(stack, steps_), /*keeps_scratch=*/is_leaf_,
                          steps_);
  // What there were no steps for is not the same as what is not known.
  if (steps_ < 0) caller_.reset();
}

std::optional<FrameCaller> FrameStepper::Step(const WalkSoFar& walk, const MemoryReader& stack) {
  if (walk.frames.empty()) return std::nullopt;
  if (walk.is_first) {
    at_ = 0;
    registers_ = FromStart(walk.start);
    is_leaf_ = true;
    steps_ = kMaxSteps;
    questions_ = 0;
    Leave(walk, stack);
  }
  while (at_ + 1 < walk.frames.size()) {
    const FramePlace& last = walk.frames[at_];
    const FramePlace& next = walk.frames[++at_];
    if (next.pc == last.pc && next.sp == last.sp) continue;  // it was looked at twice
    const bool agrees = caller_ && IsAt(*caller_, next);
    registers_ = agrees ? *caller_ : FromPlace(next);
    is_leaf_ = agrees && is_signal_;
    Leave(walk, stack);
  }
  if (!caller_ || (is_signal_ && !caller_->all_known())) return std::nullopt;
  return FrameCaller{ToRegisters(*caller_), is_signal_};
}

}  // namespace jprof
