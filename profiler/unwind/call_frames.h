// Makes call-frame tables from what compilers leave for exceptions and debuggers: .eh_frame and
// .debug_frame (DWARF 5, section 6.4; the System V ABI for x86-64; LSB's .eh_frame).
//
// Per function there is a small program for a machine whose state is a table row: how the CFA is
// computed and where registers were saved. It is run once here, so that the walk in the kernel has
// rows to look up and nothing to interpret. Of the registers, the caller's pc, sp and rbp are
// followed; those are all that the rules of nearly all code refer to. Others can be referred to in
// the frame where the thread stood, where all registers are known. The few rules that are neither
// are kept as JP_RULE_OTHER: where nothing is known is not the same as where a table cannot follow.
// Native walks then do by frame_stepper.h.
//
// Of DWARF's expressions those are understood that occur in numbers: linkage stubs, frames that
// realign the stack (CFA in memory), signal frames.
//
// A .debug_frame may be compressed, and in a separate debug file instead of the file itself; that
// is looked for where much of the code is described by no other section.
//
// Files in which hardly anything is described (musl), and static programs, whose C library may be
// like that, are looked through besides: code_frames.h.
//
// The bytes are hostile: reads are checked, the work is linear in the size of the input, and what
// does not end well covers no code.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/unwind/code_frames.h"
#include "profiler/unwind/fingerprint.h"
#include "profiler/unwind/unwind_table.h"
#include "symbolize/elf_file.h"

namespace jprof {

// One section, as loaded at `address`.
struct CallFrameSection {
  std::span<const uint8_t> bytes;
  uint64_t address = 0;
  bool is_eh_frame = true;  // else .debug_frame
};

// Where two sections describe the same code, the earlier one is believed. ResourceExhausted: more
// than an UnwindTable holds. An input that describes no code gives an empty table.
absl::StatusOr<UnwindTable> BuildUnwindTable(std::span<const CallFrameSection> sections);

// All that a file says of its frames, read from it once.
class CallFrames {
 public:
  // Of a file that is not of x86-64, nothing.
  explicit CallFrames(const ElfFile& elf);

  // Much of the code is described by no section.
  bool lacks_much() const { return lacks_much_; }
  // What the file's separate debug file says besides.
  void AddDebugFile(const ElfFile& debug);

  // A section is larger than is read: its code is not described.
  bool too_large() const { return too_large_; }
  bool empty() const { return sections_.empty() && signal_returns_.empty() && code_.empty(); }
  // Of the whole: files that say the same have the same table.
  Fingerprint FingerprintWith(const FingerprintKey& key) const;
  absl::StatusOr<UnwindTable> Build() const;

 private:
  void AddSection(const ElfFile& elf, absl::string_view name);

  struct Section {
    ElfFile::Section content;
    bool is_eh_frame;
  };
  std::vector<Section> sections_;
  bool too_large_ = false;
  bool lacks_much_ = false;
  // Where the return from a signal handler is, in C libraries that do not describe it.
  std::vector<uint64_t> signal_returns_;
  // What code_frames.h looks through: segments of code, and where functions are known to begin.
  std::vector<ElfFile::Section> code_;
  std::vector<CodeRange> functions_;
  uint64_t entry_ = 0;  // where the program starts; 0: it does not
};

}  // namespace jprof
