#include "profiler/unwind/frame_stepper.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "helpers/abi/records.h"
#include "profiler/unwind/call_frame_entry.h"
#include "profiler/unwind/call_frame_program.h"
#include "profiler/unwind/frame_row.h"

namespace jprof {
namespace {

constexpr size_t kMaxEntryBytes = 64 << 10;
constexpr size_t kMaxProgramHeaders = 128;
// Of one file, before the mapping of its code.
constexpr size_t kMaxMappings = 64;
constexpr uint64_t kRdi = 5, kR13 = 13;

// The bytes of the entry of call-frame information at `address`; empty: there is none.
std::vector<uint8_t> ReadEntry(const MemoryReader& files, uint64_t address) {
  std::array<uint8_t, 12> head;
  if (!files.ReadExactly(Address{address}, std::as_writable_bytes(std::span(head)))) return {};
  cfi::Reader in(head);
  uint64_t length = in.Take<uint32_t>();
  if (length == 0xffffffff) length = in.Take<uint64_t>();
  if (length > kMaxEntryBytes) return {};
  std::vector<uint8_t> bytes(in.at() + length);
  if (!files.ReadExactly(Address{address}, std::as_writable_bytes(std::span(bytes)))) return {};
  return bytes;
}

// By .eh_frame_hdr (LSB 10.6.2), the address of the FDE that may be about `address`; 0: none.
uint64_t FindFde(const MemoryReader& files, uint64_t index, uint64_t address) {
  constexpr uint8_t kVersion = 1, kCountEncoding = 0x03, kTableEncoding = 0x3b;
  constexpr uint32_t kMaxCount = 1 << 24;
  std::array<uint8_t, 24> head;
  if (!files.ReadExactly(Address{index}, std::as_writable_bytes(std::span(head)))) return 0;
  cfi::Reader in(head);
  const auto version = in.Take<uint8_t>(), pointer_encoding = in.Take<uint8_t>(),
             count_encoding = in.Take<uint8_t>(), table_encoding = in.Take<uint8_t>();
  cfi::TakePointer(in, pointer_encoding, 0);
  const uint32_t count = in.Take<uint32_t>();
  // What linkers write.
  if (!in.ok() || version != kVersion || count_encoding != kCountEncoding ||
      table_encoding != kTableEncoding || count > kMaxCount) {
    return 0;
  }
  struct Row {
    int32_t code;  // both from `index`
    int32_t fde;
  };
  const uint64_t table = index + in.at();
  auto address_of = [index](int32_t offset) {
    return index + static_cast<uint64_t>(int64_t{offset});
  };
  uint32_t low = 0,
           high = count;  // the last row that begins at or before `address` is below `high`
  uint64_t fde = 0;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const auto row = files.ReadValue<Row>(Address{table + middle * sizeof(Row)});
    if (!row) return 0;
    if (address_of(row->code) <= address) {
      fde = address_of(row->fde);
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return fde;
}

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

}  // namespace

struct FrameStepper::Entry {
  std::vector<uint8_t> cie_bytes;
  std::vector<uint8_t> bytes;
  cfi::CieHead cie;
  cfi::Reader cie_program;
  cfi::Reader program;
  cfi::CodeSpan code;

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

struct FrameStepper::Process {
  std::vector<ProcMapping> maps;
  absl::flat_hash_map<uint64_t, uint64_t> indexes;  // by where a file's first mapping begins
  absl::flat_hash_map<uint64_t, std::unique_ptr<Entry>> entries;  // by address; nullptr: none
};

FrameStepper::FrameStepper(ReadMaps read_maps) : read_maps_(std::move(read_maps)) {}
FrameStepper::~FrameStepper() = default;

void FrameStepper::Forget(Pid pid) { processes_.erase(pid); }

uint64_t FrameStepper::FindIndex(Process& process, const MemoryReader& files, uint64_t address) {
  const std::vector<ProcMapping>& maps = process.maps;
  auto above = std::upper_bound(
      maps.begin(), maps.end(), address,
      [](uint64_t a, const ProcMapping& m) { return a < m.range.begin.value; });
  if (above == maps.begin()) return 0;
  auto at = std::prev(above);
  if (!at->range.Contains({address}) || (!at->file.valid() && at->path != "[vdso]")) return 0;
  const FileIdentity file = at->file;
  for (size_t i = 0; at->offset.value != 0 || at->file != file; ++i, --at) {
    if (i == kMaxMappings || at == maps.begin()) return 0;
  }
  const uint64_t begin = at->range.begin.value;
  auto [known, is_new] = process.indexes.try_emplace(begin, 0);
  if (!is_new) return known->second;
  const auto header = files.ReadValue<Elf64_Ehdr>(Address{begin});
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
      header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
      header->e_phnum > kMaxProgramHeaders) {
    return 0;
  }
  std::vector<Elf64_Phdr> segments(header->e_phnum);
  if (!files.ReadExactly(Address{begin + header->e_phoff},
                         std::as_writable_bytes(std::span(segments)))) {
    return 0;
  }
  std::optional<uint64_t> bias, index;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && segment.p_offset == 0) bias = begin - segment.p_vaddr;
    if (segment.p_type == PT_GNU_EH_FRAME) index = segment.p_vaddr;
  }
  if (bias && index) known->second = *bias + *index;
  return known->second;
}

const FrameStepper::Entry* FrameStepper::FindEntry(Process& process, const MemoryReader& files,
                                                   uint64_t address) {
  if (process.entries.size() >= kMaxEntries) process.entries.clear();
  auto [known, is_new] = process.entries.try_emplace(address);
  if (!is_new) return known->second.get();
  const uint64_t index = FindIndex(process, files, address);
  const uint64_t at = index == 0 ? 0 : FindFde(files, index, address);
  if (at == 0) return nullptr;
  auto entry = std::make_unique<Entry>();
  size_t next;
  entry->bytes = ReadEntry(files, at);
  const std::optional<cfi::Entry> fde = cfi::TakeEntry(entry->bytes, 0, /*is_eh_frame=*/true, next);
  if (!fde || fde->is_cie) return nullptr;
  entry->cie_bytes = ReadEntry(files, at + fde->cie);
  const std::optional<cfi::Entry> cie =
      cfi::TakeEntry(entry->cie_bytes, 0, /*is_eh_frame=*/true, next);
  if (!cie || !cie->is_cie) return nullptr;
  entry->cie_program = cie->content;
  const std::optional<cfi::CieHead> head = cfi::TakeCieHead(entry->cie_program);
  if (!head) return nullptr;
  entry->cie = *head;
  entry->program = fde->content;
  const std::optional<cfi::CodeSpan> code =
      cfi::TakeFdeHead(entry->cie, entry->program, at + fde->body, /*is_eh_frame=*/true);
  if (!code || address < code->begin || address >= code->end) return nullptr;
  entry->code = *code;
  known->second = std::move(entry);
  return known->second.get();
}

std::optional<FrameCaller> FrameStepper::Step(Pid pid, const Registers& start,
                                              std::span<const FramePlace> frames,
                                              const MemoryReader& stack,
                                              const MemoryReader& files) {
  if (frames.empty()) return std::nullopt;
  if (processes_.size() >= kMaxProcesses && !processes_.contains(pid)) processes_.clear();
  std::unique_ptr<Process>& process = processes_[pid];
  if (process == nullptr) {
    process = std::make_unique<Process>();
    process->maps = read_maps_(pid).value_or(std::vector<ProcMapping>());
  }
  FrameRegisters registers = FromStart(start);
  bool is_leaf = true;  // its pc is no return address
  for (size_t i = 0;; ++i) {
    const uint64_t pc = *registers.Get(FrameRegisters::kPc);
    const uint64_t address = is_leaf ? pc : pc - 1;
    const Entry* entry = FindEntry(*process, files, address);
    std::optional<FrameRegisters> caller;
    if (entry != nullptr) {
      if (const std::optional<FrameRow> row = entry->RowAt(address)) {
        // A leaf's caller relies on it to leave registers alone: assembly that calls its own parts.
        caller = row->CallerOf(registers, stack, /*keeps_scratch=*/is_leaf);
      }
    }
    const bool is_signal = entry != nullptr && entry->cie.is_signal;
    if (i + 1 == frames.size()) {
      if (!caller || (is_signal && !caller->all_known())) return std::nullopt;
      return FrameCaller{ToRegisters(*caller), is_signal};
    }
    const FramePlace& next = frames[i + 1];
    if (next.pc == frames[i].pc && next.sp == frames[i].sp) continue;  // it was looked at twice
    const bool agrees = caller && IsAt(*caller, next);
    registers = agrees ? *caller : FromPlace(next);
    is_leaf = agrees && is_signal;
  }
}

}  // namespace jprof
