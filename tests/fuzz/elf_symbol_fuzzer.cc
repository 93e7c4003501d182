// Any bytes as an ELF file: headers, both symbol tables, conversions, content, names, DWARF, packed
// symbols.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "symbolize/elf_file.h"
#include "symbolize/symbolizer.h"

namespace jprof {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void AskElfFile(const ElfFile& file, std::vector<ElfAddress>* addresses) {
  Require(file.build_id().size() <= 128);
  for (auto table : {ElfFile::Table::kSymtab, ElfFile::Table::kDynsym}) {
    std::vector<std::string> names;
    (void)file.ForEachSymbol(table, [&](const ElfFile::Symbol& s) {
      names.emplace_back(s.name);
      return names.size() < 1000;
    });
    size_t i = 0;
    std::vector<uint32_t> offsets;
    (void)file.ForEachSymbolEntry(table, [&](const ElfFile::SymbolEntry& s) {
      if (i < names.size() && s.name != 0) Require(file.SymbolName(table, s.name) == names[i]);
      offsets.push_back(s.name);
      if (addresses->size() < 100) addresses->push_back(s.address);
      if (auto range = file.ExecutableRange(s.address)) Require(range->Contains(s.address));
      return ++i < 1000;
    });
    file.ForEachSymbolName(table, offsets, [&](size_t k, absl::string_view text) {
      Require(k >= names.size() || offsets[k] == 0 || text == names[k]);
      return true;
    });
  }
  for (ElfAddress a : *addresses) {
    std::byte bytes[24];
    const bool readable = file.ReadAt(a, bytes);
    auto offset = file.ToFileOffset(a);
    // The other way may lead to another segment of the same bytes, but it leads somewhere.
    if (offset) Require(file.ToElfAddress(*offset).has_value());
    (void)readable;
  }
  Require(file.PltTargets(*addresses).size() == addresses->size());
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jprof;
  UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  if (::write(fd.get(), data, size) != static_cast<ssize_t>(size)) return 0;

  std::vector<ImageQuery> queries(1);
  ImageQuery& query = queries[0];
  {
    auto file = ElfFile::Open(UniqueFd(::dup(fd.get())), "fuzz");
    if (file.ok()) {
      std::vector<ElfAddress> addresses = {{0}, {0x1000}, {0x2000}, {~uint64_t{0}}};
      AskElfFile(*file, &addresses);
    }
  }
  for (uint64_t offset = 0; offset < 0x4000; offset += 7) query.offsets.push_back({offset});
  query.file = std::move(fd);
  query.path = "fuzz";
  query.want_source = true;
  query.want_values = true;
  SymbolizeImages(queries, 1);
  Require(query.names.size() == query.offsets.size());
  for (const SourceFrame& frame : query.source.frames) {
    Require(frame.function < query.source.functions.size());
    Require(frame.file < query.source.files.size());
  }
  Require(query.values.at.empty() || query.values.at.size() == query.offsets.size());
  for (const NativeType& type : query.values.types) {
    Require(type.target == kNoType || type.target < query.values.types.size());
  }
  for (const SymbolName& name : query.names) {
    Require(name.name.empty() == name.system_name.empty());
  }
  return 0;
}
