// Functions, inlined functions and lines of addresses, from the DWARF of an ELF file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "profiler/core/address.h"
#include "symbolize/elf_file.h"
#include "symbolize/frame_values.h"
#include "symbolize/work_budget.h"

namespace jprof {

struct SourceFunction {
  std::string name;          // as declared, without scopes; may be ""
  std::string linkage_name;  // mangled, "" where the language or the linkage has none
  uint32_t line = 0;         // of the declaration, 0 where not known

  friend bool operator==(const SourceFunction&, const SourceFunction&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SourceFunction& f) {
    return H::combine(std::move(h), f.name, f.linkage_name, f.line);
  }
};

struct SourceFrame {
  uint32_t function = 0;  // into SourceInfo::functions; 0: not known, the line alone is
  uint32_t file = 0;      // into SourceInfo::files; 0: not known
  uint32_t line = 0;      // that executes, 0 where not known
  uint32_t column = 0;    // 0 where not known

  friend bool operator==(const SourceFrame&, const SourceFrame&) = default;
};

// Of a list of addresses.
struct SourceInfo {
  std::vector<SourceFunction> functions;  // the first one is empty
  std::vector<std::string> files;  // absolute where the compiler said so; the first one is ""
  std::vector<SourceFrame> frames;
  // The frames of address i are [first[i], first[i + 1]): innermost first, the function that the
  // code belongs to last. None: nothing is known of it.
  std::vector<uint32_t> first;

  std::span<const SourceFrame> FramesOf(size_t i) const {
    if (i + 1 >= first.size()) return {};
    return std::span(frames).subspan(first[i], first[i + 1] - first[i]);
  }
};

bool HasDwarf(const ElfFile& file);

// The file that holds what several files' DWARF have in common (.gnu_debugaltlink, made by dwz).
struct SupplementaryLink {
  std::string build_id;  // lower-case hex; "": there is none
  std::string name;      // below the directory .dwz, "" when it is not of that form
};
SupplementaryLink ReadSupplementaryLink(const ElfFile& file);

// The functions' parameters at each address, without rows.
struct ParameterSearch {
  // What they may take. The time until all frames are found does not count.
  WorkBudget& budget;
  FrameValues& values;  // empty when the budget is used up
};

// Looks up `addresses`, which are sorted. `supplementary`: see above, or nullptr. NotFound: there
// is no DWARF. ResourceExhausted: the budget is used up. With an error `info` is empty. What is
// damaged or not understood costs the frames that lie in it. `parameters`: to be found too, or
// nullptr; they cost no frames.
absl::Status FindSource(const ElfFile& file, const ElfFile* supplementary,
                        std::span<const ElfAddress> addresses, WorkBudget& budget,
                        SourceInfo* info, const ParameterSearch* parameters = nullptr);

}  // namespace jprof
