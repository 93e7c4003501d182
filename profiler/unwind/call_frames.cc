#include "profiler/unwind/call_frames.h"

#include <elf.h>

#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "profiler/unwind/call_frame_builder.h"
#include "symbolize/debug_section.h"
#include "symbolize/work_budget.h"

namespace jprof {
namespace {

// Another one when the same input gives another table: cached ones are not used then.
constexpr uint64_t kBuilderVersion = 4;

constexpr absl::string_view kEhFrame = ".eh_frame";
constexpr absl::string_view kDebugFrame = ".debug_frame";
constexpr uint64_t kMuch = 8;  // one of so many parts of the code

// mov $15 (rt_sigreturn), %rax; syscall. Where the kernel lets signal handlers return to.
constexpr uint8_t kSignalReturn[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
constexpr uint8_t kNop = 0x90;
constexpr uint64_t kMaxScannedCode = 4 << 20;
constexpr size_t kMaxSignalReturns = 16;

// Addresses of such code behind a nop, as C libraries have it.
std::vector<uint64_t> FindSignalReturns(const ElfFile& elf) {
  std::vector<uint64_t> found;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (!segment.executable || segment.file_size > kMaxScannedCode) continue;
    std::vector<uint8_t> code(segment.file_size);
    if (!elf.ReadAt(segment.begin, std::as_writable_bytes(std::span(code)))) continue;
    for (size_t at = 1; at < code.size() && found.size() < kMaxSignalReturns; ++at) {
      const void* match = ::memmem(code.data() + at, code.size() - at, kSignalReturn,
                                   sizeof(kSignalReturn));
      if (match == nullptr) break;
      at = static_cast<size_t>(static_cast<const uint8_t*>(match) - code.data());
      if (code[at - 1] == kNop) found.push_back(segment.begin.value + at);
    }
  }
  return found;
}

constexpr uint64_t kMaxFollowedCode = 8 << 20;
constexpr uint64_t kMinCodePerDescription = 64;

// Segments of code that may hold functions that no section describes, in numbers: of a file with
// hardly any sections, or a program without an interpreter, which has a C library in it. Go's
// programs are like that and keep frame pointers.
std::vector<ElfFile::Section> CodeToFollow(const ElfFile& elf, uint64_t entry,
                                           uint64_t described_bytes) {
  uint64_t size = 0;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (segment.executable) size += segment.file_size;
  }
  constexpr absl::string_view kNames[] = {".interp", ".gopclntab"};
  const auto places = elf.FindSections(kNames);
  const bool is_static = entry != 0 && !places[0];
  if (size > kMaxFollowedCode || places[1] ||
      (!is_static && described_bytes * kMinCodePerDescription > size)) {
    return {};
  }
  std::vector<ElfFile::Section> result;
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (!segment.executable) continue;
    ElfFile::Section code = {.address = segment.begin};
    code.bytes.resize(segment.file_size);
    if (elf.ReadAt(segment.begin, std::as_writable_bytes(std::span(code.bytes)))) {
      result.push_back(std::move(code));
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<UnwindTable> BuildUnwindTable(std::span<const CallFrameSection> sections) {
  cfi::Builder builder;
  for (const CallFrameSection& section : sections) {
    if (absl::Status added = builder.Add(section); !added.ok()) return added;
  }
  return builder.Build();
}

void CallFrames::AddSection(const ElfFile& elf, absl::string_view name) {
  const auto place = elf.FindSections({&name, 1})[0];
  if (!place) return;
  WorkBudget budget({.bytes = cfi::kMaxSectionBytes});
  const DebugSection section(elf, *place, budget);
  if (budget.exhausted() || section.size() > cfi::kMaxSectionBytes) {
    too_large_ = true;
    return;
  }
  ElfFile::Section content{place->address, {}};
  const std::span<const uint8_t> bytes = section.Read(0, section.size(), content.bytes);
  if (bytes.empty()) return;
  if (bytes.data() != content.bytes.data()) content.bytes.assign(bytes.begin(), bytes.end());
  sections_.push_back({std::move(content), name == kEhFrame});
}

void CallFrames::AddDebugFile(const ElfFile& debug) { AddSection(debug, kDebugFrame); }

CallFrames::CallFrames(const ElfFile& elf) {
  if (!elf.is_x86_64()) return;
  bool signals = false;
  uint64_t described = 0, code = 0;
  for (absl::string_view name : {kEhFrame, kDebugFrame}) AddSection(elf, name);
  for (const Section& section : sections_) {
    const std::span<const uint8_t> bytes = section.content.bytes;
    // Who describes some signal frame describes this one.
    signals |= ::memmem(bytes.data(), bytes.size(), "zRS", 4) != nullptr;
    described += cfi::DescribedBytes(bytes, section.content.address.value, section.is_eh_frame);
  }
  for (const ElfFile::LoadedSegment& segment : elf.LoadedSegments()) {
    if (segment.executable) code += segment.file_size;
  }
  lacks_much_ = described < code - code / kMuch;
  if (!signals) signal_returns_ = FindSignalReturns(elf);
  uint64_t described_bytes = 0;
  for (const Section& section : sections_) described_bytes += section.content.bytes.size();
  Elf64_Ehdr header = {};
  if (elf.ReadFile({0}, std::span(reinterpret_cast<uint8_t*>(&header), sizeof(header)))) {
    entry_ = header.e_entry;
  }
  code_ = CodeToFollow(elf, entry_, described_bytes);
  if (code_.empty()) return;
  for (ElfFile::Table table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
    // A damaged table has what it has.
    elf.ForEachSymbolEntry(table, [this](const ElfFile::SymbolEntry& symbol) {
         const uint64_t begin = symbol.address.value;
         if (symbol.type == STT_FUNC) functions_.push_back({begin, begin + symbol.size});
         return functions_.size() < kMaxFollowedCode;
       }).IgnoreError();
  }
}

Fingerprint CallFrames::FingerprintWith(const FingerprintKey& key) const {
  Fingerprinter fingerprinter(key);
  fingerprinter.AddValue(kBuilderVersion);
  for (const Section& section : sections_) {
    fingerprinter.AddValue(section.content.address.value).AddValue(uint64_t{section.is_eh_frame});
    fingerprinter.Add(std::as_bytes(std::span(section.content.bytes)));
  }
  fingerprinter.Add(std::as_bytes(std::span(signal_returns_)));
  for (const ElfFile::Section& code : code_) {
    fingerprinter.AddValue(code.address.value).Add(std::as_bytes(std::span(code.bytes)));
  }
  fingerprinter.Add(std::as_bytes(std::span(functions_)));
  if (!code_.empty()) fingerprinter.AddValue(entry_);
  return fingerprinter.Finish();
}

absl::StatusOr<UnwindTable> CallFrames::Build() const {
  cfi::Builder builder;
  for (const Section& section : sections_) {
    absl::Status added = builder.Add(
        {section.content.bytes, section.content.address.value, section.is_eh_frame});
    if (!added.ok()) return added;
  }
  for (uint64_t address : signal_returns_) {
    // What returns to the first instruction is looked up by the byte before it.
    builder.AddRule(address - 1, address + sizeof(kSignalReturn), {.kind = JP_RULE_SIGNAL});
  }
  const std::vector<CodeRange> described = builder.Described();
  for (const ElfFile::Section& code : code_) {
    builder.AddFrames(FramesOfCode(code.bytes, code.address.value, described, functions_, entry_));
  }
  return builder.Build();
}

}  // namespace jprof
