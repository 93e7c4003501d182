#include "profiler/unwind/frame_code.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/live_memory.h"
#include "profiler/process/target_file.h"
#include "profiler/unwind/call_frame_entry.h"

namespace jprof {
namespace {

constexpr size_t kMaxProgramHeaders = 128;
// Of one file, before the mapping of its code.
constexpr size_t kMaxMappings = 64;

// The bytes of the entry of call-frame information at `address`; empty: there is none.
std::vector<uint8_t> ReadEntry(const MemoryReader& memory, uint64_t address) {
  std::array<uint8_t, 12> head;
  if (!memory.ReadExactly(Address{address}, std::as_writable_bytes(std::span(head)))) return {};
  cfi::Reader in(head);
  uint64_t length = in.Take<uint32_t>();
  if (length == 0xffffffff) length = in.Take<uint64_t>();
  if (length > FrameCode::kMaxEntryBytes) return {};
  std::vector<uint8_t> bytes(in.at() + length);
  if (!memory.ReadExactly(Address{address}, std::as_writable_bytes(std::span(bytes)))) return {};
  return bytes;
}

// By .eh_frame_hdr (LSB 10.6.2), the address of the FDE that may be about `address`; 0: none.
uint64_t FindFde(const MemoryReader& memory, uint64_t index, uint64_t address) {
  constexpr uint8_t kVersion = 1, kCountEncoding = 0x03, kTableEncoding = 0x3b;
  constexpr uint32_t kMaxCount = 1 << 24;
  std::array<uint8_t, 24> head;
  if (!memory.ReadExactly(Address{index}, std::as_writable_bytes(std::span(head)))) return 0;
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
  // The last row that begins at or before `address` is below `high`.
  uint32_t low = 0, high = count;
  uint64_t fde = 0;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const auto row = memory.ReadValue<Row>(Address{table + middle * sizeof(Row)});
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

// nullptr: nothing is mapped there.
const ProcMapping* MappingAt(std::span<const ProcMapping> maps, uint64_t address) {
  auto above = std::upper_bound(
      maps.begin(), maps.end(), address,
      [](uint64_t a, const ProcMapping& m) { return a < m.range.begin.value; });
  if (above == maps.begin() || !std::prev(above)->range.Contains({address})) return nullptr;
  return &*std::prev(above);
}

// What a process has mapped from files, read from the files: they need fewer permissions.
class MappedMemory : public MemoryReader {
 public:
  MappedMemory(Pid pid, std::span<const ProcMapping> maps) : live_(pid), maps_(maps) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    const ProcMapping* mapping = MappingAt(maps_, address.value);
    const UniqueFd* file = mapping == nullptr ? nullptr : FileOf(*mapping);
    if (file == nullptr) return live_.Read(address, out);
    const uint64_t at = address.value - mapping->range.begin.value;
    const size_t size = std::min<uint64_t>(out.size(), mapping->range.size() - at);
    ssize_t got;
    do {
      got = ::pread(file->get(), out.data(), size, static_cast<off_t>(mapping->offset.value + at));
    } while (got < 0 && errno == EINTR);
    return got < 0 ? 0 : static_cast<size_t>(got);
  }

 private:
  // nullptr: it is to be had from the memory alone.
  const UniqueFd* FileOf(const ProcMapping& m) const {
    if (!m.file.valid()) return nullptr;
    auto [known, is_new] = files_.try_emplace(m.file);
    if (is_new) {
      auto file = OpenMappedFile(live_.pid(), Mapping{m.range, m.offset, m.file, m.path});
      if (file.ok()) known->second = *std::move(file);
    }
    return known->second.valid() ? &known->second : nullptr;
  }

  const LiveMemory live_;
  const std::span<const ProcMapping> maps_;
  mutable absl::flat_hash_map<FileIdentity, UniqueFd> files_;
};

// Where the first mapping begins of the file that is mapped at `address`; 0: there is none.
uint64_t BeginOfFile(std::span<const ProcMapping> maps, uint64_t address) {
  const ProcMapping* at = MappingAt(maps, address);
  if (at == nullptr || (!at->file.valid() && at->path != "[vdso]")) return 0;
  const FileIdentity file = at->file;
  for (size_t i = 0; at->offset.value != 0 || at->file != file; ++i, --at) {
    if (i == kMaxMappings || at == maps.data()) return 0;
  }
  return at->range.begin.value;
}

// Where the .eh_frame_hdr is of the file that begins there; 0: nowhere.
uint64_t FindIndex(const MemoryReader& memory, uint64_t begin) {
  const auto header = memory.ReadValue<Elf64_Ehdr>(Address{begin});
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
      header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
      header->e_phnum > kMaxProgramHeaders) {
    return 0;
  }
  std::vector<Elf64_Phdr> segments(header->e_phnum);
  if (!memory.ReadExactly(Address{begin + header->e_phoff},
                          std::as_writable_bytes(std::span(segments)))) {
    return 0;
  }
  std::optional<uint64_t> bias, index;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && segment.p_offset == 0) bias = begin - segment.p_vaddr;
    if (segment.p_type == PT_GNU_EH_FRAME) index = segment.p_vaddr;
  }
  return bias && index ? *bias + *index : 0;
}

FrameCode Read(const MemoryReader& memory, uint64_t address) {
  FrameCode code = {.address = address, .fde = ReadEntry(memory, address), .cie = {}};
  size_t next;
  const std::optional<cfi::Entry> fde = cfi::TakeEntry(code.fde, 0, /*is_eh_frame=*/true, next);
  if (!fde || fde->is_cie) return {};
  code.cie = ReadEntry(memory, address + fde->cie);
  return code;
}

}  // namespace

std::vector<FrameCode> FindFrameCode(std::span<const ProcMapping> maps, const MemoryReader& memory,
                                     std::span<const uint64_t> addresses) {
  std::vector<FrameCode> found(addresses.size());
  absl::flat_hash_map<uint64_t, uint64_t> indexes;  // by where files begin
  for (size_t i = 0; i < addresses.size(); ++i) {
    const uint64_t begin = BeginOfFile(maps, addresses[i]);
    if (begin == 0) continue;
    auto [index, is_new] = indexes.try_emplace(begin, 0);
    if (is_new) index->second = FindIndex(memory, begin);
    if (index->second == 0) continue;
    const uint64_t fde = FindFde(memory, index->second, addresses[i]);
    if (fde != 0) found[i] = Read(memory, fde);
  }
  return found;
}

std::vector<FrameCode> FindFrameCode(Pid pid, std::span<const uint64_t> addresses) {
  const absl::StatusOr<std::vector<ProcMapping>> maps = ReadProcMaps(pid);
  if (!maps.ok()) return {};
  return FindFrameCode(*maps, MappedMemory(pid, *maps), addresses);
}

}  // namespace jprof
