#include "symbolize/elf_file.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// Budgets. The largest browsers have about two million symbols and 200 MB of their names.
constexpr uint64_t kMaxSections = 65535;
constexpr size_t kMaxLoadSegments = 256;  // searched one by one
constexpr uint64_t kMaxSymbols = 20'000'000;
constexpr uint64_t kMaxStringTableBytes = uint64_t{256} << 20;
constexpr uint64_t kMaxScannedNameBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxNoteBytes = 64 * 1024;
constexpr int kMaxNoteTables = 16;
constexpr size_t kMaxStubSections = 8;
constexpr size_t kMaxRelocationTables = 8;
constexpr uint64_t kMaxRelocations = 4'000'000;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr size_t kEntriesPerRead = 4096;
constexpr uint64_t kUsualNameBytes = 1024;

bool InFile(uint64_t offset, uint64_t size, uint64_t file_size) {
  return offset <= file_size && size <= file_size - offset;
}

// False with errno 0: the file ends before.
bool PreadAll(int fd, uint64_t offset, void* out, size_t size) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    ssize_t got = ::pread(fd, bytes, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0) errno = 0;
      return false;
    }
    bytes += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<size_t>(got);
  }
  return true;
}

// Anonymous memory of its own: a table of many megabytes goes back to the kernel when it ends,
// which free() does not promise.
class Pages {
 public:
  explicit Pages(size_t size) : size_(size) {
    if (size == 0) return;
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (data != MAP_FAILED) data_ = static_cast<char*>(data);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }

  char* data() const { return data_; }  // nullptr: no memory, or size 0
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_;
};

struct Segment {
  uint64_t offset;
  uint64_t address;
  uint64_t file_size;
  uint64_t memory_size;
  bool writable;
  bool executable;
};

struct SymbolTable {
  bool present = false;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entry_size = 0;
  bool has_strings = false;
  uint64_t strings_offset = 0;
  uint64_t strings_size = 0;
};

// Executable code of equal entries: only linkage stubs have an entry size.
struct StubSection {
  ElfFile::Range range;
  uint64_t entry_size;
};

struct RelocationTable {
  uint64_t offset;
  uint64_t size;
};

// The address of the jump slot that a stub of x86-64 goes through: `jmp *slot(%rip)`, which endbr64
// and a bnd prefix may precede.
std::optional<uint64_t> DecodeStub(uint64_t address, std::span<const std::byte> code) {
  auto is = [&](size_t at, std::initializer_list<uint8_t> bytes) {
    if (code.size() < at + bytes.size()) return false;
    return std::equal(bytes.begin(), bytes.end(), code.begin() + at,
                      [](uint8_t want, std::byte have) { return std::byte{want} == have; });
  };
  size_t at = is(0, {0xf3, 0x0f, 0x1e, 0xfa}) ? 4 : 0;
  if (is(at, {0xf2})) ++at;
  if (!is(at, {0xff, 0x25}) || code.size() < at + 6) return std::nullopt;
  int32_t displacement;
  std::memcpy(&displacement, code.data() + at + 2, sizeof(displacement));
  return address + at + 6 + static_cast<uint64_t>(int64_t{displacement});
}

// The descriptor of the GNU build ID note among `notes`, "" when it is not there.
absl::string_view FindBuildId(absl::string_view notes, uint64_t align) {
  auto padded = [align](uint64_t n) { return (n + align - 1) & ~(align - 1); };
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof(header));
    const uint64_t desc_offset = padded(sizeof(header) + uint64_t{header.n_namesz});
    const uint64_t end = padded(desc_offset + header.n_descsz);
    if (desc_offset > notes.size() || header.n_descsz > notes.size() - desc_offset) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        notes.substr(sizeof(header), 4) == absl::string_view("GNU\0", 4) && header.n_descsz > 0 &&
        header.n_descsz <= kMaxBuildIdBytes) {
      return notes.substr(desc_offset, header.n_descsz);
    }
    if (end >= notes.size()) break;
    notes.remove_prefix(end);
  }
  return "";
}

}  // namespace

struct ElfFile::State {
  UniqueFd fd;
  std::string name;
  uint64_t file_size = 0;
  std::string build_id;
  bool is_x86_64 = false;
  uint64_t section_table = 0;  // offset
  uint64_t section_count = 0;
  uint64_t section_names = 0;  // number of the section that holds them
  std::vector<Segment> segments;  // as in the file
  std::vector<Range> executable;  // sorted by begin
  SymbolTable symtab;
  SymbolTable dynsym;
  std::vector<StubSection> stubs;            // x86-64 only
  std::vector<RelocationTable> relocations;  // against dynsym

  absl::Status ReadFailed(absl::string_view what) const {
    if (errno == 0) return Damaged(absl::StrCat(what, " leaves the file"));
    return ErrnoStatus(errno, absl::StrCat(name, ": cannot read ", what));
  }
  absl::Status Damaged(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(name, ": damaged ELF file: ", what));
  }
  const SymbolTable& table(Table t) const { return t == Table::kSymtab ? symtab : dynsym; }

  absl::Status ReadSegments(const Elf64_Ehdr& header, uint64_t count);
  absl::Status ReadSections(const Elf64_Ehdr& header, uint64_t count);
  void ReadBuildId(uint64_t offset, uint64_t size, uint64_t align);
};

ElfFile::ElfFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ElfFile::ElfFile(ElfFile&&) noexcept = default;
ElfFile& ElfFile::operator=(ElfFile&&) noexcept = default;
ElfFile::~ElfFile() = default;

absl::StatusOr<ElfFile> ElfFile::Open(UniqueFd fd, absl::string_view name) {
  auto state = std::make_unique<State>();
  state->fd = std::move(fd);
  state->name = std::string(name);

  struct stat st;
  if (::fstat(state->fd.get(), &st) != 0) return ErrnoStatus(errno, name);
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a regular file"));
  }
  state->file_size = static_cast<uint64_t>(st.st_size);

  Elf64_Ehdr header;
  const size_t ident_size = std::min<uint64_t>(state->file_size, SELFMAG);
  std::memset(&header, 0, sizeof(header));
  if (!PreadAll(state->fd.get(), 0, &header, ident_size)) return state->ReadFailed("the header");
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not an ELF file"));
  }
  if (!PreadAll(state->fd.get(), 0, &header, sizeof(header))) {
    return state->ReadFailed("the header");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": not a 64-bit little-endian ELF file"));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ELF type ", header.e_type, " is no executable or shared object"));
  }

  // Counts that do not fit their 16 bits are in the first section's header.
  uint64_t segment_count = header.e_phnum;
  uint64_t section_count = header.e_shoff == 0 ? 0 : header.e_shnum;
  if (header.e_shoff != 0 && (header.e_shnum == 0 || header.e_phnum == PN_XNUM)) {
    Elf64_Shdr first;
    if (!InFile(header.e_shoff, sizeof(first), state->file_size) ||
        header.e_shentsize != sizeof(first)) {
      return state->Damaged("its section table leaves the file");
    }
    if (!PreadAll(state->fd.get(), header.e_shoff, &first, sizeof(first))) {
      return state->ReadFailed("the section table");
    }
    if (header.e_shnum == 0) section_count = first.sh_size;
    if (header.e_phnum == PN_XNUM) segment_count = first.sh_info;
  }
  state->is_x86_64 = header.e_machine == EM_X86_64;
  JPROF_RETURN_IF_ERROR(state->ReadSegments(header, segment_count));
  JPROF_RETURN_IF_ERROR(state->ReadSections(header, section_count));
  return ElfFile(std::move(state));
}

absl::Status ElfFile::State::ReadSegments(const Elf64_Ehdr& header, uint64_t count) {
  if (count == 0) return absl::OkStatus();
  if (count > kMaxSections || header.e_phentsize != sizeof(Elf64_Phdr) ||
      !InFile(header.e_phoff, count * sizeof(Elf64_Phdr), file_size)) {
    return Damaged("its program header table leaves the file");
  }
  std::vector<Elf64_Phdr> headers(count);
  if (!PreadAll(fd.get(), header.e_phoff, headers.data(), count * sizeof(Elf64_Phdr))) {
    return ReadFailed("the program headers");
  }
  for (const Elf64_Phdr& p : headers) {
    if (p.p_type != PT_LOAD || p.p_memsz == 0) continue;
    // Not checked against the file's size: the headers of a separate debug file describe the file
    // that it was split from.
    if (p.p_filesz > p.p_memsz || p.p_vaddr + p.p_memsz < p.p_vaddr ||
        p.p_offset + p.p_filesz < p.p_offset) {
      return Damaged("a segment wraps around");
    }
    if (segments.size() == kMaxLoadSegments) return Damaged("too many segments");
    segments.push_back({p.p_offset, p.p_vaddr, p.p_filesz, p.p_memsz, (p.p_flags & PF_W) != 0,
                        (p.p_flags & PF_X) != 0});
    if (p.p_flags & PF_X) executable.push_back({{p.p_vaddr}, {p.p_vaddr + p.p_memsz}});
  }
  // A file without sections; ReadSections looks among the section's notes first, because the
  // segments of a separate debug file point at other bytes.
  int tables = 0;
  for (const Elf64_Phdr& p : headers) {
    if (p.p_type != PT_NOTE) continue;
    if (++tables > kMaxNoteTables || !build_id.empty()) break;
    ReadBuildId(p.p_offset, p.p_filesz, p.p_align);
  }
  return absl::OkStatus();
}

absl::Status ElfFile::State::ReadSections(const Elf64_Ehdr& header, uint64_t count) {
  auto by_begin = [](const Range& a, const Range& b) { return a.begin < b.begin; };
  if (count == 0) {
    std::sort(executable.begin(), executable.end(), by_begin);
    return absl::OkStatus();
  }
  if (count > kMaxSections || header.e_shentsize != sizeof(Elf64_Shdr) ||
      !InFile(header.e_shoff, count * sizeof(Elf64_Shdr), file_size)) {
    return Damaged("its section table leaves the file");
  }
  std::vector<Elf64_Shdr> sections(count);
  if (!PreadAll(fd.get(), header.e_shoff, sections.data(), count * sizeof(Elf64_Shdr))) {
    return ReadFailed("the section table");
  }
  section_table = header.e_shoff;
  section_count = count;
  section_names = header.e_shstrndx == SHN_XINDEX ? sections[0].sh_link : header.e_shstrndx;

  std::vector<Range> code;
  std::string segment_build_id = std::exchange(build_id, "");
  int note_tables = 0;
  for (const Elf64_Shdr& s : sections) {
    SymbolTable* table = s.sh_type == SHT_SYMTAB   ? &symtab
                         : s.sh_type == SHT_DYNSYM ? &dynsym
                                                   : nullptr;
    if (table != nullptr && !table->present) {
      table->present = true;
      table->offset = s.sh_offset;
      table->size = s.sh_size;
      table->entry_size = s.sh_entsize;
      if (s.sh_link < count && sections[s.sh_link].sh_type == SHT_STRTAB) {
        table->has_strings = true;
        table->strings_offset = sections[s.sh_link].sh_offset;
        table->strings_size = sections[s.sh_link].sh_size;
      }
    }
    if (s.sh_type == SHT_NOTE && (s.sh_flags & SHF_ALLOC) && build_id.empty() &&
        ++note_tables <= kMaxNoteTables) {
      ReadBuildId(s.sh_offset, s.sh_size, s.sh_addralign);
    }
    if ((s.sh_flags & SHF_ALLOC) && (s.sh_flags & SHF_EXECINSTR) && s.sh_size > 0 &&
        s.sh_addr + s.sh_size > s.sh_addr) {
      code.push_back({{s.sh_addr}, {s.sh_addr + s.sh_size}});
      if (header.e_machine == EM_X86_64 && (s.sh_entsize == 8 || s.sh_entsize == 16) &&
          stubs.size() < kMaxStubSections) {
        stubs.push_back({code.back(), s.sh_entsize});
      }
    }
    if (s.sh_type == SHT_RELA && s.sh_entsize == sizeof(Elf64_Rela) && s.sh_link < count &&
        sections[s.sh_link].sh_type == SHT_DYNSYM && relocations.size() < kMaxRelocationTables) {
      relocations.push_back({s.sh_offset, s.sh_size});
    }
  }
  if (build_id.empty()) build_id = std::move(segment_build_id);
  if (!code.empty()) executable = std::move(code);
  std::sort(executable.begin(), executable.end(), by_begin);
  return absl::OkStatus();
}

void ElfFile::State::ReadBuildId(uint64_t offset, uint64_t size, uint64_t align) {
  if (size > kMaxNoteBytes || !InFile(offset, size, file_size)) return;
  std::string notes(size, '\0');
  if (!PreadAll(fd.get(), offset, notes.data(), size)) return;
  build_id = absl::BytesToHexString(FindBuildId(notes, align == 8 ? 8 : 4));
}

const std::string& ElfFile::build_id() const { return state_->build_id; }

bool ElfFile::is_x86_64() const { return state_->is_x86_64; }

std::vector<std::optional<ElfFile::SectionPlace>> ElfFile::FindSections(
    std::span<const absl::string_view> names) const {
  const State& s = *state_;
  std::vector<std::optional<SectionPlace>> result(names.size());
  if (s.section_names >= s.section_count) return result;
  std::vector<Elf64_Shdr> sections(s.section_count);
  if (!PreadAll(s.fd.get(), s.section_table, sections.data(),
                sections.size() * sizeof(Elf64_Shdr))) {
    return result;
  }
  const Elf64_Shdr& strings = sections[s.section_names];
  if (strings.sh_type != SHT_STRTAB || !InFile(strings.sh_offset, strings.sh_size, s.file_size)) {
    return result;
  }
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_NOBITS || section.sh_size == 0 ||
        section.sh_name >= strings.sh_size ||
        !InFile(section.sh_offset, section.sh_size, s.file_size)) {
      continue;
    }
    char name[kMaxSectionName + 1] = {};
    const size_t size = std::min<uint64_t>(sizeof(name), strings.sh_size - section.sh_name);
    if (!PreadAll(s.fd.get(), strings.sh_offset + section.sh_name, name, size)) continue;
    const absl::string_view found(name, ::strnlen(name, size));
    for (size_t i = 0; i < names.size(); ++i) {
      if (result[i] || names[i] != found) continue;
      result[i] = SectionPlace{{section.sh_addr},
                               {section.sh_offset},
                               section.sh_size,
                               (section.sh_flags & SHF_COMPRESSED) != 0};
    }
  }
  return result;
}

std::optional<ElfFile::Section> ElfFile::ReadSection(absl::string_view name,
                                                     uint64_t max_bytes) const {
  const std::optional<SectionPlace> place = FindSections({&name, 1})[0];
  if (!place || place->compressed || place->size > max_bytes) return std::nullopt;
  Section result{place->address, std::vector<uint8_t>(place->size)};
  if (!ReadFile(place->offset, result.bytes)) return std::nullopt;
  return result;
}

uint64_t ElfFile::file_size() const { return state_->file_size; }

bool ElfFile::ReadFile(FileOffset offset, std::span<uint8_t> out) const {
  return PreadAll(state_->fd.get(), offset.value, out.data(), out.size());
}

std::optional<ElfAddress> ElfFile::ToElfAddress(FileOffset offset) const {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  // The kernel maps whole pages, so a mapping may begin before its segment does.
  auto find = [&](bool executable, bool whole_page) -> std::optional<ElfAddress> {
    for (const Segment& s : state_->segments) {
      if (s.executable != executable) continue;
      uint64_t before = whole_page ? std::min(s.offset % page, s.address) : 0;
      uint64_t begin = s.offset - before;
      if (offset.value >= begin && offset.value - begin < s.file_size + before) {
        return ElfAddress{s.address - before + (offset.value - begin)};
      }
    }
    return std::nullopt;
  };
  if (auto a = find(true, false)) return a;
  if (auto a = find(true, true)) return a;
  if (auto a = find(false, false)) return a;
  return find(false, true);
}

std::optional<FileOffset> ElfFile::ToFileOffset(ElfAddress address) const {
  for (const Segment& s : state_->segments) {
    if (address.value >= s.address && address.value - s.address < s.file_size) {
      return FileOffset{s.offset + (address.value - s.address)};
    }
  }
  return std::nullopt;
}

std::optional<ElfFile::Range> ElfFile::ExecutableRange(ElfAddress address) const {
  const std::vector<Range>& ranges = state_->executable;
  auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                [](ElfAddress a, const Range& r) { return a < r.begin; });
  if (after == ranges.begin() || !std::prev(after)->Contains(address)) return std::nullopt;
  return *std::prev(after);
}

std::vector<ElfFile::LoadedSegment> ElfFile::LoadedSegments() const {
  std::vector<LoadedSegment> result;
  for (const Segment& s : state_->segments) {
    result.push_back({{s.address}, s.file_size, s.writable, s.executable});
  }
  return result;
}

absl::Status ElfFile::ForEachSymbolEntry(Table which,
                                         absl::FunctionRef<bool(const SymbolEntry&)> visit) const {
  const SymbolTable& table = state_->table(which);
  if (!table.present) return absl::OkStatus();
  if (table.entry_size != sizeof(Elf64_Sym) ||
      !InFile(table.offset, table.size, state_->file_size)) {
    return state_->Damaged("a symbol table leaves the file");
  }
  const uint64_t count = table.size / sizeof(Elf64_Sym);
  if (count > kMaxSymbols) return state_->Damaged(absl::StrCat(count, " symbols in one table"));

  std::vector<Elf64_Sym> chunk(std::min<uint64_t>(count, kEntriesPerRead));
  for (uint64_t first = 0; first < count; first += chunk.size()) {
    const size_t n = std::min<uint64_t>(chunk.size(), count - first);
    if (!PreadAll(state_->fd.get(), table.offset + first * sizeof(Elf64_Sym), chunk.data(),
                  n * sizeof(Elf64_Sym))) {
      return state_->ReadFailed("a symbol table");
    }
    for (size_t i = 0; i < n; ++i) {
      const Elf64_Sym& s = chunk[i];
      // The value of a common symbol is its alignment.
      if (s.st_shndx == SHN_UNDEF || s.st_shndx == SHN_COMMON) continue;
      SymbolEntry entry;
      entry.name = s.st_name;
      entry.address = {s.st_value};
      entry.size = s.st_size;
      entry.type = ELF64_ST_TYPE(s.st_info);
      entry.binding = ELF64_ST_BIND(s.st_info);
      if (!visit(entry)) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

absl::Status ElfFile::ForEachSymbol(Table which,
                                    absl::FunctionRef<bool(const Symbol&)> visit) const {
  const SymbolTable& table = state_->table(which);
  if (!table.present) return absl::OkStatus();
  if (!table.has_strings || !InFile(table.strings_offset, table.strings_size, state_->file_size)) {
    return state_->Damaged("a string table leaves the file");
  }
  if (table.strings_size > kMaxStringTableBytes) {
    return state_->Damaged(absl::StrCat("a string table of ", table.strings_size, " bytes"));
  }
  Pages strings(table.strings_size);
  if (table.strings_size > 0) {
    if (strings.data() == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat(state_->name, ": no memory for ", table.strings_size, " bytes of names"));
    }
    if (!PreadAll(state_->fd.get(), table.strings_offset, strings.data(), strings.size())) {
      return state_->ReadFailed("a string table");
    }
  }

  // Names may share their bytes, so the size of the table does not bound the work.
  uint64_t scanned = 0;
  absl::Status status = ForEachSymbolEntry(which, [&](const SymbolEntry& entry) {
    Symbol symbol{"", entry.address, entry.size, entry.type, entry.binding};
    if (entry.name < strings.size()) {
      const char* begin = strings.data() + entry.name;
      const size_t limit = std::min(strings.size() - entry.name, kMaxNameBytes);
      const void* end = std::memchr(begin, '\0', limit);
      const size_t length =
          end == nullptr ? limit : static_cast<size_t>(static_cast<const char*>(end) - begin);
      scanned += length;
      if (scanned > kMaxScannedNameBytes) return false;
      symbol.name = absl::string_view(begin, length);
    }
    return visit(symbol);
  });
  if (status.ok() && scanned > kMaxScannedNameBytes) {
    return state_->Damaged("its symbol names add up to more than 1 GiB");
  }
  return status;
}

void ElfFile::ForEachSymbolName(Table which, std::span<const uint32_t> names,
                                absl::FunctionRef<bool(size_t, absl::string_view)> visit) const {
  const SymbolTable& table = state_->table(which);
  const bool readable = table.has_strings &&
                        InFile(table.strings_offset, table.strings_size, state_->file_size);
  const uint64_t size = readable ? table.strings_size : 0;
  std::vector<char> piece;  // of the string table, from `begin`
  uint64_t begin = 0;
  auto read = [&](uint64_t from, uint64_t to) {
    begin = from;
    piece.resize(std::min(to, size) - from);
    if (!PreadAll(state_->fd.get(), table.strings_offset + from, piece.data(), piece.size())) {
      piece.clear();
    }
  };
  auto cut = [&](uint64_t name) {
    if (name < begin || name - begin >= piece.size()) return absl::string_view();
    const size_t limit = std::min<uint64_t>(piece.size() - (name - begin), kMaxNameBytes);
    const char* text = piece.data() + (name - begin);
    return absl::string_view(text, ::strnlen(text, limit));
  };
  for (size_t i = 0; i < names.size(); ++i) {
    const uint64_t name = names[i];
    absl::string_view text;
    if (name != 0 && name < size) {
      if (name < begin || name - begin >= piece.size()) {
        uint64_t end = name + kUsualNameBytes;
        for (size_t next = i + 1; next < names.size() && names[next] >= name &&
                                  names[next] < end + kUsualNameBytes &&
                                  end - name < kMaxNameBytes;
             ++next) {
          end = std::max<uint64_t>(end, uint64_t{names[next]} + kUsualNameBytes);
        }
        read(name, end);
      }
      text = cut(name);
      const uint64_t whole = std::min<uint64_t>(size - name, kMaxNameBytes);
      if (name - begin + text.size() == piece.size() && text.size() < whole) {
        read(name, name + whole);
        text = cut(name);
      }
    }
    if (!visit(i, text)) return;
  }
}

std::string ElfFile::SymbolName(Table table, uint32_t name) const {
  std::string result;
  ForEachSymbolName(table, {&name, 1}, [&](size_t, absl::string_view text) {
    result = std::string(text);
    return true;
  });
  return result;
}

std::vector<std::string> ElfFile::PltTargets(std::span<const ElfAddress> addresses) const {
  std::vector<std::string> names(addresses.size());
  struct Slot {
    uint64_t address;
    size_t index;  // in `addresses`
    auto operator<=>(const Slot&) const = default;
  };
  std::vector<Slot> slots;
  for (size_t i = 0; i < addresses.size(); ++i) {
    for (const StubSection& section : state_->stubs) {
      if (!section.range.Contains(addresses[i])) continue;
      const uint64_t into = addresses[i].value - section.range.begin.value;
      const ElfAddress stub = {addresses[i].value - into % section.entry_size};
      std::byte bytes[16];
      auto code = std::span(bytes).first(section.entry_size);
      if (!ReadAt(stub, code)) break;
      if (auto slot = DecodeStub(stub.value, code)) slots.push_back({*slot, i});
      break;
    }
  }
  if (slots.empty()) return names;
  std::sort(slots.begin(), slots.end());

  uint64_t left = kMaxRelocations;
  std::vector<Elf64_Rela> chunk;
  for (const RelocationTable& table : state_->relocations) {
    if (!InFile(table.offset, table.size, state_->file_size)) continue;
    uint64_t count = std::min(table.size / sizeof(Elf64_Rela), left);
    left -= count;
    for (uint64_t first = 0; first < count; first += chunk.size()) {
      chunk.resize(std::min<uint64_t>(kEntriesPerRead, count - first));
      if (!PreadAll(state_->fd.get(), table.offset + first * sizeof(Elf64_Rela), chunk.data(),
                    chunk.size() * sizeof(Elf64_Rela))) {
        return names;
      }
      for (const Elf64_Rela& r : chunk) {
        const uint64_t symbol = ELF64_R_SYM(r.r_info);
        auto slot = std::lower_bound(slots.begin(), slots.end(), Slot{r.r_offset, 0});
        if (symbol == 0 || slot == slots.end() || slot->address != r.r_offset ||
            !names[slot->index].empty()) {
          continue;
        }
        std::string name = DynamicSymbolName(symbol);
        for (; slot != slots.end() && slot->address == r.r_offset; ++slot) {
          names[slot->index] = name;
        }
      }
    }
  }
  return names;
}

std::string ElfFile::DynamicSymbolName(uint64_t index) const {
  const SymbolTable& table = state_->dynsym;
  Elf64_Sym symbol;
  if (table.entry_size != sizeof(symbol) || index >= table.size / sizeof(symbol) ||
      !InFile(table.offset, table.size, state_->file_size) ||
      !PreadAll(state_->fd.get(), table.offset + index * sizeof(symbol), &symbol, sizeof(symbol))) {
    return "";
  }
  return SymbolName(Table::kDynsym, symbol.st_name);
}

bool ElfFile::ReadAt(ElfAddress address, std::span<std::byte> out) const {
  for (const Segment& s : state_->segments) {
    if (address.value < s.address) continue;
    const uint64_t skip = address.value - s.address;
    if (skip > s.memory_size || out.size() > s.memory_size - skip) continue;
    const size_t from_file =
        skip < s.file_size ? std::min<uint64_t>(out.size(), s.file_size - skip) : 0;
    if (from_file > 0) {
      if (!InFile(s.offset + skip, from_file, state_->file_size) ||
          !PreadAll(state_->fd.get(), s.offset + skip, out.data(), from_file)) {
        return false;
      }
    }
    std::fill(out.begin() + from_file, out.end(), std::byte{0});
    return true;
  }
  return false;
}

}  // namespace jprof
