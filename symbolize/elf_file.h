// One ELF file, read through its descriptor. The file is hostile: every offset and count is checked
// against the file's size and a budget before anything is read, and reads go through pread, so a
// file that shrinks meanwhile is an error and not a signal.
//
// Const functions may be called from several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/address.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class ElfFile {
 public:
  // Reads the headers of a 64-bit little-endian executable or shared object. InvalidArgument: not
  // such a file; DataLoss: damaged. `name` is for messages.
  static absl::StatusOr<ElfFile> Open(UniqueFd fd, absl::string_view name);

  ElfFile(ElfFile&&) noexcept;
  ElfFile& operator=(ElfFile&&) noexcept;
  ~ElfFile();

  // Lower-case hex of the GNU build ID (1 to 64 bytes), "" when there is none.
  const std::string& build_id() const;

  bool is_x86_64() const;

  // Between file offsets and the addresses of the symbol table, by the loadable segments. Where
  // two segments share a page of the file, the executable one is meant; the part of its first page
  // that lies before it belongs to it, so the offset of an executable mapping always converts.
  std::optional<ElfAddress> ToElfAddress(FileOffset offset) const;
  // Of initial content only: an address in .bss has no offset.
  std::optional<FileOffset> ToFileOffset(ElfAddress address) const;

  struct Symbol {
    absl::string_view name;  // valid during the call only
    ElfAddress address;
    uint64_t size = 0;
    uint8_t type = 0;     // STT_*
    uint8_t binding = 0;  // STB_*
  };
  enum class Table { kSymtab, kDynsym };

  // Calls `visit` for each defined symbol of a table in file order until it returns false. A table
  // that is not there has no symbols. The table's memory is given back before the return. A name
  // that leaves the string table is empty, one of more than kMaxNameBytes is cut.
  absl::Status ForEachSymbol(Table table, absl::FunctionRef<bool(const Symbol&)> visit) const;

  // The same without reading the string table, which is most of the bytes: for a search by address
  // that needs a few names at its end.
  struct SymbolEntry {
    uint32_t name = 0;  // for ForEachSymbolName(); 0: no name
    ElfAddress address;
    uint64_t size = 0;
    uint8_t type = 0;
    uint8_t binding = 0;
  };
  absl::Status ForEachSymbolEntry(Table table,
                                  absl::FunctionRef<bool(const SymbolEntry&)> visit) const;
  // Calls `visit` with the position in `names` and the text, "" when it cannot be read, of each
  // until it returns false. The text is valid during the call only. Those that lie close together
  // are read at once if they are sorted.
  void ForEachSymbolName(Table table, std::span<const uint32_t> names,
                         absl::FunctionRef<bool(size_t, absl::string_view)> visit) const;
  std::string SymbolName(Table table, uint32_t name) const;

  static constexpr size_t kMaxNameBytes = 64 * 1024;

  // The executable section that holds `address`, or the executable segment in a file without
  // sections: what a symbol without a size can reach at most.
  struct Range {
    ElfAddress begin;
    ElfAddress end;
    bool Contains(ElfAddress a) const { return begin <= a && a < end; }
  };
  std::optional<Range> ExecutableRange(ElfAddress address) const;

  // The loadable segments, without their zero-filled tails, in the file's order.
  struct LoadedSegment {
    ElfAddress begin;
    uint64_t file_size = 0;
    bool writable = false;
    bool executable = false;
  };
  std::vector<LoadedSegment> LoadedSegments() const;

  // For each address in a procedure linkage stub the name of the function that the stub jumps to,
  // "" for all other addresses. x86-64 only.
  std::vector<std::string> PltTargets(std::span<const ElfAddress> addresses) const;

  // The content of a section, by its name. nullopt: there is none, it is compressed, has no
  // content, leaves the file, or is larger than `max_bytes`.
  struct Section {
    ElfAddress address;
    std::vector<uint8_t> bytes;
  };
  std::optional<Section> ReadSection(absl::string_view name, uint64_t max_bytes) const;

  // Where the first sections of these names lie; nullopt: there is none with content that is within
  // the file. Names of at most kMaxSectionName bytes.
  struct SectionPlace {
    ElfAddress address;
    FileOffset offset;
    uint64_t size = 0;
    bool compressed = false;
  };
  static constexpr size_t kMaxSectionName = 31;
  std::vector<std::optional<SectionPlace>> FindSections(
      std::span<const absl::string_view> names) const;

  uint64_t file_size() const;
  // Copies bytes of the file. False: it ends before.
  bool ReadFile(FileOffset offset, std::span<uint8_t> out) const;

  // Copies `out.size()` bytes of initial content at `address`; the zero-filled tail of a segment
  // (.bss) reads as zeros. False: outside the segments, or the file is too short.
  bool ReadAt(ElfAddress address, std::span<std::byte> out) const;

 private:
  struct State;
  std::string DynamicSymbolName(uint64_t index) const;
  explicit ElfFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace jprof
